package state

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/wire"
)

// TestOutboxConverges changes members and blocks at random while rows are
// delivered in any order, again, and long after newer ones, and acknowledged or
// not. When everything was delivered in the end, each side must know what the
// other side says.
func TestOutboxConverges(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			p := &outboxPlay{
				w: newWorld(t, 3), rng: rand.New(rand.NewPCG(seed, 2)),
				users: []wire.UserID{"ann", "bob", "cyd", "dan", "eve"},
			}
			for i := range 4 {
				id := wire.ConversationID(fmt.Sprintf("conversation-%d", i))
				p.conversations = append(p.conversations, id)
				p.w.done("", &CreateConversation{ID: id, Preset: PresetBasic, Members: p.users[:1+i%3], Unique: i%2 == 0})
			}
			for range 400 {
				p.w.stamp++
				p.step()
			}
			p.w.settle()
			p.check()
			if diff := cmp.Diff(p.w.dump(), p.w.replay(p.rng).dump()); diff != "" {
				t.Errorf("rows of the replay differ:\n%s", diff)
			}
		})
	}
}

type outboxPlay struct {
	w             *world
	rng           *rand.Rand
	users         []wire.UserID
	conversations []wire.ConversationID
	seen          []OutboxRow // all that ever waited: to be delivered again
	destroyed     int
}

func (p *outboxPlay) step() {
	user := p.users[p.rng.IntN(len(p.users))]
	id := p.conversations[p.rng.IntN(len(p.conversations))]
	switch n := p.rng.IntN(100); {
	case n < 20:
		p.w.do("", &AddMembers{Conversation: id, Users: []wire.UserID{user}})
	case n < 40:
		p.w.do("", &RemoveMembers{Conversation: id, Users: []wire.UserID{user}})
	case n < 50:
		p.w.done(user, &BlockConversation{User: user, Conversation: id, Unblock: p.rng.IntN(2) == 0})
	case n < 51 && p.destroyed < 2:
		if p.w.do("", &DestroyConversation{ID: id}).Refusal == None {
			p.destroyed++
		}
	case n < 90:
		p.deliverSome()
	default:
		p.again()
	}
}

// deliverSome delivers some of what waits, in any order, and acknowledges some
// of that.
func (p *outboxPlay) deliverSome() {
	rows := p.w.outbox()
	p.seen = append(p.seen, rows...)
	p.rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	for _, o := range rows[:p.rng.IntN(len(rows)+1)] {
		before := len(p.w.outbox())
		p.w.deliver(o)
		if after := len(p.w.outbox()); after != before {
			p.w.t.Fatalf("delivering %+v changed the outbox from %d to %d rows: an effect of an effect", o.OutboxRef, before, after)
		}
		if p.rng.IntN(3) > 0 {
			p.w.ack(o)
		}
	}
}

// again delivers or acknowledges something that waited once.
func (p *outboxPlay) again() {
	if len(p.seen) == 0 {
		return
	}
	o := p.seen[p.rng.IntN(len(p.seen))]
	if p.rng.IntN(2) == 0 {
		p.w.deliver(o)
		return
	}
	// Acknowledged only if it was delivered: a newer version must survive it.
	p.w.deliver(o)
	p.w.ack(o)
}

func (p *outboxPlay) check() {
	w := p.w
	for _, user := range p.users {
		want := map[wire.ConversationID]wire.Offset{}
		for _, id := range p.conversations {
			v, err := w.ofConversation(id).view()
			if err != nil {
				w.t.Fatal(err)
			}
			if m, ok := loadMember(v, conversationScope(worldApp, id), user); ok {
				want[id] = m.JoinedOffset
			}
			if err := v.close(); err != nil {
				w.t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want, p.memberships(user)); diff != "" {
			w.t.Errorf("memberships of %s (-the conversations say +the user's rows say):\n%s", user, diff)
		}
		if diff := cmp.Diff(want, p.foldLog(user)); diff != "" {
			w.t.Errorf("user log of %s (-the conversations say +the log says):\n%s", user, diff)
		}
		p.checkBlocks(user)
	}
}

func (p *outboxPlay) memberships(user wire.UserID) map[wire.ConversationID]wire.Offset {
	got := map[wire.ConversationID]wire.Offset{}
	var before wire.Offset
	for {
		page, more, err := p.w.ofUser(user).UserConversations(worldApp, user, before, 2)
		if err != nil {
			p.w.t.Fatal(err)
		}
		for _, m := range page {
			if before != 0 && m.Entry >= before {
				p.w.t.Errorf("memberships of %s are not newest first: %d after %d", user, m.Entry, before)
			}
			before = m.Entry
			got[m.Conversation] = m.JoinedOffset
		}
		if !more {
			return got
		}
	}
}

// foldLog follows the user log from its beginning.
func (p *outboxPlay) foldLog(user wire.UserID) map[wire.ConversationID]wire.Offset {
	got := map[wire.ConversationID]wire.Offset{}
	for i, e := range p.w.userEntries(user) {
		if e.Offset != wire.Offset(i+1) {
			p.w.t.Errorf("user log of %s has offset %d in place %d", user, e.Offset, i+1)
		}
		if e.Kind == EntryLeft {
			delete(got, e.Conversation)
		}
		if e.Kind == EntryJoined {
			got[e.Conversation] = e.ConversationOffset
		}
	}
	return got
}

func (p *outboxPlay) checkBlocks(user wire.UserID) {
	info, err := p.w.ofUser(user).User(worldApp, user)
	if err != nil {
		p.w.t.Fatal(err)
	}
	for _, id := range p.conversations {
		r := p.w.do("", &AddMembers{Conversation: id, Users: []wire.UserID{user}})
		if r.Refusal == Gone || len(r.Users) == 1 && r.Users[0].Refusal == Exists {
			continue
		}
		blocked := slices.Contains(info.Blocked, id)
		if blocked != (r.Refusal == Blocked) {
			p.w.t.Errorf("%s blocks %s: %v, but adding him says %v", user, id, blocked, r.Refusal)
		}
	}
}

// TestOutboxCountsWhatWaits compares the counts kept in memory with the rows,
// and with what a restart counts.
func TestOutboxCountsWhatWaits(t *testing.T) {
	w := newWorld(t, 2)
	rng := rand.New(rand.NewPCG(1, 3))
	for i := range 40 {
		id := wire.ConversationID(fmt.Sprintf("c%d", i))
		w.done("", &CreateConversation{ID: id, Preset: PresetTemporary, Members: []wire.UserID{"ann", wire.UserID(fmt.Sprintf("u%d", i))}})
		w.done("", &RemoveMembers{Conversation: id, Users: []wire.UserID{"ann"}})
		for _, o := range w.outbox() {
			if rng.IntN(3) == 0 {
				w.ack(o)
				w.ack(o)
			}
		}
	}
	for _, s := range w.shards {
		want := [targetBlocks]int{}
		batches, err := s.OutboxBatches(1<<20, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range batches {
			want[targetBlock(b.Target)] += len(b.Rows)
		}
		if s.pending.rows != want {
			t.Errorf("slots %s: counted %v, there are %v", s.rng, s.pending.rows, want)
		}
		due, err := s.DueTimers(w.stamp+defaultTTLMillis, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Reload(); err != nil {
			t.Fatal(err)
		}
		if s.pending.rows != want {
			t.Errorf("slots %s: counted %v after a restart, there are %v", s.rng, s.pending.rows, want)
		}
		after, err := s.DueTimers(w.stamp+defaultTTLMillis, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(due, after); diff != "" || len(due) == 0 {
			t.Errorf("slots %s: timers before and after a restart:\n%s", s.rng, diff)
		}
	}
}

// TestOutboxLimit fills a target by hand up to the limit: what would add a row
// is refused and changes nothing, what replaces one is not.
func TestOutboxLimit(t *testing.T) {
	w := newWorld(t, 1)
	w.done("", &CreateConversation{ID: "tea", Preset: PresetBasic, Members: []wire.UserID{"ann", "bob"}})
	w.settle()
	w.done("", &RemoveMembers{Conversation: "tea", Users: []wire.UserID{"ann"}})
	rows := &w.shards[0].pending.rows
	counted := *rows
	for i := range rows {
		rows[i] = maxOutboxRows
	}
	before := w.dump()
	for _, c := range []Command{
		&AddMembers{Conversation: "tea", Users: []wire.UserID{"cyd"}},
		&AddMembers{Conversation: "tea", Users: []wire.UserID{"ann", "cyd"}},
		&RemoveMembers{Conversation: "tea", Users: []wire.UserID{"bob"}},
		&DestroyConversation{ID: "tea"},
		&CreateConversation{ID: "pot", Preset: PresetBasic, Members: []wire.UserID{"cyd"}},
		&BlockConversation{User: "bob", Conversation: "tea"},
	} {
		if r := w.do("", c); r.Refusal != Backlogged {
			t.Errorf("%T with a full outbox: %v, want %v", c, r.Refusal, Backlogged)
		}
	}
	if diff := cmp.Diff(before, w.dump()); diff != "" {
		t.Errorf("refused commands changed rows:\n%s", diff)
	}
	w.done("", &AddMembers{Conversation: "tea", Users: []wire.UserID{"ann"}})
	*rows = counted
	if n := w.settle(); n != 1 {
		t.Errorf("%d rows wait, want the one of ann", n)
	}
}

// TestOutboxSkipsTargets: a target that does not answer must not hold up others,
// however much waits for it.
func TestOutboxSkipsTargets(t *testing.T) {
	w := newWorld(t, 1)
	var users []wire.UserID
	for i := range 200 {
		users = append(users, wire.UserID(fmt.Sprintf("user-%d", i)))
	}
	w.done("", &CreateConversation{ID: "tea", Preset: PresetBasic, Members: users})
	deaf := map[wire.Slot]bool{}
	got := map[wire.UserID]bool{}
	for {
		batches, err := w.shards[0].OutboxBatches(7, func(s wire.Slot) bool { return deaf[s] })
		if err != nil {
			t.Fatal(err)
		}
		if len(batches) == 0 {
			break
		}
		rows := 0
		for _, b := range batches {
			rows += len(b.Rows)
			deaf[b.Target] = true
			for _, o := range b.Rows {
				if o.Target() != b.Target || got[o.User] {
					t.Fatalf("row %+v in the batch for slot %d, seen %v", o.OutboxRef, b.Target, got[o.User])
				}
				got[o.User] = true
			}
		}
		if rows > 7 {
			t.Fatalf("%d rows at once, want at most 7", rows)
		}
	}
	// A slot that two users share is skipped with the second one still in it, if
	// the limit fell between the two.
	if len(got) < 190 {
		t.Errorf("%d of 200 rows came though only told targets were skipped", len(got))
	}
	if rows := w.outbox(); len(rows) != 200 {
		t.Errorf("%d rows wait, want 200", len(rows))
	}
}

// TestOutboxLimitWithinTarget: many rows for one slot come in pieces.
func TestOutboxLimitWithinTarget(t *testing.T) {
	w := newWorld(t, 1)
	var users []wire.UserID
	slot := wire.SlotOf(worldApp, "u0")
	for i := 0; len(users) < 12; i++ {
		if u := wire.UserID(fmt.Sprintf("u%d", i)); wire.SlotOf(worldApp, string(u)) == slot {
			users = append(users, u)
		}
	}
	w.done("", &CreateConversation{ID: "tea", Preset: PresetBasic, Members: users})
	for _, want := range []int{5, 5, 2, 0} {
		batches, err := w.shards[0].OutboxBatches(5, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		for _, b := range batches {
			got += len(b.Rows)
			w.deliver(b.Rows...)
			w.ack(b.Rows...)
		}
		if got != want {
			t.Errorf("%d rows, want %d", got, want)
		}
	}
}

// TestPackedIsRefusedWhole: rows of another shard's slots refuse the command,
// and none of it is done.
func TestPackedIsRefusedWhole(t *testing.T) {
	w := newWorld(t, 2)
	byShard := map[int]wire.UserID{}
	for i := 0; len(byShard) < 2; i++ {
		u := wire.UserID(fmt.Sprintf("u%d", i))
		byShard[w.shardOf(wire.SlotOf(worldApp, string(u)))] = u
	}
	here, there := byShard[0], byShard[1]
	row := func(u wire.UserID) OutboxRow {
		return OutboxRow{
			OutboxRef:  OutboxRef{Kind: OutboxMembership, App: worldApp, Conversation: "tea", User: u, Version: 1},
			OutboxNote: OutboxNote{On: true},
		}
	}
	timer := func(u wire.UserID) Timer {
		return Timer{Due: 1, Kind: timerRoom, Row: userScope(worldApp, u).key(nil, tableRoom)}
	}
	block := func(u wire.UserID) OutboxRef {
		return OutboxRef{Kind: OutboxBlock, App: worldApp, Conversation: "tea", User: u, Version: 1}
	}
	before := w.dump()
	for _, c := range []Command{
		&DeliverOutbox{Rows: []OutboxRow{row(here), row(there)}},
		&AckOutbox{Rows: []OutboxRef{block(here), block(there)}},
		&Sweep{Timers: []Timer{timer(here), timer(there)}},
		&SessionsLost{Losses: []SessionLoss{{User: here, Session: "s"}, {User: there, Session: "s"}}},
		&MoveCursors{Moves: []CursorMove{
			{Conversation: wire.ConversationID(here), User: "u", Read: 1}, {Conversation: wire.ConversationID(there), User: "u", Read: 1},
		}},
	} {
		if r := w.at(0, Header{App: worldApp}, c); r.Refusal != Moved {
			t.Errorf("%T over two shards: %v, want %v", c, r.Refusal, Moved)
		}
	}
	if diff := cmp.Diff(before, w.dump()); diff != "" {
		t.Errorf("refused commands changed rows:\n%s", diff)
	}
	if got := slices.Sorted(maps.Keys(w.dump())); len(got) != 0 {
		t.Errorf("rows: %v", got)
	}
}
