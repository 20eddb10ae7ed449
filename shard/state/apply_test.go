package state

import (
	"fmt"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/wire"
)

// TestAppliedTells sees to it that the hook is told everything that reads
// return, with the form it had at that entry, and only after the commit.
func TestAppliedTells(t *testing.T) {
	var s *State
	var told []Applied
	db := openMem(t)
	s, err := Open(db, wire.SlotRange{Last: wire.Slots - 1}, Options{Applied: func(a Applied) {
		told = append(told, a)
		if got := s.Record().Applied; got < a.Index {
			t.Errorf("told of entry %d when %d is committed", a.Index, got)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	origin := Origin{Node: "n1", Session: 7, Request: 9}
	h := Header{App: "app", Actor: "ann", Origin: origin}
	id := wire.NewMessageID("tea", 1000, 1)
	entries := []LogEntry{
		entryOf(1, 1000, h, &CreateConversation{ID: "tea", Preset: PresetBasic}),
		{Index: 2, Term: 1},
		entryOf(3, 1000, h, &SendMessage{Conversation: "tea", Body: []byte("helo")}),
		entryOf(4, 1000, h, &EditMessage{Conversation: "tea", ID: id, Body: []byte("hello")}),
		entryOf(5, 1000, h, &SendMessage{Conversation: "pot", Body: []byte("refused")}),
	}
	if _, err := s.Apply(entries); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range told {
		line := fmt.Sprint(a.Index, ":")
		for _, e := range a.Appended {
			line += fmt.Sprintf(" (%d,%d] #%d", e.After, e.Offset, e.Seq)
			if e.Entry.Message != nil {
				line += " " + string(e.Entry.Message.Body)
			}
			if e.Origin != origin || e.Log != (LogKey{App: "app", Conversation: "tea"}) {
				t.Errorf("told of %+v in %+v", e.Origin, e.Log)
			}
		}
		got = append(got, line)
	}
	want := []string{"1: (0,1] #0 (1,2] #0", "2:", "3: (2,3] #1 helo", "4: (3,4] #1 hello", "5:"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

func entryOf(index uint64, stamp int64, h Header, c Command) LogEntry {
	return LogEntry{Index: index, Term: 1, Data: AppendEntry(nil, stamp, [][]byte{EncodeCommand(nil, h, c)})}
}

// TestScrub sees to it that a scrub hashes the slot as it was right after its
// entry, though later entries of the same call changed it, and that one flipped
// byte shows.
func TestScrub(t *testing.T) {
	slot := wire.SlotOf("app", "tea")
	h := Header{App: "app", Actor: "ann"}
	var entries []LogEntry
	add := func(c Command) { entries = append(entries, entryOf(uint64(len(entries)+1), 1000, h, c)) }
	add(&CreateConversation{ID: "tea", Preset: PresetBasic})
	add(&SendMessage{Conversation: "tea", Body: []byte("one")})
	add(&Scrub{Slots: wire.SlotRange{First: slot, Last: slot}, ID: 5})
	add(&SendMessage{Conversation: "tea", Body: []byte("two")})

	hashes := map[string]uint64{}
	for name, calls := range map[string][][]LogEntry{
		"at once":     {entries},
		"stopped":     {entries[:3]},
		"one by one":  {entries[:1], entries[1:2], entries[2:3], entries[3:]},
		"two by two ": {entries[:2], entries[2:]},
	} {
		hashes[name] = scrubbed(t, slot, calls, nil)
	}
	for name, hash := range hashes {
		if hash != hashes["stopped"] {
			t.Errorf("the hash is %x when applied %s, %x when stopped after the scrub", hash, name, hashes["stopped"])
		}
	}
	rot := scrubbed(t, slot, [][]LogEntry{entries[:2], entries[2:]}, func(s *State) {
		key := conversationScope("app", "tea").number(nil, tableMessage, 1)
		row := appendMessage(nil, &Message{Seq: 1, Body: []byte("0ne")})
		settle(t, s)
		if err := s.db.Set(key, row, pebble.NoSync); err != nil {
			t.Fatal(err)
		}
	})
	if rot == hashes["stopped"] {
		t.Error("a changed row does not change the hash")
	}
}

// scrubbed applies entries to a new state, with something done after the first
// call, and returns the scrub's hash.
func scrubbed(t *testing.T, slot wire.Slot, calls [][]LogEntry, then func(*State)) uint64 {
	t.Helper()
	var scrub *Scrub
	s, err := Open(openMem(t), wire.SlotRange{Last: wire.Slots - 1}, Options{ScrubAt: func(c *Scrub) { scrub = c }})
	if err != nil {
		t.Fatal(err)
	}
	for _, entries := range calls {
		if _, err := s.Apply(entries); err != nil {
			t.Fatal(err)
		}
		if then != nil {
			then(s)
			then = nil
		}
	}
	if scrub == nil || scrub.Slots.First != slot || scrub.ID != 5 || scrub.Index != 3 {
		t.Fatalf("scrub is %+v, want the one of entry 3", scrub)
	}
	hash, ok, err := scrub.Hash(func(int) bool { return true })
	if err != nil || !ok {
		t.Fatalf("Hash: %v, %v", ok, err)
	}
	if err := scrub.Close(); err != nil {
		t.Fatal(err)
	}
	return hash
}

// TestReadsWhileApplying reads from other goroutines while entries are applied:
// each page must be of one moment (under -race this also looks for races).
func TestReadsWhileApplying(t *testing.T) {
	s := newScript(t).state
	h := Header{App: "app", Actor: "ann"}
	if _, err := s.Apply([]LogEntry{entryOf(1, 1000, h, &CreateConversation{ID: "tea", Preset: PresetBasic})}); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				checkOneMoment(t, s)
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := range uint64(300) {
		if _, err := s.Apply([]LogEntry{entryOf(i+2, 1000, h, &SendMessage{Conversation: "tea", Body: []byte("x")})}); err != nil {
			t.Error(err)
			break
		}
	}
	close(done)
	readers.Wait()
}

func checkOneMoment(t *testing.T, s *State) {
	page, err := s.ReadLog(LogQuery{Log: LogKey{App: "app", Conversation: "tea"}, Reader: "ann", Limit: 1000})
	if err != nil {
		t.Error(err)
		return
	}
	if len(page.Entries) != int(page.Last) || page.Upto != page.Last || page.Seq != wire.Seq(page.Last)-2 {
		t.Errorf("%d entries up to %d of %d, seq %d", len(page.Entries), page.Upto, page.Last, page.Seq)
	}
	history, err := s.History(HistoryQuery{App: "app", Conversation: "tea", Reader: "ann", Limit: 1})
	if err != nil {
		t.Error(err)
		return
	}
	if len(history.Messages) > 0 && history.Messages[0].Seq != history.Last {
		t.Errorf("the last message is %d, want %d", history.Messages[0].Seq, history.Last)
	}
}
