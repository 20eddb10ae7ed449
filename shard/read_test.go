package shard_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/shard"
)

func TestStrongReadSeesWhatWasAnswered(t *testing.T) {
	inBubble(t, shard.Options{}, func(t *testing.T, g *group) {
		leader := g.leader()
		for i := range 20 {
			g.propose(leader, fmt.Sprintf("%d text", i))
			index, err := leader.replica.StrongRead(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if at := leader.list.Record().Applied; at < index || len(leader.list.all()) != i+1 {
				t.Fatalf("read at %d: applied %d, %d items, want %d", index, at, len(leader.list.all()), i+1)
			}
		}
		// Followers reach the index of a read, whatever raft's own entries are.
		index, err := leader.replica.StrongRead(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		for _, n := range g.nodes {
			if n.replica.Applied() < index {
				t.Errorf("%s applied %d, which is before the read's %d", n.id, n.replica.Applied(), index)
			}
		}
	})
}

// TestStrongReadOfANewLeaderWaitsForItsBarrier: the new leader has committed
// entries of the old one that it did not apply yet.
func TestStrongReadOfANewLeaderWaitsForItsBarrier(t *testing.T) {
	inBubble(t, shard.Options{}, func(t *testing.T, g *group) {
		old := g.leader()
		for _, n := range g.nodes {
			if n != old {
				n.list.mu.Lock()
				n.list.delay = 3 * time.Second // a slow disk under the state
				n.list.mu.Unlock()
			}
		}
		g.propose(old, "a text")
		g.cut(old)
		var next *node
		for next == nil {
			time.Sleep(time.Millisecond)
			for _, n := range g.nodes {
				if n != old && n.replica.IsLeader() {
					next = n
				}
			}
		}
		if next.replica.Leadership().Ready || len(next.list.all()) != 0 {
			t.Fatal("the new leader was ready at once: this test shows nothing")
		}
		if _, err := next.replica.StrongRead(t.Context()); err != nil {
			t.Fatal(err)
		}
		if items := next.list.all(); !slices.Equal(items, []string{"a text"}) {
			t.Errorf("the read saw %q", items)
		}
	})
}

// TestStrongReadIsNeverStale: an answer to a heartbeat from before the election
// of a new leader must not let the old leader read. raft's VerifyLeader alone
// takes it.
func TestStrongReadIsNeverStale(t *testing.T) {
	inBubble(t, shard.Options{}, func(t *testing.T, g *group) {
		old := g.leader()
		g.propose(old, "a text")
		late := make(chan struct{})
		arrive := sync.OnceFunc(func() { close(late) })
		defer arrive()
		old.link.onAnswer(func(raft.ServerID, *raft.AppendEntriesRequest) { <-late })
		time.Sleep(250 * time.Millisecond) // both followers have answered a heartbeat, and the answers travel
		g.cut(old)
		next := g.nodes[(slices.Index(g.nodes, old)+1)%3]
		third := g.nodes[(slices.Index(g.nodes, old)+2)%3]
		// A transfer's message that was long on its way: no election timeout passes.
		if err := third.link.TimeoutNow(raft.ServerID(next.id), raft.ServerAddress(next.id), &raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: 3}}, &raft.TimeoutNowResponse{}); err != nil {
			t.Fatal(err)
		}
		for !next.replica.IsLeader() {
			time.Sleep(time.Millisecond)
		}
		g.propose(next, "b text")
		if !old.replica.IsLeader() {
			t.Fatal("the old leader knows already: this test shows nothing")
		}
		read := make(chan error, 1)
		go func() {
			_, err := old.replica.StrongRead(t.Context())
			read <- err
		}()
		time.Sleep(time.Millisecond) // raft's verification is under way
		arrive()
		if err := <-read; err == nil {
			t.Errorf("the old leader answered a strong read without %q", "b text")
		}
	})
}

func TestStrongReadsShareARound(t *testing.T) {
	inBubble(t, shard.Options{MaxReads: 500}, func(t *testing.T, g *group) {
		leader := g.leader()
		leader.link.onAnswer(func(raft.ServerID, *raft.AppendEntriesRequest) { time.Sleep(20 * time.Millisecond) })
		var wg sync.WaitGroup
		began := time.Now()
		for range 400 {
			wg.Go(func() {
				if _, err := leader.replica.StrongRead(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(began); took > time.Second {
			t.Errorf("400 reads took %v: they did not share", took)
		}
	})
}
