package leanrest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

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
	testKey    = "key-of-the-tests-1"
	testMaster = "master-of-the-tests-1"

	began = 1_700_000_000_000
)

// world is a host with one shard: a real state, changed without raft.
type world struct {
	t       *testing.T
	st      *statetest.State
	now     int64
	app     cluster.App
	online  []wire.UserID
	present map[wire.ConversationID][]wire.UserID
	signals []door.Signal
	last    state.Header // of the last change
	rest    http.Handler
	mu      sync.Mutex // held by a change
}

var _ Host = (*world)(nil)

func newWorld(t *testing.T, settings ...string) *world {
	t.Helper()
	w := &world{
		t: t, st: statetest.Open(t, state.Options{}), now: began, app: cluster.App{ID: testApp, Key: testKey, MasterKey: testMaster, Settings: map[string]string{}},
		present: map[wire.ConversationID][]wire.UserID{},
	}
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		w.app.Settings["leanmessage."+name] = value
	}
	if err := door.CheckSettings(w.app.Settings); err != nil {
		t.Fatal(err)
	}
	w.rest = Handler(w)
	return w
}

// apply applies a command a second after the last one, and tells other slots.
func (w *world) apply(h state.Header, c state.Command) state.Result {
	w.now += 1000
	r, err := w.st.Do(w.now, h, c)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) deliver() {
	batches, err := w.st.OutboxBatches(1000, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, batch := range batches {
		for _, row := range batch.Rows {
			one := []state.OutboxRow{row}
			w.apply(state.Header{App: testApp}, &state.DeliverOutbox{Rows: one})
			w.apply(state.Header{App: testApp}, &state.AckOutbox{Rows: []state.OutboxRef{row.OutboxRef}})
		}
	}
}

func (w *world) App(_ context.Context, id wire.AppID) (cluster.App, bool, error) {
	if id != w.app.ID {
		return cluster.App{}, false, nil
	}
	return w.app, true, nil
}

func (w *world) Submit(h state.Header, c state.Command, done func(state.Result, error)) {
	done(w.Change(context.Background(), h, c))
}

func (w *world) Change(_ context.Context, h state.Header, c state.Command) (state.Result, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = h
	if err := state.CheckCommand(state.EncodeCommand(nil, h, c)); err != nil {
		return state.Result{}, wire.Errorf(wire.CodeInvalid, "", "%v", err)
	}
	r := w.apply(h, c)
	w.deliver()
	return r, nil
}

func (w *world) Unique(ctx context.Context, h state.Header, create *state.CreateConversation) (state.Result, error) {
	h.Token = state.Token{}
	members := create.Members
	if h.Actor != "" {
		members = append([]wire.UserID{h.Actor}, members...)
	}
	entry := w.apply(h, &state.ResolveUnique{Preset: create.Preset, Members: members, Salt: 7})
	if entry.Refusal != state.None {
		return entry, nil
	}
	one := *create
	one.ID, one.Unique = entry.Conversations[0], true
	return w.Change(ctx, h, &one)
}

func (w *world) Ask(ctx context.Context, app wire.AppID, user wire.UserID, _ string, r *ask.Request) (*ask.Answer, error) {
	question, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	b, err := ask.Execute(ctx, ask.Source{State: w.st.State}, app, user, question)
	if err != nil {
		return nil, err
	}
	var a ask.Answer
	return &a, json.Unmarshal(b, &a)
}

func (w *world) Divide(_ wire.AppID, roots []string) [][]string {
	if len(roots) == 0 {
		return nil
	}
	return [][]string{roots}
}

func (w *world) AskAll(ctx context.Context, app wire.AppID, user wire.UserID, r *ask.Request) ([]*ask.Answer, error) {
	a, err := w.Ask(ctx, app, user, "", r)
	return []*ask.Answer{a}, err
}

func (w *world) Follow(tail.Request) (*tail.Subscription, error) { panic("nobody follows") }
func (w *world) Unfollow(*tail.Subscription)                     {}

func (w *world) Signal(s door.Signal, done func(error)) {
	w.signals = append(w.signals, s)
	done(nil)
}

func (w *world) Opened(door.Session)       {}
func (w *world) Closed(door.Session, bool) {}

func (w *world) Online(_ context.Context, _ wire.AppID, users []wire.UserID) ([]wire.UserID, error) {
	return slices.DeleteFunc(slices.Clone(users), func(u wire.UserID) bool { return !slices.Contains(w.online, u) }), nil
}

func (w *world) OnlineCount(context.Context, wire.AppID) (int, error) { return len(w.online), nil }

func (w *world) Present(_ context.Context, _ wire.AppID, id wire.ConversationID, limit int) (door.Presents, error) {
	there := w.present[id]
	return door.Presents{Count: len(there), Users: there[:min(limit, len(there))]}, nil
}

func (w *world) Self() wire.NodeID                 { return "n1" }
func (w *world) Place() string                     { return "n1/1" }
func (w *world) Millis() int64                     { return w.now }
func (w *world) ClientURLs() []string              { return nil }
func (w *world) Go(task func(ctx context.Context)) { task(context.Background()) }

// answer is what a request was answered with.
type answer struct {
	t      *testing.T
	asked  string
	status int
	header http.Header
	text   string
}

// as asks with headers.
func (w *world) as(headers map[string]string, method, path, body string) answer {
	w.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	rw := httptest.NewRecorder()
	w.rest.ServeHTTP(rw, r)
	return answer{w.t, fmt.Sprintf("%s %s %.300s", method, path, body), rw.Code, rw.Header(), strings.TrimSpace(rw.Body.String())}
}

// master asks with the master key.
func (w *world) master(method, path, body string) answer {
	w.t.Helper()
	return w.as(map[string]string{"X-LC-Id": testApp, "X-LC-Key": testMaster + ",master", "Content-Type": "application/json"}, method, path, body)
}

// client asks with the app's key.
func (w *world) client(method, path, body string) answer {
	w.t.Helper()
	return w.as(map[string]string{"X-LC-Id": testApp, "X-LC-Key": testKey, "Content-Type": "application/json"}, method, path, body)
}

// ok checks that it was done, and decodes the answer.
func (a answer) ok(into any) {
	a.t.Helper()
	if a.status != http.StatusOK && a.status != http.StatusCreated {
		a.t.Fatalf("%s: %d %s", a.asked, a.status, a.text)
	}
	if into != nil {
		if err := json.Unmarshal([]byte(a.text), into); err != nil {
			a.t.Fatalf("%s: %s: %v", a.asked, a.text, err)
		}
	}
}

// is checks the text of the answer.
func (a answer) is(want string) {
	a.t.Helper()
	if a.ok(nil); a.text != want {
		a.t.Errorf("%s: %s, want %s", a.asked, a.text, want)
	}
}

// no checks that it was not done, and why.
func (a answer) no(status, code int) {
	a.t.Helper()
	var e struct {
		Code  int    `json:"code"`
		Error string `json:"error"`
	}
	if err := json.Unmarshal([]byte(a.text), &e); err != nil || a.status != status || e.Code != code || e.Error == "" {
		a.t.Errorf("%s: %d %s, want %d with code %d and an error", a.asked, a.status, a.text, status, code)
	}
}

// make makes a conversation through the door, and returns its id.
func (w *world) make(family, body string) string {
	w.t.Helper()
	var made struct {
		ID string `json:"objectId"`
	}
	w.master(post, "/1.2/rtm/"+family, body).ok(&made)
	if len(made.ID) != 24 {
		w.t.Fatalf("the id is %q", made.ID)
	}
	return made.ID
}

// sentMessage is what a send answers.
type sentMessage struct {
	ID        string `json:"msg-id"`
	Timestamp int64  `json:"timestamp"`
}

func (w *world) say(family, id, from, text string) sentMessage {
	w.t.Helper()
	var sent sentMessage
	body, _ := json.Marshal(map[string]any{"from_client": from, "message": text})
	w.master(post, "/1.2/rtm/"+family+"/"+id+"/messages", string(body)).ok(&sent)
	if len(sent.ID) != 22 || sent.Timestamp == 0 {
		w.t.Fatalf("sent %+v", sent)
	}
	return sent
}

func jsonNumber(n int64) string { return fmt.Sprint(n) }
