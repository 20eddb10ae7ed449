package ask

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/quorate/quorate/node/columns"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// library makes conversations to look for.
func (w *world) library() {
	w.do("ann", &state.CreateConversation{
		ID: "tea", Preset: state.PresetBasic, Name: "Tea", Members: []wire.UserID{"ben"},
		Properties: []state.Property{{Name: "attr", Value: []byte(`{"level":3}`)}},
	})
	w.do("ann", &state.CreateConversation{ID: "milk", Preset: state.PresetBasic, Name: "Milk"})
	w.do("ben", &state.CreateConversation{ID: "rum", Preset: state.PresetBasic, Name: "Rum"})
	w.do("ann", &state.CreateConversation{ID: "pub", Preset: state.PresetRoom, Name: "Pub"})
	w.do("", &state.CreateConversation{ID: "news", Preset: state.PresetSystem, Name: "News"})
	w.do("ann", &state.AddMembers{Conversation: "news", Users: []wire.UserID{"ann"}})
	w.do("ann", &state.CreateConversation{ID: "gone", Preset: state.PresetTemporary, Members: []wire.UserID{"ben"}})
	w.say("ann", "in the tea")
	w.do("ben", &state.SendMessage{Conversation: "rum", Body: []byte("secret")})
}

func found(m *Matches) string {
	var ids []string
	for _, d := range m.Documents {
		ids = append(ids, string(d.Conversation))
	}
	return strings.Join(ids, " ")
}

func TestLM028_Find(t *testing.T) {
	w := newWorld(t)
	w.library()
	all := []wire.ConversationID{"tea", "milk", "rum", "pub", "news", "gone", "none"}
	for _, c := range []struct {
		find Find
		want string
	}{
		{Find{Of: all, Limit: 10}, "rum tea milk news pub"}, // what was spoken in last is first
		{Find{All: true, Limit: 10}, "rum tea milk news pub"},
		{Find{All: true, Limit: 2}, "rum tea"},
		{Find{All: true, Limit: 10, Sort: "name"}, "milk news pub rum tea"},
		{Find{All: true, Limit: 10, Where: json.RawMessage(`{"m":"ann"}`)}, "tea milk"},
		{Find{All: true, Limit: 10, Where: json.RawMessage(`{"tr":true}`)}, "pub"},
		{Find{All: true, Limit: 10, Where: json.RawMessage(`{"sys":true}`)}, "news"},
		{Find{All: true, Limit: 10, Where: json.RawMessage(`{"attr.level":{"$gt":2}}`)}, "tea"},
		{Find{All: true, Limit: 10, Where: json.RawMessage(`{"name":{"$regex":"^[MT]"},"m":{"$size":1}}`)}, "milk"},
		{Find{Of: all, Limit: 10, Temporary: true}, "gone"}, // only when it is named as such
		{Find{All: true, Limit: 0}, ""},
	} {
		a := w.mustAsk("ann", &Request{Find: &c.find})
		if got := found(a.Find); got != c.want {
			t.Errorf("%+v: %s, want %s", c.find, got, c.want)
		}
	}
	for _, bad := range []Find{{Where: json.RawMessage(`{"a":{"$x":1}}`)}, {Sort: "-"}, {Limit: MaxFound + 1}} {
		if _, err := w.ask("ann", &Request{Find: &bad}); err == nil {
			t.Errorf("%+v is answered", bad)
		}
	}
}

// TestFindByColumns: with the index of columns a search finds the same, and does
// not look at all.
func TestFindByColumns(t *testing.T) {
	w := newWorld(t)
	w.library()
	for i := range 300 {
		w.same("ann", &state.CreateConversation{
			ID: wire.ConversationID(fmt.Sprint("c", i)), Preset: state.PresetBasic, Name: fmt.Sprint("name ", i%7),
			Properties: []state.Property{{Name: "attr", Value: fmt.Appendf(nil, `{"level":%d,"kind":"k%d"}`, i%5, i%50)}},
		})
		if i%4 == 0 {
			w.do("ann", &state.SendMessage{Conversation: wire.ConversationID(fmt.Sprint("c", i)), Body: []byte("hello")})
		}
	}
	index := columns.New(w.st.State)
	t.Cleanup(index.Close)
	for _, find := range []Find{
		{Limit: 10},
		{Limit: 10, Sort: "lm"},
		{Limit: 7, Sort: "-updatedAt,name"},
		{Limit: 5, Sort: "createdAt"},
		{Limit: 10, Where: json.RawMessage(`{"tr":true}`)},
		{Limit: 3, Where: json.RawMessage(`{"name":"name 3"}`), Sort: "-attr.level"},
		{Limit: 50, Where: json.RawMessage(`{"attr.kind":"k7","attr.level":{"$gt":1}}`)},
		{Limit: 4, Where: json.RawMessage(`{"attr.level":{"$gt":3}}`), Sort: "-updatedAt"},
		{Limit: 0, Where: json.RawMessage(`{"tr":true}`)},
		{Limit: 9, Where: json.RawMessage(`{"m":"ben"}`), Sort: "-createdAt"},
	} {
		find.All = true
		w.x = nil
		want := found(w.mustAsk("ann", &Request{Find: &find}).Find)
		w.x = index
		for range 2 { // the second time by the index
			if got := found(w.mustAsk("ann", &Request{Find: &find}).Find); got != want {
				t.Errorf("%s by %q: %s, want %s", find.Where, find.Sort, got, want)
			}
			index.Await()
		}
		f := finder{executor: executor{ctx: t.Context(), st: w.st.State, columns: index, app: "app", user: "ann"}, q: &find}
		most := 100
		if find.Sort == "lm" || find.Where != nil && find.Where[2] == 'm' {
			most = 310 // most have no last message, and the index does not know of members
		}
		if _, err := f.ask(); err != nil || f.looked > most {
			t.Errorf("%s by %q: it looked at %d (%v)", find.Where, find.Sort, f.looked, err)
		}
	}
}

// TestFindPlaces: of who wants a page that lies far, only what the order is by is
// told.
func TestFindPlaces(t *testing.T) {
	w := newWorld(t)
	w.library()
	a := w.mustAsk("ann", &Request{Find: &Find{All: true, Limit: 2, Sort: "name", Places: true, Last: true}})
	if got := found(a.Find); got != "milk news" {
		t.Errorf("found %s", got)
	}
	for _, d := range a.Find.Documents {
		told, err := d.Decode()
		if err != nil || len(told) != 2 || told["name"] == nil || told["objectId"] == nil || d.Last != nil {
			t.Errorf("%v, %v, the last message %v: want no more than name and objectId", told, err, d.Last)
		}
	}
}

// TestLM029_Documents: without members on request, and with the last message only
// where the asker may see it.
func TestLM029_Documents(t *testing.T) {
	w := newWorld(t)
	w.library()
	a := w.mustAsk("ann", &Request{Find: &Find{Of: []wire.ConversationID{"tea", "rum", "news"}, Limit: 10, Last: true, Compact: true}})
	var got []string
	for _, d := range a.Find.Documents {
		told, err := d.Decode()
		if err != nil {
			t.Fatal(err)
		}
		last := "-"
		if d.Last != nil {
			last = string(d.Last.Body)
		}
		got = append(got, fmt.Sprintf("%s m=%v last=%s in=%v count=%d", told["name"], told["m"], last, d.Joined > 0, d.MemberCount))
	}
	want := "Rum m=<nil> last=- in=false count=1\nTea m=<nil> last=in the tea in=true count=2\nNews m=<nil> last=- in=true count=1"
	if got := strings.Join(got, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestLM032_WhoIsQuietIsForMembers: nobody else is told who gets no pushes of a
// conversation, and finds none by it; nor is he shown its last message.
func TestLM032_WhoIsQuietIsForMembers(t *testing.T) {
	w := newWorld(t)
	w.library()
	w.do("ben", &state.Quiet{Conversation: "tea", Users: []wire.UserID{"ben"}})
	for _, c := range []struct {
		user  wire.UserID
		where string
		want  string
	}{
		{"ben", `{"mu":"ben"}`, `tea ["ben"] last=true`},
		{"ann", `{"mu":"ben"}`, `tea ["ben"] last=true`},
		{"", `{"mu":"ben"}`, `tea ["ben"] last=true`},
		{"eve", `{"mu":"ben"}`, ""},
		{"eve", `{"mu":{"$exists":true},"m":"ben","name":"Tea"}`, "tea [] last=false"},
		{"eve", `{"mu":{"$size":0},"objectId":"tea"}`, "tea [] last=false"},
	} {
		for _, q := range []Find{{All: true}, {Of: []wire.ConversationID{"tea"}}, {All: true, Compact: true}} {
			q.Where, q.Limit, q.Last = json.RawMessage(c.where), 10, true
			var got []string
			for _, d := range w.mustAsk(c.user, &Request{Find: &q}).Find.Documents {
				told, err := d.Decode()
				if err != nil {
					t.Fatal(err)
				}
				quiet, err := json.Marshal(told["mu"])
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, fmt.Sprintf("%s %s last=%t", d.Conversation, quiet, d.Last != nil))
			}
			if got := strings.Join(got, "\n"); got != c.want {
				t.Errorf("%q asks for %s: %q, want %q", c.user, c.where, got, c.want)
			}
		}
	}
}

func TestMemberships(t *testing.T) {
	w := newWorld(t)
	for i := range 3 {
		w.do("ann", &state.CreateConversation{ID: wire.ConversationID(fmt.Sprint("c", i)), Preset: state.PresetBasic})
	}
	if _, err := w.ask("ben", &Request{Memberships: &Memberships{User: "ann", Limit: 10}}); refusal(err) != state.Forbidden {
		t.Errorf("ben asks for what ann is in: %v", err)
	}
	w.mustAsk("", &Request{Memberships: &Memberships{User: "ann", Limit: 10}})
}

func TestMembers(t *testing.T) {
	w := newWorld(t)
	w.library()
	a := w.mustAsk("eve", &Request{Members: &Members{Conversation: "tea", Limit: 1}})
	if m := a.Members; m.Count != 2 || !m.More || len(m.Members) != 1 || m.Members[0].User != "ann" || m.Members[0].Role != state.RoleOwner {
		t.Errorf("the members are %+v", a.Members)
	}
	if a := w.mustAsk("eve", &Request{Members: &Members{Conversation: "tea"}}); a.Members.Count != 2 || len(a.Members.Members) != 0 {
		t.Errorf("the count is %+v", a.Members)
	}
	if _, err := w.ask("eve", &Request{Members: &Members{Conversation: "none"}}); refusal(err) != state.NotFound {
		t.Errorf("no conversation: %v", err)
	}
}

// BenchmarkFind searches 4,000 conversations for a page of ten.
func BenchmarkFind(b *testing.B) {
	w := newWorld(b)
	for i := range 4000 {
		w.do("ann", &state.CreateConversation{
			ID: wire.ConversationID(fmt.Sprint("c", i)), Preset: state.PresetBasic,
			Properties: []state.Property{{Name: "attr", Value: fmt.Appendf(nil, `{"kind":"k%d","text":"%s"}`, i%400, strings.Repeat("x", 100))}},
		})
	}
	index := columns.New(w.st.State)
	b.Cleanup(index.Close)
	for name, find := range map[string]Find{
		"value": {All: true, Limit: 10, Where: json.RawMessage(`{"attr.kind":"k7"}`)},
		"order": {All: true, Limit: 10, Sort: "-updatedAt"},
	} {
		for _, x := range []*columns.Index{nil, index} {
			b.Run(fmt.Sprintf("%s/index=%v", name, x != nil), func(b *testing.B) {
				w.x = x
				w.mustAsk("ann", &Request{Find: &find})
				index.Await()
				for b.Loop() {
					w.mustAsk("ann", &Request{Find: &find})
				}
			})
		}
	}
}
