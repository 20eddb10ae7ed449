package cluster

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

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
