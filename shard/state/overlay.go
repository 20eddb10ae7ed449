package state

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// overlay is the rows that a batch has written so far.
//
// It is a hash table, because nearly all reads of apply are of one key. Only
// when something is scanned the rows are chained by (slot, table), and those
// that the scan needs are sorted. (An indexed batch would sort every write.)
//
// One overlay serves all batches: its memory is used again.
type overlay struct {
	table   []uint32       // a row's number + 1, at the place of its key's hash or the next free one; 0: free
	rows    [][]overlayRow // in chunks, so that a row stays where it is
	count   int            // of rows
	heads   map[uint32]*overlayRow
	indexed int        // rows chained in heads, by slot and table, the newest first
	cuts    []keyRange // range deletions in the batch
	arena   arena      // of keys and values
	bytes   int        // of all writes
	sorted  []placed   // scratch
}

// overlayRow is a row that the batch wrote, or deleted: then value is nil.
type overlayRow struct {
	key   []byte
	value []byte
	hash  uint64
	next  *overlayRow // another row of the slot and table
}

type keyRange struct{ lo, hi []byte }

const (
	overlayChunk = 64

	// keptRows is how many rows' memory is kept for the next batch.
	keptRows = 4096

	// writeBytes is about what a write takes beside its key and value.
	writeBytes = 16
)

// large tells whether there is more than so many bytes, or more rows than
// memory is kept for.
func (o *overlay) large(limit int) bool { return o.bytes >= limit || o.count >= keptRows/2 }

func newOverlay() overlay {
	return overlay{table: make([]uint32, 4*overlayChunk), heads: map[uint32]*overlayRow{}}
}

func (o *overlay) at(i int) *overlayRow { return &o.rows[i/overlayChunk][i%overlayChunk] }

// place is where a key's row is in the table, or would be.
func (o *overlay) place(key []byte, hash uint64) uint64 {
	mask := uint64(len(o.table) - 1)
	at := hash & mask
	for ; o.table[at] != 0; at = (at + 1) & mask {
		if r := o.at(int(o.table[at]) - 1); r.hash == hash && bytes.Equal(r.key, key) {
			break
		}
	}
	return at
}

// find returns the row of a key, or nil.
func (o *overlay) find(key []byte) *overlayRow {
	if o.count == 0 {
		return nil
	}
	if n := o.table[o.place(key, xxhash.Sum64(key))]; n != 0 {
		return o.at(int(n) - 1)
	}
	return nil
}

// put notes a row that is written. It keeps neither key nor value.
func (o *overlay) put(key, value []byte) {
	o.bytes += len(key) + len(value) + writeBytes
	o.row(key).value = o.arena.keep(value)
}

// delete notes a row that is deleted.
func (o *overlay) delete(key []byte) {
	o.bytes += len(key) + writeBytes
	o.row(key).value = nil
}

// row finds or makes the row of a key.
func (o *overlay) row(key []byte) *overlayRow {
	hash := xxhash.Sum64(key)
	at := o.place(key, hash)
	if n := o.table[at]; n != 0 {
		return o.at(int(n) - 1)
	}
	if o.count == len(o.rows)*overlayChunk {
		o.rows = append(o.rows, make([]overlayRow, overlayChunk))
	}
	r := o.at(o.count)
	*r = overlayRow{key: o.arena.keep(key), hash: hash}
	o.count++
	o.table[at] = uint32(o.count)
	if 2*o.count > len(o.table) {
		o.grow()
	}
	return r
}

func (o *overlay) grow() {
	o.table = make([]uint32, 2*len(o.table))
	for i := range o.count {
		r := o.at(i)
		o.table[o.place(r.key, r.hash)] = uint32(i) + 1
	}
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

// cutOut notes that the batch deletes the rows in [lo, hi), which are of one
// slot and table.
func (o *overlay) cutOut(lo, hi []byte) {
	o.bytes += len(lo) + len(hi) + writeBytes
	for _, r := range o.written(lo, hi) {
		r.value = nil
	}
	o.cuts = append(o.cuts, keyRange{lo: bytes.Clone(lo), hi: bytes.Clone(hi)})
}

// written returns the batch's own rows in [lo, hi), deleted ones too, in order.
// Both ends are of one slot and table.
func (o *overlay) written(lo, hi []byte) []*overlayRow {
	for ; o.indexed < o.count; o.indexed++ {
		r := o.at(o.indexed)
		at := slotTable(r.key)
		r.next, o.heads[at] = o.heads[at], r
	}
	var own []*overlayRow
	for r := o.heads[slotTable(lo)]; r != nil; r = r.next {
		if bytes.Compare(r.key, lo) >= 0 && bytes.Compare(r.key, hi) < 0 {
			own = append(own, r)
		}
	}
	slices.SortFunc(own, func(a, b *overlayRow) int { return bytes.Compare(a.key, b.key) })
	return own
}

// placed is a row with the first bytes of its key, which nearly always decide
// its place among others.
type placed struct {
	first uint64
	row   *overlayRow
}

// inOrder returns all rows in the order of their keys. It is valid until clear.
func (o *overlay) inOrder() []placed {
	for i := range o.count {
		r := o.at(i)
		var first [8]byte
		copy(first[:], r.key)
		o.sorted = append(o.sorted, placed{binary.BigEndian.Uint64(first[:]), r})
	}
	slices.SortFunc(o.sorted, func(a, b placed) int {
		if a.first != b.first {
			return cmp.Compare(a.first, b.first)
		}
		return bytes.Compare(a.row.key, b.row.key)
	})
	return o.sorted
}

// clear drops what the overlay holds of a batch. Keys and values that it gave
// out are not valid any more.
func (o *overlay) clear() {
	if o.count > keptRows {
		*o = newOverlay()
		return
	}
	clear(o.table)
	clear(o.heads)
	o.sorted, o.cuts = o.sorted[:0], o.cuts[:0]
	o.count, o.indexed, o.bytes = 0, 0, 0
	o.arena.clear()
}

// arena holds bytes that are dropped together.
type arena struct {
	chunks [][]byte
	used   int // chunks in use; the last of them is being filled
}

const (
	arenaChunk = 16 << 10
	keptChunks = 16 // whose memory is kept by clear
)

// keep copies a value into the arena. The copy is never nil.
func (a *arena) keep(value []byte) []byte {
	if a.used == 0 || len(a.chunks[a.used-1])+len(value) > cap(a.chunks[a.used-1]) {
		a.next(len(value))
	}
	last := &a.chunks[a.used-1]
	n := len(*last)
	*last = append(*last, value...)
	return (*last)[n:len(*last):len(*last)]
}

// next begins another chunk, with room for so many bytes.
func (a *arena) next(size int) {
	if a.used == len(a.chunks) {
		a.chunks = append(a.chunks, nil)
	}
	if cap(a.chunks[a.used]) < size {
		a.chunks[a.used] = make([]byte, 0, max(arenaChunk, size))
	}
	a.used++
}

func (a *arena) clear() {
	if len(a.chunks) > keptChunks {
		clear(a.chunks[keptChunks:])
		a.chunks = a.chunks[:keptChunks]
	}
	for i := range a.chunks {
		if cap(a.chunks[i]) > arenaChunk {
			a.chunks[i] = nil
			continue
		}
		a.chunks[i] = a.chunks[i][:0]
	}
	a.used = 0
}
