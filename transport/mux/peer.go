package mux

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/quorate/quorate/raftnet"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
)

const (
	// wantedFor is how long a node is dialed after somebody last wanted to
	// send to it.
	wantedFor = time.Minute

	// turnOfOther is how long the node with the larger id leaves the dialing to
	// the other.
	turnOfOther = 500 * time.Millisecond
)

// errReplaced ends a link when there is a better one.
var errReplaced = errors.New("mux: replaced by another connection")

// peer is another node: what waits to be sent to it, the calls that wait for
// its answers, and the streams.
type peer struct {
	m    *Mux
	id   wire.NodeID
	wake chan struct{} // for the link's writer: something waits
	ride *time.Timer   // for the link's writer: what is sent Soon leaves now
	turn chan struct{} // for run: the link or the want of one changed
	mu   struct {
		sync.Mutex
		q        queue
		link     *link
		theirs   hello
		since    time.Time // that there is a link, or none
		wanted   time.Time // last
		grace    *time.Timer
		nextID   uint64 // of calls and streams
		calls    map[uint64]func([]byte, error)
		opened   map[uint64]*Stream
		accepted map[uint64]*Stream
		waiting  []*Stream // for room in the queue
		closed   bool
	}
}

func newPeer(m *Mux, id wire.NodeID) *peer {
	p := &peer{m: m, id: id, wake: make(chan struct{}, 1), turn: make(chan struct{}, 1)}
	p.ride = time.NewTimer(m.opts.Hold) // the first one is for nobody
	p.mu.since = time.Now()
	p.mu.wanted = p.mu.since
	p.mu.grace = time.AfterFunc(m.opts.Grace, p.graceOver)
	p.mu.calls = map[uint64]func([]byte, error){}
	p.mu.opened, p.mu.accepted = map[uint64]*Stream{}, map[uint64]*Stream{}
	return p
}

// run dials the node whenever there is no link and somebody wants one.
func (p *peer) run(ctx context.Context) {
	retry := p.m.opts.FirstRetry
	next := time.Now()
	if p.m.self > p.id {
		next = next.Add(turnOfOther)
	}
	for ctx.Err() == nil {
		if !p.waitForDial(ctx, next) {
			continue
		}
		if err := p.dial(ctx); err != nil {
			p.m.opts.Logger.Debug("node not reached", "node", string(p.id), "error", err)
			retry = min(2*retry, p.m.opts.MaxRetry)
		} else {
			retry = p.m.opts.FirstRetry
		}
		wait := retry/2 + rand.N(retry)
		if p.m.self > p.id {
			wait += turnOfOther
		}
		next = time.Now().Add(wait)
	}
}

// waitForDial waits until something changes or it is time to dial, and tells
// whether to dial.
func (p *peer) waitForDial(ctx context.Context, next time.Time) bool {
	now := time.Now()
	p.mu.Lock()
	idle := p.mu.link != nil || now.Sub(p.mu.wanted) > wantedFor
	if p.m.self > p.id && p.mu.link == nil {
		if earliest := p.mu.since.Add(turnOfOther); next.Before(earliest) {
			next = earliest
		}
	}
	p.mu.Unlock()
	if idle {
		select {
		case <-p.turn:
		case <-ctx.Done():
		}
		return false
	}
	if !now.Before(next) {
		return true
	}
	timer := time.NewTimer(next.Sub(now))
	defer timer.Stop()
	select {
	case <-p.turn: // it is looked at again
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

func (p *peer) dial(ctx context.Context) error {
	addr := p.m.resolver.Resolve(p.id)
	if addr == "" {
		return fmt.Errorf("address of node %s is not known", p.id)
	}
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	conn, err := p.m.dialer.Dial(ctx, p.id, addr)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close(transport.CloseTimeout, "no hello") })
	defer stop()
	err = conn.WriteFrames([][]byte{p.m.hello()})
	var theirs hello
	if err == nil {
		theirs, err = p.m.readHello(conn)
	}
	if err == nil && theirs.node != p.id {
		err = fmt.Errorf("%w: node %s at the address of %s", errMessage, theirs.node, p.id)
	}
	if err != nil {
		_ = conn.Close(transport.CloseProtocol, "hello refused")
		return err
	}
	if !stop() {
		return ctx.Err()
	}
	p.m.install(conn, theirs, true)
	return nil
}

// install makes l the link, unless the present one is better: of two that
// were dialed from different sides both sides keep the smaller id's; of two from one
// side the newer, since that side has given the older up.
func (p *peer) install(l *link, theirs hello) bool {
	for {
		p.mu.Lock()
		old := p.mu.link
		if p.mu.closed || old != nil && old.dialed != l.dialed && l.dialed != (p.m.self < p.id) {
			p.mu.Unlock()
			return false
		}
		if old == nil {
			p.mu.link, p.mu.theirs = l, theirs
			p.mu.since = time.Now()
			p.mu.grace.Stop()
			p.mu.Unlock()
			hint(p.wake)
			hint(p.turn)
			return true
		}
		p.mu.Unlock()
		p.lost(old)
		defer old.fail(errReplaced) // closing it may take a while
	}
}

// lost takes the link away and fails what depended on it.
func (p *peer) lost(l *link) {
	p.mu.Lock()
	if p.mu.link != l {
		p.mu.Unlock()
		return
	}
	p.mu.link = nil
	p.mu.since = time.Now()
	if !p.mu.closed {
		p.mu.grace.Reset(p.m.opts.Grace)
	}
	fail := p.dropLocked(ErrLost)
	p.mu.Unlock()
	fail()
	hint(p.turn)
}

// graceOver fails what has waited for a link too long.
func (p *peer) graceOver() {
	p.mu.Lock()
	if p.mu.link != nil || time.Since(p.mu.since) < p.m.opts.Grace {
		p.mu.Unlock()
		return
	}
	fail := p.dropLocked(ErrUnreachable)
	p.mu.Unlock()
	fail()
}

func (p *peer) close() {
	p.mu.Lock()
	p.mu.closed = true
	p.mu.grace.Stop()
	l := p.mu.link
	p.mu.link = nil
	fail := p.dropLocked(ErrClosed)
	p.mu.Unlock()
	fail()
	if l != nil {
		l.fail(ErrClosed)
	}
}

// dropLocked forgets all that waits, and returns what tells those who wait; it
// is to be called without the lock.
func (p *peer) dropLocked(cause error) (fail func()) {
	p.mu.q.drop()
	calls := p.mu.calls
	p.mu.calls = map[uint64]func([]byte, error){}
	var streams []*Stream
	for _, table := range []map[uint64]*Stream{p.mu.opened, p.mu.accepted} {
		for _, s := range table {
			streams = append(streams, s)
		}
		clear(table)
	}
	p.mu.waiting = nil
	return func() {
		err := unavailable(p.id, cause)
		for _, done := range calls {
			done(nil, err)
		}
		for _, s := range streams {
			s.finish(err)
		}
	}
}

// wantLocked notes that somebody wants a link, and returns why there is no
// hope of one soon, or nil.
func (p *peer) wantLocked() error {
	if p.mu.closed {
		return ErrClosed
	}
	if p.mu.link != nil {
		return nil
	}
	now := time.Now()
	if now.Sub(p.mu.wanted) > wantedFor {
		// It was left alone; now it is tried again as if it were new.
		p.mu.since = now
		p.mu.grace.Reset(p.m.opts.Grace)
		hint(p.turn)
	}
	p.mu.wanted = now
	if now.Sub(p.mu.since) >= p.m.opts.Grace {
		return ErrUnreachable
	}
	return nil
}

// raft queues a raft frame.
func (p *peer) raft(shard wire.ShardID, frame []byte, u raftnet.Urgency) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.wantLocked()
	q := &p.mu.q
	switch {
	case err != nil:
		return err
	case p.mu.link == nil:
		return ErrUnreachable // raft does better with a new frame later
	case len(frame) > MaxMessageBytes:
		return ErrTooLarge
	case q.bytes(classRaft)+q.bytes(classSoon)+len(frame) > p.m.opts.MaxRaftBytes:
		return ErrOverloaded
	}
	var h head
	c := classRaft
	if u == raftnet.Soon {
		c = classSoon
		if q.bytes(classSoon) == 0 {
			now := time.Now()
			q.due = p.m.departure(now)
			p.ride.Reset(q.due.Sub(now)) // wakes the writer, which need not know before
		}
		q.put(c, appendID(h[:0], kindRaft, uint64(shard)), frame)
		return nil
	}
	q.put(c, appendID(h[:0], kindRaft, uint64(shard)), frame)
	hint(p.wake)
	return nil
}

func (p *peer) status() Peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Peer{
		Node: p.id, Connected: p.mu.link != nil, Since: p.mu.since,
		MinLevel: p.mu.theirs.minLevel, MaxLevel: p.mu.theirs.maxLevel,
	}
}
