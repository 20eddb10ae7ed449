package state

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/quorate/quorate/mutant"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// tokenMillis is how long a random token is remembered, and the ring of a client
// instance after its last command: 24 h of the entries' time.
const tokenMillis = 24 * 60 * 60 * 1000

// tokenLife is tokenMillis.
func tokenLife() int64 {
	if mutant.On(mutant.TokensExpireEarly) { // a planted bug, see package mutant
		return 1000
	}
	return tokenMillis
}

// maxNativeAge is the age in milliseconds from which a retry of a native token
// is refused if its answer is not remembered: its ring may have been removed. It
// is less than tokenMillis by more than a command can wait on its way.
const maxNativeAge = tokenMillis - 60*60*1000

// tokenRing is what apply keeps in memory of one client instance's native
// tokens: the highest n that has a row. A command with a higher one cannot be a
// repetition, so its row need not be read.
type tokenRing struct{ highest uint64 }

// tokenMemory remembers what one command was answered, under its token.
//
// A native token's row is its place in a ring of 256; the 256th later command
// overwrites it, and a sweep removes a ring that has not been used for 24 h. A
// random token's row is gone for apply when it is past its time, and a sweep
// removes those of half a day when the last of them is. Both are
//
//	| version, 1 | n, 0 if random | stamp | result |
type tokenMemory struct {
	t              *txn
	h              *Header
	scope          scope
	native, random byte // tables
	ring           *tokenRing
}

const tokenRowVersion = 1

// recall returns the answer to a command that must not be done: the
// remembered one, or a refusal of a retry that is too old to be known.
func (m *tokenMemory) recall() (Result, bool) {
	switch {
	case m.h.Token.isNative():
		return m.recallNative()
	case m.h.Token.Random != "":
		return m.recallRandom()
	default:
		return Result{}, false
	}
}

func (m *tokenMemory) recallNative() (Result, bool) {
	t, n := m.t, m.h.Token.N
	m.ring = m.findRing()
	if n > m.ring.highest {
		return m.unknown()
	}
	t.keyBuf = m.nativeKey(t.keyBuf[:0])
	v := t.get(t.keyBuf)
	if v == nil {
		return m.unknown()
	}
	row, err := decodeTokenRow(v)
	switch {
	case err != nil:
		t.fail(err)
		return Result{}, true
	case row.n == n:
		row.result.Again = true
		return row.result, true
	case row.n > n:
		return refuse(TooOld, "later commands have taken the token's place"), true
	default:
		return m.unknown()
	}
}

// unknown decides about a token that has no row. Within the window its command
// was refused or has not come yet, and is done now; below it nobody knows.
func (m *tokenMemory) unknown() (Result, bool) {
	if m.h.Token.N+wire.TokenWindow <= m.ring.highest || m.h.Age >= maxNativeAge {
		return refuse(TooOld, "the token is older than the window"), true
	}
	return Result{}, false
}

// findRing returns the instance's ring, read from its rows if need be.
func (m *tokenMemory) findRing() *tokenRing {
	t := m.t
	t.keyBuf = m.ringKey(t.keyBuf[:0])
	if ring := t.s.rings.get(t.keyBuf); ring != nil {
		return ring
	}
	prefix := bytes.Clone(t.keyBuf)
	ring := new(tokenRing)
	t.scan(prefix, prefixEnd(prefix), func(_, v []byte) bool {
		row, err := decodeTokenRow(v)
		if err != nil {
			t.fail(err)
		}
		ring.highest = max(ring.highest, row.n)
		return true
	})
	t.s.rings.put(prefix, ring)
	return ring
}

// recallRandom looks in the halves of days in which the token may have come.
func (m *tokenMemory) recallRandom() (Result, bool) {
	t := m.t
	t.keyBuf = m.scope.name(t.keyBuf[:0], m.random, m.h.Token.Random)
	if !t.s.tokens.mayHave(t.keyBuf, t.stamp) {
		return Result{}, false
	}
	for half := halfDay(t.stamp); half >= halfDay(max(0, t.stamp-tokenLife())); half-- {
		t.keyBuf = append(m.halfKey(t.keyBuf[:0], half), m.h.Token.Random...)
		v := t.get(t.keyBuf)
		if v == nil {
			continue
		}
		row, err := decodeTokenRow(v)
		if err != nil {
			t.fail(err)
			return Result{}, true
		}
		if row.stamp+tokenLife() <= t.stamp {
			return Result{}, false
		}
		row.result.Again = true
		return row.result, true
	}
	return Result{}, false
}

// rememberRandom keeps a success under a random token, among those of its half of
// a day: they are removed together.
func (m *tokenMemory) rememberRandom(r *Result) {
	t := m.t
	t.keyBuf = m.scope.name(t.keyBuf[:0], m.random, m.h.Token.Random)
	t.s.tokens.add(t.keyBuf, t.stamp)
	half := m.halfKey(nil, halfDay(t.stamp))
	t.keyBuf = append(append(t.keyBuf[:0], half...), m.h.Token.Random...)
	t.valBuf = appendTokenRow(t.valBuf[:0], 0, t.stamp, r)
	t.put(t.keyBuf, t.valBuf)
	if t.s.halves.get(half) != nil {
		return
	}
	t.s.halves.put(half, new(tokenHalf))
	w := Timer{Due: (halfDay(t.stamp)+1)*halfDayMillis + tokenLife(), Kind: timerTokens, Row: half}
	if !t.s.tokens.mayHave(half, t.stamp) || t.get(w.key(nil)) == nil {
		setTimer(t, w.Due, w.Kind, w.Row)
		t.s.tokens.add(half, t.stamp)
	}
}

// tokenHalf says that the random tokens of half a day have their timer.
type tokenHalf struct{}

const halfDayMillis = 12 * 60 * 60 * 1000

// halfDay says in which half of a day since 1970 a time is.
func halfDay(stamp int64) int64 { return stamp / halfDayMillis }

// halfKey is the beginning of the rows of random tokens of half a day.
func (m *tokenMemory) halfKey(b []byte, half int64) []byte {
	return binary.BigEndian.AppendUint32(m.scope.key(b, m.random), uint32(half))
}

// remember keeps a success.
func (m *tokenMemory) remember(r *Result) {
	t := m.t
	switch {
	case m.h.Token.isNative():
		t.keyBuf = m.nativeKey(t.keyBuf[:0])
		t.valBuf = appendTokenRow(t.valBuf[:0], m.h.Token.N, t.stamp, r)
		t.put(t.keyBuf, t.valBuf)
		if m.ring.highest == 0 {
			setTimer(t, t.stamp+tokenLife(), timerTokenRing, m.ringKey(nil))
		}
		m.ring.highest = max(m.ring.highest, m.h.Token.N)
	case m.h.Token.Random != "":
		m.rememberRandom(r)
	}
}

func (m *tokenMemory) ringKey(b []byte) []byte {
	return append(m.scope.key(b, m.native), m.h.Token.Instance[:]...)
}

func (m *tokenMemory) nativeKey(b []byte) []byte {
	return append(m.ringKey(b), byte(m.h.Token.N%wire.TokenWindow))
}

// tokenRow is the decoded row of a token.
type tokenRow struct {
	n      uint64
	stamp  int64
	result Result
}

func appendTokenRow(b []byte, n uint64, stamp int64, r *Result) []byte {
	b = append(b, tokenRowVersion)
	b = bin.AppendUvarint(b, n)
	b = bin.AppendUvarint(b, uint64(stamp))
	return EncodeResult(b, *r)
}

func decodeTokenRow(b []byte) (tokenRow, error) {
	in := bin.NewReader(b)
	checkVersion(in, tokenRowVersion)
	row := tokenRow{n: in.Uvarint(), stamp: int64(in.Uvarint()), result: readResult(in)}
	if err := in.Close(); err != nil {
		return tokenRow{}, fmt.Errorf("decode a token's row: %w", err)
	}
	return row, nil
}

// sweepTokens removes the random tokens of half a day; a timer named the beginning
// of their rows, when the last of them was past its time.
func sweepTokens(t *txn, half []byte) {
	var keys [][]byte
	t.scan(half, prefixEnd(half), func(k, _ []byte) bool {
		keys = append(keys, bytes.Clone(k))
		return len(keys) <= maxSingly
	})
	if len(keys) > maxSingly {
		t.deleteRange(half, prefixEnd(half))
	} else {
		for _, k := range keys {
			t.delete(k)
		}
	}
	t.s.halves.drop(half)
}

// maxSingly is how many tokens are removed one by one: the store reads past the
// tombstone of a range more slowly.
const maxSingly = 16

// sweepTokenRing removes a client instance's ring that has not been used for 24
// h; a timer named it. If it has been used, it gets its next timer. It tells
// whether the ring is gone.
func sweepTokenRing(t *txn, ringKey []byte) bool {
	var newest int64
	var keys [][]byte
	t.scan(ringKey, prefixEnd(ringKey), func(k, v []byte) bool {
		row, err := decodeTokenRow(v)
		if err != nil {
			t.fail(err)
		}
		newest = max(newest, row.stamp)
		keys = append(keys, bytes.Clone(k))
		return true
	})
	if len(keys) == 0 {
		return false
	}
	if newest+tokenLife() > t.stamp {
		setTimer(t, newest+tokenLife(), timerTokenRing, ringKey)
		return false
	}
	for _, k := range keys {
		t.delete(k)
	}
	t.s.rings.drop(ringKey)
	return true
}
