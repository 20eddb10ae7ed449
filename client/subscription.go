package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"sync"
	"time"

	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

const opSubscribe = "log.subscribe"

// FromEnd is given instead of an offset, to follow only what is new.
const FromEnd wire.Offset = math.MaxUint64

// How a subscription ends for good.
var (
	// ErrStartOver says that the position is not in the log any more, or never
	// was: read the present state, and subscribe from there.
	ErrStartOver error = &wire.Error{Code: wire.CodeStartOver, Op: opSubscribe, Text: "the position is not in the log any more"}

	// ErrRemoved says that the user may not see more of the log: removed from
	// the conversation, or the conversation is gone. What came before that is
	// handed out first.
	ErrRemoved error = &wire.Error{Code: wire.CodeNotMember, Op: opSubscribe, Text: "the user may not see more of the log"}

	// ErrClosed is returned after Close.
	ErrClosed error = &wire.Error{Code: wire.CodeClosed, Text: "closed by the caller"}
)

const (
	// maxQueued is how many entries wait for a slow reader. What does not fit
	// is read from the log when the reader has caught up.
	maxQueued = 512
	// maxQueuedBytes bounds the bodies among them.
	maxQueuedBytes = 1 << 20
	// maxEarly is how many pushed batches wait for a hole before them to be read.
	maxEarly = 32
	// pageEntries is how much of the log one read looks at.
	pageEntries = 256
	// hintPatience is how long the log may be known to go on without anything
	// being pushed, before the client reads it by itself.
	hintPatience = time.Second
)

// Subscription follows one log: a conversation's, or the user's own. It hands
// out entries in order, each once, without a hole; over reconnects it goes on
// where it was. One goroutine at a time calls its methods, except Close.
//
//	           read     queued      early batches wait for the hole to be read
//	… |########|--------|--------|          |......|     |...|
//	        handed    queue     pos      must = after         last
type Subscription struct {
	link   *link
	log    string        // the conversation; empty: the user log
	signal chan struct{} // something changed; capacity 1: a hint is enough for one reader
	ready  chan struct{} // closed when the node has answered for the first time, or refused
	failed int           // reads in a row that brought nothing; the reader's own

	mu struct {
		sync.Mutex
		queue   []Entry
		head    int
		bytes   int
		pos     wire.Offset // all up to here is in the queue or was handed out
		known   bool        // pos is; it is not while the end is not known to begin from
		handed  wire.Offset // the last entry that was handed out
		must    wire.Offset // up to here the log has to be read: what was pushed leaves a hole
		last    wire.Offset // the log goes on up to here, so much is known
		stop    wire.Offset // nothing past it is for this user, once stopped
		stopped bool
		early   []*pb.LogBatch
		begun   bool
		refused int
		err     error
	}
}

// subscribe follows a log, and waits until the node has agreed.
func subscribe(ctx context.Context, l *link, log string, after wire.Offset) (*Subscription, error) {
	s := newSubscription(l, log, after)
	if err := l.mu.following.follow(s); err != nil {
		return nil, err
	}
	return s.await(ctx)
}

func newSubscription(l *link, log string, after wire.Offset) *Subscription {
	s := &Subscription{link: l, log: log, signal: make(chan struct{}, 1), ready: make(chan struct{})}
	if after != FromEnd {
		s.mu.pos, s.mu.handed, s.mu.known = after, after, true
	}
	return s
}

// await waits until the node has agreed.
func (s *Subscription) await(ctx context.Context) (*Subscription, error) {
	select {
	case <-s.ready:
	case <-ctx.Done():
		s.Close()
		return nil, fmt.Errorf("%s: %w", opSubscribe, context.Cause(ctx))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.err != nil {
		return nil, s.mu.err
	}
	return s, nil
}

// Next returns the next entry, and waits for it if it has to. It fails with
// ErrStartOver or ErrRemoved when the subscription has ended, with ErrClosed
// after Close, with the client's error when that has ended, and when ctx is
// done; after that last one it can be called again.
func (s *Subscription) Next(ctx context.Context) (Entry, error) {
	for {
		e, todo, err := s.step()
		switch {
		case err != nil:
			s.link.mu.following.unfollow(s, false)
			return Entry{}, err
		case todo == stepHand:
			return e, nil
		case todo == stepRead:
			if err := s.read(ctx); err != nil {
				return Entry{}, err
			}
			continue
		}
		if err := s.wait(ctx, todo == stepHope); err != nil {
			return Entry{}, err
		}
	}
}

// Entries ranges over the entries as they come, until the subscription or ctx
// ends; the last pair has the error.
func (s *Subscription) Entries(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for {
			e, err := s.Next(ctx)
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// Position returns the offset of the last entry that was handed out. To go on
// there in another process, subscribe from it.
func (s *Subscription) Position() wire.Offset {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.mu.known {
		return FromEnd
	}
	return s.mu.handed
}

// Close ends the subscription. It may be called at any time, more than once.
func (s *Subscription) Close() {
	s.link.mu.following.unfollow(s, true)
	s.fail(ErrClosed)
}

// What Next has to do.
type step int

const (
	stepHand step = iota // hand out an entry
	stepRead             // read the log
	stepWait             // wait for a push
	stepHope             // wait for a push that ought to come, but not for long
)

func (s *Subscription) step() (Entry, step, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &s.mu
	if m.head < len(m.queue) && !errors.Is(m.err, ErrClosed) {
		e := m.queue[m.head]
		m.queue[m.head] = Entry{}
		m.head++
		m.bytes -= e.size()
		if m.head == len(m.queue) {
			m.queue, m.head = m.queue[:0], 0
		}
		m.handed = e.Offset
		return e, stepHand, nil
	}
	if m.err != nil {
		return Entry{}, 0, m.err
	}
	if m.stopped && m.pos >= m.stop {
		m.err = ErrRemoved
		return Entry{}, 0, m.err
	}
	switch {
	case m.known && m.pos < m.must:
		return Entry{}, stepRead, nil
	case m.known && m.pos < m.last:
		return Entry{}, stepHope, nil
	default:
		return Entry{}, stepWait, nil
	}
}

// wait returns when something has changed. With hope, it gives up after a
// while, and the log is to be read.
func (s *Subscription) wait(ctx context.Context, hope bool) error {
	var patience <-chan time.Time
	if hope {
		timer := time.NewTimer(hintPatience)
		defer timer.Stop()
		patience = timer.C
	}
	select {
	case <-s.signal:
	case <-patience:
		s.mu.Lock()
		s.mu.must = max(s.mu.must, s.mu.last)
		s.mu.Unlock()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// read fills a hole from the log, a page of it.
func (s *Subscription) read(ctx context.Context) error {
	s.mu.Lock()
	pos, must := s.mu.pos, s.mu.must
	s.mu.Unlock()
	page, err := readLog(ctx, s.link, &pb.ReadLog{
		Log: &pb.LogRef{Conversation: s.log}, After: uint64(pos), Limit: pageEntries, AtLeastOffset: uint64(must),
	})
	if err != nil {
		return s.readRefused(ctx, err)
	}
	s.mu.Lock()
	s.takeLocked(page, true)
	moved := s.mu.pos > pos || s.mu.stopped
	s.mu.Unlock()
	if moved {
		s.failed = 0
		return nil
	}
	s.failed++ // the node that answered knows less than the one that pushed
	return clock.Sleep(ctx, backoff(s.failed))
}

// readRefused ends the subscription if the log can not be read any more.
func (s *Subscription) readRefused(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	if end := endOf(err); end != nil {
		s.link.mu.following.unfollow(s, true)
		s.fail(end)
		return end
	}
	return err
}

// endOf returns what ends a subscription after a refusal, or nil if it does not.
func endOf(err error) error {
	switch wire.CodeOf(err) {
	case wire.CodeStartOver:
		return ErrStartOver
	case wire.CodeNotMember, wire.CodeForbidden, wire.CodeNotFound, wire.CodeGone:
		return fmt.Errorf("%w: %w", ErrRemoved, err)
	default:
		return nil
	}
}

// push takes a batch that a node sent by itself.
func (s *Subscription) push(b *pb.LogBatch) {
	s.mu.Lock()
	s.takeLocked(b, false)
	s.mu.Unlock()
	s.wake()
}

// takeLocked takes what a batch says of the log. A batch that does not join
// what is there leaves a hole, which the reader reads.
func (s *Subscription) takeLocked(b *pb.LogBatch, read bool) {
	m := &s.mu
	after, upto := wire.Offset(b.GetAfter()), wire.Offset(b.GetUpto())
	m.last = max(m.last, upto, wire.Offset(b.GetLast()))
	if b.GetEnded() {
		m.stopped, m.stop = true, upto
		m.last, m.must = min(m.last, upto), min(m.must, upto)
	}
	switch {
	case b.GetBehind():
		m.must = max(m.must, upto)
	case m.known && after <= m.pos && (read || s.roomLocked()):
		s.joinLocked(b)
		s.joinEarlyLocked()
	case m.known && after <= m.pos: // no room: it will be read again
		m.must = max(m.must, upto)
	case len(m.early) < maxEarly:
		m.early = append(m.early, b)
		m.must = max(m.must, after)
	default:
		m.must = max(m.must, upto)
	}
}

func (s *Subscription) roomLocked() bool {
	return len(s.mu.queue)-s.mu.head < maxQueued && s.mu.bytes < maxQueuedBytes
}

// joinLocked queues what is new in a batch that begins at or before pos.
func (s *Subscription) joinLocked(b *pb.LogBatch) {
	m := &s.mu
	upto := wire.Offset(b.GetUpto())
	if upto <= m.pos {
		return // all of it is there already
	}
	if m.head > maxQueued {
		m.queue, m.head = append(m.queue[:0], m.queue[m.head:]...), 0
	}
	reached := m.pos
	for _, e := range b.GetEntries() {
		if o := wire.Offset(e.GetOffset()); o <= reached || o > upto {
			continue
		}
		entry := entryOf(e, s.log)
		reached = entry.Offset
		m.bytes += entry.size()
		m.queue = append(m.queue, entry)
	}
	m.pos = upto
}

// joinEarlyLocked queues the batches that were waiting for what came now.
func (s *Subscription) joinEarlyLocked() {
	m := &s.mu
	for joined := true; joined; {
		joined = false
		waiting := m.early[:0]
		for _, b := range m.early {
			switch {
			case wire.Offset(b.GetAfter()) > m.pos:
				waiting = append(waiting, b)
			case s.roomLocked():
				s.joinLocked(b)
				joined = true
			default:
				m.must = max(m.must, wire.Offset(b.GetUpto()))
			}
		}
		clear(m.early[len(waiting):])
		m.early = waiting
	}
}

// position is where a session is asked to push from.
func (s *Subscription) position() *pb.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &pb.Position{Log: &pb.LogRef{Conversation: s.log}}
	if s.mu.known {
		p.After = uint64(s.mu.pos)
	} else {
		p.FromEnd = true
	}
	return p
}

// begun takes a node's agreement: it pushes what comes after the offset.
func (s *Subscription) begun(after, last wire.Offset) {
	s.mu.Lock()
	m := &s.mu
	if !m.known {
		m.pos, m.handed, m.known = after, after, true
		s.joinEarlyLocked()
	}
	if after > m.pos {
		m.must = max(m.must, after)
	}
	m.last = max(m.last, last)
	m.refused = 0
	s.readyLocked()
	s.mu.Unlock()
	s.wake()
}

// refused takes a node's "no": the first time it is the caller's answer, later
// it ends the subscription.
func (s *Subscription) refused(why error) {
	s.mu.Lock()
	begun := s.mu.begun
	s.mu.Unlock()
	if end := endOf(why); end != nil && (begun || errors.Is(end, ErrStartOver)) {
		why = end
	}
	s.fail(why)
}

// refusedAgain counts refusals that may pass.
func (s *Subscription) refusedAgain() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.refused++
	return s.mu.refused
}

// fail ends the subscription. What is queued is still handed out, unless the
// caller closed it.
func (s *Subscription) fail(err error) {
	s.mu.Lock()
	if s.mu.err == nil {
		s.mu.err = err
	}
	s.readyLocked()
	s.mu.Unlock()
	s.wake()
}

func (s *Subscription) readyLocked() {
	if !s.mu.begun {
		s.mu.begun = true
		close(s.ready)
	}
}

func (s *Subscription) wake() {
	select {
	case s.signal <- struct{}{}:
	default: // a hint is there already
	}
}
