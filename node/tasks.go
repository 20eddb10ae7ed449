package node

import "sync"

// tasks are goroutines that have ended before what they use is closed. Unlike
// with a WaitGroup, one that comes while they are waited for is harmless: it is
// not started. The zero value is ready to use.
type tasks struct {
	mu      sync.Mutex
	ended   bool
	running sync.WaitGroup
}

// Go starts work, and returns false when it is too late for that.
func (t *tasks) Go(work func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return false
	}
	t.running.Go(work)
	return true
}

// end waits for all of them, and starts none any more.
func (t *tasks) end() {
	t.mu.Lock()
	t.ended = true
	t.mu.Unlock()
	t.running.Wait()
}
