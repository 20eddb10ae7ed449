package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/pebble/v2"

	"github.com/quorate/quorate/wire"
)

// txn is the writing side of apply: the batch of one or more entries and,
// over the store, an overlay of what the batch has written so far.
//
// The overlay is a map, because nearly all reads of apply are of one key. Only
// when something is scanned the rows are chained by (slot, table), and those
// that the scan needs are sorted. (An indexed batch would sort every write.)
//
// One txn serves all calls of Apply, so that its maps are not grown each time.
type txn struct {
	s       *State
	batch   *pebble.Batch
	rows    map[uint64]*overlayRow // by the key's hash
	all     []*overlayRow          // in the order of their first write
	heads   map[uint32]*overlayRow // by slot and table: of all up to indexed, the newest first
	indexed int
	cuts    []keyRange // range deletions in the batch
	slab    []overlayRow
	arena   []byte
	it      *pebble.Iterator // of the store as it was before the batch; opened by the first scan
	err     error
	dirty   []dirtyRow
	chain   xxhash.Digest

	// Of the entry and the command that are being applied.
	index  uint64
	stamp  int64
	header *Header
	told   *Applied // what is collected for the hook; nil: there is none
	keyBuf []byte
	valBuf []byte
}

// overlayRow is a row that the batch wrote, or deleted: then value is nil.
type overlayRow struct {
	key   []byte
	value []byte
	same  *overlayRow // another row whose key has the same hash
	next  *overlayRow // another row of the slot and table
}

type keyRange struct{ lo, hi []byte }

// dirtyRow is a decoded row that changes many times in an entry and is written
// once, when the entry ends.
type dirtyRow interface{ write(t *txn) }

func newTxn(s *State) *txn {
	return &txn{s: s, rows: map[uint64]*overlayRow{}, heads: map[uint32]*overlayRow{}}
}

// beginEntry starts the hash chain of the entry. The chain's link is
//
//	xxh64( previous link, 8 | index, 8 | writes ... )
//
// where a write is its kind (1 set, 2 delete, 3 delete range), the lengths of
// key and value and the two, in the order in which they are made.
func (t *txn) beginEntry(index uint64, stamp int64) {
	if t.batch == nil {
		t.batch = t.s.db.NewBatch()
	}
	t.index, t.stamp = index, stamp
	t.chain.Reset()
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], t.s.record.Chain)
	binary.BigEndian.PutUint64(b[8:], index)
	_, _ = t.chain.Write(b[:])
	if t.s.opts.Applied != nil {
		t.told = &Applied{Index: index, Stamp: stamp}
	}
}

// endEntry writes what is dirty and returns the chain's link.
func (t *txn) endEntry() uint64 {
	t.flushDirty()
	return t.chain.Sum64()
}

// touch says that a decoded row has changed. The caller sees to it that a row
// is touched once per entry.
func (t *txn) touch(r dirtyRow) { t.dirty = append(t.dirty, r) }

func (t *txn) flushDirty() {
	for _, r := range t.dirty {
		r.write(t)
	}
	clear(t.dirty)
	t.dirty = t.dirty[:0]
}

const (
	writeSet         = 1
	writeDelete      = 2
	writeDeleteRange = 3
)

func (t *txn) link(kind byte, key, value []byte) {
	if !t.owns(keySlot(key)) {
		t.fail(fmt.Errorf("bug: a write to slot %d, which is outside of %s", keySlot(key), t.s.rng))
	}
	var b [9]byte
	b[0] = kind
	binary.BigEndian.PutUint32(b[1:], uint32(len(key)))
	binary.BigEndian.PutUint32(b[5:], uint32(len(value)))
	_, _ = t.chain.Write(b[:])
	_, _ = t.chain.Write(key)
	_, _ = t.chain.Write(value)
}

// put writes a row. It keeps neither key nor value.
func (t *txn) put(key, value []byte) {
	t.link(writeSet, key, value)
	if err := t.batch.Set(key, value, nil); err != nil {
		t.fail(fmt.Errorf("add a row to the batch: %w", err))
	}
	t.row(key).value = t.keep(value)
}

// delete removes a row, whether it is there or not.
func (t *txn) delete(key []byte) {
	t.link(writeDelete, key, nil)
	if err := t.batch.Delete(key, nil); err != nil {
		t.fail(fmt.Errorf("delete a row in the batch: %w", err))
	}
	t.row(key).value = nil
}

// deleteRange removes the rows in [lo, hi), which are of one slot and table.
func (t *txn) deleteRange(lo, hi []byte) {
	t.link(writeDeleteRange, lo, hi)
	if err := t.batch.DeleteRange(lo, hi, nil); err != nil {
		t.fail(fmt.Errorf("delete rows in the batch: %w", err))
	}
	for _, r := range t.written(lo, hi) {
		r.value = nil
	}
	t.cuts = append(t.cuts, keyRange{lo: bytes.Clone(lo), hi: bytes.Clone(hi)})
}

// row finds or makes the overlay's row of a key.
func (t *txn) row(key []byte) *overlayRow {
	hash := xxhash.Sum64(key)
	first := t.rows[hash]
	for r := first; r != nil; r = r.same {
		if bytes.Equal(r.key, key) {
			return r
		}
	}
	if len(t.slab) == 0 {
		t.slab = make([]overlayRow, 64)
	}
	r := &t.slab[0]
	t.slab = t.slab[1:]
	r.key, r.same = t.keep(key), first
	t.rows[hash] = r
	t.all = append(t.all, r)
	return r
}

// find returns the overlay's row of a key, or nil.
func (t *txn) find(key []byte) *overlayRow {
	if len(t.all) == 0 {
		return nil
	}
	for r := t.rows[xxhash.Sum64(key)]; r != nil; r = r.same {
		if bytes.Equal(r.key, key) {
			return r
		}
	}
	return nil
}

// keep copies a value into the arena. It is never nil.
func (t *txn) keep(value []byte) []byte {
	if len(t.arena)+len(value) > cap(t.arena) {
		t.arena = make([]byte, 0, max(16<<10, len(value)))
	}
	n := len(t.arena)
	t.arena = append(t.arena, value...)
	return t.arena[n:len(t.arena):len(t.arena)]
}

func slotTable(key []byte) uint32 {
	return uint32(key[0])<<16 | uint32(key[1])<<8 | uint32(key[2])
}

func (t *txn) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}

func (t *txn) failed() error { return t.err }

func (t *txn) now() int64 { return t.stamp }

func (t *txn) get(key []byte) []byte {
	if r := t.find(key); r != nil {
		return r.value
	}
	if t.err != nil || t.cut(key) {
		return nil
	}
	v, closer, err := t.s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		t.fail(fmt.Errorf("read a row: %w", err))
		return nil
	}
	v = bytes.Clone(v)
	if err := closer.Close(); err != nil {
		t.fail(fmt.Errorf("read a row: %w", err))
	}
	return v
}

// cut tells whether the batch deleted the store's row of the key in a range.
func (t *txn) cut(key []byte) bool {
	for _, c := range t.cuts {
		if bytes.Compare(c.lo, key) <= 0 && bytes.Compare(key, c.hi) < 0 {
			return true
		}
	}
	return false
}

func (t *txn) scan(lo, hi []byte, f func(key, value []byte) bool) {
	own := t.written(lo, hi)
	it := t.iterator(lo, hi)
	if it == nil {
		return
	}
	for ok := it.First(); t.err == nil; {
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
			if !t.cut(it.Key()) && !f(it.Key(), t.value(it)) {
				return
			}
			ok = it.Next()
		default:
			t.checkIterator(it)
			return
		}
	}
}

func (t *txn) scanBack(lo, hi []byte, f func(key, value []byte) bool) {
	own := t.written(lo, hi)
	it := t.iterator(lo, hi)
	if it == nil {
		return
	}
	for ok := it.Last(); t.err == nil; {
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
			if !t.cut(it.Key()) && !f(it.Key(), t.value(it)) {
				return
			}
			ok = it.Prev()
		default:
			t.checkIterator(it)
			return
		}
	}
}

// written returns the batch's own rows in [lo, hi), deleted ones too, in order.
// Both ends are of one slot and table.
func (t *txn) written(lo, hi []byte) []*overlayRow {
	for _, r := range t.all[t.indexed:] {
		at := slotTable(r.key)
		r.next, t.heads[at] = t.heads[at], r
	}
	t.indexed = len(t.all)
	var own []*overlayRow
	for r := t.heads[slotTable(lo)]; r != nil; r = r.next {
		if bytes.Compare(r.key, lo) >= 0 && bytes.Compare(r.key, hi) < 0 {
			own = append(own, r)
		}
	}
	slices.SortFunc(own, func(a, b *overlayRow) int { return bytes.Compare(a.key, b.key) })
	return own
}

// iterator returns the txn's iterator over the store. A scan must not begin
// inside of another.
func (t *txn) iterator(lo, hi []byte) *pebble.Iterator {
	if t.err != nil {
		return nil
	}
	if t.it == nil {
		it, err := t.s.db.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
		if err != nil {
			t.fail(fmt.Errorf("open an iterator of the state: %w", err))
			return nil
		}
		t.it = it
		return it
	}
	t.it.SetBounds(lo, hi)
	return t.it
}

func (t *txn) value(it *pebble.Iterator) []byte {
	b, err := it.ValueAndErr()
	if err != nil {
		t.fail(fmt.Errorf("read a row: %w", err))
	}
	return b
}

func (t *txn) checkIterator(it *pebble.Iterator) {
	if err := it.Error(); err != nil {
		t.fail(fmt.Errorf("read rows: %w", err))
	}
}

// commit writes the record and ends the batch. The txn is empty after it.
func (t *txn) commit(r Record) error {
	err := t.err
	if err == nil {
		err = t.batch.Set(t.s.recordKey, AppendRecord(nil, r), nil)
	}
	if err == nil {
		err = t.batch.Commit(pebble.NoSync)
	}
	if err != nil {
		return fmt.Errorf("commit entry %d: %w", r.Applied, err)
	}
	return t.reset()
}

// reset drops what the txn holds and makes it ready for another batch.
func (t *txn) reset() error {
	var err error
	if t.it != nil {
		err, t.it = t.it.Close(), nil
	}
	if t.batch != nil {
		err, t.batch = errors.Join(err, t.batch.Close()), nil
	}
	t.clear()
	return err
}

// keptRows is how large the overlay's maps may be to be kept for the next
// batch: clearing a map costs what it once held.
const keptRows = 4096

// clear drops what the txn holds of a batch.
func (t *txn) clear() {
	if len(t.all) > keptRows {
		t.rows, t.heads, t.all = map[uint64]*overlayRow{}, map[uint32]*overlayRow{}, nil
	}
	clear(t.rows)
	clear(t.heads)
	clear(t.all)
	clear(t.dirty)
	t.all, t.indexed, t.slab, t.arena = t.all[:0], 0, nil, nil
	t.cuts, t.dirty = t.cuts[:0], t.dirty[:0]
	t.header, t.told = nil, nil
}

// refuse is the answer of a command that changes nothing.
func refuse(r Refusal, text string) Result { return Result{Refusal: r, Text: text} }

// owns tells whether the slot is this shard's.
func (t *txn) owns(slot wire.Slot) bool { return t.s.rng.Contains(slot) }
