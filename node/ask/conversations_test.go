package ask

import (
	"fmt"
	"strings"
	"testing"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

func TestKinds(t *testing.T) {
	w := newWorld(t)
	w.library()
	a := w.mustAsk("ben", &Request{Kinds: &Kinds{Of: []wire.ConversationID{"tea", "none", "pub", "gone", "rum"}}})
	var got []string
	for _, k := range a.Kinds.Kinds {
		got = append(got, fmt.Sprintf("%s preset=%d role=%d members=%d ends=%v", k.Conversation, k.Preset, k.Role, k.Members, k.Expires > 0))
	}
	want := "tea preset=1 role=1 members=2 ends=false\npub preset=2 role=0 members=0 ends=false\n" +
		"gone preset=4 role=1 members=2 ends=true\nrum preset=1 role=3 members=1 ends=false"
	if got := strings.Join(got, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestLM045_Lists pages through who may not speak, and who is kept out, as a
// member; who is none is refused.
func TestLM045_Lists(t *testing.T) {
	w := newWorld(t)
	var many []wire.UserID
	for i := range 5 {
		many = append(many, wire.UserID(fmt.Sprint("u", i)))
	}
	w.do("ann", &state.CreateConversation{ID: "tea", Preset: state.PresetBasic, Rules: state.RulesRoles, Members: many})
	w.do("ann", &state.Mute{Conversation: "tea", Users: many[:4]})
	w.do("ann", &state.Mute{Conversation: "tea", Users: many[2:3], Millis: 60_000}) // not for ever: not on the list
	w.do("ann", &state.BlockMembers{Conversation: "tea", Users: []wire.UserID{"eve", "fay", "u4"}})
	page := func(user wire.UserID, q Listed) string {
		q.Conversation = "tea"
		a, err := w.ask(user, &Request{Listed: &q})
		if err != nil {
			return refusal(err).String()
		}
		return fmt.Sprint(a.Listed.Users, a.Listed.Next)
	}
	for _, c := range []struct {
		user wire.UserID
		q    Listed
		want string
	}{
		{"u0", Listed{List: ListMuted, Limit: 10}, "[u0 u1 u3] 0"},
		{"u0", Listed{List: ListMuted, Limit: 2}, "[u0 u1] 2"},
		{"u0", Listed{List: ListMuted, Limit: 2, Skip: 2}, "[u3] 0"},
		{"u0", Listed{List: ListMuted, Limit: 2, Skip: 9}, "[] 0"},
		{"u0", Listed{List: ListMuted, Of: []wire.UserID{"u3", "ann", "u0", "u2"}}, "[u3 u0] 0"},
		{"u0", Listed{List: ListBlocked, Limit: 10}, "[eve fay u4] 0"},
		{"", Listed{List: ListBlocked, Limit: 1, Skip: 1}, "[fay] 2"},
		{"u0", Listed{List: ListBlocked, Of: []wire.UserID{"u4", "u3"}}, "[u4] 0"},
		{"zoe", Listed{List: ListMuted, Limit: 10}, "not a member"},
		{"eve", Listed{List: ListMuted, Limit: 10}, "banned"},
	} {
		if got := page(c.user, c.q); got != c.want {
			t.Errorf("%q asks for %+v: %s, want %s", c.user, c.q, got, c.want)
		}
	}
	if _, err := w.ask("u0", &Request{Listed: &Listed{Conversation: "tea", List: "other"}}); err == nil {
		t.Error("a list that there is not is answered")
	}
}

func TestLM046_Blocks(t *testing.T) {
	w := newWorld(t)
	w.do("ann", &state.BlockConversation{User: "ann", Conversation: "tea"})
	w.do("ann", &state.BlockConversation{User: "ann", Conversation: "milk"})
	w.do("ann", &state.BlockConversation{User: "ann", Conversation: "tea", Unblock: true})
	if a := w.mustAsk("ann", &Request{Blocks: &Blocks{}}); fmt.Sprint(a.Blocks.Conversations) != "[milk]" {
		t.Errorf("ann blocks %v", a.Blocks.Conversations)
	}
}

// TestLM027_Since: what was told while one was away, from one's coming to one's
// leaving, and how far the other one came with what asked for receipts.
func TestLM027_Since(t *testing.T) {
	w := newWorld(t)
	w.do("ann", &state.CreateConversation{ID: "tea", Preset: state.PresetBasic, Rules: state.RulesOpen, Members: []wire.UserID{"ben"}})
	w.do("ann", &state.AddMembers{Conversation: "tea", Users: []wire.UserID{"cat"}})
	since := w.now
	update := func(name string) *state.UpdateConversation {
		return &state.UpdateConversation{
			ID: "tea", Changes: []state.Change{{Path: "name", Op: state.ChangeSet, Value: []byte(`"` + name + `"`)}}, Sent: []byte(`{"name":"` + name + `"}`),
		}
	}
	w.do("ann", update("a"))
	joined := w.do("ann", &state.AddMembers{Conversation: "tea", Users: []wire.UserID{"dan"}})
	w.do("ann", update("b"))
	left := w.do("cat", &state.RemoveMembers{Conversation: "tea", Users: []wire.UserID{"cat"}})
	w.do("ann", update("c"))
	told := func(user wire.UserID, in SinceIn) string {
		t.Helper()
		in.Conversation = "tea"
		a := w.mustAsk(user, &Request{Since: &Since{Since: since, Of: []SinceIn{in, {Conversation: "none"}}}})
		var all []string
		for _, e := range a.Since.Events {
			all = append(all, fmt.Sprintf("%s%v%s", e.Op, e.Members, e.Changed))
		}
		return strings.Join(all, " ")
	}
	for _, c := range []struct {
		user wire.UserID
		in   SinceIn
		want string
	}{
		{"ben", SinceIn{}, `updated[]{"name":"a"} members_joined[dan] updated[]{"name":"b"} members_left[cat] updated[]{"name":"c"}`},
		{"dan", SinceIn{}, `members_joined[dan] updated[]{"name":"b"} members_left[cat] updated[]{"name":"c"}`},
		{"cat", SinceIn{Left: left.Offset}, `updated[]{"name":"a"} members_joined[dan] updated[]{"name":"b"}`},
		{"cat", SinceIn{}, ""},
		{"zoe", SinceIn{}, ""},
	} {
		if got := told(c.user, c.in); got != c.want {
			t.Errorf("%s is told\n%s\nwant\n%s", c.user, got, c.want)
		}
	}
	if joined.Offset == 0 || left.Offset == 0 {
		t.Errorf("the offsets are %d and %d", joined.Offset, left.Offset)
	}
}

func TestLM067_ReceiptsSince(t *testing.T) {
	w := newWorld(t)
	w.pair()
	w.do("ann", &state.SendMessage{Conversation: "tea", Body: []byte("one"), Receipt: true})
	asked := w.do("ann", &state.SendMessage{Conversation: "tea", Body: []byte("two"), Receipt: true})
	plain := w.do("ann", &state.SendMessage{Conversation: "tea", Body: []byte("three")})
	since := w.now
	w.do("ben", &state.MoveCursors{Moves: []state.CursorMove{{Conversation: "tea", User: "ben", Delivered: plain.Seq}}})
	w.do("ben", &state.MoveCursors{Moves: []state.CursorMove{{Conversation: "tea", User: "ben", Read: plain.Seq}}})
	receipts := func(user wire.UserID, since int64) string {
		a := w.mustAsk(user, &Request{Since: &Since{Since: since, Of: []SinceIn{{Conversation: "tea"}}}})
		var all []string
		for _, e := range a.Since.Events {
			if e.Receipt != nil {
				all = append(all, fmt.Sprintf("%v by %s, read: %v", e.Receipt.Message == asked.MessageID, e.Receipt.From, e.Receipt.Read))
			}
		}
		return strings.Join(all, "; ")
	}
	if got, want := receipts("ann", since), "true by ben, read: false; true by ben, read: true"; got != want {
		t.Errorf("ann is told %q, want %q", got, want)
	}
	if got := receipts("ben", since) + receipts("ann", w.now); got != "" {
		t.Errorf("ben is told, or ann again: %q", got)
	}
}
