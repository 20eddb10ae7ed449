package state

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/quorate/quorate/wire"
)

// TestGathered: what Apply has gathered is not in the store, but every query
// sees it; Settle hands it over, and a state that is opened before that is at
// what the store has and can apply the rest again.
func TestGathered(t *testing.T) {
	db := openMem(t)
	open := func() *State {
		s, err := Open(db, wire.SlotRange{Last: wire.Slots - 1}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	apply := func(s *State, index uint64, c Command) {
		t.Helper()
		data := AppendEntry(nil, scriptStart, [][]byte{EncodeCommand(nil, Header{App: scriptApp, Actor: "ann"}, c)})
		results, err := s.Apply([]LogEntry{{Index: index, Term: 1, Data: data}})
		if err != nil || results[0][0].Refusal != None {
			t.Fatal(results, err)
		}
	}
	stored := func() uint64 {
		t.Helper()
		v, closer, err := db.Get(RecordKey(wire.SlotRange{Last: wire.Slots - 1}))
		if errors.Is(err, pebble.ErrNotFound) {
			return 0
		}
		if err != nil {
			t.Fatal(err)
		}
		r, err := DecodeRecord(v)
		if err = errors.Join(err, closer.Close()); err != nil {
			t.Fatal(err)
		}
		return r.Applied
	}
	send := &SendMessage{Conversation: "tea", Body: []byte("hi")}

	s := open()
	apply(s, 1, &CreateConversation{ID: "tea", Preset: PresetBasic})
	settle(t, s)
	apply(s, 2, send)
	apply(s, 3, send)
	if s.Record().Applied != 3 || stored() != 1 {
		t.Errorf("the state is at %d and the store at %d, want 3 and 1", s.Record().Applied, stored())
	}
	again := open()
	if again.Record().Applied != 1 {
		t.Errorf("opened anew it is at %d, want 1", again.Record().Applied)
	}
	apply(again, 2, send)
	apply(again, 3, send)
	if s.Record().Chain != again.Record().Chain {
		t.Error("applied again it has another chain")
	}
	c, err := s.Conversation(scriptApp, "tea")
	if err != nil || c.LastSeq != 2 {
		t.Errorf("a query sees %+v, %v, want two messages", c, err)
	}
	if stored() != 3 {
		t.Errorf("after a query the store is at %d, want 3", stored())
	}
}

// TestGatheredIsBounded: a state that nobody reads does not gather for ever.
func TestGatheredIsBounded(t *testing.T) {
	s := newScript(t)
	s.do(t, Header{Actor: "ann"}, &CreateConversation{ID: "tea", Preset: PresetBasic})
	most := 0
	for i := range uint64(5000) {
		data := AppendEntry(nil, s.now, [][]byte{EncodeCommand(nil, Header{App: scriptApp, Actor: "ann", Token: Token{N: i + 1}},
			&SendMessage{Conversation: "tea", Body: make([]byte, 100)})})
		if _, err := s.state.Apply([]LogEntry{{Index: i + 2, Term: 1, Data: data}}); err != nil {
			t.Fatal(err)
		}
		most = max(most, s.state.txn.own.bytes)
	}
	if most > 65<<10 || most < 32<<10 {
		t.Errorf("up to %d bytes were gathered, want about 64 KiB", most)
	}
}

// TestViewWaitsForItsRows: a view that does not show the entry the state is at
// is not used.
func TestViewWaitsForItsRows(t *testing.T) {
	s := newScript(t)
	s.do(t, Header{Actor: "ann"}, &CreateConversation{ID: "tea", Preset: PresetBasic})
	settle(t, s.state)
	old, _, err := s.state.open()
	if err != nil {
		t.Fatal(err)
	}
	if err := old.close(); err != nil {
		t.Fatal(err)
	}
	calls := 0
	s.state.settle = func() (uint64, error) {
		calls++
		return 2, nil // one entry more than the store has
	}
	if _, err := s.state.Conversation(scriptApp, "tea"); err == nil || calls != 1 {
		t.Errorf("the query answers %v, want an error: its rows are too old", err)
	}
}
