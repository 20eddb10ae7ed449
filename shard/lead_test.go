package shard_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/quorate/quorate/shard"
)

func TestFollowerNamesTheLeader(t *testing.T) {
	inBubble(t, shard.Options{}, func(t *testing.T, g *group) {
		leader := g.leader()
		for _, n := range g.nodes {
			if n == leader {
				continue
			}
			_, err := n.replica.Propose(t.Context(), 1, []byte("a text"))
			moved, ok := errors.AsType[*shard.NotLeaderError](err)
			if !ok || moved.Leader != leader.id || moved.Shard != 7 {
				t.Errorf("%s: got %v, want the leader %s", n.id, err, leader.id)
			}
			if _, err := n.replica.StrongRead(t.Context()); !errors.As(err, &moved) {
				t.Errorf("%s: strong read: got %v, want not the leader", n.id, err)
			}
		}
	})
}

// TestRetryAfterALostLeader: a command in flight when the leader is cut off is
// uncertain; asked again with its token, it is in the log once.
func TestRetryAfterALostLeader(t *testing.T) {
	inBubble(t, shard.Options{}, func(t *testing.T, g *group) {
		old := g.leader()
		g.propose(old, "before text")
		g.cut(old)
		_, err := old.replica.Propose(t.Context(), 1, []byte("lost text"))
		if !errors.Is(err, shard.ErrUncertain) {
			t.Fatalf("got %v from a leader without followers, want ErrUncertain", err)
		}
		next := g.leader(old)
		first := g.propose(next, "lost text")
		again := g.propose(next, "lost text")
		if first.Seq != again.Seq || !again.Again {
			t.Errorf("got %+v, then %+v: want the same seq", first, again)
		}
		g.heal(old)
		time.Sleep(5 * time.Second)
		if items := g.settle(); !slices.Equal(items, []string{"before text", "lost text"}) {
			t.Errorf("got %q", items)
		}
	})
}

// TestWaitingCommandsAreRefusedWhenTheLeaderIsLost: what was in the queue and not
// in raft is certainly not applied, and says so.
func TestWaitingCommandsAreRefusedWhenTheLeaderIsLost(t *testing.T) {
	inBubble(t, shard.Options{}, func(t *testing.T, g *group) {
		old := g.leader()
		g.cut(old)
		outcomes := make(chan error, 3)
		for i := range 3 {
			old.replica.Submit(1, fmt.Appendf(nil, "%d text", i), func(o shard.Outcome) { outcomes <- o.Err })
			time.Sleep(time.Millisecond) // the first goes to raft alone
		}
		if err := <-outcomes; !errors.Is(err, shard.ErrUncertain) {
			t.Errorf("the one in raft: got %v, want ErrUncertain", err)
		}
		for range 2 {
			if _, ok := errors.AsType[*shard.NotLeaderError](<-outcomes); !ok {
				t.Error("one that waited was not refused as not the leader")
			}
		}
	})
}

func TestTransferLosesNoCommand(t *testing.T) {
	inBubble(t, shard.Options{}, func(t *testing.T, g *group) {
		old := g.leader()
		to := g.nodes[(slices.Index(g.nodes, old)+1)%3]
		to.link.mu.Lock()
		to.link.delay = 5 * time.Millisecond // until it is known as the leader
		to.link.mu.Unlock()
		var wg sync.WaitGroup
		stop := make(chan struct{})
		var mu sync.Mutex
		done, redirected := 0, 0
		for c := range 8 {
			wg.Go(func() {
				at := old
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					_, err := at.replica.Propose(context.Background(), uint64(c), fmt.Appendf(nil, "%d-%d text", c, i))
					mu.Lock()
					moved, ok := errors.AsType[*shard.NotLeaderError](err)
					switch {
					case err == nil:
						done++
					case ok && moved.Leader == to.id:
						redirected++
						at, i = to, i-1
					default:
						t.Errorf("got %v, want done or redirected to %s", err, to.id)
					}
					mu.Unlock()
					time.Sleep(time.Millisecond)
				}
			})
		}
		time.Sleep(100 * time.Millisecond)
		began := time.Now()
		if err := old.replica.TransferLeadership(t.Context(), to.id); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 250*time.Millisecond {
			t.Errorf("the transfer took %v", took)
		}
		time.Sleep(100 * time.Millisecond)
		close(stop)
		wg.Wait()
		if leader := g.leader(); leader != to {
			t.Errorf("%s leads, want %s", leader.id, to.id)
		}
		if items := g.settle(); len(items) != done || redirected == 0 {
			t.Errorf("%d done, %d redirected, %d in the list", done, redirected, len(items))
		}
	})
}

func TestTransferToNobody(t *testing.T) {
	inBubble(t, shard.Options{}, func(t *testing.T, g *group) {
		leader := g.leader()
		if err := leader.replica.TransferLeadership(t.Context(), "stranger"); err == nil {
			t.Error("a transfer to a node outside the group succeeded")
		}
		time.Sleep(2 * time.Second)
		g.propose(g.leader(), "a text")
	})
}

func TestLeadershipIsTold(t *testing.T) {
	inBubble(t, shard.Options{}, func(t *testing.T, g *group) {
		old := g.leader()
		time.Sleep(time.Second)
		g.cut(old)
		next := g.leader(old)
		time.Sleep(time.Second)
		last := func(n *node) shard.Leadership {
			n.mu.Lock()
			defer n.mu.Unlock()
			return n.told[len(n.told)-1]
		}
		if l := last(old); l.Leads || l.Ready {
			t.Errorf("the old leader was last told %+v", l)
		}
		if l := last(next); !l.Ready || l.Leader != next.id {
			t.Errorf("the new leader was last told %+v", l)
		}
		for _, n := range g.nodes {
			if n != old && last(n).Leader != next.id {
				t.Errorf("%s was last told %+v", n.id, last(n))
			}
		}
	})
}

// TestRaftIsRestarted: the way out of a transfer that never ends costs an
// election and no command that was answered.
func TestRaftIsRestarted(t *testing.T) {
	inBubble(t, shard.Options{}, func(t *testing.T, g *group) {
		old := g.leader()
		g.propose(old, "a text")
		shard.RestartRaft(old.replica)
		time.Sleep(10 * time.Second)
		leader := g.leader()
		g.propose(leader, "b text")
		if err := leader.replica.TransferLeadership(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		g.propose(g.leader(), "c text")
		if items := g.settle(); len(items) != 3 {
			t.Errorf("got %q", items)
		}
		if m := old.replica.Metrics(); m.Restarts != 1 {
			t.Errorf("got %+v", m)
		}
	})
}

// TestRaftIsRestartedUnderLoad: raft may never answer what it holds when it is
// shut down, so it must hold nothing.
func TestRaftIsRestartedUnderLoad(t *testing.T) {
	inBubble(t, shard.Options{PackCommands: 1}, func(t *testing.T, g *group) {
		for _, n := range g.nodes {
			n.list.mu.Lock()
			n.list.delay = 100 * time.Millisecond
			n.list.mu.Unlock()
		}
		for round := range 6 { // whether raft would lose one is left to chance
			leader := g.leader()
			outcomes := make(chan error, 2)
			for i := range 2 {
				leader.replica.Submit(1, fmt.Appendf(nil, "%d-%d text", round, i), func(o shard.Outcome) { outcomes <- o.Err })
				time.Sleep(10 * time.Millisecond)
			}
			// One is being applied, the other is committed and waits for that.
			shard.RestartRaft(leader.replica)
			for range 2 {
				select {
				case err := <-outcomes:
					if err != nil {
						t.Errorf("got %v", err)
					}
				case <-time.After(10 * time.Second):
					t.Fatal("a command in raft was not answered")
				}
			}
			time.Sleep(5 * time.Second)
		}
	})
}
