package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/pebble/v2"

	"github.com/quorate/quorate/mutant"
	"github.com/quorate/quorate/wire"
)

// batch is the rows that apply reads and writes: those of the store and, over
// them, those that were written since the last commit. All writes go through
// the hash chain.
type batch struct {
	db     *pebble.DB
	rng    wire.SlotRange
	own    overlay
	it     *pebble.Iterator // of the store as it was before the batch; opened by the first scan
	err    error
	chain  xxhash.Digest
	record []byte // scratch
}

// begin starts the hash chain of an entry. The chain's link is
//
//	xxh64( previous link, 8 | index, 8 | writes ... )
//
// where a write is its kind (1 set, 2 delete, 3 delete range), the lengths of
// key and value and the two, in the order in which they are made.
func (b *batch) begin(previous, index uint64) {
	b.chain.Reset()
	var head [16]byte
	binary.BigEndian.PutUint64(head[:8], previous)
	binary.BigEndian.PutUint64(head[8:], index)
	_, _ = b.chain.Write(head[:])
}

const (
	writeSet         = 1
	writeDelete      = 2
	writeDeleteRange = 3
)

func (b *batch) link(kind byte, key, value []byte) {
	if !b.owns(keySlot(key)) {
		b.fail(fmt.Errorf("bug: a write to slot %d, which is outside of %s", keySlot(key), b.rng))
	}
	var head [9]byte
	head[0] = kind
	binary.BigEndian.PutUint32(head[1:], uint32(len(key)))
	binary.BigEndian.PutUint32(head[5:], uint32(len(value)))
	_, _ = b.chain.Write(head[:])
	_, _ = b.chain.Write(key)
	_, _ = b.chain.Write(value)
}

// put writes a row. It keeps neither key nor value.
func (b *batch) put(key, value []byte) {
	b.link(writeSet, key, value)
	b.own.put(key, value)
}

// delete removes a row, whether it is there or not.
func (b *batch) delete(key []byte) {
	b.link(writeDelete, key, nil)
	b.own.delete(key)
}

// deleteRange removes the rows in [lo, hi), which are of one slot and table.
func (b *batch) deleteRange(lo, hi []byte) {
	b.link(writeDeleteRange, lo, hi)
	b.own.cutOut(lo, hi)
}

func (b *batch) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

func (b *batch) failed() error { return b.err }

func (b *batch) get(key []byte) []byte {
	if r := b.own.find(key); r != nil {
		return r.value
	}
	if b.err != nil || b.own.cut(key) {
		return nil
	}
	v, closer, err := b.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		b.fail(fmt.Errorf("read a row: %w", err))
		return nil
	}
	v = b.own.arena.keep(v)
	if err := closer.Close(); err != nil {
		b.fail(fmt.Errorf("read a row: %w", err))
	}
	return v
}

func (b *batch) scan(lo, hi []byte, f func(key, value []byte) bool) {
	own := b.own.written(lo, hi)
	it := b.iterator(lo, hi)
	if it == nil {
		return
	}
	for ok := it.First(); b.err == nil; {
		switch {
		case len(own) > 0 && (!ok || bytes.Compare(own[0].key, it.Key()) <= 0):
			if ok && bytes.Equal(own[0].key, it.Key()) {
				ok = it.Next()
			}
			r := own[0]
			own = own[1:]
			if r.value != nil && !f(r.key, r.value) {
				return
			}
		case ok:
			if !b.own.cut(it.Key()) && !f(it.Key(), b.value(it)) {
				return
			}
			ok = it.Next()
		default:
			b.checkIterator(it)
			return
		}
	}
}

func (b *batch) scanBack(lo, hi []byte, f func(key, value []byte) bool) {
	own := b.own.written(lo, hi)
	it := b.iterator(lo, hi)
	if it == nil {
		return
	}
	for ok := it.Last(); b.err == nil; {
		last := len(own) - 1
		switch {
		case last >= 0 && (!ok || bytes.Compare(own[last].key, it.Key()) >= 0):
			if ok && bytes.Equal(own[last].key, it.Key()) {
				ok = it.Prev()
			}
			r := own[last]
			own = own[:last]
			if r.value != nil && !f(r.key, r.value) {
				return
			}
		case ok:
			if !b.own.cut(it.Key()) && !f(it.Key(), b.value(it)) {
				return
			}
			ok = it.Prev()
		default:
			b.checkIterator(it)
			return
		}
	}
}

// iterator returns the batch's iterator over the store. A scan must not begin
// inside of another.
func (b *batch) iterator(lo, hi []byte) *pebble.Iterator {
	if b.err != nil {
		return nil
	}
	if b.it == nil {
		it, err := b.db.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
		if err != nil {
			b.fail(fmt.Errorf("open an iterator of the state: %w", err))
			return nil
		}
		b.it = it
		return it
	}
	b.it.SetBounds(lo, hi)
	return b.it
}

func (b *batch) value(it *pebble.Iterator) []byte {
	v, err := it.ValueAndErr()
	if err != nil {
		b.fail(fmt.Errorf("read a row: %w", err))
	}
	return v
}

func (b *batch) checkIterator(it *pebble.Iterator) {
	if err := it.Error(); err != nil {
		b.fail(fmt.Errorf("read rows: %w", err))
	}
}

// commit writes the record, and what was written with it. The batch is empty
// after it.
func (b *batch) commit(key []byte, r Record) error {
	err := b.err
	if mutant.On(mutant.SeparateIndex) && len(b.record) > 0 { // a planted bug, see package mutant
		err = errors.Join(err, b.db.Set(key, b.record, pebble.NoSync)) // of the commit before
	}
	if err == nil {
		b.record = AppendRecord(b.record[:0], r)
		err = b.write(key, b.record)
	}
	if err != nil {
		return fmt.Errorf("commit entry %d: %w", r.Applied, err)
	}
	return b.reset()
}

// write hands Pebble what was written, each row once and in the order of the
// keys: in the memtable a row is found from the one before it. Ranges are
// deleted first: rows that were written into one after that lie over it, and
// those from before are deleted one by one, too.
func (b *batch) write(recordKey, record []byte) error {
	w := b.db.NewBatchWithSize(b.own.bytes + len(recordKey) + len(record) + writeBytes)
	var err error
	if !mutant.On(mutant.SeparateIndex) { // a planted bug, see package mutant
		err = w.Set(recordKey, record, nil)
	}
	for _, c := range b.own.cuts {
		err = errors.Join(err, w.DeleteRange(c.lo, c.hi, nil))
	}
	for _, p := range b.own.inOrder() {
		if err != nil {
			break
		}
		if p.row.value == nil {
			err = w.Delete(p.row.key, nil)
		} else {
			err = w.Set(p.row.key, p.row.value, nil)
		}
	}
	if err == nil {
		err = w.Commit(pebble.NoSync)
	}
	return errors.Join(err, w.Close())
}

// reset drops what was written.
func (b *batch) reset() error {
	b.own.clear()
	return b.pause()
}

// pause lets go of the store's files until the next scan.
func (b *batch) pause() error {
	if b.it == nil {
		return nil
	}
	err := b.it.Close()
	b.it = nil
	return err
}

// owns tells whether the slot is this shard's.
func (b *batch) owns(slot wire.Slot) bool { return b.rng.Contains(slot) }
