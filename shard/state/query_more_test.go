package state

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/wire"
)

// TestEachDetail: a scan comes by every conversation of the app that is
// there, once, from wherever it goes on, over all shards.
func TestEachDetail(t *testing.T) {
	w := newWorld(t, 3)
	want := map[wire.ConversationID]bool{}
	for i := range 60 {
		id := wire.ConversationID(fmt.Sprint("c", i))
		if i > 50 {
			id = beside(wire.ConversationID(fmt.Sprint("c", i-20)))
		}
		w.done("ann", &CreateConversation{ID: id, Preset: PresetBasic, Members: []wire.UserID{"bob"}})
		w.done("ann", &SendMessage{Conversation: id, Body: []byte(id)})
		if want[id] = i%7 != 0; !want[id] {
			w.done("ann", &DestroyConversation{ID: id})
			delete(want, id)
		}
		other := Header{App: "zoo", Actor: "ann"}
		c := &CreateConversation{ID: id, Preset: PresetBasic}
		w.at(w.shardOf(CommandSlot(other, c)), other, c)
	}
	w.done("bob", &Quiet{Conversation: "c1", Users: []wire.UserID{"bob"}})
	for _, page := range []int{1, 7, 100} {
		got := map[wire.ConversationID]bool{}
		for _, s := range w.shards {
			var after wire.ConversationID
			for {
				n := 0
				err := s.EachDetail(worldApp, after, WithMembers|WithQuiet|WithLastMessage, func(d ConversationDetail) bool {
					if got[d.ID] {
						t.Errorf("%s comes twice", d.ID)
					}
					if d.Last == nil || string(d.Last.Body) != string(d.ID) || len(d.Members) != 2 || (len(d.Quiet) == 1) != (d.ID == "c1") {
						t.Errorf("%s has members %v, of them quiet %v, and %v", d.ID, d.Members, d.Quiet, d.Last)
					}
					got[d.ID], after = true, d.ID
					n++
					return n < page
				})
				if err != nil {
					t.Fatal(err)
				}
				if n < page {
					break
				}
			}
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("in pages of %d (-want +got):\n%s", page, diff)
		}
	}
	one, err := w.ofConversation("c1").ConversationDetail(worldApp, "c1", WithMembers)
	if err != nil || len(one.Members) != 2 || one.Last != nil || one.Quiet != nil {
		t.Errorf("one conversation's detail is %+v, %v", one, err)
	}
	if _, err := w.ofConversation("c0").ConversationDetail(worldApp, "c0", 0); err == nil {
		t.Error("a conversation that is gone has a detail")
	}
}

// beside returns the id of a conversation in the slot after another one's.
func beside(id wire.ConversationID) wire.ConversationID {
	for i := 0; ; i++ {
		next := wire.ConversationID(fmt.Sprint("beside", i))
		if wire.SlotOf(worldApp, string(next)) == wire.SlotOf(worldApp, string(id))+1 {
			return next
		}
	}
}

// TestAppMessages compares pages of an app's messages with all that were sent, in
// both directions, with bounds and page sizes that chance draws.
func TestAppMessages(t *testing.T) {
	w := newWorld(t, 2)
	rng := rand.New(rand.NewPCG(1, 2))
	start := w.stamp
	sent := make([][]AppMessage, 2)
	for i := range 6 {
		w.done("ann", &CreateConversation{ID: wire.ConversationID(fmt.Sprint("c", i)), Preset: PresetBasic})
	}
	for i := range 300 {
		w.stamp += rng.Int64N(3)
		switch rng.IntN(20) {
		case 0:
			w.stamp += rng.Int64N(2 * dayMillis)
		case 1:
			w.stamp = (w.stamp/dayMillis + 1) * dayMillis // the first moment of a day
		case 2:
			w.stamp = (w.stamp/dayMillis+1)*dayMillis - 1 // and the last one
		}
		id := wire.ConversationID(fmt.Sprint("c", rng.IntN(6)))
		r := w.done("ann", &SendMessage{Conversation: id, Body: fmt.Append(nil, i)})
		if rng.IntN(20) == 0 {
			w.done("", &DeleteMessage{Conversation: id, ID: r.MessageID})
			continue
		}
		at := w.shardOf(wire.SlotOf(worldApp, string(id)))
		sent[at] = append(sent[at], AppMessage{Conversation: id, Message: &Message{ID: r.MessageID, Timestamp: r.Timestamp}})
	}
	w.done("", &Trim{Conversation: "c0", Upto: 10})
	w.done("ann", &DestroyConversation{ID: "c1"})
	for i, s := range w.shards {
		sent[i] = slices.DeleteFunc(sent[i], func(m AppMessage) bool {
			seq, _ := m.ID.Seq(m.Conversation)
			return m.Conversation == "c1" || m.Conversation == "c0" && seq <= 10
		})
		slices.SortFunc(sent[i], func(a, b AppMessage) int {
			return cmp.Or(cmp.Compare(a.Timestamp, b.Timestamp), strings.Compare(string(a.ID), string(b.ID)))
		})
		for range 100 {
			q := AppMessagesQuery{App: worldApp, NewestFirst: rng.IntN(2) == 0, Limit: 1 + rng.IntN(50)}
			if rng.IntN(2) == 0 {
				q.From = start + rng.Int64N(w.stamp-start)
			}
			if rng.IntN(2) == 0 {
				q.Upto = start + rng.Int64N(w.stamp-start+dayMillis)
			}
			checkAppMessages(t, s, q, sent[i])
		}
	}
}

func checkAppMessages(t *testing.T, s *State, q AppMessagesQuery, sent []AppMessage) {
	t.Helper()
	var want, got []string
	for _, m := range sent {
		if m.Timestamp >= q.From && (q.Upto == 0 || m.Timestamp <= q.Upto) {
			want = append(want, fmt.Sprint(m.Conversation, " ", m.ID))
		}
	}
	if q.NewestFirst {
		slices.Reverse(want)
	}
	for pages := 0; ; pages++ {
		page, err := s.AppMessages(q)
		if err != nil || len(page.Messages) > q.Limit || pages > 400 {
			t.Fatalf("page %d of %+v has %d messages, %v", pages, q, len(page.Messages), err)
		}
		for _, m := range page.Messages {
			got = append(got, fmt.Sprint(m.Conversation, " ", m.ID))
		}
		if !page.More {
			break
		}
		q.After = &page.Next
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Fatalf("%+v (-want +got):\n%s", q, diff)
	}
}

// TestLM027_LogSince: who knows up to when he has seen the changes and patches of
// a conversation gets those that he has not, the newest of them, as they are now.
func TestLM027_LogSince(t *testing.T) {
	s := newScript(t)
	do := func(h Header, c Command) Result {
		t.Helper()
		r := s.do(t, h, c)
		if r.Refusal != None {
			t.Fatalf("%T: %v", c, r)
		}
		return r
	}
	ann := Header{Actor: "ann"}
	do(ann, &CreateConversation{ID: "c", Preset: PresetBasic, Members: []wire.UserID{"bob"}})
	one := do(ann, &SendMessage{Conversation: "c", Body: []byte("one")})
	two := do(ann, &SendMessage{Conversation: "c", Body: []byte("two")})
	// All in one millisecond: the times must differ all the same.
	times := []int64{
		do(ann, &EditMessage{Conversation: "c", ID: one.MessageID, Body: []byte("uno")}).Timestamp,
		do(ann, &EditMessage{Conversation: "c", ID: two.MessageID, Body: []byte("due")}).Timestamp,
		do(ann, &UpdateConversation{ID: "c", SetName: true, Name: "x"}).Timestamp,
		do(ann, &EditMessage{Conversation: "c", ID: one.MessageID, Body: []byte("eins")}).Timestamp,
		do(Header{}, &Mute{Conversation: "c", Users: []wire.UserID{"bob"}}).Timestamp,
		do(ann, &AddMembers{Conversation: "c", Users: []wire.UserID{"cat"}}).Timestamp,
		do(ann, &SetRole{Conversation: "c", User: "cat", Role: RoleManager}).Timestamp,
		do(ann, &BlockMembers{Conversation: "c", Users: []wire.UserID{"cat"}}).Timestamp,
	}
	kinds := []EntryKind{
		EntryEdited, EntryEdited, EntryUpdated, EntryEdited, EntryMuted, EntryMembersAdded, EntryRoleChanged, EntryBanned, EntryMembersRemoved,
	}
	for i, since := range times {
		if i > 0 && since <= times[i-1] {
			t.Errorf("change %d has the time %d after %d", i, since, times[i-1])
		}
		entries, err := s.state.LogSince(scriptApp, "c", since, 100)
		if err != nil {
			t.Fatal(err)
		}
		want := kinds[i+1:]
		if i == len(times)-1 {
			want = nil // the last command made two entries, of one time
		}
		var got []EntryKind
		for _, e := range entries {
			got = append(got, e.Kind)
			if e.Target == one.Seq && string(e.Message.Body) != "eins" {
				t.Errorf("an edit of the first message shows it as %q", e.Message.Body)
			}
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("since %d (-want +got):\n%s", since, diff)
		}
	}
	if entries, err := s.state.LogSince(scriptApp, "c", 0, 2); err != nil || len(entries) != 2 || entries[1].Kind != EntryMembersRemoved {
		t.Errorf("the newest two are %v, %v", entries, err)
	}
	if edits, err := s.state.LogSince(scriptApp, "c", times[0], 1, EntryEdited, EntryRecalled); err != nil || len(edits) != 1 || edits[0].Stamp != times[3] {
		t.Errorf("the newest edit is %v, %v", edits, err)
	}
	c, err := s.state.Conversation(scriptApp, "c")
	if err != nil || c.Updated != times[7] || c.Patched != times[3] {
		t.Errorf("updated at %d and patched at %d, want %d and %d; %v", c.Updated, c.Patched, times[7], times[3], err)
	}
}

// TestUserLogSince: the newest entries of a user's log after a time.
func TestUserLogSince(t *testing.T) {
	w := newWorld(t, 2)
	for i := range 5 {
		w.stamp += 10
		w.done("ann", &CreateConversation{ID: wire.ConversationID(fmt.Sprint("c", i)), Preset: PresetBasic, Members: []wire.UserID{"bob"}})
		w.settle()
	}
	for _, tc := range []struct {
		since int64
		limit int
		want  []wire.Offset
	}{
		{0, 100, []wire.Offset{1, 2, 3, 4, 5}},
		{0, 2, []wire.Offset{4, 5}},
		{w.stamp - 10, 100, []wire.Offset{5}},
		{w.stamp - 11, 100, []wire.Offset{4, 5}},
		{w.stamp, 100, nil},
	} {
		entries, err := w.ofUser("bob").UserLogSince(worldApp, "bob", tc.since, tc.limit)
		var got []wire.Offset
		for _, e := range entries {
			got = append(got, e.Offset)
		}
		if diff := gocmp.Diff(tc.want, got); diff != "" || err != nil {
			t.Errorf("since %d, %d at most: %v (-want +got):\n%s", tc.since, tc.limit, err, diff)
		}
	}
}
