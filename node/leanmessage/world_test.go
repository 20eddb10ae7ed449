package leanmessage

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quorate/quorate/cluster"
	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/node/tail"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/shard/state/statetest"
	"github.com/quorate/quorate/wire"
)

const (
	testApp    = "app-of-the-tests"
	testMaster = "master-key-of-the-tests"
	patience   = 5 * time.Second
)

// world is a door on a host with one shard: a real state, a real hub and a real
// edge, without raft.
type world struct {
	t      testing.TB
	door   *Door
	st     *statetest.State
	hub    *tail.Hub
	edge   *tail.Edge
	tasks  sync.WaitGroup
	ctx    context.Context //nolint:containedctx // of the tasks, which end with the world
	serves sync.WaitGroup
	hubs   sync.WaitGroup

	apply sync.Mutex // held while a command is applied

	mu       sync.Mutex
	ahead    time.Duration // of the clock
	settings map[string]string
	out      bool                // the shard does not answer
	before   func(state.Command) // called before a command is applied
	sessions map[string]door.Session
	ended    []string // names of sessions that were closed, with "!" when clean
	peers    []*peer
	streams  []*pipe
}

// newWorld opens a world, whose door has the options. The settings of its app are
// without the prefix of their names.
func newWorld(t testing.TB, opts Options, settings ...string) *world {
	t.Helper()
	w := &world{t: t, settings: map[string]string{"leanmessage.enabled": "on", "leanmessage.rate.send": "0", "leanmessage.rate.other": "0"}, sessions: map[string]door.Session{}}
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		w.settings["leanmessage."+name] = value
	}
	var cancel context.CancelFunc
	w.ctx, cancel = context.WithCancel(context.Background())
	w.hub = tail.NewHub(w.access)
	w.st = statetest.Open(t, state.Options{Applied: w.hub.Applied})
	w.hub.Lead(true)
	w.edge = tail.NewEdge(w, tail.Options{})
	w.door = New(w, opts)
	t.Cleanup(func() {
		for _, p := range w.peers {
			p.conn.cut()
		}
		w.serves.Wait()
		if n := w.door.faults.Load(); n > 0 {
			t.Errorf("%d commands have panicked", n)
		}
		cancel()
		w.tasks.Wait()
		w.edge.Close()
		w.hub.Lead(false)
		w.hubs.Wait()
	})
	return w
}

// access is as a node's.
func (w *world) access(log state.LogKey, user wire.UserID) (tail.Grant, error) {
	return tail.GrantOf(&w.st.Queries, log, user)
}

// Shard implements tail.Dialer.
func (w *world) Shard(state.LogKey) (wire.ShardID, bool) { return 1, true }

// Open implements tail.Dialer.
func (w *world) Open(ctx context.Context, _ wire.ShardID, _ int) (tail.Stream, error) {
	edge, hub := newPipe()
	w.mu.Lock()
	w.streams = append(w.streams, edge)
	w.mu.Unlock()
	w.hubs.Go(func() { _ = w.hub.Serve(ctx, "n1", "n1/1", hub) })
	return edge, nil
}

// pipe is one end of a stream in memory.
type pipe struct {
	out, in chan []byte
	done    chan struct{}
	once    *sync.Once
}

var errPipe = errors.New("stream closed")

func newPipe() (edge, hub *pipe) {
	up, down, done, once := make(chan []byte, 8), make(chan []byte, 8), make(chan struct{}), &sync.Once{}
	return &pipe{up, down, done, once}, &pipe{down, up, done, once}
}

func (s *pipe) Send(message []byte) error {
	select {
	case s.out <- slices.Clone(message):
		return nil
	case <-s.done:
		return errPipe
	}
}

func (s *pipe) Recv() ([]byte, error) {
	select {
	case m := <-s.in:
		return m, nil
	case <-s.done:
		return nil, errPipe
	}
}

func (s *pipe) Close() error {
	s.once.Do(func() { close(s.done) })
	return nil
}

// Self implements door.Host.
func (w *world) Self() wire.NodeID { return "n1" }
func (w *world) Place() string     { return "n1/1" }

// Millis implements door.Host.
func (w *world) Millis() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.ahead).UnixMilli()
}

// pass makes time pass for the wall clock.
func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ahead += d
}

// ClientURLs implements door.Host.
func (w *world) ClientURLs() []string { return []string{"http://n1:7400", "https://n2:7410"} }

// Go implements door.Host.
func (w *world) Go(task func(ctx context.Context)) { w.tasks.Go(func() { task(w.ctx) }) }

// App implements door.Apps.
func (w *world) App(_ context.Context, id wire.AppID) (cluster.App, bool, error) {
	if id != testApp {
		return cluster.App{}, false, nil
	}
	return cluster.App{ID: testApp, Key: "key-of-the-tests", MasterKey: testMaster, Settings: w.settings}, true, nil
}

// outage makes the shard not answer, or ends that.
func (w *world) outage(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.out = on
}

func (w *world) isOut() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.out {
		return wire.Errorf(wire.CodeUnavailable, "", "an outage of the test")
	}
	return nil
}

// Change implements door.Log.
func (w *world) Change(_ context.Context, h state.Header, c state.Command) (state.Result, error) {
	if err := w.isOut(); err != nil {
		return state.Result{}, err
	}
	w.mu.Lock()
	before := w.before
	w.mu.Unlock()
	if before != nil {
		before(c)
	}
	return w.do(h, c)
}

// do applies a command, and what it has told other slots.
func (w *world) do(h state.Header, c state.Command) (state.Result, error) {
	w.apply.Lock()
	defer w.apply.Unlock()
	result, err := w.applyLocked(h, c)
	for err == nil {
		batches, failed := w.st.OutboxBatches(1000, func(wire.Slot) bool { return false })
		if failed != nil || len(batches) == 0 {
			return result, failed
		}
		for _, b := range batches {
			refs := make([]state.OutboxRef, len(b.Rows))
			for i := range b.Rows {
				refs[i] = b.Rows[i].OutboxRef
			}
			for _, step := range []state.Command{&state.DeliverOutbox{Rows: b.Rows}, &state.AckOutbox{Rows: refs}} {
				if _, err = w.applyLocked(state.Header{}, step); err != nil {
					return result, err
				}
			}
		}
	}
	return result, err
}

func (w *world) applyLocked(h state.Header, c state.Command) (state.Result, error) {
	encoded := state.EncodeCommand(nil, h, c)
	if err := state.CheckCommand(encoded); err != nil {
		return state.Result{}, wire.Errorf(wire.CodeInvalid, "", "%v", err)
	}
	return w.st.DoEncoded(w.Millis(), encoded)
}

// app does something as the app.
func (w *world) app(c state.Command) state.Result {
	w.t.Helper()
	r, err := w.do(state.Header{App: testApp}, c)
	if err != nil || r.Refusal != state.None {
		w.t.Fatalf("%T: %v, %v", c, r.Refusal, err)
	}
	return r
}

// Submit implements door.Log.
func (w *world) Submit(h state.Header, c state.Command, done func(state.Result, error)) {
	done(w.Change(w.ctx, h, c))
}

// Unique implements door.Log.
func (w *world) Unique(ctx context.Context, h state.Header, create *state.CreateConversation) (state.Result, error) {
	h.Token = state.Token{}
	members := create.Members
	if h.Actor != "" {
		members = append([]wire.UserID{h.Actor}, members...)
	}
	entry, err := w.Change(ctx, h, &state.ResolveUnique{Preset: create.Preset, Members: members, Salt: rand.Uint64()})
	if err != nil || entry.Refusal != state.None {
		return entry, err
	}
	one := *create
	one.ID, one.Unique = entry.Conversations[0], true
	return w.Change(ctx, h, &one)
}

// Ask implements door.Log.
func (w *world) Ask(ctx context.Context, app wire.AppID, user wire.UserID, _ string, r *ask.Request) (*ask.Answer, error) {
	if err := w.isOut(); err != nil {
		return nil, err
	}
	question, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	b, err := ask.Execute(ctx, ask.Source{State: w.st.State}, app, user, question)
	if err != nil {
		return nil, err
	}
	a := &ask.Answer{}
	return a, json.Unmarshal(b, a)
}

// Divide implements door.Log.
func (w *world) Divide(_ wire.AppID, roots []string) [][]string {
	if len(roots) == 0 {
		return nil
	}
	return [][]string{roots}
}

// AskAll implements door.Log.
func (w *world) AskAll(ctx context.Context, app wire.AppID, user wire.UserID, r *ask.Request) ([]*ask.Answer, error) {
	a, err := w.Ask(ctx, app, user, "", r)
	if err != nil {
		return nil, err
	}
	return []*ask.Answer{a}, nil
}

// Follow implements door.Log.
func (w *world) Follow(r tail.Request) (*tail.Subscription, error) { return w.edge.Subscribe(r) }

// Unfollow implements door.Log.
func (w *world) Unfollow(s *tail.Subscription) { w.edge.Unsubscribe(s) }

// Signal implements door.Log.
func (w *world) Signal(s door.Signal, done func(error)) {
	err := w.st.MaySpeak(s.App, s.Conversation, s.From)
	if err == nil {
		w.hub.Signal(state.LogKey{App: s.App, Conversation: s.Conversation}, s.Origin, s.Message)
	}
	done(err)
}

// Opened implements door.Presence.
func (w *world) Opened(s door.Session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sessions[s.Name] = s
}

// Closed implements door.Presence.
func (w *world) Closed(s door.Session, clean bool) {
	w.mu.Lock()
	delete(w.sessions, s.Name)
	name := string(s.User)
	if clean {
		name += "!"
	}
	w.ended = append(w.ended, name)
	last := !slices.ContainsFunc(w.all(), func(o door.Session) bool { return o.User == s.User })
	w.mu.Unlock()
	if clean {
		_, _ = w.do(state.Header{App: s.App, Actor: s.User}, &state.Logout{User: s.User, Tag: s.Tag, Session: s.Name, Last: last})
		return
	}
	_, _ = w.do(state.Header{App: s.App}, &state.SessionsLost{Losses: []state.SessionLoss{{User: s.User, Tag: s.Tag, Session: s.Name, Last: last}}})
}

func (w *world) all() (all []door.Session) {
	for _, s := range w.sessions {
		all = append(all, s)
	}
	return all
}

// closings returns whose sessions have ended, with "!" where that was wished.
func (w *world) closings() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.ended)
}

// Online implements door.Presence.
func (w *world) Online(_ context.Context, _ wire.AppID, users []wire.UserID) ([]wire.UserID, error) {
	if err := w.isOut(); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var online []wire.UserID
	for _, u := range users {
		if slices.ContainsFunc(w.all(), func(s door.Session) bool { return s.User == u }) {
			online = append(online, u)
		}
	}
	return online, nil
}

// Present implements door.Presence.
func (w *world) Present(_ context.Context, app wire.AppID, id wire.ConversationID, limit int) (door.Presents, error) {
	n, users, _ := w.hub.Present(state.LogKey{App: app, Conversation: id}, limit)
	return door.Presents{Count: n, Users: users}, nil
}
