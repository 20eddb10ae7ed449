package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/wire"
)

// world is a meta group whose nodes live in one bubble.
type world struct {
	t     *testing.T
	boot  Bootstrap
	opts  Options
	disks map[wire.NodeID]Stores // what survives a node's life
	nodes map[wire.NodeID]*member
}

// memoryLog is raft's store in memory without its trap: cutting an empty log
// from 0 on, as raft does after an install, makes its last index the largest
// number there is.
type memoryLog struct{ *raft.InmemStore }

func (l memoryLog) DeleteRange(first, last uint64) error {
	if first == 0 {
		return nil
	}
	return l.InmemStore.DeleteRange(first, last)
}

// member is one life of a node.
type member struct {
	meta *Meta
	net  *raft.InmemTransport
}

func newWorld(t *testing.T, boot Bootstrap, opts Options) *world {
	w := &world{t: t, boot: boot, opts: opts, disks: make(map[wire.NodeID]Stores), nodes: make(map[wire.NodeID]*member)}
	for _, n := range boot.Nodes {
		log := raft.NewInmemStore()
		w.disks[n.ID] = Stores{Log: memoryLog{log}, Stable: log, Snapshots: raft.NewInmemSnapshotStore()}
	}
	t.Cleanup(w.stopAll)
	return w
}

func (w *world) startAll() {
	for _, n := range w.boot.Nodes {
		w.start(n.ID)
	}
}

func (w *world) stopAll() {
	for id := range w.nodes {
		w.stop(id)
	}
}

// start begins a node's next life on its disk.
func (w *world) start(id wire.NodeID) *Meta {
	w.t.Helper()
	_, net := raft.NewInmemTransport(raft.ServerAddress(id))
	for peer, m := range w.nodes {
		net.Connect(raft.ServerAddress(peer), m.net)
		m.net.Connect(raft.ServerAddress(id), net)
	}
	meta, err := Open(id, w.disks[id], Links{Raft: net, Forward: w.forward}, w.boot, w.opts)
	if err != nil {
		w.t.Fatal(err)
	}
	w.nodes[id] = &member{meta, net}
	return meta
}

func (w *world) stop(id wire.NodeID) {
	m := w.nodes[id]
	w.cut(id)
	delete(w.nodes, id)
	if err := m.meta.Close(); err != nil {
		w.t.Error(err)
	}
}

// cut takes a node off the network.
func (w *world) cut(id wire.NodeID) {
	for _, m := range w.nodes {
		m.net.Disconnect(raft.ServerAddress(id))
	}
	w.nodes[id].net.DisconnectAll()
}

// heal undoes cut.
func (w *world) heal(id wire.NodeID) {
	for peer, m := range w.nodes {
		if peer != id {
			w.nodes[id].net.Connect(raft.ServerAddress(peer), m.net)
			m.net.Connect(raft.ServerAddress(id), w.nodes[id].net)
		}
	}
}

// forward is the way between nodes: errors cross it as the node makes them.
func (w *world) forward(ctx context.Context, to wire.NodeID, body []byte) ([]byte, error) {
	m := w.nodes[to]
	if m == nil {
		return nil, wire.Errorf(wire.CodeUnavailable, "meta", "node %s is down", to)
	}
	answer, err := m.meta.Receive(ctx, body)
	if moved, ok := errors.AsType[*NotLeaderError](err); ok {
		return nil, &wire.Error{Code: wire.CodeNotLeader, Leader: moved.Leader}
	}
	return answer, err
}

// ready waits until every running node knows that the cluster is set up.
func (w *world) ready() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for id, m := range w.nodes {
		if err := m.meta.WaitReady(ctx); err != nil {
			w.t.Fatalf("node %s is not ready: %v", id, err)
		}
	}
}

func (w *world) leader() wire.NodeID {
	w.t.Helper()
	for range 100 {
		for id, m := range w.nodes {
			if m.meta.IsLeader() {
				return id
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.t.Fatal("no leader within 10 s")
	return ""
}

// follower returns a node that does not lead.
func (w *world) follower() wire.NodeID {
	w.t.Helper()
	leader := w.leader()
	for _, n := range w.boot.Nodes {
		if n.ID != leader && w.nodes[n.ID] != nil {
			return n.ID
		}
	}
	w.t.Fatal("no follower")
	return ""
}

func (w *world) propose(at wire.NodeID, c Command) Result {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for {
		res, err := w.nodes[at].meta.Propose(ctx, c)
		if err == nil {
			return res
		}
		if !errors.Is(err, ErrUncertain) || ctx.Err() != nil {
			w.t.Fatalf("propose %s at %s: %v", c.kind(), at, err)
		}
		time.Sleep(retryPause) // the leader was lost; asking again is harmless
	}
}

// agree waits until all nodes' tables are the same.
func (w *world) agree(index uint64) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	digests := make(map[string][]wire.NodeID)
	for id, m := range w.nodes {
		if err := m.meta.Wait(ctx, index); err != nil {
			w.t.Fatalf("node %s does not get to index %d: %v", id, index, err)
		}
		s, err := m.meta.Status()
		if err != nil {
			w.t.Fatal(err)
		}
		digest := fmt.Sprintf("%d %s", s.Table, s.Digest)
		digests[digest] = append(digests[digest], id)
	}
	if len(digests) != 1 {
		w.t.Errorf("tables differ: %v", digests)
	}
}

func setting(key, value string) PutSetting { return PutSetting{Key: key, Value: value} }

// TestBootstrapOnce gives all nodes the same Bootstrap: one Init is committed,
// and a second life with it changes nothing.
func TestBootstrapOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
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
	synctest.Test(t, func(t *testing.T) {
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
	synctest.Test(t, func(t *testing.T) {
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
	synctest.Test(t, func(t *testing.T) {
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
	synctest.Test(t, func(t *testing.T) {
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
	synctest.Test(t, func(t *testing.T) {
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

// TestSnapshotKnownAtOnce restarts one node alone: it has no leader, but it
// has the table, because a snapshot follows each change.
func TestSnapshotKnownAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
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
	synctest.Test(t, func(t *testing.T) {
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
		w.heal(away)
		w.agree(res.Index)
		time.Sleep(2 * time.Second)
		w.stop(away)
		w.start(away)
		w.agree(res.Index)
	})
}

// TestNonvoters gives a sixth node everything but a vote.
func TestNonvoters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
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

// TestSwarm cuts, heals, stops and starts nodes at random while settings are
// put: what was acknowledged is there at the end, on all nodes the same.
func TestSwarm(t *testing.T) {
	seeds := uint64(20)
	if testing.Short() {
		seeds = 5
	}
	for seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { swarm(t, rand.New(rand.NewPCG(seed, 2))) })
		})
	}
}

func swarm(t *testing.T, rng *rand.Rand) {
	w := newWorld(t, testBootstrap(3), Options{
		TrailingLogs:  []uint64{minTrailingLogs, 10_240}[rng.IntN(2)],
		SnapshotDelay: time.Duration(1+rng.IntN(2000)) * time.Millisecond,
	})
	w.startAll()
	w.ready()
	acked := make(map[string]string)
	for range 60 {
		id := w.boot.Nodes[rng.IntN(3)].ID
		switch m := w.nodes[id]; {
		case m == nil:
			w.start(id)
		case rng.IntN(4) == 0:
			w.cut(id)
		case rng.IntN(4) == 0:
			w.heal(id)
		case rng.IntN(8) == 0:
			w.stop(id)
		default:
			for range 1 + rng.IntN(40) {
				putSome(t, rng, m.meta, acked)
			}
		}
		time.Sleep(time.Duration(rng.IntN(700)) * time.Millisecond)
	}
	for _, n := range w.boot.Nodes {
		if w.nodes[n.ID] == nil {
			w.start(n.ID)
		}
		w.heal(n.ID)
	}
	w.agree(w.propose(w.leader(), setting("last", "x")).Index)
	for key, value := range acked {
		if got := w.nodes["n2"].meta.Table().Setting(key); got != value {
			t.Errorf("setting %s = %q, want the acknowledged %q", key, got, value)
		}
	}
}

// putSome puts a random setting and notes it if it is acknowledged.
func putSome(t *testing.T, rng *rand.Rand, m *Meta, acked map[string]string) {
	key, value := fmt.Sprint(rng.IntN(5)), fmt.Sprint(rng.Uint64())
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	res, err := m.Propose(ctx, setting(key, value))
	switch {
	case err == nil && res.Err() == nil:
		acked[key] = value
	case errors.Is(err, ErrUncertain):
		delete(acked, key) // it may yet be done
	}
}

func TestResign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
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
	synctest.Test(t, func(t *testing.T) {
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
	synctest.Test(t, func(t *testing.T) {
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
	synctest.Test(t, func(t *testing.T) {
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
	synctest.Test(t, func(t *testing.T) {
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
	synctest.Test(t, func(t *testing.T) {
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
