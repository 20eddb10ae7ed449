package tail

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// follower is a subscriber that checks everything it is told.
type follower struct {
	user wire.UserID
	id   wire.ConversationID
	set  Set
	w    *world
	late chan struct{}

	mu    sync.Mutex
	next  wire.Offset // told of everything up to here
	room  int         // batches that fit until it has caught up
	fault string
	ended bool
	read  int // entries it read from the log
}

func (f *follower) failf(format string, args ...any) {
	if f.fault == "" {
		f.fault = fmt.Sprintf(format, args...)
	}
}

// Deliver checks that the batch begins where the last one ended, and that it
// holds exactly what is for this reader.
func (f *follower) Deliver(b *Batch) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.room == 0 && !b.Ended {
		f.Late()
		return false
	}
	f.room--
	if b.After != f.next || b.Upto < b.After {
		f.failf("told (%d, %d] after %d", b.After, b.Upto, f.next)
	}
	want := f.w.visible(f.id, f.user, b.After, b.Upto)
	if b.Behind {
		f.read += len(want) // it reads the log
	} else if got := offsets(b.Entries); got != offsets(want) {
		f.failf("(%d, %d] holds %s, want %s", b.After, b.Upto, got, offsets(want))
	}
	f.next, f.ended = b.Upto, b.Ended
	return true
}

func offsets(entries []*state.Entry) string {
	text := ""
	for _, e := range entries {
		text += fmt.Sprintf("%d ", e.Offset)
	}
	return text
}

func (f *follower) DeliverCursor(Cursor) bool { return true }

// DeliverTransient checks that nobody is told who was removed before.
func (f *follower) DeliverTransient(*Transient) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		f.failf("told something transient after the end")
	}
}

func (f *follower) Late() {
	select {
	case f.late <- struct{}{}:
	default:
	}
}

// drain catches up, as a session does once its queue is written.
func (f *follower) drain(done <-chan struct{}, slow time.Duration) {
	for {
		select {
		case <-f.late:
		case <-done:
			return
		}
		time.Sleep(slow)
		f.mu.Lock()
		f.room = 3
		f.mu.Unlock()
		f.set.CatchUp()
	}
}

// visible returns what a log holds in (after, upto] for a user.
func (w *world) visible(id wire.ConversationID, user wire.UserID, after, upto wire.Offset) []*state.Entry {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []*state.Entry
	l := w.logs[id]
	for _, e := range l.entries[after:upto] {
		if shown := e.For(user, &l.policy); shown != nil {
			out = append(out, shown)
		}
	}
	return out
}

// TestRandomFaults runs edges with readers of several logs while messages to
// edges are dropped and streams are lost: in the end everybody was told of his
// whole log, without a gap.
func TestRandomFaults(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) { randomFaults(t, w, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func randomFaults(t *testing.T, w *world, rng *rand.Rand) {
	const logs, edges = 5, 4
	var ids []wire.ConversationID
	for i := range logs {
		id := wire.ConversationID(fmt.Sprintf("log %d", i))
		ids = append(ids, id)
		w.create(id, "u0", "u1", "u2", "u3")
		w.logs[id].policy.Notices = i%2 == 0
	}
	done := make(chan struct{})
	var drains sync.WaitGroup
	var followers []*follower
	var granted atomic.Int32
	for range edges {
		e := w.edge()
		for range 8 {
			f := &follower{
				user: wire.UserID(fmt.Sprintf("u%d", rng.IntN(4))), id: ids[rng.IntN(logs)], w: w, late: make(chan struct{}, 1), room: 3,
			}
			followers = append(followers, f)
			slow := time.Duration(rng.IntN(50)) * time.Millisecond
			drains.Go(func() { f.drain(done, slow) })
			_, err := e.Subscribe(Request{Log: logOf(f.id), User: f.user, Sink: f, Set: &f.set, Done: func(_ Started, err error) {
				if err == nil {
					granted.Add(1)
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 500 {
		randomStep(w, rng, ids)
	}
	time.Sleep(10 * time.Second)
	synctest.Wait()
	if int(granted.Load()) != len(followers) {
		t.Errorf("%d of %d were granted", granted.Load(), len(followers))
	}
	read, total := 0, 0
	for _, f := range followers {
		if f.fault != "" {
			t.Errorf("%s of %s: %s", f.user, f.id, f.fault)
		}
		last := wire.Offset(len(w.logs[f.id].entries))
		if rest := w.visible(f.id, f.user, f.next, last); len(rest) > 0 {
			t.Errorf("%s of %s was told of %d entries of %d, and not of %s", f.user, f.id, f.next, last, offsets(rest))
		}
		read, total = read+f.read, total+int(last)
	}
	if read == 0 || read == total {
		t.Errorf("%d of %d entries were read: the test tests one way only", read, total)
	}
	close(done)
	drains.Wait()
}

func randomStep(w *world, rng *rand.Rand, ids []wire.ConversationID) {
	id := ids[rng.IntN(len(ids))]
	switch rng.IntN(40) {
	case 0:
		w.lose()
	case 1, 2:
		w.hub.DropNext()
	case 3:
		w.hub.Lead(false)
		synctest.Wait()
		w.hub.Lead(true)
	case 4, 5, 6:
		w.hub.Signal(logOf(id), state.Origin{}, &state.Message{From: "ann", Body: []byte("typing")})
	default:
		var entries []*state.Entry
		for range 1 + rng.IntN(4) {
			switch rng.IntN(5) {
			case 0:
				entries = append(entries, said("psst", wire.UserID(fmt.Sprintf("u%d", rng.IntN(4)))))
			case 1:
				entries = append(entries, added(wire.UserID(fmt.Sprintf("new %d", rng.IntN(9)))))
			default:
				entries = append(entries, said("hi"))
			}
		}
		w.append(id, entries...)
	}
	time.Sleep(time.Duration(rng.IntN(40)) * time.Millisecond)
}
