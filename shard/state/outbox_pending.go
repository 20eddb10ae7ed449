package state

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/quorate/quorate/wire"
)

// Outbox rows are limited for each block of 256 target slots. The limit is meant
// for a shard that does not take what it is told; but the state machine must
// not know which shard owns a slot (that changes without a command), and a
// limit for each single slot would let far too much wait.
const (
	maxOutboxRows = 100_000
	targetBlocks  = wire.Slots / 256
)

func targetBlock(slot wire.Slot) int { return int(slot) >> 8 }

// never is later than any timer.
const never = math.MaxInt64

// pending is what the State keeps in memory of its timers and outboxes: how
// many rows wait for whom, and which slots have any, so that a query does not
// look into thousands of empty ones. All of it follows from the rows.
type pending struct {
	// rows counts outbox rows by target block, and added gathers what the batch
	// adds. Only apply uses them.
	rows  [targetBlocks]int
	added []pendingChange

	mu struct {
		sync.Mutex
		of    [2]map[wire.Slot]waiting
		clock uint64 // counts changes over all slots and loads
	}
}

const (
	pendingTimers = 0
	pendingOutbox = 1
)

// waiting says that a slot may have rows, the first of them not due before
// earliest. It is a lower bound: apply only lowers it, and a query that has
// looked raises it, unless apply has been there since (then change differs).
type waiting struct {
	earliest int64
	change   uint64 // the clock at the slot's last change
}

// A pendingChange is a row that a batch adds. It counts only when the batch is
// committed: a query that looks before would not find the row.
type pendingChange struct {
	slot  wire.Slot
	timer bool
	due   int64
}

// committed takes what the batch added.
func (p *pending) committed() {
	if len(p.added) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.added {
		of := p.mu.of[pendingOutbox]
		if c.timer {
			of = p.mu.of[pendingTimers]
		}
		w, ok := of[c.slot]
		if !ok || c.due < w.earliest {
			w.earliest = c.due
		}
		p.mu.clock++
		w.change = p.mu.clock
		of[c.slot] = w
	}
	p.added = p.added[:0]
}

// slots returns, in order, which slots may have something by now.
func (p *pending) slots(which int, now int64) ([]wire.Slot, []waiting) {
	p.mu.Lock()
	defer p.mu.Unlock()
	of := p.mu.of[which]
	var slots []wire.Slot
	for slot, w := range of {
		if w.earliest <= now {
			slots = append(slots, slot)
		}
	}
	slices.Sort(slots)
	found := make([]waiting, len(slots))
	for i, slot := range slots {
		found[i] = of[slot]
	}
	return slots, found
}

// looked tells what a query found in a slot: when the first row is due, or never.
func (p *pending) looked(which int, slot wire.Slot, before waiting, first int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch w, ok := p.mu.of[which][slot]; {
	case !ok || w.change != before.change:
	case first == never:
		delete(p.mu.of[which], slot)
	default:
		p.mu.of[which][slot] = waiting{earliest: first, change: w.change}
	}
}

// load counts everything anew from the rows. Slots without data cost nothing,
// others two seeks.
func (p *pending) load(db pebble.Reader, rng wire.SlotRange) error {
	start, end := Bounds(rng)
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: start, UpperBound: end})
	if err != nil {
		return fmt.Errorf("open an iterator of timers and outboxes: %w", err)
	}
	p.rows, p.added = [targetBlocks]int{}, nil
	of := [2]map[wire.Slot]waiting{{}, {}}
	for slot := int(rng.First); slot <= int(rng.Last) && it.SeekGE(appendTable(nil, wire.Slot(slot), tableTimer)); {
		if found := int(keySlot(it.Key())); found > slot {
			slot = found
			continue
		}
		if err = p.loadSlot(it, wire.Slot(slot), of); err != nil {
			break
		}
		slot++
	}
	if err = errors.Join(err, it.Error(), it.Close()); err != nil {
		return fmt.Errorf("read timers and outboxes: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.clock++
	for _, slots := range of {
		for slot, w := range slots {
			w.change = p.mu.clock
			slots[slot] = w
		}
	}
	p.mu.of = of
	return nil
}

// loadSlot reads one slot; the iterator is at or after its first timer.
func (p *pending) loadSlot(it *pebble.Iterator, slot wire.Slot, of [2]map[wire.Slot]waiting) error {
	if keyTable(it.Key()) == tableTimer {
		w, err := decodeTimerKey(it.Key())
		if err != nil {
			return err
		}
		of[pendingTimers][slot] = waiting{earliest: w.Due}
		it.SeekGE(appendTable(nil, slot, tableOutbox))
	}
	for ; it.Valid() && keySlot(it.Key()) == slot && keyTable(it.Key()) == tableOutbox; it.Next() {
		p.rows[targetBlock(outboxKeyTarget(it.Key()))]++
		of[pendingOutbox][slot] = waiting{}
	}
	return nil
}
