package mux

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"github.com/quorate/quorate/wire"
)

// messageCost is what a message of a stream takes of its window beside its
// bytes.
const messageCost = 32

// Stream carries messages both ways between two nodes, in order. One side's
// slow reading stops the other's sending, and nothing else. Its methods may be
// called from any goroutine; of several that Recv, each gets other messages.
type Stream struct {
	way      way
	window   int
	readable chan struct{} // something of the receiving side changed
	writable chan struct{} // something of the sending side changed
	mu       struct {
		sync.Mutex
		queue  [][]byte
		unread int   // cost of queue
		owed   int   // cost of what was received and is not credited yet
		credit int   // what may be sent
		err    error // why it ended; io.EOF: the other side closed it
		closed bool  // by this side
		cancel context.CancelFunc
	}
}

// way is how a stream reaches its other end.
type way interface {
	data(s *Stream, message []byte) (sent bool, err error)
	credit(s *Stream, n int)
	end(s *Stream)
}

func newStream(window int) *Stream {
	s := &Stream{window: window, readable: make(chan struct{}, 1), writable: make(chan struct{}, 1)}
	s.mu.credit = window
	return s
}

// Send sends a message, and waits while the window is full. The message is not
// kept.
func (s *Stream) Send(message []byte) error {
	for {
		sent, err := s.TrySend(message)
		if sent || err != nil {
			hint(s.writable) // for others that send
			return err
		}
		<-s.writable
	}
}

// TrySend sends a message, or returns false when the window is full.
func (s *Stream) TrySend(message []byte) (sent bool, err error) {
	if len(message) > MaxMessageBytes {
		return false, ErrTooLarge
	}
	cost := len(message) + messageCost
	s.mu.Lock()
	switch {
	case s.mu.closed:
		err = ErrStreamClosed
	case s.mu.err != nil:
		err = s.mu.err
	case s.mu.credit < cost && s.mu.credit <= s.window/2:
		// Past half of the window nothing is under way that the other side
		// still has to credit, so even the largest message must be able to go.
	default:
		s.mu.credit -= cost
		sent = true
	}
	s.mu.Unlock()
	if !sent {
		return false, err
	}
	if sent, err = s.way.data(s, message); !sent {
		s.mu.Lock()
		s.mu.credit += cost
		s.mu.Unlock()
	}
	return sent, err
}

// Recv waits for the next message. It returns io.EOF when the other side has
// closed the stream and all its messages have been received.
func (s *Stream) Recv() ([]byte, error) {
	for {
		message, credit, err := s.pop()
		if credit > 0 {
			s.way.credit(s, credit)
		}
		if message != nil || err != nil {
			hint(s.readable) // for others that receive
			return message, err
		}
		<-s.readable
	}
}

func (s *Stream) pop() (message []byte, credit int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		return nil, 0, ErrStreamClosed
	}
	if len(s.mu.queue) == 0 {
		return nil, 0, s.mu.err
	}
	if message = s.mu.queue[0]; message == nil {
		message = []byte{}
	}
	s.mu.queue[0] = nil
	s.mu.queue = s.mu.queue[1:]
	cost := len(message) + messageCost
	s.mu.unread -= cost
	s.mu.owed += cost
	if s.mu.owed >= s.window/2 {
		credit, s.mu.owed = s.mu.owed, 0
	}
	return message, credit, nil
}

// Close ends the stream for both sides. The other side still receives what was
// sent before.
func (s *Stream) Close() error {
	s.mu.Lock()
	was := s.mu.closed
	s.mu.closed = true
	s.mu.queue = nil
	s.mu.Unlock()
	if !was {
		s.way.end(s)
		s.finish(ErrStreamClosed)
	}
	return nil
}

// finish ends the stream on this side; the first error stays.
func (s *Stream) finish(err error) {
	s.mu.Lock()
	if s.mu.err == nil {
		s.mu.err = err
	}
	cancel := s.mu.cancel
	s.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	hint(s.readable)
	hint(s.writable)
}

// deliver queues a message from the other side, which is the stream's from now on.
func (s *Stream) deliver(message []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed || s.mu.err != nil {
		return nil
	}
	if s.mu.unread > s.window {
		return fmt.Errorf("%w: stream beyond its window", errMessage)
	}
	s.mu.queue = append(s.mu.queue, message)
	s.mu.unread += len(message) + messageCost
	hint(s.readable)
	return nil
}

func (s *Stream) credited(n int) {
	s.mu.Lock()
	s.mu.credit = min(s.mu.credit+n, s.window)
	s.mu.Unlock()
	hint(s.writable)
}

// Open opens a stream to another node. It does not wait: that the other side
// refuses it, or can not be reached, may show with the first Recv. ctx bounds
// nothing beyond the call.
func (m *Mux) Open(ctx context.Context, to wire.NodeID, method uint8, body []byte) (*Stream, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open stream to node %s: %w", to, err)
	}
	if to == m.self {
		return m.openSelf(method, body)
	}
	p := m.peer(to)
	if p == nil {
		return nil, unavailable(to, ErrClosed)
	}
	s, err := p.open(method, body)
	if err != nil {
		return nil, unavailable(to, err)
	}
	return s, nil
}

// remote is the way of a stream to another node.
type remote struct {
	p      *peer
	id     uint64
	opener bool // this side opened it
}

func (r remote) tableLocked() map[uint64]*Stream {
	if r.opener {
		return r.p.mu.opened
	}
	return r.p.mu.accepted
}

func (p *peer) open(method uint8, body []byte) (*Stream, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.wantLocked(); err != nil {
		return nil, err
	}
	switch {
	case len(body) > MaxMessageBytes:
		return nil, ErrTooLarge
	case len(p.mu.opened) >= p.m.opts.MaxStreams, p.mu.q.bytes(classStream) > p.m.opts.MaxStreamBytes:
		return nil, ErrOverloaded
	}
	p.mu.nextID++
	s := newStream(p.m.opts.Window)
	s.way = remote{p: p, id: p.mu.nextID, opener: true}
	p.mu.opened[p.mu.nextID] = s
	var h head
	first := append(appendID(h[:0], kindOpen, p.mu.nextID), method)
	// In the class of its messages, which must not overtake it.
	p.mu.q.put(classStream, binary.AppendUvarint(first, uint64(s.window)), body)
	hint(p.wake)
	return s, nil
}

func (r remote) data(s *Stream, message []byte) (bool, error) {
	p := r.p
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case r.tableLocked()[r.id] != s:
		return false, nil // it ends; the stream will say why
	case p.mu.q.bytes(classStream) > p.m.opts.MaxStreamBytes:
		p.mu.waiting = append(p.mu.waiting, s)
		return false, nil
	}
	var h head
	p.mu.q.put(classStream, appendStream(h[:0], kindData, r.id, r.opener), message)
	hint(p.wake)
	return true, nil
}

func (r remote) credit(s *Stream, n int) {
	p := r.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.tableLocked()[r.id] != s {
		return
	}
	var h head
	p.mu.q.put(classControl, binary.AppendUvarint(appendStream(h[:0], kindCredit, r.id, r.opener), uint64(n)), nil)
	hint(p.wake)
}

func (r remote) end(s *Stream) {
	p := r.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.tableLocked()[r.id] != s {
		return
	}
	delete(r.tableLocked(), r.id)
	var h head
	p.mu.q.put(classStream, appendStream(h[:0], kindEnd, r.id, r.opener), nil) // after its messages
	hint(p.wake)
}

// roomLocked wakes the streams that wait for room in the queue.
func (p *peer) roomLocked() {
	for _, s := range p.mu.waiting {
		hint(s.writable)
	}
	p.mu.waiting = p.mu.waiting[:0]
}

// accept takes a stream that the other side opened, and starts its handler.
func (l *link) accept(d message) error {
	p := l.p
	if d.bytes == 0 || d.bytes > MaxMessageBytes {
		return fmt.Errorf("%w: window of %d bytes", errMessage, d.bytes)
	}
	s := newStream(int(d.bytes))
	r := remote{p: p, id: d.id}
	s.way = r
	p.mu.Lock()
	if p.mu.link != l {
		p.mu.Unlock()
		return nil
	}
	if p.mu.accepted[d.id] != nil {
		p.mu.Unlock()
		return fmt.Errorf("%w: stream %d opened twice", errMessage, d.id)
	}
	p.mu.accepted[d.id] = s
	full := len(p.mu.accepted) > p.m.opts.MaxStreams
	p.mu.Unlock()
	if full {
		return s.Close()
	}
	body := bytes.Clone(d.body)
	if !p.m.start(func(ctx context.Context) { p.m.serveStream(ctx, p.id, opening{d.method, body}, s) }) {
		return ErrClosed
	}
	return nil
}

// opening is what a stream was opened with.
type opening struct {
	method uint8
	body   []byte
}

func (m *Mux) serveStream(ctx context.Context, from wire.NodeID, o opening, s *Stream) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.mu.Lock()
	s.mu.cancel = cancel
	over := s.mu.err != nil
	s.mu.Unlock()
	if over {
		cancel()
	}
	m.handler.Stream(ctx, from, o.method, o.body, s)
	_ = s.Close()
}

// stream returns the stream that a message is for, or nil.
func (p *peer) stream(d message) *Stream {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d.byOpener {
		return p.mu.accepted[d.id]
	}
	return p.mu.opened[d.id]
}

func (p *peer) data(d message) error {
	if s := p.stream(d); s != nil {
		return s.deliver(bytes.Clone(d.body))
	}
	return nil // it was closed here meanwhile
}

func (p *peer) credited(d message) {
	if s := p.stream(d); s != nil {
		s.credited(int(min(d.bytes, MaxMessageBytes)))
	}
}

func (p *peer) ended(d message) {
	s := p.stream(d)
	if s == nil {
		return
	}
	p.mu.Lock()
	if d.byOpener {
		delete(p.mu.accepted, d.id)
	} else {
		delete(p.mu.opened, d.id)
	}
	p.mu.Unlock()
	s.finish(io.EOF)
}

// own is the way of a stream to this node itself.
type own struct{ other *Stream }

func (o own) data(_ *Stream, message []byte) (bool, error) {
	return true, o.other.deliver(append([]byte{}, message...))
}
func (o own) credit(_ *Stream, n int) { o.other.credited(n) }
func (o own) end(*Stream)             { o.other.finish(io.EOF) }

func (m *Mux) openSelf(method uint8, body []byte) (*Stream, error) {
	a, b := newStream(m.opts.Window), newStream(m.opts.Window)
	a.way, b.way = own{b}, own{a}
	o := opening{method, bytes.Clone(body)}
	if !m.start(func(ctx context.Context) { m.serveStream(ctx, m.self, o, b) }) {
		return nil, unavailable(m.self, ErrClosed)
	}
	return a, nil
}
