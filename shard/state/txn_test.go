package state

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/wire"
)

// TestTxn writes random rows and compares every read with a map: within the
// batch, over the store below it, and after commits.
func TestTxn(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 4))
			p := &txnPlay{t: t, rng: rng, rows: map[string]string{}, s: newScript(t).state}
			p.txn = newTxn(p.s)
			p.txn.beginEntry(1, 1000)
			for range 2000 {
				p.step()
			}
			if err := p.txn.reset(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

type txnPlay struct {
	t    *testing.T
	rng  *rand.Rand
	s    *State
	txn  *txn
	rows map[string]string
	n    uint64
}

// key is one of a hundred, in two tables.
func (p *txnPlay) key() []byte {
	table := pick(p.rng, tableMessage, tableEntry)
	return scope{slot: 7, app: "app", root: "tea"}.number(nil, table, p.rng.Uint64N(50))
}

// bounds are two keys of one table, in order.
func (p *txnPlay) bounds() (lo, hi []byte) {
	lo, hi = p.key(), p.key()
	hi[2] = lo[2]
	if string(hi) < string(lo) {
		lo, hi = hi, lo
	}
	return lo, hi
}

func (p *txnPlay) step() {
	switch p.rng.IntN(20) {
	case 0:
		p.n++
		if err := p.txn.commit(Record{Applied: p.n}); err != nil {
			p.t.Fatal(err)
		}
		p.txn.beginEntry(p.n+1, 1000)
	case 1:
		lo, hi := p.bounds()
		p.txn.deleteRange(lo, hi)
		for k := range p.rows {
			if k >= string(lo) && k < string(hi) {
				delete(p.rows, k)
			}
		}
	case 2, 3, 4:
		key := p.key()
		p.txn.delete(key)
		delete(p.rows, string(key))
	case 5, 6, 7, 8, 9:
		key, value := p.key(), fmt.Sprint(p.rng.Uint32())
		p.txn.put(key, []byte(value))
		p.rows[string(key)] = value
	case 10, 11:
		p.scan()
	default:
		key := p.key()
		want, ok := p.rows[string(key)]
		if got := p.txn.get(key); string(got) != want || (got != nil) != ok {
			p.t.Fatalf("%x is %q, want %q", key, got, want)
		}
	}
	if p.txn.err != nil {
		p.t.Fatal(p.txn.err)
	}
}

// scan compares both directions, and stops early at times.
func (p *txnPlay) scan() {
	lo, hi := p.bounds()
	var want []string
	for k, v := range p.rows {
		if k >= string(lo) && k < string(hi) {
			want = append(want, k+v)
		}
	}
	slices.Sort(want)
	limit := 1 + p.rng.IntN(60)
	for _, scan := range []func(lo, hi []byte, f func(k, v []byte) bool){p.txn.scan, p.txn.scanBack} {
		var got []string
		scan(lo, hi, func(k, v []byte) bool {
			got = append(got, string(k)+string(v))
			return len(got) < limit
		})
		if diff := cmp.Diff(want[:min(limit, len(want))], got, cmp.Transformer("hex", func(s string) string { return fmt.Sprintf("%x", s) })); diff != "" && len(want)+len(got) > 0 {
			p.t.Fatalf("scan of [%x, %x) (-map +txn):\n%s", lo, hi, diff)
		}
		slices.Reverse(want)
	}
}

// TestWriteOutside sees to it that a write to another shard's slot, which would
// fork the replicas at the next move, stops this one.
func TestWriteOutside(t *testing.T) {
	s, err := Open(openMem(t), wire.SlotRange{First: 10, Last: 20}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for slot, want := range map[wire.Slot]bool{9: false, 10: true, 20: true, 21: false} {
		txn := newTxn(s)
		txn.beginEntry(1, 1000)
		txn.put(appendTable(nil, slot, tableTimer), []byte{1})
		if ok := txn.err == nil; ok != want {
			t.Errorf("a write to slot %d of %s: %v", slot, s.rng, txn.err)
		}
		if err := txn.reset(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBatchLargerThanKept fills batches beyond the memory that is kept between
// them, and small ones in between: none sees rows of another.
func TestBatchLargerThanKept(t *testing.T) {
	s := newScript(t).state
	txn := newTxn(s)
	key := func(i int) []byte {
		return scope{slot: wire.Slot(i % 5), app: "app", root: "tea"}.number(nil, tableMessage, uint64(i))
	}
	for round, rows := range []int{10, 3 * keptRows, 10, 2 * keptRows, 10} {
		txn.beginEntry(uint64(round+1), 1000)
		if txn.own.find(key(1)) != nil {
			t.Fatalf("round %d begins with rows", round)
		}
		for i := range rows {
			txn.put(key(i), fmt.Appendf(nil, "%d of %d", i, round))
		}
		txn.put(key(0), bytes.Repeat([]byte{1}, 3*arenaChunk))
		txn.delete(key(1))
		check := func(when string) {
			for i := 2; i < rows; i++ {
				if got, want := string(txn.get(key(i))), fmt.Sprintf("%d of %d", i, round); got != want {
					t.Fatalf("%s: row %d is %q, want %q", when, i, got, want)
				}
			}
			if n := len(txn.get(key(0))); n != 3*arenaChunk {
				t.Errorf("%s: the large row has %d bytes", when, n)
			}
			if v := txn.get(key(1)); v != nil {
				t.Errorf("%s: the deleted row is %q", when, v)
			}
		}
		check("before the commit")
		if err := txn.commit(Record{Applied: uint64(round + 1)}); err != nil {
			t.Fatal(err)
		}
		check("after the commit")
	}
}
