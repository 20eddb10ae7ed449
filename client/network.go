package client

import (
	"context"
	"crypto/tls"
	"fmt"

	"github.com/quorate/quorate/transport"
)

// dialNetwork is the default Dialer.
func dialNetwork(_ context.Context, server Server, _ *tls.Config) (transport.Conn, error) {
	return nil, fmt.Errorf("dial %s: no dialer", server)
}
