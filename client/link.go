package client

import (
	"container/heap"
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

// maxLanes is how many conversations the link keeps numbers for. Beyond it
// quiet ones are forgotten, and all new ones begin above their numbers.
const maxLanes = 8192

// link carries calls over one session after another. What it holds outlives
// the session: calls without an answer, the lanes that number them, and the
// subscriptions.
//
//	start ── queue ──> in flight ──> answered
//	           ^         |   |
//	           +─ lost ──+   +─ refused for now: held by its lane, or alone,
//	           +─────────────── for a pause
type link struct {
	opts     Options
	instance [16]byte
	seen     *seen
	ended    chan struct{} // closed when the client has ended

	mu struct {
		sync.Mutex
		session   *session // nil while there is none
		queue     callQueue
		flight    map[uint64]*call // by the request's id
		lanes     map[string]*lane
		floor     uint64 // no forgotten lane has given out a number above it
		gate      gate   // places for calls, all lanes together
		nextID    uint64
		nextOrder uint64
		paused    pauses
		open      int             // calls without an answer
		flushing  []chan struct{} // closed when open is 0
		succeeded time.Time       // when a call last had an answer that was no "ask again"
		following following
		rooms     map[string]bool // entered, and entered again by each session
		err       error           // why the client has ended
	}
}

func newLink(opts Options) *link {
	l := &link{opts: opts, seen: newSeen(), ended: make(chan struct{})}
	if l.instance = opts.Resume.Instance; l.instance == [16]byte{} {
		_, _ = rand.Read(l.instance[:]) // never fails
	}
	l.mu.floor = opts.Resume.Last
	l.mu.flight = map[uint64]*call{}
	l.mu.lanes = map[string]*lane{}
	l.mu.gate.free = opts.MaxPending
	l.mu.following = following{link: l, subs: map[string]*Subscription{}}
	l.mu.rooms = map[string]bool{}
	return l
}

// command is what a caller wants done or to know.
type command struct {
	op       string // as "message.send"
	payload  []byte // the encoded Request without id, n and age
	lane     string // what its number counts: a conversation, or "" for the user
	numbered bool   // it changes something, and has a number
	token    *Token // gets the command's token, or has it already; may be nil
	once     bool
}

// do sends a request and waits for its answer.
func (l *link) do(ctx context.Context, cmd command) (*pb.Response, error) {
	type answer struct {
		resp *pb.Response
		err  error
	}
	answers := make(chan answer, 1) // done is called once and must not wait
	c, err := l.start(ctx, cmd, func(resp *pb.Response, err error) { answers <- answer{resp, err} })
	if err != nil {
		return nil, err
	}
	select {
	case a := <-answers:
		return a.resp, a.err
	case <-ctx.Done():
		l.abandon(c, cmd.op, context.Cause(ctx))
		a := <-answers // of abandon, or the real one if that was first
		return a.resp, a.err
	}
}

// start begins a call; done gets its outcome, once, on another goroutine. It
// waits while the window or the link is full, and fails if the context or the
// client ends before there is room.
func (l *link) start(ctx context.Context, cmd command, done func(*pb.Response, error)) (*call, error) {
	if err := checkPayload(cmd.op, cmd.payload); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", cmd.op, context.Cause(ctx))
	}
	c := &call{payload: cmd.payload, once: cmd.once, done: done}
	if cmd.token != nil && cmd.token.N > 0 {
		if cmd.token.Instance != l.instance {
			return nil, wire.Errorf(wire.CodeInvalid, cmd.op, "the token is another client's")
		}
		c.n, c.first, cmd.numbered = cmd.token.N, cmd.token.First, false
		c.unheard = true // of the first copy nothing was heard, or the caller would not ask
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.admitLocked(ctx, c, cmd); err != nil {
		return nil, err
	}
	l.enqueueLocked(c)
	if c.lane != nil && cmd.token != nil {
		*cmd.token = Token{Instance: l.instance, N: c.n, First: time.Now()}
	}
	return c, nil
}

// startAsync is start for a caller that does not stay: the call ends with its
// context by itself.
func (l *link) startAsync(ctx context.Context, cmd command, done func(*pb.Response, error)) {
	c, err := l.start(ctx, cmd, done)
	if err != nil {
		done(nil, err)
		return
	}
	if ctx.Done() == nil {
		return
	}
	stop := context.AfterFunc(ctx, func() { l.abandon(c, cmd.op, context.Cause(ctx)) })
	l.mu.Lock()
	over := c.over
	c.stop = stop
	l.mu.Unlock()
	if over {
		stop()
	}
}

// admitLocked takes a place in the call's lane, then one of the link. The lock
// is not held while it waits.
func (l *link) admitLocked(ctx context.Context, c *call, cmd command) error {
	if l.mu.err != nil {
		return l.mu.err
	}
	if cmd.numbered {
		c.lane = l.laneLocked(cmd.lane)
		if err := l.enterLocked(ctx, &c.lane.gate, cmd.op); err != nil {
			return err
		}
	}
	if err := l.enterLocked(ctx, &l.mu.gate, cmd.op); err != nil {
		if c.lane != nil {
			c.lane.gate.leave(1)
		}
		return err
	}
	c.place = true
	return nil
}

// enterLocked enters a gate, and lets go of the lock while it stands in line.
func (l *link) enterLocked(ctx context.Context, g *gate, op string) error {
	w := g.enter()
	if w == nil {
		return nil
	}
	l.mu.Unlock()
	var err error
	select {
	case <-w.granted:
	case <-ctx.Done():
		err = fmt.Errorf("%s: %w", op, context.Cause(ctx))
	case <-l.ended:
	}
	l.mu.Lock()
	if err == nil {
		err = l.mu.err
	}
	if err != nil {
		g.giveUp(w)
	}
	return err
}

func (l *link) enqueueLocked(c *call) {
	l.mu.nextOrder++
	c.order = l.mu.nextOrder
	if c.lane != nil {
		c.n = c.lane.number()
	}
	l.mu.open++
	l.mu.queue.push(c)
	l.kickLocked()
}

// kickLocked wakes the session's writer if it sleeps.
func (l *link) kickLocked() {
	if s := l.mu.session; s != nil && s.idle {
		s.idle = false
		s.kick <- struct{}{} // has room: idle is set only after the last kick was taken
	}
}

// laneLocked returns the lane with the key, and forgets quiet ones when there
// are too many. A number is never given out twice for one key: a new lane
// begins above all that were forgotten.
func (l *link) laneLocked(key string) *lane {
	if ln := l.mu.lanes[key]; ln != nil {
		return ln
	}
	if len(l.mu.lanes) >= maxLanes {
		forget := maxLanes / 16
		for k, ln := range l.mu.lanes {
			if ln.quiet() {
				l.mu.floor = max(l.mu.floor, ln.next-1)
				delete(l.mu.lanes, k)
				if forget--; forget == 0 {
					break
				}
			}
		}
	}
	ln := newLane(key, l.mu.floor+1)
	l.mu.lanes[key] = ln
	return ln
}

// abandon ends a call without its answer. Whether it is done is not known.
func (l *link) abandon(c *call, op string, cause error) {
	l.mu.Lock()
	if c.over {
		l.mu.Unlock()
		return
	}
	err := fmt.Errorf("%s: %w", op, cause)
	if c.last != nil {
		err = fmt.Errorf("%w (last refusal: %w)", err, c.last)
	}
	l.finishLocked(c)
	l.mu.Unlock()
	c.done(nil, err)
}

// finishLocked takes a call out of everything. The caller tells its done,
// after the lock.
func (l *link) finishLocked(c *call) {
	c.over = true
	if c.queued {
		l.mu.queue.dropped()
	}
	l.groundLocked(c)
	if c.lane != nil {
		if c.lane.probe == c {
			c.lane.probe = nil
		}
		c.lane.settle(c.n)
		l.maybeScheduleLocked(c.lane, 0)
	}
	if c.place {
		l.mu.gate.leave(1)
		l.mu.open--
		if l.mu.open == 0 {
			for _, f := range l.mu.flushing {
				close(f)
			}
			l.mu.flushing = nil
		}
	}
	if c.stop != nil {
		c.stop()
	}
}

// groundLocked takes a call out of what is in flight.
func (l *link) groundLocked(c *call) {
	if c.id == 0 {
		return
	}
	delete(l.mu.flight, c.id)
	c.id = 0
	if c.lane != nil {
		c.lane.flight--
	}
	if l.mu.queue.len() > 0 || l.mu.following.waitsLocked() {
		l.kickLocked()
	}
}

// answer takes a session's answer to a request.
func (l *link) answer(s *session, resp *pb.Response) {
	l.mu.Lock()
	c := l.mu.flight[resp.GetId()]
	if c == nil {
		l.mu.Unlock() // given up, or written to a session after this one
		return
	}
	now := time.Now()
	refusal := resp.GetError()
	err := errorOf(refusal)
	if err != nil && !c.once && !c.bound && mayRetry(refusal) {
		l.refusedLocked(c, err, time.Duration(refusal.GetRetryAfterMillis())*time.Millisecond)
		if err.Code == wire.CodeClosed || now.Sub(l.mu.succeeded) > sickAfter && now.Sub(s.began) > sickAfter {
			s.leave(0) // this node can not serve us; another may
		}
		after := now.Sub(c.written)
		l.mu.Unlock()
		if refused := l.opts.Handlers.Refused; refused != nil {
			refused(err, after)
		}
		return
	}
	l.mu.succeeded = now
	if ln := c.lane; ln != nil {
		ln.refusals = 0
		if ln.probe == c {
			l.mu.queue.pushFront(ln.release())
		}
	}
	l.finishLocked(c)
	if err != nil && c.unheard {
		err.Err = ErrUnheard
	}
	l.mu.Unlock()
	if err != nil {
		c.done(nil, err)
		return
	}
	c.done(resp, nil)
}

// sickAfter is how long a node may say "ask again" to everything before the
// client looks for another.
const sickAfter = 3 * time.Second

func mayRetry(e *pb.Error) bool {
	code := wire.Code(e.GetCode())
	return code.Retryable() || code == wire.CodeLimit && e.GetRetryAfterMillis() > 0
}

// refusedLocked keeps a call that was refused for now. A command holds back
// what comes after it in its lane, so that the order stays.
func (l *link) refusedLocked(c *call, err *wire.Error, after time.Duration) {
	c.last = err
	l.groundLocked(c)
	if c.lane == nil {
		c.refused++
		l.pauseLocked(pause{call: c, due: time.Now().Add(max(after, backoff(c.refused)))})
		return
	}
	if !c.lane.holding || c.lane.probe == c {
		c.lane.holding, c.lane.probe = true, nil
		c.lane.refusals++
	}
	c.lane.held = append(c.lane.held, c)
	l.maybeScheduleLocked(c.lane, after)
}

// maybeScheduleLocked begins the pause of a lane that holds and has nothing in
// flight any more.
func (l *link) maybeScheduleLocked(ln *lane, after time.Duration) {
	if !ln.holding || ln.scheduled || ln.flight > 0 || ln.probe != nil {
		return
	}
	ln.scheduled = true
	l.pauseLocked(pause{lane: ln, due: time.Now().Add(max(after, backoff(ln.refusals)))})
}

func (l *link) pauseLocked(p pause) {
	heap.Push(&l.mu.paused, p)
	l.kickLocked() // so that the writer sets its timer anew
}

// resumeLocked puts back into the queue what has paused for long enough.
func (l *link) resumeLocked(now time.Time) {
	for len(l.mu.paused) > 0 && !l.mu.paused[0].due.After(now) {
		p := heap.Pop(&l.mu.paused).(pause)
		if p.lane != nil {
			l.mu.queue.pushFront(p.lane.resume())
			continue
		}
		if p.resume != nil {
			p.resume()
		}
		if p.call != nil && !p.call.over {
			l.mu.queue.pushFront([]*call{p.call})
		}
	}
}

// begin makes s the session that calls go over.
func (l *link) begin(s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.session = s
	l.mu.following.againLocked()
	for _, room := range slices.Sorted(maps.Keys(l.mu.rooms)) {
		enterAgainLocked(l, room)
	}
	l.kickLocked()
}

// lose takes back what the session has not answered, in order. Answers of the
// session that come later are ignored.
func (l *link) lose(s *session) {
	l.mu.Lock()
	if l.mu.session != s {
		l.mu.Unlock()
		return
	}
	l.mu.session = nil
	var again, dead []*call
	for _, c := range l.mu.flight {
		ln := c.lane
		switch {
		case c.bound:
			c.over = true
		case c.once:
			dead = append(dead, c)
			continue
		case ln != nil && ln.holding:
			ln.held = append(ln.held, c)
			ln.probe = nil // if there is one it is c: nothing else was in flight
		default:
			again = append(again, c)
		}
		c.unheard = true
		l.groundLocked(c)
		if ln != nil {
			l.maybeScheduleLocked(ln, 0)
		}
	}
	for _, c := range dead {
		l.finishLocked(c)
	}
	slices.SortFunc(again, byOrder)
	l.mu.queue.pushFront(again)
	l.mu.Unlock()
	for _, c := range dead {
		c.done(nil, wire.Errorf(wire.CodeUnavailable, "", "the connection was lost; a transient message is not sent again"))
	}
}

// end ends the client: everything that waits fails with the error.
func (l *link) end(err error) {
	l.mu.Lock()
	if l.mu.err != nil {
		l.mu.Unlock()
		return
	}
	l.mu.err = err
	calls := l.openLocked()
	subs := l.mu.following.allLocked()
	for _, c := range calls {
		l.finishLocked(c)
	}
	l.mu.Unlock()
	close(l.ended)
	for _, c := range calls {
		c.done(nil, err)
	}
	for _, s := range subs {
		s.fail(err)
	}
}

// openLocked returns all calls without an answer, in order.
func (l *link) openLocked() []*call {
	var open []*call
	add := func(calls ...*call) {
		for _, c := range calls {
			if c != nil && !c.over && c.place {
				open = append(open, c)
			}
		}
	}
	add(l.mu.queue.calls...)
	for _, c := range l.mu.flight {
		add(c)
	}
	for _, ln := range l.mu.lanes {
		add(ln.held...)
	}
	for _, p := range l.mu.paused {
		add(p.call)
	}
	slices.SortFunc(open, byOrder)
	return open
}

// flush waits until no call is without an answer.
func (l *link) flush(ctx context.Context) error {
	l.mu.Lock()
	if l.mu.open == 0 {
		l.mu.Unlock()
		return nil
	}
	done := make(chan struct{})
	l.mu.flushing = append(l.mu.flushing, done)
	l.mu.Unlock()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("flush: %w", context.Cause(ctx))
	}
}

// errorOf translates an error that crossed the connection.
func errorOf(e *pb.Error) *wire.Error {
	if e == nil {
		return nil
	}
	code := wire.Code(e.GetCode())
	if e.GetCode() > 255 {
		code = wire.CodeInternal
	}
	return &wire.Error{Code: code, Op: e.GetOp(), Text: e.GetText()}
}
