package raftlog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/hashicorp/raft"
)

// ErrHole is the cause when the state on the disk ends before the log begins:
// entries are missing, and the replica must be made anew from the others.
var ErrHole = errors.New("raftlog: the state ends before the log begins")

// errMisuse is the cause when raft asks for what would damage the log.
var errMisuse = errors.New("raftlog: refused")

// Group is one shard's raft log and stable state.
//
// Raft appends from one goroutine and may delete old entries from another; any
// number may read.
type Group struct {
	*Votes

	stores  *Stores
	shard   uint32
	backlog atomic.Pointer[func() int64]

	mu struct {
		sync.Mutex
		span             // of the entries on the disk
		recent ring      // the last of them
		floor  *position // what the state on the disk has reached; nil when nobody tells
		reset  *reset    // an install that raft has not yet cleared the log for
	}
}

// position is a place in the raft log.
type position struct{ index, term uint64 }

// reset is where an installed state ends.
type reset struct {
	position
	agrees bool // the log had that entry
}

// span is a range of indexes, both included; last is 0 when it is empty.
type span struct{ first, last uint64 }

var (
	_ raft.LogStore          = (*Group)(nil)
	_ raft.MonotonicLogStore = (*Group)(nil)
	_ raft.StableStore       = (*Group)(nil)
)

func openGroup(s *Stores, shard uint32) (*Group, error) {
	g := &Group{Votes: GuardVotes(&stable{stores: s, shard: shard}), stores: s, shard: shard}
	err := s.read(func() (err error) {
		g.mu.span, err = g.loadSpan()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open the raft log of shard %d: %w", shard, err)
	}
	return g, nil
}

func (g *Group) loadSpan() (span, error) {
	lower, upper := entryBounds(g.shard)
	it, err := g.stores.log.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return span{}, err
	}
	var found span
	if it.First() {
		found.first = indexOf(it.Key())
	}
	if it.Last() {
		found.last = indexOf(it.Key())
	}
	return found, it.Close()
}

// SetBacklog tells where to ask how many bytes are committed and not yet
// applied. While that is more than Options.BacklogBytes, StoreLogs waits, for
// at most Options.BacklogWait, so that a slow disk slows acknowledgements and
// not the next failover. Only committed entries may count: others are applied
// only if StoreLogs returns.
func (g *Group) SetBacklog(bytes func() int64) { g.backlog.Store(&bytes) }

// IsMonotonic implements raft.MonotonicLogStore: the log has no gap, and raft
// clears it after an install.
func (g *Group) IsMonotonic() bool { return true }

// FirstIndex implements raft.LogStore.
func (g *Group) FirstIndex() (uint64, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mu.first, nil
}

// LastIndex implements raft.LogStore.
func (g *Group) LastIndex() (uint64, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mu.last, nil
}

// GetLog implements raft.LogStore.
func (g *Group) GetLog(index uint64, log *raft.Log) error {
	g.mu.Lock()
	recent := g.mu.recent.get(index)
	there := g.mu.last != 0 && index >= g.mu.first && index <= g.mu.last
	g.mu.Unlock()
	if recent != nil {
		g.stores.counters.recentHits.Add(1)
		*log = *recent
		return nil
	}
	if !there {
		return raft.ErrLogNotFound
	}
	g.stores.counters.recentMisses.Add(1)
	return g.stores.read(func() error { return g.load(index, log) })
}

// load reads an entry from the disk. It may have been deleted meanwhile.
func (g *Group) load(index uint64, log *raft.Log) error {
	value, closer, err := g.stores.log.Get(entryKey(g.shard, index))
	if errors.Is(err, pebble.ErrNotFound) {
		return raft.ErrLogNotFound
	}
	if err != nil {
		return fmt.Errorf("read entry %d of shard %d: %w", index, g.shard, err)
	}
	err = decodeEntry(index, value, log)
	return errors.Join(err, closer.Close())
}

// StoreLog implements raft.LogStore.
func (g *Group) StoreLog(log *raft.Log) error { return g.StoreLogs([]*raft.Log{log}) }

// StoreLogs implements raft.LogStore. The entries are on the disk when it
// returns; the store keeps them, so they must not be changed afterwards.
func (g *Group) StoreLogs(logs []*raft.Log) error {
	if len(logs) == 0 {
		return nil
	}
	if err := g.checkAppend(logs); err != nil {
		return g.stores.fate.fail(err)
	}
	if backlog := g.backlog.Load(); backlog != nil {
		g.stores.awaitBacklog(*backlog)
	}
	bytes, err := g.append(logs)
	if err != nil {
		return err
	}
	g.stores.counters.appended(len(logs), bytes)

	// Only now may the entries be seen: a cache filled before the commit would
	// serve what a crash takes away.
	limit := g.stores.recentLimit()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mu.reset = nil
	if g.mu.last == 0 {
		g.mu.first = logs[0].Index
	}
	g.mu.last = logs[len(logs)-1].Index
	for _, l := range logs {
		g.mu.recent.add(l, limit)
	}
	return nil
}

// checkAppend refuses entries that would leave a gap or replace others.
func (g *Group) checkAppend(logs []*raft.Log) error {
	g.mu.Lock()
	next := g.mu.last + 1
	if g.mu.last == 0 {
		next = logs[0].Index
		if g.mu.floor != nil {
			next = g.mu.floor.index + 1
		}
	}
	g.mu.Unlock()
	for _, l := range logs {
		if l.Index != next {
			return fmt.Errorf("%w: shard %d appends entry %d where %d is next", errMisuse, g.shard, l.Index, next)
		}
		next++
	}
	return nil
}

// append writes entries in one synced batch.
func (g *Group) append(logs []*raft.Log) (bytes int, err error) {
	for _, l := range logs {
		bytes += entryKeyBytes + entryHeadBytes + len(l.Extensions) + len(l.Data)
	}
	b := g.stores.log.NewBatchWithSize(bytes + 64)
	defer func() { _ = b.Close() }()
	var head []byte
	for _, l := range logs {
		head = appendEntryHead(head[:0], l)
		op := b.SetDeferred(entryKeyBytes, len(head)+len(l.Data))
		putEntryKey(op.Key, g.shard, l.Index)
		copy(op.Value[copy(op.Value, head):], l.Data)
		if err := op.Finish(); err != nil {
			return 0, g.stores.fate.fail(fmt.Errorf("append to shard %d: %w", g.shard, err))
		}
	}
	return bytes, g.stores.commit(OpAppend, b)
}

// recentBytes is what the recent entries take.
func (g *Group) recentBytes() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mu.recent.bytes
}

func (g *Group) trimRecent(limit int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mu.recent.trim(limit)
}

// awaitBacklog waits while too much is committed and not applied. It asks
// again and again, less and less often: there is no better signal that would
// not cost every apply something.
func (s *Stores) awaitBacklog(backlog func() int64) {
	if backlog() <= s.opts.BacklogBytes {
		return
	}
	s.counters.backlogWaits.Add(1)
	ctx, cancel := context.WithTimeout(context.Background(), s.opts.BacklogWait)
	defer cancel()
	pace := newPace()
	defer pace.stop()
	for backlog() > s.opts.BacklogBytes {
		select {
		case <-pace.next():
		case <-s.closing:
			return
		case <-ctx.Done():
			return
		}
	}
}
