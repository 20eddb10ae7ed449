package state

import (
	"fmt"
	"sync"
	"testing"

	"github.com/quorate/quorate/wire"
)

// TestTimersAreNotForgotten asks for due timers and waiting rows all the time
// while apply adds some. What a query learns of a slot, that nothing is due
// there, must not hide what apply added meanwhile.
func TestTimersAreNotForgotten(t *testing.T) {
	w := newWorld(t, 1)
	s := w.shards[0]
	stop := make(chan struct{})
	var queries sync.WaitGroup
	for range 2 {
		queries.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := s.DueTimers(never-1, 1000); err != nil {
					t.Error(err)
				}
				if _, err := s.OutboxBatches(1000, nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	const users = 300
	for i := range users {
		u := wire.UserID(fmt.Sprintf("u%d", i%40))
		w.stamp++
		w.done(u, &EnterRoom{User: u, Conversation: "hall", Session: "s"})
		w.done("", &SessionsLost{Losses: []SessionLoss{{User: u, Session: "s"}}})
		id := wire.ConversationID(fmt.Sprintf("c%d", i))
		w.done("", &CreateConversation{ID: id, Preset: PresetBasic, Members: []wire.UserID{u}})
		if i%3 == 0 {
			w.ack(OutboxRow{OutboxRef: OutboxRef{Kind: OutboxMembership, App: worldApp, Conversation: id, User: u, Version: 2}})
		}
	}
	close(stop)
	queries.Wait()
	if rows := w.outbox(); len(rows) != users*2/3 {
		t.Errorf("%d rows wait, want %d", len(rows), users*2/3)
	}
	if due, err := s.DueTimers(w.stamp, 1000); err != nil || len(due) != 0 {
		t.Errorf("%d timers are due before their time, %v", len(due), err)
	}
	w.stamp += roomGraceMillis
	if n := w.sweep(); n != 40 {
		t.Errorf("%d users were taken out of their room, want 40", n)
	}
}

// TestLookIsNoNews: a query that looked before apply, or before a reload, and
// tells after it what it found, must not hide a row.
func TestLookIsNoNews(t *testing.T) {
	w := newWorld(t, 1)
	p := &w.shards[0].pending
	add := func(due int64) {
		p.added = append(p.added, pendingChange{slot: 1, timer: true, due: due})
		p.committed()
	}
	earliest := func() int64 {
		_, found := p.slots(pendingTimers, never)
		if len(found) != 1 {
			t.Fatalf("slots %v, want one", found)
		}
		return found[0].earliest
	}
	add(100)
	_, before := p.slots(pendingTimers, 100)
	add(50)
	p.looked(pendingTimers, 1, before[0], never)
	if got := earliest(); got != 50 {
		t.Errorf("after a late look the first timer is at %d, want 50", got)
	}
	_, before = p.slots(pendingTimers, 100)
	p.looked(pendingTimers, 1, before[0], 70)
	if got := earliest(); got != 70 {
		t.Errorf("after a look the first timer is at %d, want 70", got)
	}
	if slots, _ := p.slots(pendingTimers, 69); len(slots) != 0 {
		t.Errorf("slots %v at 69, want none", slots)
	}
	if err := w.shards[0].Reload(); err != nil {
		t.Fatal(err)
	}
	add(80)
	p.looked(pendingTimers, 1, before[0], never)
	if got := earliest(); got != 80 {
		t.Errorf("after a reload and a late look the first timer is at %d, want 80", got)
	}
}

// TestSweepAgain: what cannot be swept now is tried later, and does not stand
// before what can.
func TestSweepAgain(t *testing.T) {
	w := newWorld(t, 1)
	w.done("", &CreateConversation{ID: "tea", Preset: PresetTemporary, Members: []wire.UserID{"ann"}})
	w.settle()
	rows := &w.shards[0].pending.rows
	for i := range rows {
		rows[i] = maxOutboxRows
	}
	w.stamp += defaultTTLMillis
	if n := w.sweep(); n != 0 {
		t.Fatalf("%d swept with a full outbox", n)
	}
	*rows = [targetBlocks]int{}
	if n := w.sweep(); n != 0 {
		t.Errorf("swept again at once")
	}
	w.stamp += sweepAgainMillis
	if n := w.sweep(); n != 1 {
		t.Errorf("%d swept, want the expiry", n)
	}
	if r := w.do("", &SendMessage{Conversation: "tea"}); r.Refusal != Gone {
		t.Errorf("send after the sweep: %v, want %v", r.Refusal, Gone)
	}
}

// TestSweepTwice: a timer that was swept, or is not due by the entry's stamp,
// does nothing.
func TestSweepTwice(t *testing.T) {
	w := newWorld(t, 1)
	w.done("ann", &EnterRoom{User: "ann", Conversation: "hall", Session: "s"})
	w.done("", &SessionsLost{Losses: []SessionLoss{{User: "ann", Session: "s"}}})
	due, err := w.shards[0].DueTimers(w.stamp+roomGraceMillis, 10)
	if err != nil || len(due) != 1 {
		t.Fatalf("timers %v, %v", due, err)
	}
	for _, step := range []struct {
		wait  int64
		count uint64
	}{{roomGraceMillis - 1, 0}, {1, 1}, {1, 0}} {
		w.stamp += step.wait
		if r := w.done("", &Sweep{Timers: due}); r.Count != step.count {
			t.Errorf("at +%d ms: %d swept, want %d", w.stamp-1_000_000_000_000, r.Count, step.count)
		}
	}
	// The user's head and the two entries that say he came and went.
	if rows := w.dump(); len(rows) != 3 {
		t.Errorf("rows left: %v", rows)
	}
}

// TestUserLogIsBounded: the log lets go of its oldest entries and says so.
func TestUserLogIsBounded(t *testing.T) {
	w := newWorld(t, 1)
	const more = 5
	h := Header{App: worldApp}
	for n := 0; n < maxUserEntries+more; {
		var commands [][]byte
		for ; len(commands) < MaxCommands && n < maxUserEntries+more; n++ {
			commands = append(commands, EncodeCommand(nil, h, &Kick{User: "ann", Device: "d"}))
		}
		w.packed(0, commands...)
	}
	info, err := w.shards[0].User(worldApp, "ann")
	if err != nil {
		t.Fatal(err)
	}
	if info.Last != maxUserEntries+more || info.Floor != more {
		t.Errorf("last %d, floor %d, want %d and %d", info.Last, info.Floor, maxUserEntries+more, more)
	}
	entries := w.userEntries("ann")
	if len(entries) != maxUserEntries || entries[0].Offset != more+1 {
		t.Errorf("%d entries kept, the first at %d", len(entries), entries[0].Offset)
	}
}
