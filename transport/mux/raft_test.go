package mux

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/raftnet"
	"github.com/quorate/quorate/wire"
)

// TestHeartbeatsTravelTogether: frames of 64 shards that may wait are held, and
// go in one write; one that may not takes them along at once.
func TestHeartbeatsTravelTogether(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		a, b := w.start("n1", &handler{}), w.start("n2", &handler{})
		w.mustCall("n1", "n2")
		arrived := make(chan time.Time, 200)
		for shard := range wire.ShardID(64) {
			b.Receive(shard, func(_ wire.NodeID, frame []byte) {
				if string(frame) != fmt.Sprint(shard) {
					t.Errorf("shard %d got %q", shard, frame)
				}
				arrived <- time.Now()
			})
		}
		send := func(shard wire.ShardID, u raftnet.Urgency) {
			if err := a.Send("n2", shard, fmt.Append(nil, shard), u); err != nil {
				t.Fatal(err)
			}
		}
		before, start := a.Metrics().Writes, time.Now()
		for shard := range wire.ShardID(64) {
			send(shard, raftnet.Soon)
		}
		for range 64 {
			if took := (<-arrived).Sub(start); took <= 0 || took > 40*time.Millisecond {
				t.Errorf("held for %v, want up to 40ms", took)
			}
		}
		if writes := a.Metrics().Writes - before; writes != 1 {
			t.Errorf("%d writes for 64 heartbeats, want 1", writes)
		}

		start = time.Now()
		send(1, raftnet.Soon)
		send(2, raftnet.Now)
		for range 2 {
			if took := (<-arrived).Sub(start); took > 0 {
				t.Errorf("a frame that goes now took %v", took)
			}
		}
		b.Receive(1, nil)
		send(1, raftnet.Now)
		synctest.Wait()
		if len(arrived) > 0 {
			t.Errorf("a frame arrived for a shard that receives no more")
		}
	})
}

// TestRaftGoesFirst: what raft sends overtakes calls and streams that wait.
func TestRaftGoesFirst(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var order []string
		a := w.start("n1", &handler{})
		b := w.start("n2", &handler{call: func(_ wire.NodeID, _ uint8, body []byte, reply func([]byte, error)) {
			order = append(order, "call")
			reply(body, nil)
		}})
		b.Receive(1, func(wire.NodeID, []byte) { order = append(order, "raft") })
		w.mustCall("n1", "n2")
		w.net.Cut("n1", "n2")
		for range 100 {
			a.CallAsync("n2", 1, make([]byte, 32<<10), func([]byte, error) {})
		}
		synctest.Wait() // the first of them fill the pipe
		_ = a.Send("n2", 1, []byte("x"), raftnet.Now)
		order = nil
		w.net.Heal("n1", "n2")
		time.Sleep(time.Second)
		synctest.Wait()
		for i, what := range order {
			if what == "raft" {
				if i > 40 {
					t.Errorf("raft's frame came after %d of 100 calls", i)
				}
				return
			}
		}
		t.Errorf("raft's frame did not come")
	})
}

func TestRaftFramesAreLostNotQueued(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.opts.MaxRaftBytes = 1 << 20
		a := w.start("n1", &handler{})
		if err := a.Send("n2", 1, []byte("x"), raftnet.Now); err == nil {
			t.Errorf("sent to a node that is not there")
		}
		w.start("n2", &handler{})
		time.Sleep(2 * time.Second)
		w.cut("n1", "n2")
		lost := 0
		for range 100 {
			if a.Send("n2", 1, make([]byte, 32<<10), raftnet.Now) != nil {
				lost++
			}
		}
		if lost < 50 || a.Metrics().RaftDropped != uint64(lost+1) {
			t.Errorf("%d of 100 frames lost, counted %d", lost, a.Metrics().RaftDropped)
		}
	})
}

// TestRaftGroups runs groups of raft over the mux: elections, writes, strong
// reads in a hurry, a broken connection, a stopped node.
func TestRaftGroups(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		const shards = 8
		ids := []wire.NodeID{"n1", "n2", "n3"}
		type replica struct {
			*raft.Raft
			net *raftnet.Transport
		}
		replicas := map[wire.ShardID]map[wire.NodeID]replica{}
		var servers raft.Configuration
		for _, id := range ids {
			w.start(id, &handler{})
			servers.Servers = append(servers.Servers, raft.Server{ID: raft.ServerID(id), Address: raft.ServerAddress(id)})
		}
		for shard := range wire.ShardID(shards) {
			replicas[shard] = map[wire.NodeID]replica{}
			for _, id := range ids {
				c := raft.DefaultConfig()
				c.LocalID, c.Logger, c.CommitTimeout = raft.ServerID(id), hclog.NewNullLogger(), 500*time.Millisecond
				store, snaps := raft.NewInmemStore(), raft.NewInmemSnapshotStore()
				net := raftnet.New(id, shard, w.nodes[id].Mux, raftnet.Options{})
				if err := raft.BootstrapCluster(c, store, store, snaps, net, servers); err != nil {
					t.Fatal(err)
				}
				r, err := raft.NewRaft(c, &raft.MockFSM{}, store, store, snaps, net)
				if err != nil {
					t.Fatal(err)
				}
				replicas[shard][id] = replica{r, net}
				defer func() {
					_ = net.Close()
					_ = r.Shutdown().Error()
				}()
			}
		}
		leader := func(shard wire.ShardID) replica {
			for range 100 {
				for _, r := range replicas[shard] {
					if r.State() == raft.Leader {
						return r
					}
				}
				time.Sleep(100 * time.Millisecond)
			}
			t.Fatalf("shard %d has no leader", shard)
			return replica{}
		}
		write := func() {
			t.Helper()
			for shard := range wire.ShardID(shards) {
				for leader(shard).Apply([]byte("x"), time.Second).Error() != nil {
					time.Sleep(100 * time.Millisecond)
				}
			}
		}
		write()
		for range 20 {
			time.Sleep(73 * time.Millisecond)
			l, start := leader(3), time.Now()
			l.net.Hurry(1)
			if err := l.VerifyLeader().Error(); err != nil {
				t.Fatal(err)
			}
			l.net.Hurry(-1)
			if took := time.Since(start); took > 5*time.Millisecond {
				t.Errorf("strong read took %v", took)
			}
		}

		start := time.Now()
		w.net.Break("n1", "n2")
		w.net.Break("n2", "n3")
		write()
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("writes went on %v after broken connections", took)
		}

		before := w.nodes["n1"].Metrics().Writes
		time.Sleep(time.Minute)
		if writes := w.nodes["n1"].Metrics().Writes - before; writes > 60*70 {
			t.Errorf("%d writes a second of an idle node with %d shards", writes/60, shards)
		}

		for shard := range wire.ShardID(shards) {
			r := replicas[shard]["n2"]
			_ = r.net.Close()
			_ = r.Shutdown().Error()
			delete(replicas[shard], "n2")
		}
		w.stop("n2")
		start = time.Now()
		write()
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("writes went on %v after a node stopped", took)
		}
	})
}
