package state

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate/quorate/wire"
)

const worldApp wire.AppID = "app-of-24-characters-abc"

// world is a few shards that own all slots, and who takes outboxes from one to
// another: what a cluster is to the state machine.
type world struct {
	t      testing.TB
	db     *pebble.DB
	shards []*State
	index  []uint64
	stamp  int64
	told   []Applied

	// applied is each shard's entries, to be replayed.
	applied [][]LogEntry
}

func newWorld(t testing.TB, shards int) *world {
	db, err := pebble.Open("", &pebble.Options{FS: vfs.NewMem(), DisableWAL: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{t: t, db: db, stamp: 1_000_000_000_000, index: make([]uint64, shards), applied: make([][]LogEntry, shards)}
	for i := range shards {
		rng := wire.SlotRange{First: wire.Slot(wire.Slots / shards * i), Last: wire.Slot(wire.Slots/shards*(i+1) - 1)}
		if i == shards-1 {
			rng.Last = wire.Slots - 1
		}
		s, err := Open(db, rng, Options{Applied: func(a Applied) { w.told = append(w.told, a) }})
		if err != nil {
			t.Fatal(err)
		}
		w.shards = append(w.shards, s)
	}
	return w
}

func (w *world) shardOf(slot wire.Slot) int {
	return slices.IndexFunc(w.shards, func(s *State) bool { return s.rng.Contains(slot) })
}

func (w *world) ofConversation(id wire.ConversationID) *State {
	return w.shards[w.shardOf(wire.SlotOf(worldApp, string(id)))]
}

func (w *world) ofUser(id wire.UserID) *State {
	return w.shards[w.shardOf(wire.SlotOf(worldApp, string(id)))]
}

// do has the command applied where its slot is.
func (w *world) do(actor wire.UserID, c Command) Result {
	h := Header{App: worldApp, Actor: actor, Origin: Origin{Node: "n1", Session: 7, Request: 1}}
	return w.at(w.shardOf(CommandSlot(h, c)), h, c)
}

// at has the command applied by a shard, one entry for it alone.
func (w *world) at(shard int, h Header, c Command) Result {
	return w.packed(shard, EncodeCommand(nil, h, c))[0]
}

func (w *world) packed(shard int, commands ...[]byte) []Result {
	w.t.Helper()
	w.index[shard]++
	e := LogEntry{Index: w.index[shard], Term: 1, Data: AppendEntry(nil, w.stamp, commands)}
	w.applied[shard] = append(w.applied[shard], e)
	results, err := w.shards[shard].Apply([]LogEntry{e})
	if err != nil {
		w.t.Fatal(err)
	}
	return results[0]
}

// done is do for a command that must succeed.
func (w *world) done(actor wire.UserID, c Command) Result {
	w.t.Helper()
	r := w.do(actor, c)
	if r.Refusal != None {
		w.t.Fatalf("%T of %q was refused: %v %s", c, actor, r.Refusal, r.Text)
	}
	return r
}

// outbox returns what waits anywhere, in a fixed order.
func (w *world) outbox() []OutboxRow {
	w.t.Helper()
	var rows []OutboxRow
	for _, s := range w.shards {
		batches, err := s.OutboxBatches(1<<30, nil)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, b := range batches {
			rows = append(rows, b.Rows...)
		}
	}
	return rows
}

// deliver hands rows to their target, and ack tells the source.
func (w *world) deliver(rows ...OutboxRow) Result {
	return w.done("", &DeliverOutbox{Rows: rows})
}

func (w *world) ack(rows ...OutboxRow) Result {
	refs := make([]OutboxRef, len(rows))
	for i, o := range rows {
		refs[i] = o.OutboxRef
	}
	return w.done("", &AckOutbox{Rows: refs})
}

// settle empties all outboxes, and returns how many rows there were.
func (w *world) settle() int {
	n := 0
	for rows := w.outbox(); len(rows) > 0; rows = w.outbox() {
		n += len(rows)
		for _, o := range rows {
			w.deliver(o)
			w.ack(o)
		}
	}
	return n
}

// sweep does all that is due.
func (w *world) sweep() int {
	n := 0
	for i, s := range w.shards {
		due, err := s.DueTimers(w.stamp, 1000)
		if err != nil {
			w.t.Fatal(err)
		}
		if len(due) > 0 {
			n += int(w.at(i, Header{}, &Sweep{Timers: due}).Count)
		}
	}
	return n
}

// dump renders all rows of the world, without the shards' records.
func (w *world) dump() map[string]string {
	rows := map[string]string{}
	for _, s := range w.shards {
		settle(w.t, s)
		it, err := w.db.NewIter(&pebble.IterOptions{LowerBound: s.start, UpperBound: s.end})
		if err != nil {
			w.t.Fatal(err)
		}
		for ok := it.First(); ok; ok = it.Next() {
			if keyTable(it.Key()) != tableRecord {
				rows[fmt.Sprintf("%q", it.Key())] = fmt.Sprintf("%q", it.Value())
			}
		}
		if err := it.Close(); err != nil {
			w.t.Fatal(err)
		}
	}
	return rows
}

// userEntries reads a user's log from its rows.
func (w *world) userEntries(id wire.UserID) []*Entry {
	w.t.Helper()
	s := w.ofUser(id)
	v, err := s.view()
	if err != nil {
		w.t.Fatal(err)
	}
	var entries []*Entry
	prefix := userScope(worldApp, id).key(nil, tableUserEntry)
	v.scan(prefix, prefixEnd(prefix), func(key, value []byte) bool {
		e, err := decodeEntryRow(wire.Offset(lastNumber(key)), value)
		if err != nil {
			v.fail(err)
			return false
		}
		entries = append(entries, e)
		return true
	})
	if err := v.close(); err != nil {
		w.t.Fatal(err)
	}
	return entries
}

// replay applies all entries again in another world, many to a batch, with
// caches that keep next to nothing, and reloads now and then.
func (w *world) replay(rng *rand.Rand) *world {
	w.t.Helper()
	again := newWorld(w.t, len(w.shards))
	for i, s := range again.shards {
		s.conversations.limit, s.members.limit, s.rings.limit = 1, 1, 1
		for rest := w.applied[i]; len(rest) > 0; {
			n := min(len(rest), 1+rng.IntN(30))
			if _, err := s.Apply(rest[:n]); err != nil {
				w.t.Fatal(err)
			}
			rest = rest[n:]
			if rng.IntN(5) == 0 {
				settle(w.t, s)
				if err := s.Reload(); err != nil {
					w.t.Fatal(err)
				}
			}
		}
		if want, got := w.shards[i].Record(), s.Record(); want.Chain != got.Chain || want.Applied != got.Applied {
			w.t.Errorf("shard %d at entry %d has chain %x, replayed at %d %x", i, want.Applied, want.Chain, got.Applied, got.Chain)
		}
		if want, got := w.shards[i].pending.rows, s.pending.rows; want != got {
			w.t.Errorf("shard %d counts other outbox rows after a replay", i)
		}
	}
	return again
}
