package mux

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"

	"github.com/quorate/quorate/wire"
)

// Call asks another node and waits for its answer. When ctx is done first,
// what was asked may still be done.
func (m *Mux) Call(ctx context.Context, to wire.NodeID, method uint8, body []byte) ([]byte, error) {
	w := &wait{done: make(chan struct{})}
	p, id := m.ask(to, method, body, w.finish)
	select {
	case <-w.done:
		return w.answer, w.err
	case <-ctx.Done():
		if p != nil {
			p.answered(id) // it is not waited for any more
		}
		return nil, fmt.Errorf("call node %s: %w", to, ctx.Err())
	}
}

// wait is a call for whose answer a goroutine waits.
type wait struct {
	answer []byte
	err    error
	done   chan struct{}
}

func (w *wait) finish(answer []byte, err error) {
	w.answer, w.err = answer, err
	close(w.done)
}

// CallAsync asks another node. done is called once, with the answer or an error, on
// a goroutine that must not be blocked; if the call is refused here, or is to this
// node itself, maybe before CallAsync returns. Calls to one node reach its
// handler in the order in which CallAsync was called. The body is not kept.
func (m *Mux) CallAsync(to wire.NodeID, method uint8, body []byte, done func(answer []byte, err error)) {
	m.ask(to, method, body, done)
}

// ask queues a call and returns its peer and id, if it was not refused.
func (m *Mux) ask(to wire.NodeID, method uint8, body []byte, done func([]byte, error)) (*peer, uint64) {
	if to == m.self {
		m.askSelf(method, body, done)
		return nil, 0
	}
	p := m.peer(to)
	var id uint64
	err := ErrClosed
	if p != nil {
		id, err = p.call(method, body, done)
	}
	if err != nil {
		m.counters.refused.Add(1)
		done(nil, unavailable(to, err))
		return nil, 0
	}
	return p, id
}

func (p *peer) call(method uint8, body []byte, done func([]byte, error)) (uint64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.wantLocked(); err != nil {
		return 0, err
	}
	switch {
	case len(body) > MaxMessageBytes:
		return 0, ErrTooLarge
	case p.mu.q.bytes(classCall)+len(body) > p.m.opts.MaxCallBytes, len(p.mu.calls) >= p.m.opts.MaxCalls:
		return 0, ErrOverloaded
	}
	p.mu.nextID++
	id := p.mu.nextID
	p.mu.calls[id] = done
	var h head
	p.mu.q.put(classCall, append(appendID(h[:0], kindCall, id), method), body)
	hint(p.wake)
	return id, nil
}

// answered takes a call from the table; nil if it is not waited for.
func (p *peer) answered(id uint64) func([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	done := p.mu.calls[id]
	delete(p.mu.calls, id)
	return done
}

// asked is a call of the other side.
type asked struct {
	l       *link
	id      uint64
	replied atomic.Bool
}

// serve hands a call of the other side to the handler.
func (l *link) serve(d message) {
	a := &asked{l: l, id: d.id}
	if l.serving.Add(1) > int64(l.p.m.opts.MaxCalls) {
		a.reply(nil, unavailable(l.p.m.self, ErrOverloaded))
		return
	}
	l.p.m.handler.Call(l.p.id, d.method, bytes.Clone(d.body), a.reply)
}

// reply queues the answer, unless the connection is lost. Only the first counts.
func (a *asked) reply(body []byte, err error) {
	if a.replied.Swap(true) {
		return
	}
	l, p := a.l, a.l.p
	l.serving.Add(-1)
	if err == nil && len(body) > MaxMessageBytes {
		err = ErrTooLarge
	}
	var h head
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.link != l {
		return // the other side has been told that the outcome is unknown
	}
	if err == nil && p.mu.q.bytes(classCall)+len(body) > 2*p.m.opts.MaxCallBytes {
		err = unavailable(p.m.self, ErrOverloaded)
	}
	if err != nil {
		p.mu.q.put(classCall, appendID(h[:0], kindFailure, a.id), encodeError(err))
	} else {
		p.mu.q.put(classCall, appendID(h[:0], kindAnswer, a.id), body)
	}
	hint(p.wake)
}

// askSelf hands a call to this node's own handler.
func (m *Mux) askSelf(method uint8, body []byte, done func([]byte, error)) {
	var replied atomic.Bool
	m.handler.Call(m.self, method, bytes.Clone(body), func(answer []byte, err error) {
		if replied.Swap(true) {
			return
		}
		if err != nil {
			done(nil, decodeError(encodeError(err))) // the same that another node would see
			return
		}
		done(answer, nil)
	})
}
