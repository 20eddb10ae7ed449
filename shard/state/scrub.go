package state

import (
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/pebble/v2"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// Scrub is the command that compares replicas' rows of some slots: each replica
// hashes them as they are right after the command. It changes nothing.
type Scrub struct {
	Slots wire.SlotRange
	ID    uint64 // names the scrub in what replicas report

	Index uint64 // of the entry; set when the scrub is handed to Options.ScrubAt
	it    *pebble.Iterator
}

func (c *Scrub) kind() Kind { return kindScrub }

func (c *Scrub) subject() Subject { return Subject{Slot: c.Slots.First} }

func (c *Scrub) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(c.Slots.First))
	b = binary.BigEndian.AppendUint16(b, uint16(c.Slots.Last))
	return bin.AppendUvarint(b, c.ID)
}

func (c *Scrub) decode(in *bin.Reader) {
	c.Slots.First, c.Slots.Last = wire.Slot(in.Uint16()), wire.Slot(in.Uint16())
	c.ID = in.Uvarint()
}

func (c *Scrub) apply(t *txn, _ *Header) Result {
	if c.Slots.Last < c.Slots.First {
		return refuse(Invalid, "the slots are in the wrong order")
	}
	if !t.owns(c.Slots.Last) {
		return refuse(Moved, "a slot is another shard's")
	}
	c.Index = t.index
	return Result{}
}

// startScrub opens the iterator over the slots' rows as they are now, right
// after the entry's commit. It returns false if nobody wants them.
func (s *State) startScrub(c *Scrub) (bool, error) {
	if s.opts.ScrubAt == nil {
		return false, nil
	}
	start, end := Bounds(c.Slots)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: start, UpperBound: end})
	if err != nil {
		return false, fmt.Errorf("open an iterator of slots %s: %w", c.Slots, err)
	}
	c.it = it
	return true, nil
}

// Hash returns a hash over all rows of the slots but the shard's record. It calls
// pace after each row with its size, so that the caller can slow it down; false
// stops it with ok false. It is called once, from any goroutine.
func (c *Scrub) Hash(pace func(bytes int) bool) (hash uint64, ok bool, err error) {
	var d xxhash.Digest
	d.Reset()
	for valid := c.it.First(); valid; valid = c.it.Next() {
		key := c.it.Key()
		if keyTable(key) == tableRecord {
			continue
		}
		value, err := c.it.ValueAndErr()
		if err != nil {
			return 0, false, fmt.Errorf("scrub slots %s: %w", c.Slots, err)
		}
		var lengths [8]byte
		binary.BigEndian.PutUint32(lengths[:4], uint32(len(key)))
		binary.BigEndian.PutUint32(lengths[4:], uint32(len(value)))
		_, _ = d.Write(lengths[:])
		_, _ = d.Write(key)
		_, _ = d.Write(value)
		if !pace(len(key) + len(value)) {
			return 0, false, nil
		}
	}
	if err := c.it.Error(); err != nil {
		return 0, false, fmt.Errorf("scrub slots %s: %w", c.Slots, err)
	}
	return d.Sum64(), true, nil
}

// Close lets go of the rows. It must be called once for each Scrub handed out.
func (c *Scrub) Close() error {
	if err := c.it.Close(); err != nil {
		return fmt.Errorf("end the scrub of slots %s: %w", c.Slots, err)
	}
	return nil
}
