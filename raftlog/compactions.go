package raftlog

import (
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// compactions shares a number of compactions between the stores of a node.
// Each store may always run one, so a long one of the state never holds up the
// log; beyond that they share what is left.
//
// Pebble calls into it with a store's own mutex held, so its mutex is never
// held while a store is called.
type compactions struct {
	limit int

	mu struct {
		sync.Mutex
		running int
		stores  []*compactor
	}
}

// compactor is one store's side of it: what Pebble calls a CompactionScheduler.
type compactor struct {
	shared *compactions
	db     pebble.DBForCompaction // set by Register, before any other call
	poke   chan struct{}          // cap 1: somebody may be allowed to start
	stop   chan struct{}
	done   sync.WaitGroup

	running int  // guarded by shared.mu
	gone    bool // guarded by shared.mu
}

func newCompactions(limit int) *compactions { return &compactions{limit: limit} }

// join returns the scheduler for one more store.
func (s *compactions) join() *compactor {
	c := &compactor{shared: s, poke: make(chan struct{}, 1), stop: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.stores = append(s.mu.stores, c)
	return c
}

// pokeAll wakes the granters of all stores.
func (s *compactions) pokeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.mu.stores {
		c.wake()
	}
}

// Register implements pebble.CompactionScheduler. Unregister waits for the
// goroutine it starts.
func (c *compactor) Register(_ int, db pebble.DBForCompaction) {
	c.db = db
	c.done.Go(c.grant)
}

// Unregister implements pebble.CompactionScheduler.
func (c *compactor) Unregister() {
	c.shared.mu.Lock()
	c.gone = true
	c.shared.mu.Unlock()
	close(c.stop)
	c.done.Wait()
}

// TrySchedule implements pebble.CompactionScheduler.
func (c *compactor) TrySchedule() (bool, pebble.CompactionGrantHandle) {
	if !c.take() {
		return false, nil
	}
	return true, c
}

// UpdateGetAllowedWithoutPermission implements pebble.CompactionScheduler.
func (c *compactor) UpdateGetAllowedWithoutPermission() { c.wake() }

// Started implements pebble.CompactionGrantHandle.
func (c *compactor) Started() {}

// MeasureCPU implements pebble.CompactionGrantHandle.
func (c *compactor) MeasureCPU(pebble.CompactionGoroutineKind) {}

// CumulativeStats implements pebble.CompactionGrantHandle.
func (c *compactor) CumulativeStats(pebble.CompactionGrantHandleStats) {}

// Done implements pebble.CompactionGrantHandle.
func (c *compactor) Done() {
	c.give()
	c.shared.pokeAll()
}

// grant starts the compactions that had to wait, whenever one may start.
func (c *compactor) grant() {
	for {
		select {
		case <-c.stop:
			return
		case <-c.poke:
		}
		for c.take() {
			waiting, _ := c.db.GetWaitingCompaction()
			if !waiting || !c.db.Schedule(c) {
				c.give()
				break
			}
		}
	}
}

// take reserves a compaction, if one may start now.
func (c *compactor) take() bool {
	allowed := c.db.GetAllowedWithoutPermission()
	c.shared.mu.Lock()
	defer c.shared.mu.Unlock()
	if c.gone || c.running > 0 && (c.running >= allowed || c.shared.mu.running >= c.shared.limit) {
		return false
	}
	c.running++
	c.shared.mu.running++
	return true
}

// give returns a reserved compaction.
func (c *compactor) give() {
	c.shared.mu.Lock()
	defer c.shared.mu.Unlock()
	c.running--
	c.shared.mu.running--
}

func (c *compactor) wake() {
	select {
	case c.poke <- struct{}{}:
	default:
	}
}
