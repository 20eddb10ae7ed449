package state

import (
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/wire"
)

// TestReplay applies the same random entries to several states: with other
// batches, with caches of one row, opened anew in between, and after power cuts
// that lose what was not flushed. All must give the same answers, the same
// chain after each batch, and at the end the same bytes.
func TestReplay(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			g := newGenerator(t, seed)
			g.generate(250)
			settle(t, g.lead.state)
			want := dump(t, g.lead.db)
			rng := rand.New(rand.NewPCG(seed, 2))

			t.Run("one batch", func(t *testing.T) {
				r := newReplica(t, g, openMem(t), Options{})
				r.apply(len(g.entries))
				r.compare(want)
			})
			t.Run("small batches", func(t *testing.T) {
				r := newReplica(t, g, openMem(t), Options{BatchBytes: 1, Applied: func(Applied) {}})
				for r.next < len(g.entries) {
					r.apply(1 + rng.IntN(30))
				}
				r.compare(want)
			})
			t.Run("cold caches", func(t *testing.T) {
				r := newReplica(t, g, openMem(t), Options{Conversations: 1, Members: 1, Tokens: 1})
				for r.next < len(g.entries) {
					if rng.IntN(3) == 0 {
						r.reopen(r.db)
					}
					r.apply(1 + rng.IntN(5))
				}
				r.compare(want)
			})
			t.Run("installs", func(t *testing.T) {
				r := newReplica(t, g, openMem(t), Options{})
				for r.next < len(g.entries) {
					r.apply(1 + rng.IntN(50))
					if rng.IntN(4) == 0 {
						r.install(rng)
					}
				}
				r.compare(want)
			})
			t.Run("power cuts", func(t *testing.T) { replayPowerCuts(t, g, rng, want) })
		})
	}
}

func replayPowerCuts(t *testing.T, g *generator, rng *rand.Rand, want map[string]string) {
	disk := vfs.NewCrashableMem()
	open := func() *pebble.DB {
		db, err := pebble.Open("state", &pebble.Options{FS: disk, DisableWAL: true, Logger: quiet{}})
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	r := newReplica(t, g, open(), Options{})
	for r.next < len(g.entries) {
		r.apply(1 + rng.IntN(30))
		if rng.IntN(3) == 0 {
			settle(t, r.s)
			if err := r.db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		if rng.IntN(4) == 0 {
			crashed := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
			if err := r.db.Close(); err != nil {
				t.Fatal(err)
			}
			disk = crashed
			r.reopen(open())
		}
	}
	r.compare(want)
	if err := r.db.Close(); err != nil {
		t.Fatal(err)
	}
}

// replica is a state that replays a generator's entries.
type replica struct {
	t    *testing.T
	g    *generator
	db   *pebble.DB
	s    *State
	opts Options
	next int // index into the generator's entries
}

func newReplica(t *testing.T, g *generator, db *pebble.DB, opts Options) *replica {
	r := &replica{t: t, g: g, opts: opts}
	r.reopen(db)
	return r
}

// reopen starts on what the store has: raft goes on after the applied index.
func (r *replica) reopen(db *pebble.DB) {
	r.t.Helper()
	var err error
	r.db = db
	if r.s, err = Open(db, wire.SlotRange{Last: wire.Slots - 1}, r.opts); err != nil {
		r.t.Fatal(err)
	}
	r.next = int(r.s.Record().Applied)
	r.checkChain()
}

// apply applies up to n entries, and some again that were applied before.
func (r *replica) apply(n int) {
	r.t.Helper()
	from, to := max(0, r.next-3), min(r.next+n, len(r.g.entries))
	results, err := r.s.Apply(r.g.entries[from:to])
	if err != nil {
		r.t.Fatal(err)
	}
	for i, result := range results {
		var want []Result
		if from+i >= r.next {
			want = r.g.results[from+i]
		}
		if diff := cmp.Diff(want, result); diff != "" {
			r.t.Fatalf("entry %d (-want +got):\n%s", from+i+1, diff)
		}
	}
	r.next = to
	r.checkChain()
}

func (r *replica) checkChain() {
	r.t.Helper()
	if r.next == 0 {
		return
	}
	if got, want := r.s.Record().Chain, r.g.chains[r.next-1]; got != want {
		r.t.Fatalf("chain at entry %d is %x, want %x", r.next, got, want)
	}
}

// install replaces the rows by those of another replica that is ahead.
func (r *replica) install(rng *rand.Rand) {
	r.t.Helper()
	ahead := newReplica(r.t, r.g, openMem(r.t), Options{})
	ahead.apply(min(r.next+rng.IntN(50), len(r.g.entries)))
	settle(r.t, ahead.s)
	settle(r.t, r.s)
	replaceRows(r.t, r.db, dump(r.t, ahead.db))
	if err := r.s.Reload(); err != nil {
		r.t.Fatal(err)
	}
	r.next = int(r.s.Record().Applied)
	r.checkChain()
}

func (r *replica) compare(want map[string]string) {
	r.t.Helper()
	settle(r.t, r.s)
	if diff := cmp.Diff(want, dump(r.t, r.db)); diff != "" {
		r.t.Fatalf("rows differ (-want +got):\n%s", diff)
	}
}

// dump returns all rows of a store.
func dump(t testing.TB, db *pebble.DB) map[string]string {
	t.Helper()
	it, err := db.NewIter(nil)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for ok := it.First(); ok; ok = it.Next() {
		rows[hex.EncodeToString(it.Key())] = hex.EncodeToString(it.Value())
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return rows
}

func replaceRows(t testing.TB, db *pebble.DB, rows map[string]string) {
	t.Helper()
	b := db.NewBatch()
	start, end := Bounds(wire.SlotRange{Last: wire.Slots - 1})
	if err := b.DeleteRange(start, end, nil); err != nil {
		t.Fatal(err)
	}
	for k, v := range rows {
		key, _ := hex.DecodeString(k)
		value, _ := hex.DecodeString(v)
		if err := b.Set(key, value, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		t.Fatal(err)
	}
}

// TestGeneratorReaches sees to it that the random entries do what they are for:
// a generator whose commands are all refused would prove nothing.
func TestGeneratorReaches(t *testing.T) {
	g := newGenerator(t, 1)
	g.generate(400)
	counts := map[Refusal]int{}
	again := 0
	for _, results := range g.results {
		for _, r := range results {
			counts[r.Refusal]++
			if r.Again {
				again++
			}
		}
	}
	for _, r := range []Refusal{None, NotFound, NotMember, Forbidden, Exists, Gone, TooOld, Muted, Banned, MutedForNow, BannedUser} {
		if counts[r] == 0 {
			t.Errorf("no command came to %q: %v", r, counts)
		}
	}
	if counts[None] < 400 || again < 20 {
		t.Errorf("%d were done and %d remembered, want more", counts[None], again)
	}
}

// TestViewSurvivesExcise reads on through a view while the range is replaced by
// an install: the view must go on to see the rows that it began with.
func TestViewSurvivesExcise(t *testing.T) {
	s := newScript(t)
	s.do(t, Header{Actor: "ann"}, &CreateConversation{ID: "tea", Preset: PresetBasic})
	s.do(t, Header{Actor: "ann"}, &SendMessage{Conversation: "tea", Body: []byte("before")})
	settle(t, s.state)
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	v, err := s.state.view()
	if err != nil {
		t.Fatal(err)
	}
	snapshot := s.db.NewSnapshot()

	start, end := Bounds(wire.SlotRange{Last: wire.Slots - 1})
	_, err = s.db.IngestAndExcise(context.Background(), nil, nil, nil, pebble.KeyRange{Start: start, End: end})
	if err != nil {
		t.Fatal(err)
	}

	// The reason why views are not snapshots:
	if _, closer, err := snapshot.Get(s.state.recordKey); err == nil {
		_ = closer.Close()
		t.Error("an excise leaves snapshots alone now: views may be snapshots")
	}
	if err := snapshot.Close(); err != nil {
		t.Fatal(err)
	}
	m := loadMessage(v, conversationScope(scriptApp, "tea"), 1)
	if m == nil || string(m.Body) != "before" {
		t.Errorf("the view reads %v after the excise, want the message", m)
	}
	if err := v.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.state.Conversation(scriptApp, "tea"); err == nil {
		t.Error("a new view still sees the conversation")
	}
}
