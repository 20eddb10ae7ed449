package tail

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/virtual"
	"github.com/quorate/quorate/wire"
)

const tea = wire.ConversationID("tea")

func logOf(id wire.ConversationID) state.LogKey { return state.LogKey{App: "app", Conversation: id} }

// world is a shard's logs with their hub, and edges that follow them.
type world struct {
	t   *testing.T
	hub *Hub

	// beforeAnswer, when it is not nil, is called once the state was asked and
	// before the answer is queued.
	beforeAnswer func()

	mu    sync.Mutex
	logs  map[wire.ConversationID]*fakeLog
	index uint64
	stale bool // the state answers as of the start of its staleness

	fault   func() Stream // replaces the next stream, if it is not nil
	serving sync.WaitGroup
	streams []*fakeStream // the edges' ends, of all edges
	edges   []*Edge
}

// fakeLog is a log as the state machine would keep it.
type fakeLog struct {
	entries []*state.Entry
	members map[wire.UserID]bool
	floor   wire.Offset
	policy  state.Policy
	read    map[wire.UserID]wire.Seq
	known   wire.Offset // what a stale state knows
}

// inWorld runs a test in a bubble, with a leading hub and one conversation.
func inWorld(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	virtual.Test(t, func(t *testing.T) {
		w := &world{t: t, logs: map[wire.ConversationID]*fakeLog{}}
		w.hub = NewHub(w.access)
		w.hub.Lead(true)
		w.create(tea, "ann", "ben", "eve")
		defer w.close()
		test(t, w)
	})
}

func (w *world) close() {
	for _, e := range w.edges {
		e.Close()
	}
	w.hub.Lead(false)
	w.serving.Wait()
}

func (w *world) create(id wire.ConversationID, members ...wire.UserID) {
	l := &fakeLog{members: map[wire.UserID]bool{}, read: map[wire.UserID]wire.Seq{}, policy: state.Policy{Members: true, Notices: true}}
	for _, m := range members {
		l.members[m] = true
	}
	w.logs[id] = l
}

func (w *world) access(log state.LogKey, user wire.UserID) (Grant, error) {
	g := w.grant(log, user)
	if hook := w.beforeAnswer; hook != nil {
		hook()
	}
	return g, nil
}

func (w *world) grant(log state.LogKey, user wire.UserID) Grant {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.logs[log.Conversation]
	switch {
	case log.User != "":
		return Grant{}
	case l == nil:
		return Grant{Refusal: state.NotFound}
	case !l.members[user]:
		return Grant{Refusal: state.NotMember}
	}
	g := Grant{Last: wire.Offset(len(l.entries)), Floor: l.floor, Read: l.read[user], Notices: l.policy.Notices, Present: !l.policy.Members}
	if w.stale {
		g.Last = l.known
	}
	return g
}

// append adds entries to a log in one step of apply and tells the hub.
func (w *world) append(id wire.ConversationID, entries ...*state.Entry) {
	w.tell(w.apply(id, entries...))
}

// apply adds entries without telling the hub yet.
func (w *world) apply(id wire.ConversationID, entries ...*state.Entry) state.Applied {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.index++
	l := w.logs[id]
	a := state.Applied{Index: w.index}
	for _, e := range entries {
		e.Offset = wire.Offset(len(l.entries) + 1)
		l.entries = append(l.entries, e)
		for _, u := range e.Users {
			l.members[u] = e.Kind == state.EntryMembersAdded
		}
		a.Appended = append(a.Appended, state.Appended{Log: logOf(id), After: e.Offset - 1, Offset: e.Offset, Entry: e})
	}
	return a
}

// read moves a cursor, and tells the hub.
func (w *world) read(user wire.UserID, seq wire.Seq) {
	w.mu.Lock()
	w.index++
	w.logs[tea].read[user] = seq
	a := state.Applied{Index: w.index, Cursors: []state.CursorMoved{{App: "app", Conversation: tea, User: user, Read: seq}}}
	w.mu.Unlock()
	w.tell(a)
}

func (w *world) tell(a state.Applied) { w.hub.Applied(a) }

func (w *world) say(texts ...string) {
	var entries []*state.Entry
	for _, text := range texts {
		entries = append(entries, said(text))
	}
	w.append(tea, entries...)
}

func said(text string, targets ...wire.UserID) *state.Entry {
	return &state.Entry{Kind: state.EntryMessage, Actor: "ann", Message: &state.Message{From: "ann", Body: []byte(text), Targets: targets}}
}

func removed(users ...wire.UserID) *state.Entry {
	return &state.Entry{Kind: state.EntryMembersRemoved, Actor: "ann", Users: users}
}

func added(users ...wire.UserID) *state.Entry {
	return &state.Entry{Kind: state.EntryMembersAdded, Actor: "ann", Users: users}
}

// edge makes an edge whose streams lead to the hub.
func (w *world) edge() *Edge {
	e := NewEdge(w, Options{})
	w.edges = append(w.edges, e)
	return e
}

// Shard implements Dialer.
func (w *world) Shard(log state.LogKey) (wire.ShardID, bool) { return 1, log.App == "app" }

// Open implements Dialer.
func (w *world) Open(context.Context, wire.ShardID, int) (Stream, error) {
	if w.fault != nil {
		s := w.fault()
		w.fault = nil
		return s, nil
	}
	edge, hub := newStreams()
	w.mu.Lock()
	w.streams = append(w.streams, edge)
	leading := w.hub
	w.mu.Unlock()
	w.serving.Go(func() { _ = leading.Serve(context.Background(), "edge", "edge/1", hub) })
	return edge, nil
}

// lose ends all streams.
func (w *world) lose() {
	w.mu.Lock()
	streams := w.streams
	w.streams = nil
	w.mu.Unlock()
	for _, s := range streams {
		_ = s.Close()
	}
}

// fakeStream is one end of a stream in memory.
type fakeStream struct {
	out, in chan []byte
	done    chan struct{}
	once    *sync.Once
	blocked chan struct{} // not nil: Recv waits until it is closed
}

var errStream = errors.New("stream closed")

func newStreams() (edge, hub *fakeStream) {
	// Some messages fit, as into a stream's window.
	up, down, done, once := make(chan []byte, 8), make(chan []byte, 8), make(chan struct{}), &sync.Once{}
	return &fakeStream{out: up, in: down, done: done, once: once}, &fakeStream{out: down, in: up, done: done, once: once}
}

func (s *fakeStream) Send(message []byte) error {
	select {
	case <-s.done:
		return errStream
	default:
	}
	select {
	case s.out <- slices.Clone(message):
		return nil
	case <-s.done:
		return errStream
	}
}

func (s *fakeStream) Recv() ([]byte, error) {
	if s.blocked != nil {
		<-s.blocked
	}
	select {
	case <-s.done:
		return nil, errStream
	default:
	}
	select {
	case m := <-s.in:
		return m, nil
	case <-s.done:
		return nil, errStream
	}
}

func (s *fakeStream) Close() error {
	s.once.Do(func() { close(s.done) })
	return nil
}

// reader is a subscriber: it takes what it is told as a session does.
type reader struct {
	w    *world
	edge *Edge
	set  Set
	user wire.UserID
	sub  *Subscription

	answers    chan error
	started    Started
	full       bool // there is no room
	late       chan struct{}
	batches    []*Batch
	cursors    []Cursor
	transients []string
}

func (w *world) reader(e *Edge, user wire.UserID) *reader {
	return &reader{w: w, edge: e, user: user, late: make(chan struct{}, 1)}
}

// ask asks to follow a log; the answer comes in answers.
func (r *reader) ask(id wire.ConversationID, after wire.Offset, fromEnd bool) error {
	answers := make(chan error, 1)
	r.answers = answers
	sub, err := r.edge.Subscribe(Request{
		Log: logOf(id), User: r.user, After: after, FromEnd: fromEnd, Sink: r, Set: &r.set,
		Done: func(s Started, err error) {
			r.started = s
			answers <- err
		},
	})
	r.sub = sub
	return err
}

// follow asks and waits for the answer.
func (r *reader) follow(after wire.Offset) error {
	if err := r.ask(tea, after, false); err != nil {
		return err
	}
	return <-r.answers
}

func (r *reader) mustFollow(after wire.Offset) {
	r.w.t.Helper()
	if err := r.follow(after); err != nil {
		r.w.t.Fatalf("%s follows from %d: %v", r.user, after, err)
	}
}

func (r *reader) Deliver(b *Batch) bool {
	if r.full && !b.Ended {
		return false
	}
	r.batches = append(r.batches, b)
	return true
}

func (r *reader) DeliverCursor(c Cursor) bool {
	if r.full {
		return false
	}
	r.cursors = append(r.cursors, c)
	return true
}

func (r *reader) DeliverTransient(one *Transient) {
	r.transients = append(r.transients, string(one.Message.Body))
}

func (r *reader) Late() {
	select {
	case r.late <- struct{}{}:
	default:
	}
}

// settle lets everything happen that needs no time, and has the reader catch up
// as a session does once it has written what it had.
func (r *reader) settle() {
	synctest.Wait()
	if !r.full {
		r.set.CatchUp()
	}
	synctest.Wait()
}

// told writes what the reader was told since the last time: "3..5 a,b" for
// entries in (3, 5], with "behind" or "ended".
func (r *reader) told() string {
	r.settle()
	text := ""
	for _, b := range r.batches {
		text += fmt.Sprintf("%d..%d", b.After, b.Upto)
		for _, e := range b.Entries {
			switch {
			case e.Message != nil:
				text += " " + string(e.Message.Body)
			default:
				text += fmt.Sprintf(" %d%v", e.Kind, e.Users)
			}
		}
		if b.Behind {
			text += " behind"
		}
		if b.Ended {
			text += " ended"
		}
		text += "; "
	}
	r.batches = nil
	return text
}

func (r *reader) wantTold(want string) {
	r.w.t.Helper()
	if got := r.told(); got != want {
		r.w.t.Errorf("%s was told %q, want %q", r.user, got, want)
	}
}

// refusalOf returns what a refused subscription was told.
func refusalOf(err error) state.Refusal {
	if r, ok := errors.AsType[*state.RefusedError](err); ok {
		return r.Refusal
	}
	return state.None
}

// reconnected waits until the edges have streams again and have registered.
func reconnected() {
	time.Sleep(time.Second) // of the bubble's clock
	synctest.Wait()
}
