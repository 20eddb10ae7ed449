package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// Subprotocol is the name of the native protocol on WebSocket.
const Subprotocol = "quorate.v1"

const (
	// A WebSocket of the server waits with a buffer this small: it is held by
	// each connection, however idle. Frames are read past it.
	wsReadBuffer = 512

	// wsWriteBuffer holds the header of what is written; it comes from a pool.
	wsWriteBuffer = 1 << 10

	// pongGap is the time between two answers to pings. More pings are read and
	// not answered.
	pongGap = 250 * time.Millisecond
)

// wsConn carries frames in the binary messages of a WebSocket: one or more
// whole frames in each.
type wsConn struct {
	raw    *websocket.Conn
	reader frameReader
	ending ending
	msg    io.Reader // the message being read; nil between two
	got    bool      // something of it came
	pong   time.Time // when the last ping was answered
	write  struct {
		sync.Mutex
		deadline time.Time
	}
}

func newWSConn(raw *websocket.Conn, hold int) *wsConn {
	c := &wsConn{raw: raw}
	c.reader.src = wsSource{c}
	c.reader.hold = hold
	c.reader.limit.Store(DefaultReadLimit)
	raw.SetPingHandler(c.answerPing)
	return c
}

// answerPing runs on the reading goroutine.
func (c *wsConn) answerPing(data string) error {
	now := time.Now()
	if now.Sub(c.pong) < pongGap {
		return nil
	}
	c.pong = now
	err := c.raw.WriteControl(websocket.PongMessage, []byte(data), now.Add(time.Second))
	if errors.Is(err, websocket.ErrCloseSent) {
		return nil
	}
	return err
}

// wsSource is the stream that a wsConn's frames are cut from.
type wsSource struct{ c *wsConn }

func (s wsSource) ready() error {
	if s.c.msg != nil {
		return nil
	}
	_, err := s.c.ending.read(nil, s.c.nextMessage)
	return err
}

func (s wsSource) Read(p []byte) (int, error) { return s.c.ending.read(p, s.c.readMessage) }

// nextMessage waits for the next message.
func (c *wsConn) nextMessage([]byte) (int, error) {
	kind, msg, err := c.raw.NextReader()
	if err != nil {
		return 0, c.ending.translate(err)
	}
	if kind != websocket.BinaryMessage {
		return 0, fmt.Errorf("%w: a text message", ErrMalformed)
	}
	c.msg, c.got = msg, false
	return 0, nil
}

func (c *wsConn) readMessage(p []byte) (int, error) {
	n, err := c.msg.Read(p)
	switch {
	case n > 0:
		c.got = true
		return n, nil // an error comes again with the next read
	case errors.Is(err, io.EOF) && c.got:
		c.msg = nil
		return 0, errBoundary
	case errors.Is(err, io.EOF):
		return 0, fmt.Errorf("%w: an empty message", ErrMalformed)
	}
	return n, c.ending.translate(err)
}

// wsStatus says which standard status stands for a code; the others are 4000 +
// code.
func wsStatus(code CloseCode) int {
	switch code {
	case CloseNormal:
		return websocket.CloseNormalClosure
	case CloseGoingAway:
		return websocket.CloseGoingAway
	case CloseProtocol:
		return websocket.CloseProtocolError
	case CloseTooLarge:
		return websocket.CloseMessageTooBig
	case CloseInternal:
		return websocket.CloseInternalServerErr
	default:
		return privateStatus + int(code)
	}
}

const (
	privateStatus    = 4000 // the first that is ours to give
	maxPrivateStatus = 4999
)

func codeOfStatus(status int) CloseCode {
	switch status {
	case websocket.CloseNormalClosure, websocket.CloseNoStatusReceived:
		return CloseNormal
	case websocket.CloseGoingAway, websocket.CloseServiceRestart:
		return CloseGoingAway
	case websocket.CloseMessageTooBig:
		return CloseTooLarge
	case websocket.CloseInternalServerErr:
		return CloseInternal
	case websocket.CloseTryAgainLater:
		return CloseOverloaded
	}
	if status >= privateStatus && status <= maxPrivateStatus {
		return CloseCode(status - privateStatus)
	}
	return CloseProtocol
}

// translate says in this package's words what went wrong with a read of a
// WebSocket.
func (e *ending) translate(err error) error {
	if closed, ok := errors.AsType[*websocket.CloseError](err); ok {
		if closed.Code == websocket.CloseAbnormalClosure {
			return fmt.Errorf("%w: %w", ErrLost, io.ErrUnexpectedEOF)
		}
		told := &CloseError{Code: codeOfStatus(closed.Code), Reason: cutReason(closed.Text)}
		e.told.Store(told)
		return told
	}
	if _, ok := errors.AsType[net.Error](err); !ok && strings.HasPrefix(err.Error(), "websocket: ") {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return err
}

func (c *wsConn) ReadFrame() ([]byte, error) {
	frame, err := c.reader.next()
	if err != nil {
		return nil, c.ending.explain("read", err)
	}
	return frame, nil
}

func (c *wsConn) WriteFrames(frames [][]byte) error {
	if c.ending.closed.Load() {
		return ErrClosed
	}
	_ = c.raw.SetWriteDeadline(c.writeDeadline())
	return c.ending.explain("write", writeBatch(frames, func(b []byte) error {
		return c.raw.WriteMessage(websocket.BinaryMessage, b)
	}))
}

func (c *wsConn) writeDeadline() time.Time {
	c.write.Lock()
	defer c.write.Unlock()
	return c.write.deadline
}

func (c *wsConn) SetReadDeadline(t time.Time) error {
	if c.ending.closed.Load() {
		return nil // Close has set its own
	}
	return c.raw.SetReadDeadline(t)
}

func (c *wsConn) SetWriteDeadline(t time.Time) error {
	c.write.Lock()
	defer c.write.Unlock()
	c.write.deadline = t
	return nil
}

func (c *wsConn) SetReadLimit(bytes int) { c.reader.limit.Store(int64(bytes)) }

func (c *wsConn) RemoteAddr() string { return c.raw.RemoteAddr().String() }

func (c *wsConn) Close(code CloseCode, reason string) error {
	if c.ending.closed.Swap(true) {
		return nil
	}
	until := time.Now().Add(CloseLinger)
	// A write that waits for a slow reader gives way.
	err := c.raw.NetConn().SetDeadline(until)
	if err == nil {
		err = c.raw.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(wsStatus(code), cutReason(reason)), until)
	}
	if err == nil || errors.Is(err, websocket.ErrCloseSent) {
		c.ending.drain(until, c.discard)
	}
	if err := c.raw.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close a connection: %w", err)
	}
	return nil
}

// discard reads a message and forgets it.
func (c *wsConn) discard(scrap []byte) (int, error) {
	_, msg, err := c.raw.NextReader()
	if err == nil {
		_, err = io.Copy(io.Discard, msg)
	}
	if err == nil || !errors.Is(c.ending.translate(err), ErrMalformed) {
		return 0, err
	}
	// What comes is no WebSocket any more, so there will be no close in it.
	// That we say no more makes the other side close its end.
	if half, ok := c.raw.NetConn().(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	for err = nil; err == nil; {
		_, err = c.raw.NetConn().Read(scrap)
	}
	return 0, err
}

// WebSocket returns the handler of the native protocol's WebSockets. It
// accepts pages from everywhere: who somebody is, says the sign-in and no
// cookie.
func (e *Edge) WebSocket() http.Handler {
	return &wsHandler{edge: e, upgrader: websocket.Upgrader{
		HandshakeTimeout: e.opts.SignInTimeout,
		ReadBufferSize:   wsReadBuffer,
		WriteBufferSize:  wsWriteBuffer,
		WriteBufferPool:  &sync.Pool{},
		Subprotocols:     []string{Subprotocol},
		CheckOrigin:      func(*http.Request) bool { return true },
	}}
}

type wsHandler struct {
	edge     *Edge
	upgrader websocket.Upgrader
}

func (h *wsHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case !websocket.IsWebSocketUpgrade(r):
		w.Header().Set("Upgrade", "websocket")
		http.Error(w, "this is a WebSocket endpoint", http.StatusUpgradeRequired)
		return
	case !slices.Contains(websocket.Subprotocols(r), Subprotocol):
		http.Error(w, "want the subprotocol "+Subprotocol, http.StatusBadRequest)
		return
	}
	t, err := h.edge.enter(r.RemoteAddr)
	if err != nil {
		w.Header().Set("Retry-After", "10")
		http.Error(w, "too many connections", http.StatusServiceUnavailable)
		return
	}
	raw, err := h.upgrader.Upgrade(w, r, nil)
	if err != nil {
		t.leave() // Upgrade has answered
		return
	}
	// In a goroutine of its own: this one holds what net/http needed for the
	// request, which is more than the connection needs from now on.
	if h.edge.start(func() { h.edge.run(newWSConn(raw, 0), "websocket", t) }) != nil {
		t.leave()
		_ = raw.Close()
	}
}

// DialWebSocket connects to a node's WebSocket. The URL may begin with ws,
// wss, http or https; without a path it is /ws. tlsConf, of wss, may be nil.
func DialWebSocket(ctx context.Context, rawURL string, tlsConf *tls.Config) (Conn, error) {
	u, err := wsURL(rawURL)
	if err != nil {
		return nil, err
	}
	dialer := websocket.Dialer{
		Proxy:           http.ProxyFromEnvironment,
		TLSClientConfig: tlsConf,
		Subprotocols:    []string{Subprotocol},
		ReadBufferSize:  4 << 10,
		WriteBufferSize: 16 << 10, // a client masks what it writes, in this buffer
		WriteBufferPool: &clientWrites,
	}
	raw, resp, err := dialer.DialContext(ctx, u, nil) //nolint:bodyclose // refusal closes it; with a WebSocket there is none
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", u, refusal(resp, err))
	}
	if raw.Subprotocol() != Subprotocol {
		_ = raw.Close()
		return nil, fmt.Errorf("dial %s: %w", u, errNoSubprotocol)
	}
	return newWSConn(raw, nodeBuffer), nil
}

//nolint:gochecknoglobals // shared by all connections of the process, which is its point
var clientWrites sync.Pool

func wsURL(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", fmt.Errorf("dial a WebSocket: %w", err)
	}
	switch u.Scheme {
	case "ws", "wss":
	case "http":
		u.Scheme = "ws"
	case "https":
		u.Scheme = "wss"
	default:
		return "", fmt.Errorf("dial a WebSocket: the URL %q begins with none of ws, wss, http, https", raw)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/ws"
	}
	return u.String(), nil
}

// refusal says what a server answered instead of a WebSocket.
func refusal(resp *http.Response, err error) error {
	if resp == nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 256))
	err = fmt.Errorf("%w: %s: %s", err, resp.Status, strings.TrimSpace(string(text)))
	if resp.StatusCode == http.StatusServiceUnavailable {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return err
}

// webGuard counts the HTTP connections that have not become WebSockets.
type webGuard struct {
	edge    *Edge
	mu      sync.Mutex
	tickets map[any]*ticket // by net.Conn
}

// changed is called by the server when a connection changes its state.
func (g *webGuard) changed(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		t, err := g.edge.web.enter(conn.RemoteAddr().String())
		if err != nil {
			g.edge.stats.refused.Add(1)
			_ = conn.Close()
			return
		}
		g.mu.Lock()
		g.tickets[conn] = t
		g.mu.Unlock()
	case http.StateHijacked, http.StateClosed:
		g.mu.Lock()
		t := g.tickets[conn]
		delete(g.tickets, conn)
		g.mu.Unlock()
		if t != nil {
			t.leave()
		}
	case http.StateActive, http.StateIdle:
	}
}
