package raftlog

import (
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/hashicorp/raft"
)

func indexOf(key []byte) uint64 { return binary.BigEndian.Uint64(key[5:]) }

// DeleteRange implements raft.LogStore. Raft calls it for three reasons, and
// tells none of them: to drop old entries after a snapshot, to drop the end of
// a log that another leader contradicts, and to clear the log after an install.
//
// Old entries stay while the state on the disk has not reached them. The end of
// the log is on the disk as deleted when it returns.
func (g *Group) DeleteRange(first, last uint64) error {
	cut, sync, err := g.plan(span{first, last})
	if err != nil {
		return g.stores.fate.fail(err)
	}
	if cut.last == 0 {
		return nil
	}
	return g.delete(cut, sync)
}

// plan says what of a range is to be deleted, and whether that must be synced.
// Deleting old entries needs no sync: they are only in the way if they come
// back.
func (g *Group) plan(asked span) (cut span, sync bool, err error) {
	g.mu.Lock()
	have, floor, reset := g.mu.span, g.mu.floor, g.mu.reset
	g.mu.Unlock()
	if have.last == 0 || asked.last < have.first || asked.first > have.last {
		return span{}, false, nil
	}
	cut = span{max(asked.first, have.first), min(asked.last, have.last)}
	fromStart, toEnd := cut.first == have.first, cut.last == have.last

	switch {
	case !fromStart && !toEnd:
		return span{}, false, fmt.Errorf("%w: shard %d deletes %v from the middle of %v", errMisuse, g.shard, cut, have)
	case floor == nil || g.stores.opts.faults.unclampedDelete:
		return cut, toEnd, nil
	case fromStart && toEnd && reset != nil:
		cut, sync = g.planReset(*reset, have)
		return cut, sync, nil
	case toEnd && cut.first > floor.index:
		return cut, true, nil
	case !fromStart:
		return span{}, false, fmt.Errorf("%w: shard %d deletes %v, but the state has reached %d", errMisuse, g.shard, cut, floor.index)
	case floor.index < cut.first:
		return span{}, false, nil
	default:
		return span{cut.first, min(cut.last, floor.index)}, false, nil
	}
}

// planReset says what to delete when raft clears the log after an install. If
// the log agrees with the installed state where that ends, the entries after it
// stay: this node may have acknowledged them.
func (g *Group) planReset(installed reset, have span) (cut span, sync bool) {
	g.mu.Lock()
	g.mu.reset = nil
	g.mu.Unlock()
	switch {
	case !installed.agrees:
		return have, true
	case installed.index < have.first:
		return span{}, false
	default:
		return span{have.first, installed.index}, false
	}
}

// agrees reports whether the log has the entry of that index and term.
func (g *Group) agrees(p position) (bool, error) {
	var l raft.Log
	err := g.GetLog(p.index, &l)
	if err == raft.ErrLogNotFound { //nolint:errorlint // raft's own sentinel, never wrapped
		return false, nil
	}
	return err == nil && l.Term == p.term, err
}

// delete removes a range that includes the start or the end of the log.
func (g *Group) delete(cut span, sync bool) error {
	b := g.stores.log.NewBatch()
	defer func() { _ = b.Close() }()
	if err := b.DeleteRange(entryKey(g.shard, cut.first), entryKey(g.shard, cut.last+1), nil); err != nil {
		return g.stores.fate.fail(fmt.Errorf("truncate shard %d: %w", g.shard, err))
	}
	if err := g.hide(cut, b, sync); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case cut.first <= g.mu.first && cut.last >= g.mu.last:
		g.mu.span = span{}
	case cut.first <= g.mu.first:
		g.mu.first = cut.last + 1
	default:
		g.mu.last = cut.first - 1
	}
	return nil
}

// hide drops entries from memory and then from the disk.
func (g *Group) hide(cut span, b *pebble.Batch, sync bool) error {
	g.mu.Lock()
	if cut.last == g.mu.last {
		g.mu.recent.dropFrom(cut.first)
	} else {
		g.mu.recent.dropTo(cut.last)
	}
	g.mu.Unlock()
	if sync {
		return g.stores.commit(OpTruncate, b)
	}
	return g.stores.read(func() error { return survive(func() error { return b.Commit(pebble.NoSync) }) })
}

// attach tells the group what the state on the disk has reached, once, at the
// start: from here on the log is kept to it. What a crash between an install
// and the clearing of the log has left behind is cleared now.
func (g *Group) attach(applied position) error {
	g.mu.Lock()
	have := g.mu.span
	g.mu.Unlock()
	stale := false
	switch {
	case have.last == 0:
	case applied.index+1 < have.first:
		return fmt.Errorf("%w: shard %d has entries %v and a state at %d", ErrHole, g.shard, have, applied.index)
	case applied.index > have.last:
		stale = true
	case applied.index >= have.first:
		agrees, err := g.agrees(applied)
		if err != nil {
			return err
		}
		stale = !agrees
	}
	if stale {
		g.stores.opts.Logger.Info("old raft log cleared", "shard", g.shard, "first", have.first, "last", have.last, "index", applied.index)
		if err := g.delete(have, true); err != nil {
			return err
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mu.floor = &applied
	return nil
}

// reached moves the floor up, after the state was flushed.
func (g *Group) reached(applied position) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mu.floor == nil || applied.index > g.mu.floor.index {
		g.mu.floor = &applied
	}
}

// installed moves the floor to an installed snapshot and expects raft to clear
// the log.
func (g *Group) installed(at position) error {
	agrees, err := g.agrees(at)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mu.floor = &at
	if g.mu.last != 0 {
		g.mu.reset = &reset{position: at, agrees: agrees}
	}
	return nil
}
