package history

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/virtual"
	"github.com/quorate/quorate/wire"
)

// TestWriteAndRead: what is written is read again, byte by byte and value by
// value.
func TestWriteAndRead(t *testing.T) {
	h := &History{
		Events: []Event{
			{Op: OpPhase, At: 1, Until: 1, Text: PhaseFaults},
			{
				Op: OpSend, At: 2, Until: 5, Outcome: OK, Client: "ann#1", User: "ann", Node: "n1", Conversation: "tea", Try: 1,
				Message: &Message{ID: "m", Seq: 7, Offset: 9, From: "ann", Time: 3, Body: "a.1", Targets: []wire.UserID{"bob"}, Mentions: []wire.UserID{Everybody}},
			},
			{Op: OpPush, At: 6, Until: 6, Client: "bob#1", Page: &Page{Entries: []Entry{{Offset: 9, Kind: EntryRemoved, Users: []wire.UserID{"bob"}}}}},
			{Op: OpUnread, At: 6, Until: 7, Outcome: Refused, Error: "not_member", State: &State{Unread: &Count{Count: 3, Read: 1, Last: 4}}},
			{Op: OpLeads, At: 8, Until: 8, Node: "n2", Raft: &Raft{Shard: 3, Term: 2}},
		},
		Replicas: []Replica{{Node: "n1", Shard: 3, Applied: 12, Chain: 1<<64 - 1, Conversations: []Log{{Conversation: "tea", LastSeq: 1, Messages: []Message{{Seq: 1}}}}}},
	}
	var first, second bytes.Buffer
	if err := h.Write(&first); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(first.String(), "\n"); lines != 6 {
		t.Errorf("%d lines, want one for each of 5 events and 1 replica", lines)
	}
	again, err := Read(bytes.NewReader(first.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(h, again); diff != "" {
		t.Errorf("read again (-written +read):\n%s", diff)
	}
	if err := again.Write(&second); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Errorf("written again it is another text (%v)", err)
	}
	if _, err := Read(strings.NewReader("{\"event\":{\"op\":\"send\"}}\n{nonsense")); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("nonsense is read with %v, want an error that names line 2", err)
	}
}

func TestRecorder(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		r := NewRecorder()
		time.Sleep(time.Second)
		began := r.Now()
		time.Sleep(time.Second)
		r.Add(Event{Op: OpSend, At: began, Outcome: OK})
		before := r.History()
		r.Note("n1", "dies %d times", 2)
		r.Leads("n2", 3, 4)
		r.Replica(Replica{Node: "n1"})
		if len(before.Events) != 1 || len(before.Replicas) != 0 {
			t.Errorf("an earlier history has grown to %+v", before)
		}
		h := r.History()
		want := []Event{
			{Op: OpSend, At: time.Second, Until: 2 * time.Second, Outcome: OK},
			{Op: OpNote, At: 2 * time.Second, Until: 2 * time.Second, Node: "n1", Text: "dies 2 times"},
			{Op: OpLeads, At: 2 * time.Second, Until: 2 * time.Second, Node: "n2", Raft: &Raft{Shard: 3, Term: 4}},
		}
		if diff := cmp.Diff(want, h.Events); diff != "" || len(h.Replicas) != 1 {
			t.Errorf("%d replicas and (-want +got):\n%s", len(h.Replicas), diff)
		}
	})
}

func TestText(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{"a.1", "a.1"},
		{"", ""},
		{Pad("a.1", 0), "a.1+0"},
		{Pad("a.1", 300), "a.1+300"},
		{"a.1 xxyx", "a.1 xxyx"}, // damaged
		{"a.1+300", "a.1+300"},
	} {
		if got := Text([]byte(c.body)); got != c.want {
			t.Errorf("Text(%q) = %q, want %q", c.body, got, c.want)
		}
	}
}
