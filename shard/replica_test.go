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
