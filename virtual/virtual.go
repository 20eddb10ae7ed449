// Package virtual runs tests in virtual time: in the bubbles of testing/synctest,
// so that the race detector survives it.
//
// A timer of a bubble that is due when it is set fires on the goroutine that sets
// it, and under -race the runtime (Go 1.26) lets all such goroutines write to one
// context of the detector: two at once, on two processors, and the process ends with
// SIGSEGV or a failed CHECK inside ThreadSanitizer. So with -race there is one
// processor while any bubble is there. The detector finds races by what happens
// before what, not by meeting them, and the scheduler takes goroutines in random
// order under it.
package virtual

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
)

// processors are taken away while there is a bubble.
var processors struct { //nolint:gochecknoglobals // they are the process's
	mu      sync.Mutex
	bubbles int // guarded by mu
	before  int // guarded by mu; how many there were
}

// Test is synctest.Test.
func Test(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	if raced {
		enter()
		defer leave()
	}
	synctest.Test(t, test)
}

func enter() {
	processors.mu.Lock()
	defer processors.mu.Unlock()
	if processors.bubbles++; processors.bubbles == 1 {
		processors.before = runtime.GOMAXPROCS(1)
	}
}

func leave() {
	processors.mu.Lock()
	defer processors.mu.Unlock()
	if processors.bubbles--; processors.bubbles == 0 {
		runtime.GOMAXPROCS(processors.before)
	}
}
