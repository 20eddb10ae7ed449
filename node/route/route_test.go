package route

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quorate/quorate/cluster"
	"github.com/quorate/quorate/shard"
	"github.com/quorate/quorate/wire"
)

func TestCommandGoesToTheLeader(t *testing.T) {
	for _, leader := range []wire.NodeID{"a", "b", "c"} {
		inTrio(t, func(t *testing.T, w *trio) {
			w.lead(leader)
			if r := <-w.submit("hi", time.Second); r.err != nil || r.result.Seq != 1 {
				t.Errorf("%s leads: %+v, %v", leader, r.result, r.err)
			}
			if got := w.nodes[leader].taken(); !slices.Equal(got, []string{"hi"}) {
				t.Errorf("%s leads and took %v", leader, got)
			}
		})
	}
}

// TestRedirect: the node that was asked first names the leader; the next
// command goes there at once.
func TestRedirect(t *testing.T) {
	inTrio(t, func(t *testing.T, w *trio) {
		w.lead("c")
		w.a.set(func() { w.a.without = true })
		if r := <-w.submit("1", time.Second); r.err != nil {
			t.Fatal(r.err)
		}
		if r := <-w.submit("2", time.Second); r.err != nil {
			t.Fatal(r.err)
		}
		if w.b.asked != 1 || w.c.asked != 2 {
			t.Errorf("b was asked %d times, c %d times", w.b.asked, w.c.asked)
		}
	})
}

// TestTwoThatNameEachOther: they are asked in turn with pauses, until the
// deadline.
func TestTwoThatNameEachOther(t *testing.T) {
	inTrio(t, func(t *testing.T, w *trio) {
		w.a.set(func() { w.a.leader = "b" })
		w.b.set(func() { w.b.leader = "c" })
		w.c.set(func() { w.c.leader = "b" })
		replies := w.submit("1", 5*time.Second)
		r := <-replies
		if wire.CodeOf(r.err) != wire.CodeUnavailable || r.after > 5100*time.Millisecond || r.after < 4500*time.Millisecond {
			t.Errorf("%v after %v", r.err, r.after)
		}
		if n := w.b.asked + w.c.asked; n > 200 || n < 20 {
			t.Errorf("asked %d times in 5 s", n)
		}
		time.Sleep(time.Second)
		if len(replies) > 0 {
			t.Error("Done was called twice")
		}
	})
}

func TestNoLeaderUntilTheDeadline(t *testing.T) {
	for name, err := range map[string]error{
		"no leader": &shard.NotLeaderError{Shard: 1}, "uncertain": shard.ErrUncertain, "closed": shard.ErrClosed,
		"anything else": errors.New("disk"),
	} {
		inTrio(t, func(t *testing.T, w *trio) {
			for _, n := range w.nodes {
				n.set(func() { n.err = err })
			}
			r := <-w.submit("1", 2*time.Second)
			if wire.CodeOf(r.err) != wire.CodeUnavailable || r.after > 2010*time.Millisecond || r.after < 1500*time.Millisecond {
				t.Errorf("%s: %v after %v", name, r.err, r.after)
			}
		})
	}
}

func TestALeaderIsElected(t *testing.T) {
	inTrio(t, func(t *testing.T, w *trio) {
		replies := w.submit("1", 5*time.Second)
		time.Sleep(time.Second)
		w.lead("c")
		if r := <-replies; r.err != nil || r.after > 1300*time.Millisecond {
			t.Errorf("%v after %v", r.err, r.after)
		}
	})
}

// TestLeaderIsGone: what the node's own replica believes is wrong for a while.
func TestLeaderIsGone(t *testing.T) {
	inTrio(t, func(t *testing.T, w *trio) {
		w.lead("b")
		w.b.set(func() { w.b.down = true })
		w.c.set(func() { w.c.leader = "c" })
		if r := <-w.submit("1", time.Minute); r.err != nil {
			t.Errorf("%v after %v", r.err, r.after)
		}
	})
}

// TestRefusedAtOnce: what another try cannot change is not tried again.
func TestRefusedAtOnce(t *testing.T) {
	for _, c := range []struct {
		err  error
		want wire.Code
	}{
		{shard.ErrOverloaded, wire.CodeUnavailable},
		{shard.ErrStorageFull, wire.CodeStorageFull},
		{shard.ErrTooLarge, wire.CodeInvalid},
		{wire.Errorf(wire.CodeForbidden, "", "no"), wire.CodeForbidden},
	} {
		for _, leader := range []wire.NodeID{"a", "b"} {
			inTrio(t, func(t *testing.T, w *trio) {
				w.lead(leader)
				w.nodes[leader].set(func() { w.nodes[leader].err = fmt.Errorf("submit: %w", c.err) })
				r := <-w.submit("1", 5*time.Second)
				if wire.CodeOf(r.err) != c.want || r.after > 10*time.Millisecond || w.nodes[leader].asked != 1 {
					t.Errorf("%v at %s: %v after %v and %d tries", c.err, leader, r.err, r.after, w.nodes[leader].asked)
				}
			})
		}
	}
}

// TestCloseDuringRetries: Close waits until every command has its outcome.
func TestCloseDuringRetries(t *testing.T) {
	inTrio(t, func(t *testing.T, w *trio) {
		waiting := w.submit("no leader", time.Hour)
		w.b.set(func() { w.b.leader, w.b.holding = "b", true })
		w.a.set(func() { w.a.leader = "b" })
		held := w.submit("held", time.Hour)
		time.Sleep(500 * time.Millisecond)
		closed := make(chan struct{})
		go func() {
			w.a.router.Close()
			close(closed)
		}()
		synctest.Wait()
		select {
		case <-closed:
			t.Error("closed while a command is at a replica")
		default:
		}
		w.b.set(func() {
			for _, done := range w.b.held {
				go done(shard.Outcome{Err: shard.ErrClosed})
			}
		})
		<-closed
		for _, replies := range []<-chan reply{waiting, held} {
			select {
			case r := <-replies:
				if wire.CodeOf(r.err) != wire.CodeUnavailable {
					t.Errorf("outcome: %v", r.err)
				}
			default:
				t.Error("a command has no outcome after Close")
			}
		}
	})
}

// TestStaleRoute: the node that is asked knows that the slot moved; the sender
// learns it and asks the right one.
func TestStaleRoute(t *testing.T) {
	inTrio(t, func(t *testing.T, w *trio) {
		w.lead("b")
		w.b.set(func() { w.b.route = &cluster.Route{Shard: 2, Epoch: 2, Voters: []wire.NodeID{"b"}} })
		replies := w.submit("1", 5*time.Second)
		time.Sleep(time.Second)
		if len(w.b.taken()) > 0 {
			t.Fatal("taken by a shard that does not own the slot")
		}
		w.b.set(func() { w.b.route = nil })
		if r := <-replies; r.err != nil {
			t.Errorf("%v after %v", r.err, r.after)
		}
	})
}

func TestNoSlotMap(t *testing.T) {
	inTrio(t, func(t *testing.T, w *trio) {
		w.lead("a")
		w.a.set(func() { w.a.route = &cluster.Route{} })
		if _, _, ok := w.a.router.Leader(0); ok {
			t.Error("a leader without a slot map")
		}
		replies := w.submit("1", 5*time.Second)
		time.Sleep(time.Second)
		w.a.set(func() { w.a.route = nil })
		if r := <-replies; r.err != nil {
			t.Errorf("%v after %v", r.err, r.after)
		}
	})
}

func TestOrderIsKept(t *testing.T) {
	for _, leader := range []wire.NodeID{"a", "c"} {
		inTrio(t, func(t *testing.T, w *trio) {
			w.lead(leader)
			var want []string
			var replies []<-chan reply
			for i := range 100 {
				text := fmt.Sprint(i)
				want = append(want, text)
				replies = append(replies, w.submit(text, time.Second))
				time.Sleep(time.Microsecond) // timers of one moment fire in any order; calls do not
			}
			for i, r := range replies {
				if r := <-r; r.err != nil || int(r.result.Seq) != i+1 {
					t.Fatalf("command %d: %+v, %v", i, r.result, r.err)
				}
			}
			if got := w.nodes[leader].taken(); !slices.Equal(got, want) {
				t.Errorf("taken as %v", got)
			}
		})
	}
}

func TestPropose(t *testing.T) {
	inTrio(t, func(t *testing.T, w *trio) {
		w.lead("b")
		if r, err := w.a.router.Propose(t.Context(), 0, 0, commandOf("1")); err != nil || r.Seq != 1 {
			t.Errorf("%+v, %v", r, err)
		}
		w.b.set(func() { w.b.holding = true })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := w.a.router.Propose(ctx, 0, 0, commandOf("2")); wire.CodeOf(err) != wire.CodeUnavailable {
			t.Errorf("without an outcome: %v", err)
		}
		w.b.set(func() { go w.b.held[0](shard.Outcome{}) })
	})
}

func TestQuery(t *testing.T) {
	for _, c := range []struct {
		name    string
		leader  wire.NodeID
		atLeast wire.Offset
		want    string // who answers
		code    wire.Code
		strong  int
	}{
		{name: "strong, here", leader: "a", want: "a", strong: 1},
		{name: "strong, there", leader: "c", want: "c", strong: 1},
		{name: "bounded, and known here", leader: "c", atLeast: 5, want: "a"},
		{name: "bounded, and not known here", leader: "c", atLeast: 7, want: "c"},
		{name: "bounded, and nobody knows it", leader: "c", atLeast: 11, code: wire.CodeStartOver, strong: 1},
		{name: "bounded, nobody knows it, here", leader: "a", atLeast: 11, code: wire.CodeStartOver, strong: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			inTrio(t, func(t *testing.T, w *trio) {
				w.lead(c.leader)
				w.a.applied, w.c.applied = 5, 10
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				answer, err := w.a.router.Query(ctx, Query{App: "app", User: "ann", Request: []byte("q"), AtLeast: c.atLeast})
				if c.code != 0 {
					if wire.CodeOf(err) != c.code {
						t.Errorf("%v, want %v", err, c.code)
					}
				} else if want := c.want + ": q of ann of app"; err != nil || string(answer) != want {
					t.Errorf("%q, %v, want %q", answer, err, want)
				}
				if n := w.a.strong + w.b.strong + w.c.strong; n != c.strong {
					t.Errorf("%d strong reads, want %d", n, c.strong)
				}
			})
		})
	}
}

func TestQueryRedirect(t *testing.T) {
	inTrio(t, func(t *testing.T, w *trio) {
		w.lead("c")
		w.a.set(func() { w.a.leader = "b" })
		began := time.Now()
		answer, err := w.a.router.Query(t.Context(), Query{App: "app", User: "ann", Request: []byte("q")})
		if err != nil || string(answer) != "c: q of ann of app" || time.Since(began) > 5*time.Millisecond {
			t.Errorf("%q, %v after %v", answer, err, time.Since(began))
		}
	})
}

func TestQueryUntilTheDeadline(t *testing.T) {
	inTrio(t, func(t *testing.T, w *trio) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		began := time.Now()
		_, err := w.a.router.Query(ctx, Query{App: "app", User: "ann", Request: []byte("q")})
		if wire.CodeOf(err) != wire.CodeUnavailable || time.Since(began) != 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		w.lead("b")
		if _, err := w.a.router.Query(t.Context(), Query{App: "app", User: "ann", Request: []byte("refuse")}); wire.CodeOf(err) != wire.CodeNotMember {
			t.Errorf("a refusal: %v", err)
		}
	})
}

// TestQueryEndsWithItsAsker: who answers stops when nobody waits any more: on
// another node at the asker's deadline, here as soon as he gives up.
func TestQueryEndsWithItsAsker(t *testing.T) {
	for leader, want := range map[wire.NodeID]time.Duration{"a": 300 * time.Millisecond, "c": time.Second} {
		t.Run("answered by "+string(leader), func(t *testing.T) {
			inTrio(t, func(t *testing.T, w *trio) {
				w.lead(leader)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				began := time.Now()
				time.AfterFunc(300*time.Millisecond, cancel)
				if _, err := w.a.router.Query(ctx, Query{App: "app", User: "ann", Request: []byte("endless")}); wire.CodeOf(err) != wire.CodeUnavailable {
					t.Errorf("an endless answer: %v", err)
				}
				time.Sleep(10 * time.Second)
				if got := w.nodes[leader].gaveUp.Sub(began).Round(10 * time.Millisecond); got != want {
					t.Errorf("it was given up after %v, want %v", got, want)
				}
			})
		})
	}
}

func TestServeMalformed(t *testing.T) {
	inTrio(t, func(t *testing.T, w *trio) {
		w.lead("a")
		for name, b := range map[string][]byte{
			"empty": {}, "version": {9, 1, 1, 1}, "meta shard": proposal{}.encode(), "other shard": proposal{shard: 2}.encode(),
		} {
			w.a.router.ServePropose(b, func(_ []byte, err error) {
				if code := wire.CodeOf(err); code != wire.CodeInvalid && code != wire.CodeStaleRoute {
					t.Errorf("proposal, %s: %v", name, err)
				}
			})
			if _, err := w.a.router.ServeQuery(t.Context(), b); err == nil {
				t.Errorf("query, %s: accepted", name)
			}
		}
		if w.a.asked > 0 {
			t.Error("a malformed command was proposed")
		}
	})
}
