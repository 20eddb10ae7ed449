package shard

import (
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/shard/state"
)

// maxInFlight is how many entries one leader has in raft at once: one, and a
// second only when a full one waits.
const maxInFlight = 2

// proposer brings commands into the raft log: one goroutine packs them into
// entries and proposes these, another tells the answers in the same order.
type proposer struct {
	enter  func() (raftApplier, bool) // false while raft is being stopped
	leave  func()                     // once for each enter, when raft has answered
	refuse func() error               // non-nil while this replica is not the leader
	last   func() int64               // stamp of the last applied entry
	clock  clock.Wall
	stuck  func() // told that raft has refused for too long because of a transfer
	limit  time.Duration
	pacer  *Pacer

	mu struct {
		sync.Mutex
		queue    *queue
		inFlight int
		held     int  // while above 0, nothing is proposed
		turn     bool // the proposing goroutine waits for its turn
		closed   bool // nothing more is let in
	}
	wake    chan struct{} // cap 1: something the proposing goroutine waits for has changed
	batches chan *batch   // cap maxInFlight: proposed, not yet answered
	free    chan *batch   // batches for use again

	stamp      int64     // of the last entry proposed; of the proposing goroutine
	turn       time.Time // when the next entry may be proposed; zero: no turn was taken; of the proposing goroutine
	transferAt time.Time // since when raft refuses because of a transfer; of the answering goroutine
	counters   counters
}

// raftApplier is the part of *raft.Raft that the proposer needs.
type raftApplier interface {
	Apply(cmd []byte, timeout time.Duration) raft.ApplyFuture
}

// batch is one entry's calls.
type batch struct {
	calls  []call
	cmds   [][]byte
	entry  []byte
	future raft.ApplyFuture // nil if it was not proposed
	err    error            // why it was not
}

func (p *proposer) init(o Options) {
	p.clock, p.pacer = o.Clock, o.Pacer
	p.limit = 2 * o.ElectionTimeout
	p.mu.queue = newQueue(o)
	p.wake = make(chan struct{}, 1)
	p.batches = make(chan *batch, maxInFlight)
	p.free = make(chan *batch, maxInFlight+1)
}

// submit queues a call, or says why not.
func (p *proposer) submit(c call) error {
	refusal := p.refuse()
	p.mu.Lock()
	switch {
	case p.mu.closed:
		refusal = ErrClosed
	case refusal != nil && p.mu.held > 0:
		refusal = nil // who leads is about to be known
	}
	if refusal != nil {
		p.mu.Unlock()
		return refusal
	}
	if err := p.mu.queue.push(c); err != nil {
		p.mu.Unlock()
		p.counters.refused.Add(1)
		return err
	}
	// The goroutine need not be woken for each call: only when it may act.
	free := p.mu.inFlight == 0 && !p.mu.turn || p.mu.inFlight < maxInFlight && p.mu.queue.full()
	act := p.mu.held == 0 && free
	p.mu.Unlock()
	if act {
		p.signal()
	}
	return nil
}

func (p *proposer) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// hold stops proposing until release: commands wait in the queue, to be
// proposed or refused after that.
func (p *proposer) hold() {
	p.mu.Lock()
	p.mu.held++
	p.mu.Unlock()
}

func (p *proposer) release() {
	p.mu.Lock()
	p.mu.held--
	p.mu.Unlock()
	p.signal()
}

// close lets nothing more in; what waits is answered with ErrClosed. run
// returns after that.
func (p *proposer) close() {
	p.mu.Lock()
	p.mu.closed = true
	p.mu.Unlock()
	p.signal()
}

// run packs and proposes until the proposer is closed and its queue is empty.
// It owns the channel of batches and closes it.
func (p *proposer) run() {
	defer close(p.batches)
	turn := time.NewTimer(0)
	defer turn.Stop()
	for {
		b, wait, more := p.next()
		if !more {
			return
		}
		if wait > 0 {
			turn.Reset(wait)
			select {
			case <-p.wake:
			case <-turn.C:
			}
			continue
		}
		if b == nil {
			<-p.wake
			// Whoever else has commands and is ready to run queues them first: on a
			// busy node more commands go in one entry, on an idle one this costs
			// nothing.
			runtime.Gosched()
			continue
		}
		p.propose(b)
	}
}

// next takes the next batch, or nil if none may be proposed now, or not before
// its turn. It returns false when there will be none any more.
func (p *proposer) next() (_ *batch, wait time.Duration, more bool) {
	refusal := p.refuse()
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.mu.queue
	p.mu.turn = false
	if p.mu.closed {
		refusal = ErrClosed
	}
	switch {
	case p.mu.closed && q.len() == 0:
		return nil, 0, false
	case q.len() == 0, p.mu.inFlight >= maxInFlight:
		return nil, 0, true
	case p.mu.held > 0 && !p.mu.closed:
		return nil, 0, true
	case p.mu.inFlight > 0 && !q.full() && refusal == nil:
		return nil, 0, true
	}
	if wait := p.untilTurn(); wait > 0 && !q.full() && refusal == nil {
		p.mu.turn = true
		return nil, wait, true
	}
	p.turn = time.Time{}
	b := p.batch()
	b.calls = q.take(b.calls[:0])
	b.err = refusal
	p.mu.inFlight++
	return b, 0, true
}

// untilTurn takes a turn, unless it has one, and says how long it is until then.
func (p *proposer) untilTurn() time.Duration {
	if p.pacer == nil {
		return 0
	}
	now := time.Now()
	if p.turn.IsZero() {
		p.turn = p.pacer.turn(now)
	}
	return p.turn.Sub(now)
}

func (p *proposer) batch() *batch {
	select {
	case b := <-p.free:
		return b
	default:
		return &batch{}
	}
}

// propose hands a batch to raft and to the answering goroutine.
func (p *proposer) propose(b *batch) {
	if b.err == nil {
		b.cmds = b.cmds[:0]
		size := entryOverhead
		for i := range b.calls {
			b.cmds = append(b.cmds, b.calls[i].cmd)
			size += len(b.calls[i].cmd) + 3
		}
		// raft, its log and its followers keep the entry: it cannot be reused.
		p.stamp = max(p.clock.Millis(), p.stamp, p.last())
		b.entry = state.AppendEntry(make([]byte, 0, size), p.stamp, b.cmds)
		p.apply(b)
	}
	p.batches <- b
}

func (p *proposer) apply(b *batch) {
	instance, ok := p.enter()
	if !ok {
		b.err = ErrOverloaded
		return
	}
	b.future = instance.Apply(b.entry, 0)
	p.counters.entries.Add(1)
	p.counters.commands.Add(uint64(len(b.calls)))
}

// answer tells the outcomes of proposed batches, in order, until there are no
// more.
func (p *proposer) answer() {
	for b := range p.batches {
		results, err := p.outcome(b)
		// The next round starts before the callbacks of this one run.
		p.mu.Lock()
		p.mu.queue.answered(b.calls)
		p.mu.inFlight--
		p.mu.Unlock()
		p.signal()
		tell(b.calls, results, err)
		b.reset()
		select {
		case p.free <- b:
		default:
		}
	}
}

func tell(calls []call, results []state.Result, err error) {
	for i := range calls {
		if err != nil {
			calls[i].done(Outcome{Err: err})
			continue
		}
		calls[i].done(Outcome{Result: results[i]})
	}
}

func (b *batch) reset() {
	clear(b.calls)
	clear(b.cmds)
	b.entry, b.future, b.err = nil, nil, nil
}

// outcome waits for a batch's answers.
func (p *proposer) outcome(b *batch) ([]state.Result, error) {
	if b.future == nil {
		return nil, b.err
	}
	err := b.future.Error()
	p.leave()
	p.watchTransfer(err)
	if err == nil {
		if results, ok := b.future.Response().([]state.Result); ok && len(results) == len(b.calls) {
			return results, nil
		}
		// The state machine has stopped, or the entry was applied before this
		// process started: either way the answers are not known here.
		p.counters.uncertain.Add(1)
		return nil, ErrUncertain
	}
	// These two are answered before raft writes the entry anywhere. Every other
	// error, shutdown included, may come after.
	if errors.Is(err, raft.ErrNotLeader) || errors.Is(err, raft.ErrLeadershipTransferInProgress) {
		if refusal := p.refuse(); refusal != nil {
			return nil, refusal
		}
		return nil, ErrOverloaded
	}
	p.counters.uncertain.Add(1)
	return nil, ErrUncertain
}

// watchTransfer notices a leader that refuses everything because of a transfer
// that will never end, which raft can be left with when a transfer and a lost
// leadership meet.
func (p *proposer) watchTransfer(err error) {
	if !errors.Is(err, raft.ErrLeadershipTransferInProgress) {
		p.transferAt = time.Time{}
		return
	}
	if p.transferAt.IsZero() {
		p.transferAt = time.Now()
		return
	}
	if time.Since(p.transferAt) > p.limit {
		p.transferAt = time.Time{}
		p.stuck()
	}
}
