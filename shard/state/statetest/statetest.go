// Package statetest gives tests a real state in memory, which is changed without
// raft: what a test does is applied at once, as the only replica would apply it.
package statetest

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// State is the state of a shard that owns all slots. One goroutine at a time
// changes it; any number may ask it.
type State struct {
	*state.State

	index uint64 // of the last entry
}

// Open makes an empty state. It is closed after everything for whose end the test
// asks from here on.
func Open(t testing.TB, opts state.Options) *State {
	t.Helper()
	db, err := pebble.Open("", &pebble.Options{FS: vfs.NewMem(), DisableWAL: true, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	st, err := state.Open(db, wire.SlotRange{Last: wire.Slots - 1}, opts)
	if err != nil {
		t.Fatal(err)
	}
	return &State{State: st}
}

// Do applies a command as the next entry. The stamp is in milliseconds since 1970.
// A refusal is in the result.
func (s *State) Do(stamp int64, h state.Header, c state.Command) (state.Result, error) {
	return s.DoEncoded(stamp, state.EncodeCommand(nil, h, c))
}

// DoEncoded applies an encoded command as the next entry.
func (s *State) DoEncoded(stamp int64, command []byte) (state.Result, error) {
	s.index++
	results, err := s.Apply([]state.LogEntry{{Index: s.index, Term: 1, Data: state.AppendEntry(nil, stamp, [][]byte{command})}})
	if err != nil {
		return state.Result{}, err
	}
	return results[0][0], nil
}

// MustDo applies a command as the next entry, and ends the test if that fails or is
// refused.
func (s *State) MustDo(t testing.TB, stamp int64, h state.Header, c state.Command) state.Result {
	t.Helper()
	r, err := s.Do(stamp, h, c)
	if err != nil {
		t.Fatal(err)
	}
	if r.Refusal != state.None {
		t.Fatalf("%T: %v", c, r.Refusal)
	}
	return r
}

// quiet is a Pebble logger that says nothing unless it is the end.
type quiet struct{}

func (quiet) Infof(string, ...any)           {}
func (quiet) Errorf(string, ...any)          {}
func (quiet) Fatalf(format string, a ...any) { panic(fmt.Sprintf(format, a...)) }
