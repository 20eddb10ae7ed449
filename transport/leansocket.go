package transport

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// The subprotocols of the LeanMessage dialect. Those in base64 are text
// messages, for clients that have no binary ones. Of the last digit, 1 wants the
// messages it has missed, and 3 how many they are.
const (
	LeanProtobuf1 = "lc.protobuf2.1"
	LeanProtobuf3 = "lc.protobuf2.3"
	LeanBase641   = "lc.proto2base64.1"
	LeanBase643   = "lc.proto2base64.3"
)

//nolint:gochecknoglobals // a list of constants
var leanSubprotocols = []string{LeanProtobuf3, LeanProtobuf1, LeanBase643, LeanBase641}

// LeanCommandBytes is how large a message of a client may be, decoded: the
// largest text that an app can allow, with what goes with it. That most apps allow
// less is an answer's business; a socket that is closed gives none. Who has not
// signed in may send less, LeanHelloBytes.
const (
	LeanCommandBytes = 48 << 10
	LeanHelloBytes   = 5 << 10
)

const (
	// leanWriteBytes is about how much goes in one write to a socket.
	leanWriteBytes = 64 << 10
	// maxHeaderBytes is the longest header of a frame that a server writes.
	maxHeaderBytes = 10
)

// The first bytes of frames that are whole messages, or whole control messages.
const (
	frameText   byte = 0x80 | websocket.TextMessage
	frameBinary byte = 0x80 | websocket.BinaryMessage
	frameClose  byte = 0x80 | websocket.CloseMessage
	framePong   byte = 0x80 | websocket.PongMessage
)

// LeanMessage is a message to a client, in one part or two: the second may be
// shared with others.
type LeanMessage struct {
	Head, Body []byte
}

// Len is the message's length.
func (m LeanMessage) Len() int { return len(m.Head) + len(m.Body) }

// LeanSocket is the server's side of a WebSocket of the LeanMessage dialect. One
// goroutine reads and one writes; the rest may be called from any.
type LeanSocket struct {
	raw         *websocket.Conn
	subprotocol string
	origin      string // of the web page; empty: it is none
	edge        *Edge
	ticket      *ticket // of a stranger
	ending      ending
	silence     atomic.Int64 // nanoseconds; 0: the deadline is fixed
	signedIn    atomic.Bool

	// The reading goroutine's own.
	last   *[]byte   // what the message that was read last is in
	fault  error     // what is wrong with it
	ponged time.Time // when the last ping was answered

	write    sync.Mutex // held by who writes to the socket
	deadline atomic.Int64
	pong     atomic.Pointer[[]byte] // to be written by who holds the lock
}

//nolint:gochecknoglobals // shared by all sockets of the process, which is their point
var (
	leanReads  = sync.Pool{New: func() any { return new(make([]byte, 0, LeanHelloBytes)) }}
	leanWrites = sync.Pool{New: func() any { return new(make([]byte, 0, leanWriteBytes)) }}
)

func newLeanSocket(e *Edge, raw *websocket.Conn, subprotocol string, t *ticket) *LeanSocket {
	s := &LeanSocket{raw: raw, subprotocol: subprotocol, edge: e, ticket: t}
	raw.SetPingHandler(s.answerPing)
	raw.SetPongHandler(func(string) error { return s.heard() })
	raw.SetCloseHandler(func(int, string) error { return nil }) // Close answers it
	return s
}

// Subprotocol is what the two sides have agreed on.
func (s *LeanSocket) Subprotocol() string { return s.subprotocol }

// Origin is where the web page is from that has opened the socket; empty: it was
// none.
func (s *LeanSocket) Origin() string { return s.origin }

// RemoteAddr returns where the client is, for people.
func (s *LeanSocket) RemoteAddr() string { return s.raw.RemoteAddr().String() }

// SignedIn says that the client is no stranger any more: his place among them is
// free again.
func (s *LeanSocket) SignedIn() {
	s.signedIn.Store(true)
	s.ticket.leave()
}

// limit is how large a message may be now.
func (s *LeanSocket) limit() int {
	if s.signedIn.Load() {
		return LeanCommandBytes
	}
	return LeanHelloBytes
}

func (s *LeanSocket) isText() bool {
	return s.subprotocol == LeanBase643 || s.subprotocol == LeanBase641
}

// ReadMessage returns the next message, decoded. It is valid until the next
// call. The error is ErrFrameTooLarge or ErrMalformed when the client breaks the
// rules, and otherwise as of [Conn].
func (s *LeanSocket) ReadMessage() ([]byte, error) {
	if s.last != nil {
		if cap(*s.last) <= 4*LeanHelloBytes {
			leanReads.Put(s.last)
		}
		s.last = nil
	}
	if err := s.heard(); err != nil {
		return nil, s.ending.explain("read", err)
	}
	_, err := s.ending.read(nil, s.readMessage)
	switch {
	case s.fault != nil:
		return nil, s.fault
	case errors.Is(err, errBoundary):
		return *s.last, nil
	default:
		return nil, s.ending.explain("read", err)
	}
}

// readMessage reads a whole message. What is wrong with one is no end of the
// socket: who closes it reads on, so that the client learns why.
func (s *LeanSocket) readMessage([]byte) (int, error) {
	kind, msg, err := s.raw.NextReader()
	if err != nil {
		return 0, s.ending.translate(err)
	}
	limit, want := s.limit(), websocket.BinaryMessage
	if s.isText() {
		limit, want = base64.StdEncoding.EncodedLen(limit), websocket.TextMessage
	}
	if kind != want {
		s.fault = fmt.Errorf("%w: a message of the other kind", ErrMalformed)
		return 0, errBoundary
	}
	s.last = leanReads.Get().(*[]byte) //nolint:forcetypeassert // nothing else is in the pool
	into := bytes.NewBuffer((*s.last)[:0])
	if _, err := into.ReadFrom(io.LimitReader(msg, int64(limit)+1)); err != nil {
		return 0, s.ending.translate(err)
	}
	*s.last = into.Bytes()
	if into.Len() > limit {
		s.fault = fmt.Errorf("%w: want at most %d bytes", ErrFrameTooLarge, s.limit())
	} else if s.isText() {
		s.decode()
	}
	return 0, errBoundary
}

// decode turns the message that was read from base64 into what it stands for.
func (s *LeanSocket) decode() {
	decoded, err := base64.StdEncoding.AppendDecode(nil, *s.last)
	switch {
	case err != nil:
		s.fault = fmt.Errorf("%w: %w", ErrMalformed, err)
	case len(decoded) > s.limit():
		s.fault = fmt.Errorf("%w: want at most %d bytes", ErrFrameTooLarge, s.limit())
	default:
		*s.last = decoded
	}
}

// SetReadDeadline bounds the present and later reads, and ends SetSilence.
func (s *LeanSocket) SetReadDeadline(t time.Time) error {
	s.silence.Store(0)
	if s.ending.closed.Load() {
		return nil // Close has set its own
	}
	return s.raw.SetReadDeadline(t)
}

// SetSilence bounds the time in which nothing comes from the client, no ping
// either.
func (s *LeanSocket) SetSilence(d time.Duration) error {
	s.silence.Store(int64(d))
	return s.heard()
}

// heard is called when something has come.
func (s *LeanSocket) heard() error {
	silence := time.Duration(s.silence.Load())
	if silence == 0 || s.ending.closed.Load() {
		return nil
	}
	return s.raw.SetReadDeadline(time.Now().Add(silence))
}

// SetWriteDeadline bounds later writes. The zero time is no bound.
func (s *LeanSocket) SetWriteDeadline(t time.Time) error {
	if t.IsZero() {
		s.deadline.Store(0)
		return nil
	}
	s.deadline.Store(t.UnixNano())
	return nil
}

// WriteMessages sends the messages, in order, in one write, or a few when they
// are large. After an error the socket cannot be written any more.
func (s *LeanSocket) WriteMessages(messages []LeanMessage) error {
	if s.ending.closed.Load() {
		return ErrClosed
	}
	s.write.Lock()
	err := s.writeLocked(messages)
	s.unlockWrite()
	return s.ending.explain("write", err)
}

func (s *LeanSocket) writeLocked(messages []LeanMessage) error {
	var until time.Time
	if nanos := s.deadline.Load(); nanos != 0 {
		until = time.Unix(0, nanos)
	}
	if s.ending.closed.Load() {
		return ErrClosed
	}
	if err := s.raw.NetConn().SetWriteDeadline(until); err != nil {
		return err
	}
	buffer := leanWrites.Get().(*[]byte) //nolint:forcetypeassert // nothing else is in the pool
	defer leanWrites.Put(buffer)
	b := (*buffer)[:0]
	for _, m := range messages {
		if len(b) > 0 && len(b)+maxHeaderBytes+m.Len() > leanWriteBytes {
			if _, err := s.raw.NetConn().Write(b); err != nil {
				return err
			}
			b = b[:0]
		}
		b = s.appendMessage(b, m)
	}
	_, err := s.raw.NetConn().Write(b)
	if cap(b) <= 2*leanWriteBytes { // a large one is not kept
		*buffer = b
	}
	return err
}

func (s *LeanSocket) appendMessage(b []byte, m LeanMessage) []byte {
	if !s.isText() {
		b = appendFrameHeader(b, frameBinary, m.Len())
		return append(append(b, m.Head...), m.Body...)
	}
	b = appendFrameHeader(b, frameText, base64.StdEncoding.EncodedLen(m.Len()))
	if len(m.Body) == 0 {
		return base64.StdEncoding.AppendEncode(b, m.Head)
	}
	return base64.StdEncoding.AppendEncode(b, slices.Concat(m.Head, m.Body))
}

// appendFrameHeader appends the header of a frame of a server, which masks
// nothing.
func appendFrameHeader(b []byte, first byte, size int) []byte {
	switch {
	case size < 126:
		return append(b, first, byte(size))
	case size < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, first, 126), uint16(size))
	default:
		return binary.BigEndian.AppendUint64(append(b, first, 127), uint64(size))
	}
}

// answerPing runs on the reading goroutine, which never waits for a write.
func (s *LeanSocket) answerPing(data string) error {
	if err := s.heard(); err != nil {
		return err
	}
	now := time.Now()
	if now.Sub(s.ponged) < pongGap {
		return nil
	}
	s.ponged = now
	frame := append(appendFrameHeader(nil, framePong, len(data)), data...)
	s.pong.Store(&frame)
	if s.write.TryLock() {
		s.unlockWrite()
	}
	return nil // when the pong cannot be written, the next read fails too
}

// unlockWrite gives the socket back to who writes next, after the pong that is
// due.
func (s *LeanSocket) unlockWrite() {
	for {
		if frame := s.pong.Swap(nil); frame != nil && !s.ending.closed.Load() {
			_ = s.raw.NetConn().SetWriteDeadline(time.Now().Add(CloseLinger))
			_, _ = s.raw.NetConn().Write(*frame)
		}
		s.write.Unlock()
		if s.pong.Load() == nil || !s.write.TryLock() {
			return
		}
	}
}

// Close sends what was written, tells the client a status and why, and ends the
// connection. It takes at most twice CloseLinger. Only the first call does
// anything.
func (s *LeanSocket) Close(status int, reason string) error {
	if s.ending.closed.Swap(true) {
		return nil
	}
	until := time.Now().Add(CloseLinger)
	// A write that waits for a slow reader gives way.
	err := s.raw.NetConn().SetDeadline(until)
	if err == nil {
		payload := websocket.FormatCloseMessage(status, cutReason(reason))
		s.write.Lock()
		_, err = s.raw.NetConn().Write(append(appendFrameHeader(nil, frameClose, len(payload)), payload...))
		s.write.Unlock()
	}
	if err == nil {
		s.ending.drain(until, s.discard)
	}
	if err := s.raw.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close a socket: %w", err)
	}
	return nil
}

// discard reads a message and forgets it.
func (s *LeanSocket) discard([]byte) (int, error) {
	_, msg, err := s.raw.NextReader()
	if err == nil {
		_, err = io.Copy(io.Discard, msg)
	}
	return 0, err
}

func (s *LeanSocket) goAway() { _ = s.Close(websocket.CloseGoingAway, "the node stops") }

// WantsLean tells whether a request wants a WebSocket of the LeanMessage
// dialect: it offers a subprotocol of its family, as a header or in the address.
func WantsLean(r *http.Request) bool {
	isLean := func(p string) bool { return strings.HasPrefix(p, "lc.") }
	return websocket.IsWebSocketUpgrade(r) && (slices.ContainsFunc(websocket.Subprotocols(r), isLean) || isLean(r.URL.Query().Get("subprotocol")))
}

// leanSubprotocol chooses the subprotocol. What is offered as a header is to be
// said again in the answer. Nothing offered is the usual one.
func leanSubprotocol(r *http.Request) (chosen string, echo bool, err error) {
	offered := websocket.Subprotocols(r)
	if len(offered) == 0 {
		asked := r.URL.Query().Get("subprotocol")
		if asked == "" {
			return LeanProtobuf3, false, nil
		}
		offered = []string{asked}
	} else {
		echo = true
	}
	for _, o := range offered {
		if slices.Contains(leanSubprotocols, o) {
			return o, echo, nil
		}
	}
	return "", false, fmt.Errorf("the subprotocol %s is not known here, want one of %s",
		strings.Join(offered, ", "), strings.Join(leanSubprotocols, ", "))
}

// LeanMessage returns the handler of WebSockets of the LeanMessage dialect. It
// calls serve for each, in a goroutine of its own, and closes the socket when
// that returns. Pages from everywhere are accepted: who somebody is, says the
// sign-in and no cookie. An app that wants only its own looks at the Origin.
func (e *Edge) LeanMessage(serve func(*LeanSocket)) http.Handler {
	return &leanHandler{edge: e, serve: serve, upgrader: websocket.Upgrader{
		HandshakeTimeout: e.opts.SignInTimeout,
		ReadBufferSize:   wsReadBuffer,
		WriteBufferSize:  wsReadBuffer, // nothing is written through it
		WriteBufferPool:  &sync.Pool{},
		CheckOrigin:      func(*http.Request) bool { return true },
	}}
}

type leanHandler struct {
	edge     *Edge
	serve    func(*LeanSocket)
	upgrader websocket.Upgrader
}

func (h *leanHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !websocket.IsWebSocketUpgrade(r) {
		w.Header().Set("Upgrade", "websocket")
		http.Error(w, "this is a WebSocket endpoint", http.StatusUpgradeRequired)
		return
	}
	subprotocol, echo, err := leanSubprotocol(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	t, err := h.edge.enter(r.RemoteAddr)
	if err != nil {
		w.Header().Set("Retry-After", "10")
		http.Error(w, "too many connections", http.StatusServiceUnavailable)
		return
	}
	header := http.Header{}
	if echo {
		header.Set("Sec-WebSocket-Protocol", subprotocol)
	}
	raw, err := h.upgrader.Upgrade(w, r, header)
	if err != nil {
		t.leave() // Upgrade has answered
		return
	}
	s := newLeanSocket(h.edge, raw, subprotocol, t)
	s.origin = r.Header.Get("Origin")
	// In a goroutine of its own, as native ones are.
	if h.edge.start(func() { h.edge.runLean(s, h.serve) }) != nil {
		t.leave()
		_ = raw.Close()
	}
}

// runLean serves one socket on this goroutine, which the edge waits for.
func (e *Edge) runLean(s *LeanSocket, serve func(*LeanSocket)) {
	defer s.ticket.leave()
	number, err := e.add(s)
	if err != nil {
		e.stats.refused.Add(1)
		_ = s.Close(wsStatus(closeOf(err)), "")
		return
	}
	e.stats.accepted.Add(1)
	serve(s)
	_ = s.Close(websocket.CloseNormalClosure, "")
	e.remove(number)
}
