package cluster

import (
	"context"
	"sync"
	"sync/atomic"
)

// board shows the present table and tells when it is replaced.
type board struct {
	table atomic.Pointer[Table]

	mu struct {
		sync.Mutex
		changed chan struct{} // closed when the table is replaced
	}
}

func newBoard() *board {
	b := new(board)
	b.table.Store(newTable(&record{Version: recordVersion}))
	b.mu.changed = make(chan struct{})
	return b
}

// put replaces the table, then wakes who waits: whoever took the channel
// before it looked at the table misses nothing.
func (b *board) put(t *Table) {
	b.table.Store(t)
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.mu.changed)
	b.mu.changed = make(chan struct{})
}

func (b *board) changed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.changed
}

// wait returns when the table satisfies ok, when ctx is done, or when closed is.
func (b *board) wait(ctx context.Context, closed <-chan struct{}, ok func(*Table) bool) error {
	for {
		changed := b.changed()
		if ok(b.table.Load()) {
			return nil
		}
		select {
		case <-changed:
		case <-closed:
			return ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
