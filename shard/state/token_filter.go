package state

import (
	"errors"
	"fmt"
	"math"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/pebble/v2"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// tokenFilter tells of most random tokens that they have no row, so that it need
// not be looked for: nearly all commands come once, and a row that is not there
// is sought in every level of the store. It is memory only: a few filters, each of
// the tokens of a time, and changes nothing but what is read.
type tokenFilter struct {
	parts []*tokenPart // the newest is the last
	// completeFrom is the entries' time from which all rows that count are known; 0:
	// always.
	completeFrom int64
}

const (
	firstPart = 8 << 10   // tokens of the first part; the next is twice as large
	largePart = 128 << 10 // of those from the fifth on
	maxParts  = 24        // some 3 million tokens in 6 MB
	// maxLoaded is how many rows are read when a state is opened. With more of them,
	// rows are looked for until those have had their time.
	maxLoaded = 200_000
)

// mayHave tells whether a token's key may have a row that counts now.
func (f *tokenFilter) mayHave(key []byte, now int64) bool {
	for len(f.parts) > 0 && f.parts[0].newest+tokenLife() <= now {
		f.parts = f.parts[1:]
	}
	if now < f.completeFrom {
		return true
	}
	h := xxhash.Sum64(key)
	for _, p := range f.parts {
		if p.has(h) {
			return true
		}
	}
	return false
}

// add notes a token's key, which has a row as of a time.
func (f *tokenFilter) add(key []byte, stamp int64) {
	if n := len(f.parts); n == 0 || f.parts[n-1].room == 0 {
		f.grow()
	}
	p := f.parts[len(f.parts)-1]
	p.set(xxhash.Sum64(key))
	p.room--
	p.newest = max(p.newest, stamp)
}

func (f *tokenFilter) grow() {
	size := firstPart
	if n := len(f.parts); n > 0 {
		size = min(2*f.parts[n-1].size, largePart)
	}
	f.parts = append(f.parts, newTokenPart(size))
	if len(f.parts) > maxParts {
		f.completeFrom = max(f.completeFrom, f.parts[0].newest+tokenLife())
		f.parts = f.parts[1:]
	}
}

// load reads the tokens that have rows, in a shard whose entries have come to a
// time. Slots without any cost a seek at most.
func (f *tokenFilter) load(db pebble.Reader, rng wire.SlotRange, stamp int64) error {
	*f = tokenFilter{}
	for _, table := range [...]byte{tableRandomToken, tableUserRandomToken} {
		left, err := f.loadTable(db, rng, table)
		if err != nil {
			return fmt.Errorf("read tokens: %w", err)
		}
		if left == 0 {
			*f = tokenFilter{completeFrom: stamp + tokenLife()}
			return nil
		}
	}
	return nil
}

func (f *tokenFilter) loadTable(db pebble.Reader, rng wire.SlotRange, table byte) (left int, err error) {
	start, end := Bounds(rng)
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: start, UpperBound: end})
	if err != nil {
		return 0, err
	}
	left = maxLoaded
	for ok := it.SeekGE(appendTable(nil, rng.First, table)); ok && left > 0; {
		slot, found := keySlot(it.Key()), keyTable(it.Key())
		switch {
		case found < table:
			ok = it.SeekGE(appendTable(nil, slot, table))
		case found > table && slot == rng.Last:
			ok = false
		case found > table:
			ok = it.SeekGE(appendTable(nil, slot+1, table))
		default:
			var v []byte
			if v, err = it.ValueAndErr(); err != nil {
				return 0, errors.Join(err, it.Close())
			}
			if err := f.addRow(it.Key(), v); err != nil {
				return 0, errors.Join(err, it.Close())
			}
			left--
			ok = it.Next()
		}
	}
	return left, errors.Join(it.Error(), it.Close())
}

// addRow notes a row: the token, as if it had no time, and that the time has some.
func (f *tokenFilter) addRow(key, value []byte) error {
	row, err := decodeTokenRow(value)
	if err != nil {
		return err
	}
	s, rest, err := splitKey(key)
	if err != nil {
		return err
	}
	if len(rest) < 4 {
		return fmt.Errorf("read the key of a token: %w: %x", bin.ErrShort, key)
	}
	f.add(s.name(nil, keyTable(key), string(rest[4:])), row.stamp)
	f.add(key[:len(key)-len(rest)+4], row.stamp)
	return nil
}

// tokenPart is a split block Bloom filter: each token sets one bit in each of the
// eight words of one block.
type tokenPart struct {
	blocks [][8]uint32
	size   int // tokens it is made for
	room   int // for how many more
	newest int64
}

func newTokenPart(size int) *tokenPart {
	// 16 bits a token: one of some 1,000 that are not there seems to be.
	return &tokenPart{blocks: make([][8]uint32, size*16/256+1), size: size, room: size, newest: math.MinInt64}
}

// block finds a token's block by the upper half of its hash.
func (p *tokenPart) block(h uint64) *[8]uint32 {
	return &p.blocks[(h>>32)*uint64(len(p.blocks))>>32]
}

// bit is which bit of a block's word i a token sets.
func bit(h uint64, i int) uint32 {
	return 1 << (h * 0x9e3779b97f4a7c15 >> (24 + 5*i) & 31)
}

func (p *tokenPart) set(h uint64) {
	b := p.block(h)
	for i := range b {
		b[i] |= bit(h, i)
	}
}

func (p *tokenPart) has(h uint64) bool {
	b := p.block(h)
	for i := range b {
		if b[i]&bit(h, i) == 0 {
			return false
		}
	}
	return true
}
