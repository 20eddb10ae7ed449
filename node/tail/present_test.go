package tail

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

const room = wire.ConversationID("room")

// inRoom runs a test in a world with a room, whose members are not stored.
func inRoom(t *testing.T, users int, test func(t *testing.T, w *world)) {
	t.Helper()
	inWorld(t, func(t *testing.T, w *world) {
		w.create(room)
		w.logs[room].policy = state.Policy{}
		for i := range users {
			w.logs[room].members[user(i)] = true // the fixture's word for "may follow"
		}
		time.Sleep(settleFor) // of the bubble's clock
		test(t, w)
	})
}

func user(i int) wire.UserID { return wire.UserID(fmt.Sprintf("u%d", i)) }

// in has a user follow the room in a session of its own.
func (w *world) in(e *Edge, u wire.UserID) *reader {
	w.t.Helper()
	r := w.reader(e, u)
	if err := r.ask(room, 0, true); err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) wantPresent(want ...wire.UserID) {
	w.t.Helper()
	synctest.Wait()
	count, users, known := w.hub.Present(logOf(room), 1000)
	slices.Sort(users)
	if d := cmp.Diff(want, users); d != "" || count != len(want) || !known {
		w.t.Errorf("%d are present, known %v: %s", count, known, d)
	}
}

func TestPresent(t *testing.T) {
	inRoom(t, 3, func(t *testing.T, w *world) {
		e1, e2 := w.edge(), w.edge()
		w.wantPresent()
		phone, pad, abroad := w.in(e1, "u0"), w.in(e1, "u0"), w.in(e2, "u0")
		w.in(e1, "u1")
		w.in(e1, "eve") // may not
		w.in(e1, "")    // the app is nobody
		w.wantPresent("u0", "u1")
		phone.set.Close()
		w.wantPresent("u0", "u1")
		pad.set.Close()
		w.wantPresent("u0", "u1")
		abroad.set.Close()
		w.wantPresent("u1")
		abroad = w.in(e2, "u0")
		w.in(e2, "u2")
		synctest.Wait()
		if count, users, _ := w.hub.Present(logOf(room), 2); count != 3 || len(users) != 2 {
			t.Errorf("%d users, of whom %q", count, users)
		}
		e1.Close()
		w.wantPresent("u0", "u2")
		abroad.set.Close()
		w.wantPresent("u2")
	})
}

// TestPresentAfterLostStreams: who went while there was no stream is not there
// afterwards, and who stayed is.
func TestPresentAfterLostStreams(t *testing.T) {
	inRoom(t, 3, func(_ *testing.T, w *world) {
		e := w.edge()
		w.in(e, "u0")
		gone := w.in(e, "u1")
		w.wantPresent("u0", "u1")
		w.lose()
		gone.set.Close()
		w.in(e, "u2")
		time.Sleep(time.Second) // of the bubble's clock
		w.wantPresent("u0", "u2")
	})
}

// TestPresentAfterLostRecords: an edge that begins to register everything anew
// still tells the hub what it was to be told before.
func TestPresentAfterLostRecords(t *testing.T) {
	inRoom(t, 20, func(_ *testing.T, w *world) {
		e := w.edge()
		gone := w.in(e, "u0")
		w.wantPresent("u0")
		release := make(chan struct{})
		w.beforeAnswer = func() { <-release }
		for i := range 12 { // as many messages as the hub, which hangs, and the stream take, and more
			r := w.in(e, user(i+1))
			synctest.Wait()
			defer r.set.Close()
		}
		gone.set.Close()
		w.hub.mu.Lock()
		for f := range w.hub.mu.feeds {
			f.mu.Lock()
			f.mu.lost = true
			f.mu.Unlock()
		}
		w.hub.mu.Unlock()
		time.Sleep(markEvery) // of the bubble's clock
		synctest.Wait()
		close(release)
		var want []wire.UserID
		for i := range 12 {
			want = append(want, user(i+1))
		}
		slices.Sort(want)
		w.wantPresent(want...)
	})
}

// TestPresentAtRandom: users come and go over edges whose streams are lost now
// and then; in the end the hub knows exactly who is there.
func TestPresentAtRandom(t *testing.T) {
	for seed := range uint64(20) {
		inRoom(t, 5, func(_ *testing.T, w *world) {
			rng := rand.New(rand.NewPCG(seed, 0))
			edges := []*Edge{w.edge(), w.edge()}
			var there []*reader
			for range 200 {
				switch n := rng.IntN(20); {
				case n == 0:
					w.lose()
				case n < 10 && len(there) > 0:
					i := rng.IntN(len(there))
					there[i].set.Close()
					there = slices.Delete(there, i, i+1)
				default:
					there = append(there, w.in(edges[rng.IntN(2)], user(rng.IntN(5))))
				}
				if rng.IntN(3) == 0 {
					time.Sleep(time.Duration(rng.IntN(100)) * time.Millisecond) // of the bubble's clock
				}
			}
			time.Sleep(2 * time.Second) // of the bubble's clock
			var want []wire.UserID
			for _, r := range there {
				want = append(want, r.user)
			}
			slices.Sort(want)
			w.wantPresent(slices.Compact(want)...)
		})
	}
}

func TestOnline(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		follow := func(e *Edge, u wire.UserID) *reader {
			r := w.reader(e, u)
			_, err := e.Subscribe(Request{Log: state.LogKey{App: "app", User: u}, User: u, FromEnd: true, Sink: r, Set: &r.set, Done: func(Started, error) {}})
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		want := func(known bool, want ...wire.UserID) {
			t.Helper()
			synctest.Wait()
			online, knows := w.hub.Online("app", []wire.UserID{"ann", "ben", "eve"})
			count, _ := w.hub.OnlineCount("app")
			if d := cmp.Diff(want, online); d != "" || knows != known || count != len(want) {
				t.Errorf("known %v, %d users: %s", knows, count, d)
			}
		}
		e1, e2 := w.edge(), w.edge()
		one, two := follow(e1, "ann"), follow(e2, "ann")
		follow(e1, "ben")
		want(false, "ann", "ben") // the hub leads for too short a time to know of all edges
		time.Sleep(settleFor)     // of the bubble's clock
		want(true, "ann", "ben")
		one.set.Close()
		want(true, "ann", "ben")
		two.set.Close()
		want(true, "ben")
		if online, _ := w.hub.Online("other", []wire.UserID{"ben"}); len(online) > 0 {
			t.Errorf("ben is online in another app")
		}
		e1.Close()
		want(true)
		w.hub.Lead(false)
		want(false)
	})
}
