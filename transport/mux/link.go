package mux

import (
	"bytes"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
)

// link is one connection to a peer.
type link struct {
	p       *peer
	conn    transport.Conn
	dialed  bool // by this side
	dead    chan struct{}
	failed  atomic.Bool
	serving atomic.Int64 // calls of the other side that are being answered

	pieces [classes][]byte // of messages that have not come whole; of the goroutine that reads
}

// fail ends the link. What depended on it fails before the connection is
// closed, which may take a while.
func (l *link) fail(err error) {
	if l.failed.Swap(true) {
		return
	}
	close(l.dead)
	l.p.lost(l)
	m := l.p.m
	m.counters.losses.Add(1)
	m.opts.Logger.Info("node connection ended", "node", string(l.p.id), "cause", err)
	_ = l.conn.Close(transport.CodeFor(err), "connection given up")
}

// write sends what waits, until the link is dead.
func (l *link) write() {
	p, opts := l.p, &l.p.m.opts
	defer hint(p.wake) // the next link's writer may have missed a hint that this one took
	idle := time.NewTimer(opts.Ping)
	defer idle.Stop()
	var batch [][]byte
	last := time.Now()
	for now := last; ; now = time.Now() {
		var due time.Time
		var ok bool
		batch, due, ok = p.next(l, batch[:0], now, last.Add(opts.Ping))
		if !ok {
			return
		}
		if len(batch) > 0 {
			_ = l.conn.SetWriteDeadline(now.Add(opts.WriteTimeout))
			if err := l.conn.WriteFrames(batch); err != nil {
				l.fail(err)
				return
			}
			p.wrote(batch)
			last = now
			continue
		}
		idle.Reset(due.Sub(now))
		select {
		case <-p.wake:
			// Whoever else has frames and is ready to run queues them first: on a busy
			// node more frames go in one write, on an idle one this costs nothing.
			runtime.Gosched()
		case <-p.ride.C:
		case <-idle.C:
		case <-l.dead:
			return
		}
	}
}

// next returns what is to be written now, or until when to wait. It is not ok
// when l is not the link any more.
func (p *peer) next(l *link, batch [][]byte, now, ping time.Time) (_ [][]byte, due time.Time, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.link != l {
		return nil, time.Time{}, false
	}
	if !now.Before(ping) {
		p.mu.q.put(classControl, []byte{byte(kindPing)}, nil)
	}
	batch, due = p.mu.q.take(now, batch)
	if len(batch) > 0 {
		p.roomLocked()
	} else if due.IsZero() || ping.Before(due) {
		due = ping
	}
	return batch, due, true
}

// wrote counts a write and takes its chunks back.
func (p *peer) wrote(batch [][]byte) {
	c := &p.m.counters
	c.writes.Add(1)
	for _, b := range batch {
		c.bytes.Add(uint64(len(b)))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c.messages.Add(p.mu.q.count)
	p.mu.q.count = 0
	p.mu.q.give(batch)
}

// read takes what the other side sends, until the link is dead.
func (l *link) read() {
	dead := l.p.m.opts.DeadAfter
	var deadline time.Time
	for {
		// Moving a deadline costs more than reading the clock.
		now := time.Now()
		if deadline.Sub(now) < dead-dead/8 {
			deadline = now.Add(dead)
			_ = l.conn.SetReadDeadline(deadline)
		}
		batch, err := l.conn.ReadFrame()
		for err == nil && len(batch) > 0 {
			var m []byte
			if m, batch, err = nextMessage(batch); err == nil {
				err = l.handle(m)
			}
		}
		if err != nil {
			l.fail(err)
			return
		}
	}
}

// keepPieces is how large a buffer is kept for the next message in pieces.
const keepPieces = 256 << 10

// handle does what a message asks for, or keeps a piece of one.
func (l *link) handle(raw []byte) error {
	if kind(raw[0]) != kindPiece {
		return l.do(raw)
	}
	if len(raw) < 2 || class(raw[1]>>1) >= classes {
		return fmt.Errorf("%w: piece", errMessage)
	}
	whole := &l.pieces[raw[1]>>1]
	if len(*whole)+len(raw) > MaxMessageBytes+maxHead {
		return fmt.Errorf("%w: message of more than %d bytes", errMessage, MaxMessageBytes)
	}
	*whole = append(*whole, raw[2:]...)
	if raw[1]&1 == 0 {
		return nil
	}
	err := l.do(*whole)
	if cap(*whole) > keepPieces {
		*whole = nil
	}
	*whole = (*whole)[:0]
	return err
}

// do does what a message asks for. Its bytes are valid only until it returns.
func (l *link) do(raw []byte) error {
	d, err := decodeMessage(raw)
	if err != nil {
		return err
	}
	p := l.p
	switch d.kind {
	case kindRaft:
		if deliver := (*p.m.receivers.Load())[wire.ShardID(d.id)]; deliver != nil {
			deliver(p.id, d.body)
		}
	case kindCall:
		l.serve(d)
	case kindAnswer:
		if done := p.answered(d.id); done != nil {
			done(bytes.Clone(d.body), nil)
		}
	case kindFailure:
		if done := p.answered(d.id); done != nil {
			done(nil, decodeError(d.body))
		}
	case kindOpen:
		return l.accept(d)
	case kindData:
		return p.data(d)
	case kindCredit:
		p.credited(d)
	case kindEnd:
		p.ended(d)
	case kindPing, kindHello, kindPiece, kindLast:
	}
	return nil
}
