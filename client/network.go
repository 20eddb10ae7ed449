package client

import (
	"context"
	"crypto/tls"
	"fmt"

	"github.com/quorate/quorate/transport"
)

// network is the default way to dial: package transport's. QUIC connections
// share one socket, which is opened for the first of them. Only the goroutine
// that connects dials, and closes when nobody dials any more.
type network struct {
	quic *transport.QUICDialer
}

func (n *network) dial(ctx context.Context, server Server, config *tls.Config) (transport.Conn, error) {
	if server.Scheme != "quic" {
		return transport.DialWebSocket(ctx, server.String(), config)
	}
	if n.quic == nil {
		if config == nil {
			config = transport.ClientTLS(nil)
		}
		dialer, err := transport.NewQUICDialer(config) //nolint:contextcheck // the socket outlives this dial
		if err != nil {
			return nil, fmt.Errorf("dial %s: %w", server, err)
		}
		n.quic = dialer
	}
	return n.quic.Dial(ctx, server.Address)
}

func (n *network) close() error {
	if n.quic == nil {
		return nil
	}
	return n.quic.Close()
}
