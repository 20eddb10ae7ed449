package ask

import (
	"encoding/json"
	"testing"

	"github.com/quorate/quorate/node/columns"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/shard/state/statetest"
	"github.com/quorate/quorate/wire"
)

// world is a real state that a test changes and asks.
type world struct {
	t   testing.TB
	st  *statetest.State
	x   *columns.Index // nil: searches go through all
	now int64          // milliseconds; a command's stamp
}

const began = 1_700_000_000_000

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, now: began}
	w.st = statetest.Open(t, state.Options{Applied: w.applied})
	return w
}

func (w *world) applied(a state.Applied) {
	if w.x != nil {
		w.x.Applied(a)
	}
}

// do applies a command one second after the last one.
func (w *world) do(actor wire.UserID, c state.Command) state.Result {
	w.t.Helper()
	w.now += 1000
	return w.same(actor, c)
}

// same applies a command at the time of the last one.
func (w *world) same(actor wire.UserID, c state.Command) state.Result {
	w.t.Helper()
	return w.st.MustDo(w.t, w.now, state.Header{App: "app", Actor: actor}, c)
}

// ask asks as a user, in the encoded form that nodes exchange.
func (w *world) ask(user wire.UserID, r *Request) (*Answer, error) {
	w.t.Helper()
	question, err := json.Marshal(r)
	if err != nil {
		w.t.Fatal(err)
	}
	b, err := Execute(w.t.Context(), Source{State: w.st.State, Columns: w.x}, "app", user, question)
	if err != nil {
		return nil, err
	}
	var a Answer
	if err := json.Unmarshal(b, &a); err != nil {
		w.t.Fatal(err)
	}
	return &a, nil
}

func (w *world) mustAsk(user wire.UserID, r *Request) *Answer {
	w.t.Helper()
	a, err := w.ask(user, r)
	if err != nil {
		w.t.Fatalf("ask as %s: %v", user, err)
	}
	return a
}

// pair makes a conversation of ann and ben.
func (w *world) pair() {
	w.do("ann", &state.CreateConversation{ID: "tea", Preset: state.PresetBasic, Members: []wire.UserID{"ben"}})
}

func (w *world) say(user wire.UserID, body string) state.Result {
	w.t.Helper()
	return w.do(user, &state.SendMessage{Conversation: "tea", Body: []byte(body)})
}
