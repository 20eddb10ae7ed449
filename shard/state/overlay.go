package state

import (
	"bytes"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// overlay is the rows that a batch has written so far.
//
// It is a map, because nearly all reads of apply are of one key. Only when
// something is scanned the rows are chained by (slot, table), and those that
// the scan needs are sorted. (An indexed batch would sort every write.)
//
// One overlay serves all batches, so that its maps are not grown each time.
type overlay struct {
	rows    map[uint64]*overlayRow // by the key's hash
	all     []*overlayRow          // in the order of their first write
	heads   map[uint32]*overlayRow // by slot and table: of all up to indexed, the newest first
	indexed int
	cuts    []keyRange // range deletions in the batch
	slab    []overlayRow
	arena   []byte
}

// overlayRow is a row that the batch wrote, or deleted: then value is nil.
type overlayRow struct {
	key   []byte
	value []byte
	same  *overlayRow // another row whose key has the same hash
	next  *overlayRow // another row of the slot and table
}

type keyRange struct{ lo, hi []byte }

func newOverlay() overlay {
	return overlay{rows: map[uint64]*overlayRow{}, heads: map[uint32]*overlayRow{}}
}

// row finds or makes the overlay's row of a key.
func (o *overlay) row(key []byte) *overlayRow {
	hash := xxhash.Sum64(key)
	first := o.rows[hash]
	for r := first; r != nil; r = r.same {
		if bytes.Equal(r.key, key) {
			return r
		}
	}
	if len(o.slab) == 0 {
		o.slab = make([]overlayRow, 64)
	}
	r := &o.slab[0]
	o.slab = o.slab[1:]
	r.key, r.same = o.keep(key), first
	o.rows[hash] = r
	o.all = append(o.all, r)
	return r
}

// find returns the overlay's row of a key, or nil.
func (o *overlay) find(key []byte) *overlayRow {
	if len(o.all) == 0 {
		return nil
	}
	for r := o.rows[xxhash.Sum64(key)]; r != nil; r = r.same {
		if bytes.Equal(r.key, key) {
			return r
		}
	}
	return nil
}

// keep copies a value into the arena. It is never nil.
func (o *overlay) keep(value []byte) []byte {
	if len(o.arena)+len(value) > cap(o.arena) {
		o.arena = make([]byte, 0, max(16<<10, len(value)))
	}
	n := len(o.arena)
	o.arena = append(o.arena, value...)
	return o.arena[n:len(o.arena):len(o.arena)]
}

func slotTable(key []byte) uint32 {
	return uint32(key[0])<<16 | uint32(key[1])<<8 | uint32(key[2])
}

// cut tells whether the batch deleted the store's row of the key in a range.
func (o *overlay) cut(key []byte) bool {
	for _, c := range o.cuts {
		if bytes.Compare(c.lo, key) <= 0 && bytes.Compare(key, c.hi) < 0 {
			return true
		}
	}
	return false
}

// written returns the batch's own rows in [lo, hi), deleted ones too, in order.
// Both ends are of one slot and table.
func (o *overlay) written(lo, hi []byte) []*overlayRow {
	for _, r := range o.all[o.indexed:] {
		at := slotTable(r.key)
		r.next, o.heads[at] = o.heads[at], r
	}
	o.indexed = len(o.all)
	var own []*overlayRow
	for r := o.heads[slotTable(lo)]; r != nil; r = r.next {
		if bytes.Compare(r.key, lo) >= 0 && bytes.Compare(r.key, hi) < 0 {
			own = append(own, r)
		}
	}
	slices.SortFunc(own, func(a, b *overlayRow) int { return bytes.Compare(a.key, b.key) })
	return own
}

// cutOut notes that the batch deletes the rows in [lo, hi), which are of one
// slot and table.
func (o *overlay) cutOut(lo, hi []byte) {
	for _, r := range o.written(lo, hi) {
		r.value = nil
	}
	o.cuts = append(o.cuts, keyRange{lo: bytes.Clone(lo), hi: bytes.Clone(hi)})
}

// keptRows is how large the overlay's maps may be to be kept for the next
// batch: clearing a map costs what it once held.
const keptRows = 4096

// clear drops what the overlay holds of a batch.
func (o *overlay) clear() {
	if len(o.all) > keptRows {
		o.rows, o.heads, o.all = map[uint64]*overlayRow{}, map[uint32]*overlayRow{}, nil
	}
	clear(o.rows)
	clear(o.heads)
	clear(o.all)
	o.all, o.indexed, o.slab, o.arena = o.all[:0], 0, nil, nil
	o.cuts = o.cuts[:0]
}
