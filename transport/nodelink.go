package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/quorate/quorate/wire"
)

const (
	// handshakeTimeout bounds a handshake between nodes.
	handshakeTimeout = 5 * time.Second

	// maxHandshakes bounds the handshakes a node listener is in at once. More
	// connections are closed at once; a node dials again.
	maxHandshakes = 64
)

// NodeDialer dials other nodes over TLS 1.3.
type NodeDialer struct {
	credentials *Credentials
}

// NewNodeDialer returns a dialer that shows and checks the credentials.
func NewNodeDialer(credentials *Credentials) *NodeDialer {
	return &NodeDialer{credentials: credentials}
}

// Dial connects to the node at the address. A node with another id there is an
// error, ErrIdentity. That the other side refuses our certificate shows only
// with the first read, as TLS 1.3 has it.
func (d *NodeDialer) Dial(ctx context.Context, node wire.NodeID, addr string) (Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	dialer := tls.Dialer{Config: d.credentials.config(node)}
	raw, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("dial node %s at %s: %w", node, addr, err)
	}
	return newTLSConn(raw.(*tls.Conn)) // tls.Dialer promises the type
}

// nodeListener accepts connections over TLS 1.3.
type nodeListener struct {
	raw     net.Listener
	config  *tls.Config
	logger  *slog.Logger
	ready   chan *tlsConn   // handshakes that are done; each waits for its Accept until its timeout
	stop    <-chan struct{} // closed by Close
	cancel  context.CancelFunc
	slots   chan struct{} // one for each handshake under way
	closing sync.Once
	running sync.WaitGroup
}

// ListenNodes accepts the connections of other nodes on the address. logger may
// be nil.
func ListenNodes(ctx context.Context, addr string, credentials *Credentials, logger *slog.Logger) (NodeListener, error) {
	var lc net.ListenConfig
	raw, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for nodes: %w", err)
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l := &nodeListener{
		raw: raw, config: credentials.config(""), logger: logger,
		ready: make(chan *tlsConn), stop: serving.Done(), cancel: cancel,
		slots: make(chan struct{}, maxHandshakes), // capacity: a counting lock
	}
	l.running.Go(func() { l.run(serving) })
	return l, nil
}

// run takes connections and starts their handshakes.
func (l *nodeListener) run(ctx context.Context) {
	for {
		raw, err := l.raw.Accept()
		if err != nil {
			if l.wait(err) {
				continue
			}
			return
		}
		select {
		case l.slots <- struct{}{}:
			l.running.Go(func() {
				defer func() { <-l.slots }()
				l.handshake(ctx, raw)
			})
		default:
			_ = raw.Close() // it dials again
		}
	}
}

// wait tells whether to accept again after an error, such as too many open
// files, and waits before that.
func (l *nodeListener) wait(err error) bool {
	if errors.Is(err, net.ErrClosed) {
		return false
	}
	l.logger.Warn("accept a node's connection", "error", err)
	select {
	case <-l.stop:
		return false
	case <-time.After(50 * time.Millisecond):
		return true
	}
}

func (l *nodeListener) handshake(ctx context.Context, raw net.Conn) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()

	secured := tls.Server(raw, l.config)
	err := secured.HandshakeContext(ctx)
	var conn *tlsConn
	if err == nil {
		conn, err = newTLSConn(secured)
	}
	if err != nil {
		l.logger.Info("node connection refused", "remote", raw.RemoteAddr().String(), "error", err)
		_ = raw.Close()
		return
	}
	select {
	case l.ready <- conn:
	case <-ctx.Done():
		_ = raw.Close()
	}
}

func (l *nodeListener) Accept(ctx context.Context) (NodeConn, error) {
	select {
	case conn := <-l.ready:
		return conn, nil
	case <-l.stop:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *nodeListener) Addr() string { return l.raw.Addr().String() }

func (l *nodeListener) Close() error {
	var err error
	l.closing.Do(func() {
		l.cancel()
		err = l.raw.Close()
		l.running.Wait()
	})
	return err
}
