package shard_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/shard"
	"github.com/quorate/quorate/wire"
)

func TestOrderOfSubmitIsOrderOfLog(t *testing.T) {
	inBubble(t, shard.Options{}, func(t *testing.T, g *group) {
		leader := g.leader()
		const total = 2000
		var mu sync.Mutex
		var answered []wire.Seq
		done := make(chan struct{})
		for i := range total {
			leader.replica.Submit(uint64(i), fmt.Appendf(nil, "%d text", i), func(o shard.Outcome) {
				mu.Lock()
				defer mu.Unlock()
				if o.Err != nil {
					t.Errorf("command %d: %v", i, o.Err)
				}
				if answered = append(answered, o.Result.Seq); len(answered) == total {
					close(done)
				}
			})
		}
		<-done
		for i, seq := range answered {
			if seq != wire.Seq(i+1) {
				t.Fatalf("answer %d has seq %d", i+1, seq)
			}
		}
		items := g.settle()
		for i, item := range items {
			if want := fmt.Sprintf("%d text", i); item != want {
				t.Fatalf("item %d is %q, want %q", i, item, want)
			}
		}
		if m := leader.replica.Metrics(); m.Entries >= total/10 || m.Commands != total || m.Pending != 0 {
			t.Errorf("got %+v, want %d commands in far fewer entries and none pending", m, total)
		}
	})
}

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

// TestCloseDuringLoad: every call is answered once, and nothing that was
// answered is missing.
func TestCloseDuringLoad(t *testing.T) {
	inBubble(t, shard.Options{}, func(t *testing.T, g *group) {
		leader := g.leader()
		const total = 3000
		var mu sync.Mutex
		answers := make(map[int]int)
		var done []string
		for i := range total {
			cmd := fmt.Sprintf("%d text", i)
			leader.replica.Submit(uint64(i), []byte(cmd), func(o shard.Outcome) {
				mu.Lock()
				defer mu.Unlock()
				answers[i]++
				if o.Err == nil {
					done = append(done, cmd)
				}
			})
		}
		if err := leader.replica.Close(); err != nil {
			t.Fatal(err)
		}
		if len(answers) != total {
			t.Errorf("%d of %d calls were answered when Close returned", len(answers), total)
		}
		for i, n := range answers {
			if n != 1 {
				t.Errorf("call %d was answered %d times", i, n)
			}
		}
		if _, err := leader.replica.Propose(t.Context(), 1, []byte("late text")); err == nil {
			t.Error("a closed replica took a command")
		}
		if err := leader.replica.Snapshot(t.Context()); !errors.Is(err, shard.ErrClosed) {
			t.Errorf("snapshot of a closed replica: got %v", err)
		}
		next := g.leader(leader)
		items := strings.Join(next.list.all(), "\n") + "\n"
		for _, cmd := range done {
			if !strings.Contains(items, cmd+"\n") {
				t.Errorf("%q was answered and is missing", cmd)
			}
		}
		t.Logf("%d of %d were done before the close", len(done), total)
	})
}

func TestTransferLosesNoCommand(t *testing.T) {
	inBubble(t, shard.Options{}, func(t *testing.T, g *group) {
		old := g.leader()
		to := g.nodes[(slices.Index(g.nodes, old)+1)%3]
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

// TestSnapshotCutsTheLog: the log is cut by bytes, and a follower that was away
// for longer than it reaches gets the rows.
func TestSnapshotCutsTheLog(t *testing.T) {
	opts := shard.Options{SnapshotBytes: 64 << 10, TrailingBytes: 16 << 10, TrailingEntries: 16}
	inBubble(t, opts, func(t *testing.T, g *group) {
		leader := g.leader()
		var away *node
		for _, n := range g.nodes {
			if n != leader {
				away = n
			}
		}
		g.cut(away)
		for i := range 500 {
			g.propose(leader, fmt.Sprintf("%d %s", i, strings.Repeat("x", 1000)))
		}
		time.Sleep(time.Second)
		first, _ := leader.log.FirstIndex()
		last, _ := leader.log.LastIndex()
		m := leader.replica.Metrics()
		if kept := last - first + 1; kept > 16+64+16 || kept < 16 || m.Snapshots < 5 {
			t.Errorf("%d entries of about %d bytes are kept after %d snapshots", kept, m.EntryBytes, m.Snapshots)
		}
		g.heal(away)
		time.Sleep(10 * time.Second)
		if items := g.settle(); len(items) != 500 {
			t.Errorf("got %d items", len(items))
		}
		if away.snapshots.installs == 0 {
			t.Error("the follower did not need a snapshot: this test shows nothing")
		}
		g.propose(g.leader(), "more text")
		g.settle()
	})
}

// TestReopen: a replica that starts again goes on from what its state has
// applied, and keeps its place in the group.
func TestReopen(t *testing.T) {
	inBubble(t, shard.Options{}, func(t *testing.T, g *group) {
		leader := g.leader()
		for i := range 10 {
			g.propose(leader, fmt.Sprintf("%d text", i))
		}
		for _, n := range g.nodes {
			if err := n.replica.Close(); err != nil {
				t.Fatal(err)
			}
		}
		for _, n := range g.nodes {
			_ = n.link.Close()
			_, n.link.InmemTransport = raft.NewInmemTransport(raft.ServerAddress(n.id))
		}
		for _, n := range g.nodes {
			g.heal(n)
		}
		for _, n := range g.nodes {
			n.open(t, nil)
		}
		g.propose(g.leader(), "after text")
		if items := g.settle(); len(items) != 11 {
			t.Errorf("got %d items, want 11", len(items))
		}
	})
}

// TestUnknownCommandStopsTheReplica: nothing is applied after it, and nothing
// is said to be done.
func TestUnknownCommandStopsTheReplica(t *testing.T) {
	inBubble(t, shard.Options{}, func(t *testing.T, g *group) {
		leader := g.leader()
		g.propose(leader, "a text")
		leader.list.mu.Lock()
		leader.list.broken = "b text"
		leader.list.mu.Unlock()
		for _, cmd := range []string{"b text", "c text"} {
			if _, err := leader.replica.Propose(t.Context(), 1, []byte(cmd)); !errors.Is(err, shard.ErrUncertain) {
				t.Errorf("%q: got %v, want ErrUncertain", cmd, err)
			}
		}
		if got := leader.failures(); len(got) != 1 || !strings.Contains(got[0].Error(), "unknown command") {
			t.Errorf("fatal was told %v, want the unknown command once", got)
		}
		if items := leader.list.all(); !slices.Equal(items, []string{"a text"}) {
			t.Errorf("applied %q", items)
		}
		if err := leader.replica.Snapshot(t.Context()); err == nil {
			t.Error("a stopped replica took a snapshot")
		}
	})
}

func TestFullStorageAndLargeCommands(t *testing.T) {
	full := false
	inBubble(t, shard.Options{Full: func() bool { return full }}, func(t *testing.T, g *group) {
		leader := g.leader()
		if _, err := leader.replica.Propose(t.Context(), 1, make([]byte, 128<<10+1)); !errors.Is(err, shard.ErrTooLarge) {
			t.Errorf("got %v, want ErrTooLarge", err)
		}
		full = true
		if _, err := leader.replica.Propose(t.Context(), 1, []byte("a text")); !errors.Is(err, shard.ErrStorageFull) {
			t.Errorf("got %v, want ErrStorageFull", err)
		}
		if _, err := leader.replica.StrongRead(t.Context()); err != nil {
			t.Errorf("read with a full disk: %v", err)
		}
		full = false
		g.propose(leader, "a text")
	})
}

func TestProposeGivesUp(t *testing.T) {
	inBubble(t, shard.Options{}, func(t *testing.T, g *group) {
		leader := g.leader()
		g.cut(leader)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err := leader.replica.Propose(ctx, 1, []byte("a text"))
		if !errors.Is(err, shard.ErrUncertain) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want uncertain, and why", err)
		}
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

// TestCheckpointsAgree: replicas note the chain at the same indexes although
// their batches differ, and a fork shows.
func TestCheckpointsAgree(t *testing.T) {
	inBubble(t, shard.Options{PackCommands: 1}, func(t *testing.T, g *group) {
		leader := g.leader()
		var wg sync.WaitGroup
		for c := range 10 {
			wg.Go(func() {
				for i := range 320 {
					g.propose(leader, fmt.Sprintf("%d-%d text", c, i))
				}
			})
		}
		wg.Wait()
		g.settle()
		mine := leader.replica.Checkpoints()
		if len(mine) != 4 || mine[0].Index != 1000 || mine[2].Index != 3000 {
			t.Fatalf("got checkpoints %+v", mine)
		}
		for _, n := range g.nodes {
			if got := shard.Compare(mine, n.replica.Checkpoints()); got.Forked != 0 || got.Compared != 4 {
				t.Errorf("%s: got %+v", n.id, got)
			}
		}
		theirs := slices.Clone(mine)
		theirs[1].Chain++
		theirs[2].Chain++
		if got := shard.Compare(mine, theirs[:3]); got != (shard.Agreement{Compared: 3, Upto: 1000, Forked: 2000}) {
			t.Errorf("after a fork: got %+v", got)
		}
	})
}

func TestStatus(t *testing.T) {
	inBubble(t, shard.Options{}, func(t *testing.T, g *group) {
		leader := g.leader()
		g.propose(leader, "a text")
		g.settle()
		s := leader.replica.Status()
		if s.Role != "leader" || s.Applied == 0 || len(s.Voters) != 3 || len(s.Nonvoters) != 0 || s.Metrics.Backlog != 0 {
			t.Errorf("got %+v", s)
		}
	})
}

// TestRaftIsRestarted: the way out of a transfer that never ends costs an
// election and no command that was answered.
func TestRaftIsRestarted(t *testing.T) {
	inBubble(t, shard.Options{}, func(t *testing.T, g *group) {
		old := g.leader()
		g.propose(old, "a text")
		old.replica.RestartRaft()
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
