package state

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/golden"
	"github.com/quorate/quorate/wire"
)

// TestGoldenSystem: a change of this file is a change of ids or of what is on
// disks.
func TestGoldenSystem(t *testing.T) {
	var b strings.Builder
	for _, user := range []wire.UserID{"ann", "Tom"} {
		id, _ := ThreadOf("5d3a9ff5c8dbcf0006d5d9c1", user)
		fmt.Fprintf(&b, "thread of %s: %s\n", user, id)
	}
	fmt.Fprintf(&b, "broadcasts: %s\n", BroadcastLog)
	fmt.Fprintf(&b, "broadcast: %x\n", WrapBroadcast(Broadcast{Service: "news", ValidTill: 1e12}, "text", []byte("hi")))
	golden.Check(t, "system", b.String())
}

func TestIDsOfThreads(t *testing.T) {
	long := wire.ConversationID(strings.Repeat("x", 44))
	for _, c := range []struct {
		service wire.ConversationID
		user    wire.UserID
		ok      bool
	}{
		{"news", "ann", true},
		{long[:43], "ann", true},
		{long, "ann", false},
		{"", "ann", false},
		{BroadcastLog, "ann", false},
		{"news~0123456789abcdef0123", "ann", false}, // of a thread there is none
	} {
		id, ok := ThreadOf(c.service, c.user)
		if ok != c.ok {
			t.Errorf("thread of %s with %q: %v, want %v", c.user, c.service, ok, c.ok)
			continue
		}
		if service, is := ServiceOf(id); is != ok || ok && service != c.service {
			t.Errorf("%s is a thread of %q, %v", id, service, is)
		}
		if err := wire.ValidID(string(id)); ok && err != nil {
			t.Errorf("%s %v", id, err)
		}
	}
	one, _ := ThreadOf("news", "ann")
	other, _ := ThreadOf("news", "ben")
	if one == other {
		t.Error("two users have one thread")
	}
	for _, id := range []wire.ConversationID{"news", BroadcastLog, "~0123456789abcdef0123", "news~short"} {
		if service, is := ServiceOf(id); is {
			t.Errorf("%s is a thread of %q", id, service)
		}
	}
}

// TestLM055_OnlyTheAppMakes: users make neither services nor threads nor
// broadcasts, and nobody takes the id of a thread for another thing.
func TestLM055_OnlyTheAppMakes(t *testing.T) {
	w := newWorld(t, 2)
	thread, _ := ThreadOf("news", "ann")
	for _, c := range []struct {
		actor  wire.UserID
		id     wire.ConversationID
		preset Preset
		want   Refusal
	}{
		{"ann", "news", PresetSystem, Forbidden},
		{"ann", thread, PresetThread, Forbidden},
		{"ann", BroadcastLog, PresetBroadcast, Forbidden},
		{"ann", thread, PresetBasic, Invalid},
		{"ann", BroadcastLog, PresetRoom, Invalid},
		{"", thread, PresetSystem, Invalid},
		{"", "news", PresetThread, Invalid},
		{"", "news", PresetBroadcast, Invalid},
		{"", "news", PresetSystem, None},
		{"", thread, PresetThread, None},
		{"", BroadcastLog, PresetBroadcast, None},
	} {
		if r := w.do(c.actor, &CreateConversation{ID: c.id, Preset: c.preset}); r.Refusal != c.want {
			t.Errorf("%q makes %s of preset %d: %v, want %v", c.actor, c.id, c.preset, r.Refusal, c.want)
		}
	}
}

// TestLM057_Thread: what a user and a service say to each other nobody else
// reads, and nobody comes or brings somebody.
func TestLM057_Thread(t *testing.T) {
	w := newWorld(t, 2)
	thread, _ := ThreadOf("news", "ann")
	w.done("", &CreateConversation{ID: thread, Preset: PresetThread, Members: []wire.UserID{"ann"}})
	up := w.done("ann", &SendMessage{Conversation: thread, Body: []byte("help")})
	w.done("", &SendMessage{Conversation: thread, From: "bot", Body: []byte("how?")})
	for name, c := range map[string]Command{
		"speaks":      &SendMessage{Conversation: thread, Body: []byte("hi")},
		"joins":       &AddMembers{Conversation: thread, Users: []wire.UserID{"eve"}},
		"changes":     &UpdateConversation{ID: thread, SetName: true, Name: "mine"},
		"takes back":  &RecallMessage{Conversation: thread, ID: up.MessageID},
		"takes apart": &DestroyConversation{ID: thread},
	} {
		if r := w.do("eve", c); r.Refusal == None && (len(r.Users) == 0 || r.Users[0].Refusal == None) {
			t.Errorf("eve %s", name)
		}
	}
	if r := w.do("ann", &AddMembers{Conversation: thread, Users: []wire.UserID{"eve"}}); r.Refusal == None && (len(r.Users) == 0 || r.Users[0].Refusal == None) {
		t.Error("ann brings eve")
	}
	st := w.ofConversation(thread)
	if _, err := st.CanRead(worldApp, thread, "eve"); err == nil {
		t.Error("eve may read ann's thread")
	}
	if page, err := st.History(HistoryQuery{App: worldApp, Conversation: thread, Reader: "ann", Limit: 10}); err != nil || len(page.Messages) != 2 {
		t.Errorf("ann reads %+v, %v", page, err)
	}
	if u, err := st.Unread(worldApp, thread, "ann"); err != nil || u.Count != 1 {
		t.Errorf("ann has %d unread, %v: want the answer alone", u.Count, err)
	}
}

func TestBroadcastWrapping(t *testing.T) {
	want := Broadcast{Service: "news", ValidTill: 1e12}
	m := &Message{Seq: 3, From: "bot", ContentType: BroadcastContent, Body: WrapBroadcast(want, "text", []byte("hi"))}
	b, shown, err := UnwrapBroadcast(m)
	if err != nil || b != want || string(shown.Body) != "hi" || shown.ContentType != "text" || shown.Seq != 3 || shown.From != "bot" {
		t.Errorf("%+v, %+v, %v", b, shown, err)
	}
	if m.ContentType != BroadcastContent {
		t.Error("the message itself was changed")
	}
	for name, m := range map[string]*Message{
		"recalled": {Recalled: true}, "another": {ContentType: "text", Body: m.Body}, "version": {ContentType: BroadcastContent, Body: []byte{2, 0, 0, 0}},
		"cut": {ContentType: BroadcastContent, Body: m.Body[:4]},
	} {
		if _, _, err := UnwrapBroadcast(m); err == nil {
			t.Errorf("%s: unwrapped", name)
		}
	}
}

func FuzzBroadcast(f *testing.F) {
	f.Add(WrapBroadcast(Broadcast{Service: "news", ValidTill: 1e12}, "text", []byte("hi")))
	f.Fuzz(func(t *testing.T, body []byte) {
		b, shown, err := UnwrapBroadcast(&Message{ContentType: BroadcastContent, Body: body})
		if err != nil {
			return
		}
		// A number may be written longer than it must be, so the forms are not compared.
		again := &Message{ContentType: BroadcastContent, Body: WrapBroadcast(b, shown.ContentType, shown.Body)}
		b2, shown2, err := UnwrapBroadcast(again)
		if err != nil || b2 != b || shown2.ContentType != shown.ContentType || !bytes.Equal(shown2.Body, shown.Body) {
			t.Errorf("%x became %+v and %+v, and that %+v and %+v, %v", body, b, shown, b2, shown2, err)
		}
	})
}

// TestBroadcastPlaces: places only go forward, and the beginning does not move.
func TestBroadcastPlaces(t *testing.T) {
	w := newWorld(t, 2)
	place := func(refusal Refusal, places ...BroadcastPlace) {
		t.Helper()
		if r := w.do("ann", &PlaceBroadcasts{User: "ann", Places: places}); r.Refusal != refusal {
			t.Errorf("%v: %v, want %v", places, r.Refusal, refusal)
		}
	}
	place(None, BroadcastPlace{PlaceBegin, 5}, BroadcastPlace{"news", 7})
	place(None, BroadcastPlace{PlaceBegin, 9}, BroadcastPlace{"news", 6}, BroadcastPlace{"shop", 0})
	place(None, BroadcastPlace{"news", 8}, BroadcastPlace{PlaceHanded, 8})
	place(Invalid, BroadcastPlace{"", 8})
	place(Limit, make([]BroadcastPlace, maxPlaces+1)...)
	if r := w.do("eve", &PlaceBroadcasts{User: "ann", Places: []BroadcastPlace{{"news", 99}}}); r.Refusal != Forbidden {
		t.Errorf("eve moves ann's places: %v", r.Refusal)
	}
	got, err := w.ofUser("ann").BroadcastPlaces(worldApp, "ann")
	want := []BroadcastPlace{{"news", 8}, {"shop", 0}, {PlaceBegin, 5}, {PlaceHanded, 8}}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
	for i := range maxPlacesKept / maxPlaces {
		var many []BroadcastPlace
		for j := range maxPlaces {
			many = append(many, BroadcastPlace{wire.ConversationID(fmt.Sprintf("s%d", i*maxPlaces+j)), 1})
		}
		want := None
		if i == maxPlacesKept/maxPlaces-1 {
			want = Limit
		}
		place(want, many...)
	}
	place(None, BroadcastPlace{"news", 10}) // one that is there still moves
}

// TestChosenIDs: the app, and nobody else, may choose a message's id, and the
// message is found by it until it is trimmed.
func TestChosenIDs(t *testing.T) {
	w := newWorld(t, 1)
	w.done("ann", &CreateConversation{ID: "tea", Preset: PresetBasic})
	if r := w.do("ann", &SendMessage{Conversation: "tea", Body: []byte("mine"), ID: "m1"}); r.Refusal != Forbidden {
		t.Errorf("a user chooses an id: %v", r.Refusal)
	}
	sent := w.done("", &SendMessage{Conversation: "tea", From: "bot", Body: []byte("hi"), ID: "m1"})
	if r := w.do("", &SendMessage{Conversation: "tea", Body: []byte("again"), ID: "m1"}); r.Refusal != Exists {
		t.Errorf("an id twice: %v", r.Refusal)
	}
	w.done("", &EditMessage{Conversation: "tea", ID: "m1", Body: []byte("hello")})
	m, err := w.shards[0].Message(worldApp, "tea", "m1", "ann")
	if err != nil || string(m.Body) != "hello" || m.Seq != sent.Seq || sent.MessageID != "m1" {
		t.Errorf("%+v, %v, sent as %+v", m, err, sent)
	}
	w.done("", &Trim{Conversation: "tea", Upto: sent.Seq})
	if _, err := w.shards[0].Message(worldApp, "tea", "m1", "ann"); err == nil {
		t.Error("found after it was trimmed")
	}
	if keys := w.shards[0].rows(t, tableImported); keys != 0 {
		t.Errorf("%d rows of ids are left", keys)
	}
}

// rows counts the rows of a table.
func (s *State) rows(t *testing.T, table byte) int {
	t.Helper()
	v, err := s.view()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for slot := range wire.Slots {
		prefix := appendTable(nil, wire.Slot(slot), table)
		v.scan(prefix, prefixEnd(prefix), func(_, _ []byte) bool {
			n++
			return true
		})
	}
	if err := v.close(); err != nil {
		t.Fatal(err)
	}
	return n
}
