package shard

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/quorate/quorate/shard/state"
)

// entryOverhead is about what an entry costs in the raft log beside its data.
const entryOverhead = 32

// progress is how far apply has come: what readers wait for, what the
// snapshot policy counts, and the checkpoints of the hash chain.
type progress struct {
	applied atomic.Uint64 // index of the last entry that the machine applied

	mu struct {
		sync.Mutex
		moved       chan struct{} // closed at the next advance; nil while nobody waits
		logBytes    int64         // of log since the last snapshot
		meanBytes   float64       // of an entry, moving
		checkpoints ring
	}

	snapshotBytes int64
	snapshotDue   chan struct{} // holds a signal while logBytes is at snapshotBytes or more
}

func newProgress(snapshotBytes int64) *progress {
	return &progress{snapshotBytes: snapshotBytes, snapshotDue: make(chan struct{}, 1)}
}

// enterBlock notes the chain at the border before the block of that index, if
// the entry is the first of its block that is applied.
func (p *progress) enterBlock(index uint64, record func() state.Record) {
	if blockOf(index) == blockOf(p.applied.Load()) {
		return
	}
	at := record()
	border := blockOf(index) * checkpointEvery
	if at.Applied == 0 || at.Applied > border {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.checkpoints.add(Checkpoint{Index: border, Chain: at.Chain})
}

// advance notes that entries up to the index were applied.
func (p *progress) advance(index uint64, entries, bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if index <= p.applied.Load() {
		return // raft shows old entries again after a start
	}
	p.setAppliedLocked(index)
	const weight = 1.0 / 256
	for range min(entries, 256) {
		p.mu.meanBytes += (float64(bytes)/float64(entries) - p.mu.meanBytes) * weight
	}
	p.mu.logBytes += int64(bytes)
	p.checkDueLocked()
}

// installed notes that the rows were replaced by those at an index. The raft
// log is empty now.
func (p *progress) installed(index uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.setAppliedLocked(index)
	p.mu.logBytes = 0
}

func (p *progress) setAppliedLocked(index uint64) {
	p.applied.Store(index)
	if p.mu.moved != nil {
		close(p.mu.moved)
		p.mu.moved = nil
	}
}

func (p *progress) checkDueLocked() {
	if p.mu.logBytes < p.snapshotBytes {
		return
	}
	select {
	case p.snapshotDue <- struct{}{}:
	default:
	}
}

// begin sets where a replica starts: at an applied index, with an estimate of
// the log that is not covered by a snapshot.
func (p *progress) begin(applied uint64, meanBytes float64, logBytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.applied.Store(applied)
	p.mu.meanBytes, p.mu.logBytes = meanBytes, logBytes
	p.checkDueLocked()
}

// mean returns how large entries are lately, in bytes, never 0.
func (p *progress) mean() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(p.mu.meanBytes, 1)
}

// pendingBytes returns how much log was written since the last snapshot.
func (p *progress) pendingBytes() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.logBytes
}

// snapshotTaken takes back what was counted when the snapshot began.
func (p *progress) snapshotTaken(covered int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.logBytes = max(0, p.mu.logBytes-covered)
}

// wait returns once the index is applied.
func (p *progress) wait(ctx context.Context, index uint64) error {
	for {
		moved := p.watch(index)
		if moved == nil {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// watch returns nil if the index is applied, else a channel that is closed at
// the next advance.
func (p *progress) watch(index uint64) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.applied.Load() >= index {
		return nil
	}
	if p.mu.moved == nil {
		p.mu.moved = make(chan struct{})
	}
	return p.mu.moved
}

// checkpoints returns those that are kept, oldest first.
func (p *progress) checkpoints() []Checkpoint {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.checkpoints.list()
}

// recheck signals again that a snapshot is due, if it is.
func (p *progress) recheck() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.checkDueLocked()
}
