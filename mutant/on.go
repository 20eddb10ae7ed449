//go:build mutants

package mutant

import (
	"bytes"
	"os"
	"sync"
	"time"
)

// chosen never changes: a process has one bug, or none. It is read with the
// first question, so that go test knows that its result depends on it.
//
//nolint:gochecknoglobals // of the process, like its environment
var chosen = sync.OnceValue(func() Mutant {
	name := os.Getenv(Env)
	m, ok := Parse(name)
	if !ok && name != "" {
		panic(Env + " names no mutant: " + name)
	}
	return m
})

// On tells whether a bug is planted.
func On(m Mutant) bool { return m == chosen() }

// Chosen returns the planted bug, or None.
func Chosen() Mutant { return chosen() }

// TokenRow tells whether a row of the state remembers the answer to a command,
// by the byte of its table (shard/state/key.go).
func TokenRow(key []byte) bool {
	return len(key) > 2 && bytes.IndexByte([]byte{0x1c, 0x1d, 0x44, 0x45}, key[2]) >= 0
}

// Pause lets time pass between two writes that should have been one, as it does
// in a real program: in a simulation, in which no goroutine is interrupted,
// nothing else could come between them.
func Pause() { time.Sleep(time.Millisecond) }
