package ask

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/quorate/quorate/node/columns"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// patience is a context that ends while a question is answered: when it has been
// looked at so many times.
type patience struct {
	context.Context //nolint:containedctx // it is one

	left int
}

func (p *patience) Err() error {
	if p.left == 0 {
		return context.Canceled
	}
	p.left--
	return nil
}

// TestNobodyWaits: what may take long ends when the asker has given up, wherever it is.
func TestNobodyWaits(t *testing.T) {
	w := newWorld(t)
	w.library()
	kind := int64(7)
	for _, c := range []struct {
		user wire.UserID
		r    *Request
	}{
		{"ann", &Request{Find: &Find{All: true, Limit: 10}}},
		{"ann", &Request{Find: &Find{Of: []wire.ConversationID{"tea", "milk"}, Limit: 10}}},
		{"", &Request{AppMessages: &AppMessages{Limit: 10}}},
		{"ann", &Request{History: &History{Conversation: "tea", Type: &kind, Limit: 10}}},
		{"ann", &Request{Listed: &Listed{Conversation: "tea", List: ListMuted, Limit: 10}}},
		{"", &Request{Subscribers: &Subscribers{Service: "news", Limit: 10}}},
	} {
		question, err := json.Marshal(c.r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Execute(t.Context(), Source{State: w.st.State}, "app", c.user, question); err != nil {
			t.Fatalf("%s: %v", question, err)
		}
		_, err = Execute(&patience{t.Context(), 0}, Source{State: w.st.State}, "app", c.user, question)
		if wire.CodeOf(err) != wire.CodeUnavailable || !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", question, err)
		}
	}
}

func TestASearchEndsOnItsWay(t *testing.T) {
	w := newWorld(t)
	for i := range 50 {
		w.do("ann", &state.CreateConversation{ID: wire.ConversationID(fmt.Sprint("c", i)), Preset: state.PresetBasic, Name: "tea"})
	}
	index := columns.New(w.st.State)
	t.Cleanup(index.Close)
	find := &Find{All: true, Limit: 50, Where: json.RawMessage(`{"name":"tea"}`)}
	for _, x := range []*columns.Index{nil, index, index} {
		f := finder{executor: executor{ctx: &patience{t.Context(), 20}, st: w.st.State, columns: x, app: "app", user: "ann"}, q: find}
		if _, err := f.ask(); wire.CodeOf(err) != wire.CodeUnavailable || f.looked != 20 {
			t.Errorf("it has looked at %d: %v", f.looked, err)
		}
		f = finder{executor: executor{ctx: &patience{t.Context(), 60}, st: w.st.State, columns: x, app: "app", user: "ann"}, q: find}
		if _, err := f.ask(); wire.CodeOf(err) != wire.CodeUnavailable || f.looked != 50 {
			t.Errorf("with all found, it has looked at %d: %v", f.looked, err)
		}
		index.Await()
	}
}
