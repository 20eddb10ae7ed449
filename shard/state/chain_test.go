package state

import (
	"testing"

	"github.com/quorate/quorate/wire"
)

// TestChainSeesEverything sees to it that whatever two replicas may write
// differently makes their chains differ.
func TestChainSeesEverything(t *testing.T) {
	a, b := appendTable(nil, 7, tableMessage), appendTable(nil, 7, tableEntry)
	variants := map[string]func(*txn){
		"nothing":        func(*txn) {},
		"a row":          func(t *txn) { t.put(a, []byte{1, 2}) },
		"another value":  func(t *txn) { t.put(a, []byte{1, 3}) },
		"another key":    func(t *txn) { t.put(b, []byte{1, 2}) },
		"a longer key":   func(t *txn) { t.put(append(a, 1), []byte{2}) },
		"a delete":       func(t *txn) { t.delete(a) },
		"two rows":       func(t *txn) { t.put(a, []byte{1}); t.put(b, []byte{1}) },
		"another order":  func(t *txn) { t.put(b, []byte{1}); t.put(a, []byte{1}) },
		"a range":        func(t *txn) { t.deleteRange(a, b) },
		"a larger range": func(t *txn) { t.deleteRange(a, append(b, 0)) },
		"a row again":    func(t *txn) { t.put(a, []byte{1, 2}); t.put(a, []byte{1, 2}) },
	}
	seen := map[uint64]string{}
	link := func(name string, index, previous uint64, write func(*txn)) {
		s := newScript(t).state
		s.record.Chain = previous
		txn := newTxn(s)
		txn.beginEntry(index, 1000)
		write(txn)
		chain := txn.endEntry()
		if other, ok := seen[chain]; ok {
			t.Errorf("%s gives the same chain as %s", name, other)
		}
		seen[chain] = name
		if err := txn.reset(); err != nil {
			t.Fatal(err)
		}
	}
	for name, write := range variants {
		link(name, 1, 0, write)
	}
	link("another index", 2, 0, variants["a row"])
	link("another link before", 1, 1, variants["a row"])
}

// TestChainGolden guards the chain itself: replicas of two versions compare
// theirs, so it must not change.
func TestChainGolden(t *testing.T) {
	s := newScript(t)
	s.do(t, Header{Actor: "ann"}, &CreateConversation{ID: "tea", Preset: PresetBasic, Members: []wire.UserID{"bob"}})
	s.do(t, Header{Actor: "ann", Token: Token{N: 1}}, &SendMessage{Conversation: "tea", Body: []byte("one")})
	s.do(t, Header{Actor: "bob", Token: Token{Random: "r"}}, &SendMessage{Conversation: "tea", Body: []byte("two")})
	const want = uint64(0xd4c0064973e60e9)
	if got := s.state.Record().Chain; got != want {
		t.Errorf("the chain is %#x, want %#x", got, want)
	}
}
