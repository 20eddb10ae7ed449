package state

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/quorate/quorate/wire"
)

// reader is what rows are read through: a [view] in queries, the [txn] in
// apply. Its error is remembered and reported once at the end, so that a reader
// of rows does not branch after each one; after an error everything is absent.
type reader interface {
	// get returns the row's value, or nil when there is none. The value must
	// not be changed, and in apply it is valid only until the batch is
	// committed: what is decoded from it shares nothing with it.
	get(key []byte) []byte
	// scan calls f with the rows in [lo, hi) in order, until it returns false.
	// Key and value are valid only during the call.
	scan(lo, hi []byte, f func(key, value []byte) bool)
	// scanBack is scan from the other end.
	scanBack(lo, hi []byte, f func(key, value []byte) bool)
	// fail remembers the first error.
	fail(err error)
	// failed returns the error.
	failed() error
	// now is the time that decides what is past its time.
	now() int64
}

// view reads the rows as they were when it was made. It is one Pebble iterator,
// not a Pebble snapshot: an iterator keeps the files it began with, while an
// excise empties open snapshots.
type view struct {
	it     *pebble.Iterator
	lo, hi []byte // the iterator's bounds: the shard
	limit  []byte
	stamp  int64
	err    error
}

// Queries is the reading side of a [State]. Each query reads the rows of one
// applied index; any goroutine may ask.
type Queries struct {
	*source
	Listings
}

// Listings are the queries that list what has something in common: the users of a
// conversation who are kept out or muted, what has changed since a time, the
// conversations and the messages of an app.
type Listings struct{ *source }

// source is where queries read.
type source struct {
	db         *pebble.DB
	rng        wire.SlotRange
	start, end []byte
	recordKey  []byte
	settle     func() (applied uint64, err error) // hands the store what was applied
}

func newQueries(db *pebble.DB, rng wire.SlotRange) Queries {
	start, end := Bounds(rng)
	s := &source{db: db, rng: rng, start: start, end: end, recordKey: RecordKey(rng)}
	return Queries{source: s, Listings: Listings{s}}
}

// view opens a view of the whole shard. It reads the record through the same
// iterator, so that time and rows belong together.
//
// A view may be older than what the store was handed: Pebble can flush a memtable
// with a batch that is not yet visible, and drop the rows that this one replaces;
// until it becomes visible, an iterator then sees neither. The record is in each
// batch, so it tells, and the view is opened again.
func (s *source) view() (*view, error) {
	applied, err := s.settle()
	for try := 0; err == nil && try < maxViews; try++ {
		var v *view
		var record Record
		if v, record, err = s.open(); err != nil || record.Applied >= applied {
			return v, err
		}
		err = v.it.Close()
		time.Sleep(viewPause)
	}
	if err == nil {
		err = fmt.Errorf("the state is at entry %d, and its rows do not show it", applied)
	}
	return nil, err
}

// A view that is too old is opened again, so often and after such a pause. What
// it waits for takes another goroutine a few instructions, once it runs.
const (
	maxViews  = 1000
	viewPause = time.Millisecond
)

func (s *source) open() (*view, Record, error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: s.start, UpperBound: s.end})
	if err != nil {
		return nil, Record{}, fmt.Errorf("open an iterator of the state: %w", err)
	}
	v := &view{it: it, lo: s.start, hi: s.end}
	var record Record
	if b := v.get(s.recordKey); b != nil {
		if record, err = DecodeRecord(b); err != nil {
			v.fail(err)
		}
	}
	if v.err != nil {
		return nil, Record{}, errors.Join(v.err, it.Close())
	}
	v.stamp = record.Stamp
	return v, record, nil
}

// close returns the first error of all that was read.
func (v *view) close() error {
	if err := v.it.Close(); err != nil {
		v.fail(fmt.Errorf("close an iterator of the state: %w", err))
	}
	return v.err
}

func (v *view) fail(err error) {
	if v.err == nil {
		v.err = err
	}
}

func (v *view) failed() error { return v.err }

func (v *view) now() int64 { return v.stamp }

func (v *view) get(key []byte) []byte {
	if v.err != nil {
		return nil
	}
	// The limit keeps a missing key from running on over the deleted rows after it.
	v.limit = append(append(v.limit[:0], key...), 0)
	if v.it.SeekGEWithLimit(key, v.limit) != pebble.IterValid {
		v.check()
		return nil
	}
	return bytes.Clone(v.value())
}

func (v *view) scan(lo, hi []byte, f func(key, value []byte) bool) {
	if v.err != nil {
		return
	}
	v.it.SetBounds(lo, hi)
	for ok := v.it.First(); ok && f(v.it.Key(), v.value()) && v.err == nil; ok = v.it.Next() {
	}
	v.check()
	v.it.SetBounds(v.lo, v.hi)
}

func (v *view) scanBack(lo, hi []byte, f func(key, value []byte) bool) {
	if v.err != nil {
		return
	}
	v.it.SetBounds(lo, hi)
	for ok := v.it.Last(); ok && f(v.it.Key(), v.value()) && v.err == nil; ok = v.it.Prev() {
	}
	v.check()
	v.it.SetBounds(v.lo, v.hi)
}

func (v *view) value() []byte {
	b, err := v.it.ValueAndErr()
	if err != nil {
		v.fail(fmt.Errorf("read a row: %w", err))
	}
	return b
}

func (v *view) check() {
	if err := v.it.Error(); err != nil {
		v.fail(fmt.Errorf("read rows: %w", err))
	}
}
