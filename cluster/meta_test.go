package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/virtual"
	"github.com/quorate/quorate/wire"
)

// TestBootstrapOnce gives all nodes the same Bootstrap: one Init is committed,
// and a second life with it changes nothing.
func TestBootstrapOnce(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		w := newWorld(t, testBootstrap(3), Options{})
		w.startAll()
		w.ready()
		first := w.nodes[w.leader()].meta.Table()
		if len(first.Shards()) != 4 || len(first.Nodes()) != 3 || first.ClusterID() != "tea" {
			t.Fatalf("the table has %d shards and %d nodes of %q, want 4, 3, tea", len(first.Shards()), len(first.Nodes()), first.ClusterID())
		}
		w.agree(first.Index())

		w.propose("n2", setting("motd", "changed"))
		w.stopAll()
		w.startAll()
		w.ready()
		res := w.propose(w.leader(), setting("after", "restart"))
		w.agree(res.Index)
		if got := w.nodes["n1"].meta.Table().Setting("motd"); got != "changed" {
			t.Errorf("motd = %q after a restart with the Bootstrap, want %q", got, "changed")
		}
	})
}

// TestSecondInitIsHarmless proposes the Bootstrap's Init again.
func TestSecondInitIsHarmless(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		w := newWorld(t, testBootstrap(3), Options{})
		w.startAll()
		w.ready()
		c, err := w.boot.Command()
		if err != nil {
			t.Fatal(err)
		}
		before := w.nodes["n1"].meta.Table().Shards()
		res := w.propose(w.follower(), c)
		w.agree(res.Index)
		if diff := cmp.Diff(before, w.nodes["n1"].meta.Table().Shards()); res.Refusal != "" || diff != "" {
			t.Errorf("Init again: %+v, shards changed:\n%s", res, diff)
		}
	})
}

func TestFollowerForwards(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		w := newWorld(t, testBootstrap(3), Options{})
		w.startAll()
		w.ready()
		res := w.propose(w.follower(), setting("a", "1"))
		if res.Index == 0 || w.nodes[w.leader()].meta.Table().Setting("a") != "1" {
			t.Errorf("forwarded: %+v, want it applied at the leader", res)
		}
		w.agree(res.Index)

		// A refusal crosses too.
		res = w.propose(w.follower(), SetPlacement{Shard: 99})
		if refused, ok := errors.AsType[*RefusedError](res.Err()); !ok || refused.Refusal != RefusedNotFound {
			t.Errorf("a placement of no shard: %+v, want %q", res, RefusedNotFound)
		}
	})
}

// TestLeaderLost proposes on a survivor the moment the leader is cut off.
func TestLeaderLost(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		w := newWorld(t, testBootstrap(3), Options{})
		w.startAll()
		w.ready()
		old, survivor := w.leader(), w.follower()
		w.stop(old)
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		var res Result
		var err error
		for { // the dead leader is asked until the survivors miss it
			if res, err = w.nodes[survivor].meta.Propose(ctx, setting("a", "2")); !errors.Is(err, ErrUncertain) {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("the group took %s to go on, want at most 5 s", took)
		}
		w.start(old)
		w.agree(res.Index)
	})
}

// TestNoMajority refuses to promise: alone, a leader's proposal is uncertain,
// and a follower's ends with its context.
func TestNoMajority(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		w := newWorld(t, testBootstrap(3), Options{})
		w.startAll()
		w.ready()
		leader := w.leader()
		w.cut(leader)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := w.nodes[leader].meta.Propose(ctx, setting("lost", "1")); !errors.Is(err, ErrUncertain) {
			t.Errorf("proposed by a leader that is cut off: %v, want ErrUncertain", err)
		}
		if err := w.nodes[leader].meta.Refresh(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("refreshed by a node that is cut off: %v, want its deadline exceeded", err)
		}
		if _, err := w.nodes[leader].meta.Propose(ctx, setting("lost", "2")); !errors.Is(err, ErrNoLeader) {
			t.Errorf("proposed without a leader: %v, want ErrNoLeader", err)
		}
		w.heal(leader)
		w.agree(w.propose(leader, setting("found", "1")).Index)
	})
}

// TestRefresh makes every node know a change as soon as it asks, without
// waiting for the heartbeat that brings it.
func TestRefresh(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		w := newWorld(t, testBootstrap(3), Options{})
		w.startAll()
		w.ready()
		for i := range 5 {
			want := fmt.Sprint(i)
			w.propose(w.leader(), setting("a", want))
			for id, m := range w.nodes {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				if err := m.meta.Refresh(ctx); err != nil {
					t.Fatal(err)
				}
				cancel()
				if got := m.meta.Table().Setting("a"); got != want {
					t.Errorf("node %s has %q after Refresh, want %q", id, got, want)
				}
			}
		}
	})
}

// TestRefreshNotFromAnOldLeader asks a leader the moment it is cut off, when it
// does not know yet that it leads nobody.
func TestRefreshNotFromAnOldLeader(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		w := newWorld(t, testBootstrap(3), Options{})
		w.startAll()
		w.ready()
		leader := w.leader()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := w.nodes[leader].meta.Refresh(ctx); err != nil { // the barrier of its term is passed
			t.Fatal(err)
		}
		synctest.Wait() // raft would take a late answer to that one's heartbeats for one to this one's
		w.cut(leader)
		if err := w.nodes[leader].meta.Refresh(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Refresh = %v, want its deadline exceeded", err)
		}
	})
}

// TestSnapshotKnownAtOnce restarts one node alone: it has no leader, but it
// has the table, because a snapshot follows each change.
func TestSnapshotKnownAtOnce(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		w := newWorld(t, testBootstrap(3), Options{})
		w.startAll()
		w.ready()
		res := w.propose("n1", setting("a", "1"))
		w.agree(res.Index)
		time.Sleep(2 * time.Second)
		if index, term := w.nodes["n3"].meta.LastSnapshot(); index < res.Index || term == 0 {
			t.Errorf("the newest snapshot is at %d of term %d, want at least %d", index, term, res.Index)
		}
		w.stopAll()
		meta := w.start("n3")
		if meta.Table().Setting("a") != "1" || !meta.Table().Ready() {
			t.Errorf("table at %d right after Open, want it restored from the snapshot", meta.Table().Index())
		}
	})
}

// TestInstall lets a node sleep while the log is cut: it comes back through a
// snapshot.
func TestInstall(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		w := newWorld(t, testBootstrap(3), Options{TrailingLogs: minTrailingLogs})
		w.startAll()
		w.ready()
		away := w.follower()
		w.cut(away)
		var res Result
		for i := range 3 * minTrailingLogs {
			res = w.propose(w.leader(), setting("a", fmt.Sprint(i)))
		}
		time.Sleep(2 * time.Second)
		first, err := w.disks[w.leader()].Log.FirstIndex()
		if err != nil || first < res.Index-minTrailingLogs-5 {
			t.Fatalf("the leader's log begins at %d (%v), want it cut near %d", first, err, res.Index)
		}
		snapshot, _ := w.nodes[w.leader()].meta.LastSnapshot()
		w.heal(away)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := w.nodes[away].meta.Wait(ctx, snapshot-1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond) // raft clears its log a moment after the table is there
		if first, err := w.disks[away].Log.FirstIndex(); err != nil || first == 1 {
			t.Errorf("after the install the log begins at %d (%v), want the old one cleared", first, err)
		}
		w.agree(res.Index)
		time.Sleep(2 * time.Second)
		w.stop(away)
		w.start(away)
		w.agree(res.Index)
	})
}

// TestNonvoters gives a sixth node everything but a vote.
func TestNonvoters(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		w := newWorld(t, testBootstrap(6), Options{})
		w.startAll()
		w.ready()
		s, err := w.nodes["n6"].meta.Status()
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Voters) != 5 || len(s.Nonvoters) != 1 || s.Nonvoters[0] != "n6" {
			t.Errorf("voters %v, nonvoters %v, want n6 alone without a vote", s.Voters, s.Nonvoters)
		}
		w.agree(w.propose("n6", setting("a", "1")).Index)
	})
}

func TestResign(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		w := newWorld(t, testBootstrap(3), Options{})
		w.startAll()
		w.ready()
		old := w.leader()
		began := time.Now()
		if err := w.nodes[old].meta.Resign(); err != nil {
			t.Fatal(err)
		}
		w.stop(old)
		w.propose(w.leader(), setting("a", "1"))
		if took := time.Since(began); took > time.Second {
			t.Errorf("handing over took %s, want less than an election", took)
		}
	})
}

// TestChanged takes the channel, then looks: no change is missed.
func TestChanged(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		w := newWorld(t, testBootstrap(1), Options{})
		meta := w.start("n1")
		w.ready()
		changed := meta.Changed()
		before := meta.Table()
		select {
		case <-changed:
			t.Fatal("changed before the change")
		default:
		}
		res := w.propose("n1", setting("a", "1"))
		<-changed
		if meta.Table().Index() != res.Index || before.Setting("a") != "" {
			t.Errorf("index %d after the change, want %d, and the old table as it was", meta.Table().Index(), res.Index)
		}
	})
}

// TestBootstrapCutInHalf cuts the power on all nodes between the two writes of
// raft's bootstrap.
func TestBootstrapCutInHalf(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		w := newWorld(t, testBootstrap(3), Options{})
		for id := range w.disks {
			if err := w.disks[id].Stable.SetUint64([]byte("CurrentTerm"), 1); err != nil {
				t.Fatal(err)
			}
		}
		w.startAll()
		w.ready()
	})
}

func TestOverloaded(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		w := newWorld(t, testBootstrap(3), Options{MaxPending: 1})
		w.startAll()
		w.ready()
		leader := w.leader()
		w.cut(leader) // so that the first proposal stays with raft
		meta := w.nodes[leader].meta
		errs := make(chan error, 10)
		for range cap(errs) {
			go func() {
				_, err := meta.Propose(t.Context(), setting("a", "1"))
				errs <- err
			}()
		}
		synctest.Wait()
		if len(errs) < cap(errs)-2 {
			t.Errorf("%d of %d refused at once, want all but the one in flight and the one that waits", len(errs), cap(errs))
		}
		for len(errs) > 0 {
			if err := <-errs; !errors.Is(err, ErrOverloaded) {
				t.Errorf("refused with %v, want ErrOverloaded", err)
			}
		}
	})
}

func TestClosed(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		w := newWorld(t, testBootstrap(1), Options{})
		meta := w.start("n1")
		w.ready()
		w.stop("n1")
		if err := meta.Close(); err != nil {
			t.Errorf("Close again: %v", err)
		}
		if _, err := meta.Propose(t.Context(), setting("a", "1")); !errors.Is(err, ErrClosed) {
			t.Errorf("Propose = %v, want ErrClosed", err)
		}
		if err := meta.Refresh(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("Refresh = %v, want ErrClosed", err)
		}
		if err := meta.Wait(t.Context(), 1<<40); !errors.Is(err, ErrClosed) {
			t.Errorf("Wait = %v, want ErrClosed", err)
		}
	})
}

// TestReceiveRefuses sends what no node of ours sends: nothing of it may reach
// the log, where it would stop every node.
func TestReceiveRefuses(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		w := newWorld(t, testBootstrap(1), Options{Logger: slog.New(slog.DiscardHandler)})
		meta := w.start("n1")
		w.ready()
		before := meta.Applied()
		for _, body := range []string{"", "\x01", "\x02p{}", "\x01x", "\x01p", "\x01p{}", `` + "\x01p" + `{"v":1,"kind":"make_tea","body":{}}`} {
			if _, err := meta.Receive(t.Context(), []byte(body)); wire.CodeOf(err) != wire.CodeInvalid {
				t.Errorf("Receive(%q) = %v, want code %s", body, err, wire.CodeInvalid)
			}
		}
		if meta.Applied() != before {
			t.Error("something got into the log")
		}
	})
}

// TestNothingDone: only what says so may be proposed again unseen.
func TestNothingDone(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want bool
	}{
		{&NotLeaderError{}, true},
		{fmt.Errorf("asking: %w", &NotLeaderError{Leader: "n2"}), true},
		{&wire.Error{Code: wire.CodeNotLeader}, true},
		{ErrNoLeader, true},
		{&wire.Error{Code: wire.CodeUnavailable}, false},
		{ErrUncertain, false},
		{context.DeadlineExceeded, false},
	} {
		if got := nothingDone(tc.err); got != tc.want {
			t.Errorf("nothingDone(%v) = %t, want %t", tc.err, got, tc.want)
		}
	}
}

// TestClearable: without it, a follower with an entry in conflict with an
// installed snapshot is sent the snapshot for ever.
func TestClearable(t *testing.T) {
	log := clearable(raft.NewInmemStore())
	if m, ok := log.(raft.MonotonicLogStore); !ok || !m.IsMonotonic() {
		t.Error("raft keeps the old log after an install")
	}
	if again := clearable(log); again != log {
		t.Error("a log that raft clears already is wrapped")
	}
}
