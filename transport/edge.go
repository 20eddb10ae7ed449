package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/quorate/quorate/wire"
)

// ClientConn is a connection from a client. Until SignedIn it accepts frames of
// up to EdgeOptions.HelloBytes and no read deadline later than its sign-in may
// take, so that a stranger costs little.
type ClientConn interface {
	Conn

	// SignedIn says that the client has proved who it is: the deadlines are
	// cleared, the limits become those of a session, and the place among the
	// strangers is free again. The reading goroutine calls it.
	SignedIn()

	// Kind returns what carries the connection, "quic", "websocket" or
	// "memory", for logs and metrics.
	Kind() string

	// Continue has the connection served on by f, in a fresh goroutine, once
	// serve, which calls it, has returned. A goroutine that has worked hard
	// keeps a large stack, also when it only waits from then on.
	Continue(f func())
}

// EdgeOptions tune an Edge. The zero value is ready to use.
type EdgeOptions struct {
	// MaxConns bounds all connections. More are refused. Default 100,000.
	MaxConns int

	// MaxPending bounds the connections that have not signed in, handshakes
	// included. More are refused; above half of it, QUIC clients must prove
	// their address first. Default 4,096.
	MaxPending int

	// MaxPendingPerPrefix bounds those of one IPv4 address or IPv6 /64. More
	// are refused. Default 200.
	MaxPendingPerPrefix int

	// SignInTimeout bounds the time from the first byte to SignedIn. Reads fail
	// with a deadline after it. Default 10s.
	SignInTimeout time.Duration

	// HelloBytes bounds a frame, and SignInBytes all frames together, of who
	// has not signed in; beyond it, reads fail with ErrFrameTooLarge. Default
	// wire.MaxHelloBytes and 16 KiB.
	HelloBytes, SignInBytes int

	// FrameBytes bounds a frame of who has signed in. Default
	// wire.MaxFrameBytes.
	FrameBytes int

	// HandshakeRate is how many QUIC handshakes a second are begun with
	// addresses that were not proved. Beyond it clients are sent a Retry first.
	// Default 500 for each processor.
	HandshakeRate int

	// Logger takes the edge's log. Default: nothing is logged.
	Logger *slog.Logger
}

func (o EdgeOptions) withDefaults() EdgeOptions {
	for _, d := range []struct {
		field *int
		value int
	}{
		{&o.MaxConns, 100_000},
		{&o.MaxPending, 4096},
		{&o.MaxPendingPerPrefix, 200},
		{&o.HelloBytes, wire.MaxHelloBytes},
		{&o.SignInBytes, 16 << 10},
		{&o.FrameBytes, wire.MaxFrameBytes},
		{&o.HandshakeRate, 500 * runtime.GOMAXPROCS(0)},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if o.SignInTimeout == 0 {
		o.SignInTimeout = 10 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Edge is the door for clients: whatever carries a connection, it counts it,
// bounds what it may cost before the sign-in, and hands it to one function.
type Edge struct {
	serve   func(ClientConn)
	opts    EdgeOptions
	gate    *gate
	web     *gate // of HTTP connections that have not become WebSockets
	rate    *rate.Limiter
	stats   edgeStats
	running sync.WaitGroup
	mu      struct {
		sync.Mutex
		closed bool
		conns  map[uint64]traveller // by number
		number uint64               // of the last one
		stops  []func()             // each makes a listener accept no more
		ends   []func()             // each frees what a listener's connections needed
	}
}

// traveller is a connection that can be told to go elsewhere, which closes it.
type traveller interface{ goAway() }

type edgeStats struct {
	accepted, refused, retries atomic.Int64
}

// EdgeMetrics counts what an Edge did and has.
type EdgeMetrics struct {
	Accepted int64 // connections handed to serve
	Refused  int64 // connections over a limit
	Retries  int64 // QUIC handshakes that had to prove their address
	Open     int   // connections now
	Pending  int   // of them, and of handshakes, those not signed in
}

// NewEdge returns an edge without listeners. serve is called in a goroutine of
// its own for each connection, and reads it; when it returns, the connection
// is closed.
func NewEdge(serve func(ClientConn), opts EdgeOptions) *Edge {
	opts = opts.withDefaults()
	e := &Edge{
		serve: serve, opts: opts,
		gate: newGate(opts.MaxPending, opts.MaxPendingPerPrefix),
		web:  newGate(opts.MaxPending, opts.MaxPendingPerPrefix),
		rate: rate.NewLimiter(rate.Limit(opts.HandshakeRate), opts.HandshakeRate),
	}
	e.mu.conns = make(map[uint64]traveller)
	return e
}

// Metrics returns the present numbers.
func (e *Edge) Metrics() EdgeMetrics {
	e.mu.Lock()
	open := len(e.mu.conns)
	e.mu.Unlock()
	return EdgeMetrics{
		Accepted: e.stats.accepted.Load(), Refused: e.stats.refused.Load(), Retries: e.stats.retries.Load(),
		Open: open, Pending: e.gate.pending(),
	}
}

// enter takes a place for a stranger.
func (e *Edge) enter(remote string) (*ticket, error) {
	t, err := e.gate.enter(remote)
	if err != nil {
		e.stats.refused.Add(1)
		e.opts.Logger.Debug("client refused", "remote", remote, "error", err)
	}
	return t, err
}

// run serves one connection on this goroutine, which the edge waits for.
func (e *Edge) run(base Conn, kind string, t *ticket) {
	conn := &clientConn{Conn: base, kind: kind, edge: e, ticket: t, until: time.Now().Add(e.opts.SignInTimeout)}
	number, err := e.add(conn)
	if err != nil {
		e.stats.refused.Add(1)
		_ = base.Close(closeOf(err), "")
		t.leave()
		return
	}
	conn.number = number
	e.stats.accepted.Add(1)
	base.SetReadLimit(e.opts.HelloBytes)
	_ = base.SetReadDeadline(conn.until)
	_ = base.SetWriteDeadline(conn.until)
	e.serve(conn)
	e.proceed(conn)
}

// proceed begins what was left to a fresh goroutine, which the edge waits for
// too, or closes the connection when there is nothing.
func (e *Edge) proceed(conn *clientConn) {
	if next := conn.next; next != nil {
		conn.next = nil
		e.running.Go(func() {
			next()
			e.proceed(conn)
		})
		return
	}
	_ = conn.Close(CloseNormal, "")
	e.remove(conn.number)
	if conn.ticket != nil {
		conn.ticket.leave()
	}
}

// add notes a connection, and returns its number.
func (e *Edge) add(conn traveller) (uint64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.mu.closed:
		return 0, ErrClosed
	case len(e.mu.conns) >= e.opts.MaxConns:
		return 0, fmt.Errorf("%w: %d connections", ErrRefused, len(e.mu.conns))
	}
	e.mu.number++
	e.mu.conns[e.mu.number] = conn
	return e.mu.number, nil
}

// closeOf says why an edge does not take a connection.
func closeOf(err error) CloseCode {
	if errors.Is(err, ErrClosed) {
		return CloseGoingAway
	}
	return CloseOverloaded
}

func (e *Edge) remove(number uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.mu.conns, number)
}

// start runs work in a goroutine that Close waits for. It is ErrClosed after
// Close.
func (e *Edge) start(work func()) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mu.closed {
		return ErrClosed
	}
	e.running.Go(work)
	return nil
}

// listen runs a listener's loop in a goroutine, with a context that ends when
// it is to accept no more. end, which may be nil, runs when the last connection
// is gone.
func (e *Edge) listen(loop func(context.Context), end func()) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mu.closed {
		return ErrClosed
	}
	ctx, cancel := context.WithCancel(context.Background())
	e.mu.stops = append(e.mu.stops, cancel)
	if end != nil {
		e.mu.ends = append(e.mu.ends, end)
	}
	e.running.Go(func() { loop(ctx) })
	return nil
}

// Serve accepts connections of a listener in memory until one of the two is
// closed.
func (e *Edge) Serve(l NodeListener) error {
	return e.listen(func(ctx context.Context) {
		for {
			conn, err := l.Accept(ctx)
			if err != nil {
				return
			}
			t, err := e.enter(conn.RemoteAddr())
			if err != nil {
				_ = conn.Close(CloseOverloaded, "too many connections")
				continue
			}
			if e.start(func() { e.run(conn, "memory", t) }) != nil {
				t.leave()
				_ = conn.Close(CloseGoingAway, "")
			}
		}
	}, nil)
}

// Close stops the listeners, closes all connections, telling the clients to go
// elsewhere, and waits until serve has returned for each.
func (e *Edge) Close() error {
	e.mu.Lock()
	conns, stops, ends := slices.Collect(maps.Values(e.mu.conns)), e.mu.stops, e.mu.ends
	e.mu.closed, e.mu.stops, e.mu.ends = true, nil, nil
	e.mu.Unlock()

	for _, stop := range stops {
		stop()
	}
	var closing sync.WaitGroup
	for _, conn := range conns {
		closing.Go(conn.goAway)
	}
	closing.Wait()
	e.running.Wait()
	for _, end := range ends {
		end()
	}
	return nil
}

// GuardHTTP makes an HTTP server safe for strangers, before it serves: it
// bounds its connections as the edge's and the time and size of a request's
// header.
func (e *Edge) GuardHTTP(server *http.Server) {
	server.ReadHeaderTimeout = e.opts.SignInTimeout
	server.IdleTimeout = 2 * time.Minute
	server.MaxHeaderBytes = 16 << 10
	guard := &webGuard{edge: e, tickets: make(map[any]*ticket)}
	server.ConnState = guard.changed
}

// clientConn is a Conn under the limits of an Edge.
type clientConn struct {
	Conn
	kind     string
	edge     *Edge
	number   uint64
	ticket   *ticket   // nil after the sign-in; the serving goroutine's own
	until    time.Time // when the sign-in is late
	spent    int       // bytes read before the sign-in
	next     func()    // what serves it on; the serving goroutine's own
	signedIn atomic.Bool
}

func (c *clientConn) goAway() { _ = c.Close(CloseGoingAway, "the node stops") }

func (c *clientConn) Kind() string { return c.kind }

func (c *clientConn) Continue(f func()) { c.next = f }

func (c *clientConn) ReadFrame() ([]byte, error) {
	frame, err := c.Conn.ReadFrame()
	if err != nil || c.signedIn.Load() {
		return frame, err
	}
	c.spent += len(frame)
	if c.spent > c.edge.opts.SignInBytes {
		return nil, fmt.Errorf("%w: %d bytes before the sign-in, want at most %d", ErrFrameTooLarge, c.spent, c.edge.opts.SignInBytes)
	}
	return frame, nil
}

func (c *clientConn) SetReadDeadline(t time.Time) error {
	if !c.signedIn.Load() && (t.IsZero() || t.After(c.until)) {
		t = c.until
	}
	return c.Conn.SetReadDeadline(t)
}

func (c *clientConn) SetReadLimit(bytes int) {
	if c.signedIn.Load() || bytes < c.edge.opts.HelloBytes {
		c.Conn.SetReadLimit(bytes)
	}
}

func (c *clientConn) SignedIn() {
	if c.signedIn.Swap(true) {
		return
	}
	c.ticket.leave()
	c.ticket = nil // there may be many sessions, and none needs it any more
	c.Conn.SetReadLimit(c.edge.opts.FrameBytes)
	_ = c.Conn.SetReadDeadline(time.Time{})
	_ = c.SetWriteDeadline(time.Time{})
}

var errNoSubprotocol = errors.New("transport: the other side does not speak " + Subprotocol)
