package virtual

import (
	"runtime"
	"sync"
	"testing"
	"time"
)

// TestDueAtOnce: timers that are due when they are set do not end the process,
// however many goroutines set them. On two processors the race detector ends with
// the first thousands of them.
func TestDueAtOnce(t *testing.T) {
	before := runtime.GOMAXPROCS(4)
	defer runtime.GOMAXPROCS(before)
	for range 2 {
		t.Run("in a bubble", func(t *testing.T) {
			Test(t, func(t *testing.T) {
				var all sync.WaitGroup
				for range 8 {
					all.Go(func() {
						for range 5000 {
							<-time.After(0)
						}
					})
				}
				all.Wait()
			})
		})
		if n := runtime.GOMAXPROCS(0); n != 4 {
			t.Errorf("%d processors after a bubble, there were 4", n)
		}
	}
}
