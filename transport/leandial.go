package transport

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// LeanClient is the client's side of a WebSocket of the LeanMessage dialect, for
// tests and measurements. One goroutine reads and one writes.
type LeanClient struct {
	raw  *websocket.Conn
	wire *gatheringConn
}

// DialLean opens a WebSocket to a ws or wss address with a subprotocol of the
// dialect, as "lc.protobuf2.3".
func DialLean(ctx context.Context, address, subprotocol string, conf *tls.Config) (*LeanClient, error) {
	c := &LeanClient{}
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		c.wire = &gatheringConn{Conn: conn}
		return c.wire, nil
	}
	d := websocket.Dialer{
		NetDialContext: dial, TLSClientConfig: conf, HandshakeTimeout: 10 * time.Second,
		ReadBufferSize: 4 << 10, WriteBufferSize: 4 << 10, Subprotocols: []string{subprotocol},
	}
	raw, resp, err := d.DialContext(ctx, address, http.Header{})
	if err != nil {
		if resp != nil {
			_ = resp.Body.Close()
		}
		return nil, fmt.Errorf("open a WebSocket to %s: %w", address, err)
	}
	if raw.Subprotocol() != subprotocol {
		_ = raw.Close()
		return nil, fmt.Errorf("open a WebSocket to %s: it answers with the subprotocol %q", address, raw.Subprotocol())
	}
	c.raw = raw
	return c, nil
}

// ReadMessage returns the next message. After an error there are no more.
func (c *LeanClient) ReadMessage() ([]byte, error) {
	_, b, err := c.raw.ReadMessage()
	return b, err
}

// WriteMessages writes binary messages, in one write to the network.
func (c *LeanClient) WriteMessages(messages [][]byte) error {
	c.wire.gather()
	for _, m := range messages {
		if err := c.raw.WriteMessage(websocket.BinaryMessage, m); err != nil {
			return err
		}
	}
	return c.wire.flush()
}

// Close ends the connection without a word, as a lost one.
func (c *LeanClient) Close() error { return c.raw.Close() }

// gatheringConn holds writes back between gather and flush.
type gatheringConn struct {
	net.Conn

	mu      sync.Mutex
	holding bool
	held    []byte
}

func (c *gatheringConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	if c.holding {
		c.held = append(c.held, b...)
		c.mu.Unlock()
		return len(b), nil
	}
	c.mu.Unlock()
	return c.Conn.Write(b)
}

func (c *gatheringConn) gather() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holding = true
}

func (c *gatheringConn) flush() error {
	c.mu.Lock()
	held := c.held
	c.holding, c.held = false, nil
	c.mu.Unlock()
	_, err := c.Conn.Write(held)
	return err
}
