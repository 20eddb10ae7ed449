package raftnet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/wire"
)

// network is a network of frames in memory that loses, delays and reorders.
type network struct {
	mu struct {
		sync.Mutex
		rng      *rand.Rand
		receive  map[wire.NodeID]func(wire.NodeID, []byte)
		loss     float64
		minDelay time.Duration
		maxDelay time.Duration
		soon     time.Duration // how long heartbeats are held
		cut      map[[2]wire.NodeID]bool
		lose     func(from, to wire.NodeID, k kind) bool
		sent     map[kind]int
		fifo     bool      // nothing overtakes
		last     time.Time // when the last frame is due
	}
}

func newNetwork(seed uint64) *network {
	n := &network{}
	n.mu.rng = rand.New(rand.NewPCG(seed, 1))
	n.mu.receive = map[wire.NodeID]func(wire.NodeID, []byte){}
	n.mu.cut = map[[2]wire.NodeID]bool{}
	n.mu.sent = map[kind]int{}
	n.mu.minDelay, n.mu.maxDelay, n.mu.soon = time.Millisecond/10, time.Millisecond, 15*time.Millisecond
	return n
}

// set changes the network under its lock.
func (n *network) set(change func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change()
}

func (n *network) isolate(id wire.NodeID, others ...wire.NodeID) {
	n.set(func() {
		for _, o := range others {
			n.mu.cut[[2]wire.NodeID{id, o}], n.mu.cut[[2]wire.NodeID{o, id}] = true, true
		}
	})
}

func (n *network) heal() { n.set(func() { clear(n.mu.cut) }) }

func (n *network) count(k kind) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.mu.sent[k]
}

// end is one node's end of the network.
type end struct {
	*network
	self wire.NodeID
}

func (e end) Send(to wire.NodeID, _ wire.ShardID, frame []byte, u Urgency) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	k := kind(frame[1])
	e.mu.sent[k]++
	if e.mu.cut[[2]wire.NodeID{e.self, to}] {
		return errors.New("cut")
	}
	if e.mu.rng.Float64() < e.mu.loss || e.mu.lose != nil && e.mu.lose(e.self, to, k) {
		return nil
	}
	delay := e.mu.minDelay + time.Duration(e.mu.rng.Int64N(int64(e.mu.maxDelay-e.mu.minDelay)+1))
	if u == Soon {
		delay += e.mu.soon
	}
	if e.mu.fifo {
		due := time.Now().Add(delay)
		if !due.After(e.mu.last) {
			due = e.mu.last.Add(1)
		}
		if u == Now {
			e.mu.last = due
		}
		delay = time.Until(due)
	}
	time.AfterFunc(delay, func() {
		e.mu.Lock()
		receive := e.mu.receive[to]
		if e.mu.cut[[2]wire.NodeID{e.self, to}] {
			receive = nil
		}
		e.mu.Unlock()
		if receive != nil {
			receive(e.self, frame)
			clear(frame) // it is valid only during the call
		}
	})
	return nil
}

func (e end) Receive(_ wire.ShardID, deliver func(wire.NodeID, []byte)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mu.receive[e.self] = deliver
}

// history is a state machine that remembers all commands, and whether it was
// ever set back.
type history struct {
	mu       sync.Mutex
	commands [][]byte
	applied  atomic.Uint64
	back     atomic.Bool
	restores atomic.Int64
	pad      int // bytes added to each snapshot
}

func (h *history) Apply(l *raft.Log) any {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.commands = append(h.commands, l.Data)
	h.applied.Store(l.Index)
	return nil
}

func (h *history) all() [][]byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clip(h.commands)
}

// Snapshot: | applied, 8 | length, 4; padding | length, 4; command | ….
func (h *history) Snapshot() (raft.FSMSnapshot, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := binary.BigEndian.AppendUint64(nil, h.applied.Load())
	pad := make([]byte, h.pad)
	for i := range pad {
		pad[i] = byte(i >> 8)
	}
	for _, c := range append([][]byte{pad}, h.commands...) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(c)))
		b = append(b, c...)
	}
	return image(b), nil
}

type image []byte

func (i image) Persist(s raft.SnapshotSink) error {
	if _, err := s.Write(i); err != nil {
		return err
	}
	return s.Close()
}
func (i image) Release() {}

func (h *history) Restore(r io.ReadCloser) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	applied := binary.BigEndian.Uint64(b)
	if applied < h.applied.Load() {
		h.back.Store(true)
	}
	h.commands = nil
	for b, first := b[8:], true; len(b) > 0; first = false {
		n := binary.BigEndian.Uint32(b)
		if !first {
			h.commands = append(h.commands, b[4:4+n])
		}
		b = b[4+n:]
	}
	h.applied.Store(applied)
	h.restores.Add(1)
	return nil
}

// replica is one raft node of a test.
type replica struct {
	id      wire.NodeID
	raft    *raft.Raft
	history *history
	trans   *Transport
	store   *raft.InmemStore
	snaps   *raft.InmemSnapshotStore
}

type group struct {
	t        *testing.T
	net      *network
	ids      []wire.NodeID
	nodes    map[wire.NodeID]*replica
	trailing uint64
	options  Options
	pad      int
}

func newGroup(t *testing.T, seed uint64) *group {
	return &group{
		t: t, net: newNetwork(seed), ids: []wire.NodeID{"n1", "n2", "n3"},
		nodes: map[wire.NodeID]*replica{}, trailing: 10240,
	}
}

func (g *group) config(id wire.NodeID) *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(id)
	c.CommitTimeout = 500 * time.Millisecond
	c.BatchApplyCh = true
	c.SnapshotInterval, c.SnapshotThreshold = time.Hour, 1<<40
	c.TrailingLogs = g.trailing
	c.NoLegacyTelemetry = true
	c.Logger = hclog.NewNullLogger()
	return c
}

func (g *group) others(id wire.NodeID) []wire.NodeID {
	var others []wire.NodeID
	for _, o := range g.ids {
		if o != id {
			others = append(others, o)
		}
	}
	return others
}

func (g *group) servers() raft.Configuration {
	var c raft.Configuration
	for _, id := range g.ids {
		c.Servers = append(c.Servers, raft.Server{ID: raft.ServerID(id), Address: raft.ServerAddress(id)})
	}
	return c
}

// start starts a new, empty replica.
func (g *group) start(id wire.NodeID) *replica {
	g.t.Helper()
	r := &replica{id: id, store: raft.NewInmemStore(), snaps: raft.NewInmemSnapshotStore(), history: &history{pad: g.pad}}
	r.trans = New(id, 1, end{g.net, id}, g.withApplied(r.history))
	if err := raft.BootstrapCluster(g.config(id), r.store, r.store, r.snaps, r.trans, g.servers()); err != nil {
		g.t.Fatal(err)
	}
	g.run(r)
	return r
}

func (g *group) withApplied(h *history) Options {
	o := g.options
	o.Applied = h.applied.Load
	return o
}

func (g *group) run(r *replica) {
	g.t.Helper()
	var err error
	if r.raft, err = raft.NewRaft(g.config(r.id), r.history, r.store, r.store, r.snaps, r.trans); err != nil {
		g.t.Fatal(err)
	}
	g.nodes[r.id] = r
}

func (g *group) startAll() {
	for _, id := range g.ids {
		g.start(id)
	}
}

// stop stops a replica for good.
func (g *group) stop(id wire.NodeID) {
	g.t.Helper()
	r := g.nodes[id]
	delete(g.nodes, id)
	_ = r.trans.Close()
	if err := r.raft.Shutdown().Error(); err != nil {
		g.t.Error(err)
	}
}

func (g *group) stopAll() {
	for id := range g.nodes {
		g.stop(id)
	}
}

// hasLeader waits a little for a leader.
func (g *group) hasLeader() bool {
	for range 50 {
		for _, r := range g.nodes {
			if r.raft.State() == raft.Leader {
				return true
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	return false
}

// leader waits for a leader.
func (g *group) leader() *replica {
	g.t.Helper()
	for range 600 {
		for _, r := range g.nodes {
			if r.raft.State() == raft.Leader {
				return r
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	g.t.Fatal("no leader within a minute")
	return nil
}

// write applies commands from..to on the leader.
func (g *group) write(r *replica, from, to int) {
	g.t.Helper()
	var futures []raft.ApplyFuture
	for i := from; i <= to; i++ {
		futures = append(futures, r.raft.Apply(fmt.Appendf(nil, "c%d", i), time.Second))
	}
	for i, f := range futures {
		if err := f.Error(); err != nil {
			g.t.Fatalf("apply %d: %v", from+i, err)
		}
	}
}

// agree waits until all replicas have the same n commands.
func (g *group) agree(n int) {
	g.t.Helper()
	for range 600 {
		if g.same(n) {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	for id, r := range g.nodes {
		g.t.Errorf("%s has %d commands, applied %d, want %d: %v", id, len(r.history.all()), r.history.applied.Load(), n, r.raft.Stats())
	}
	g.t.FailNow()
}

func (g *group) same(n int) bool {
	var first [][]byte
	for _, r := range g.nodes {
		all := r.history.all()
		if n > 0 && len(all) != n {
			return false
		}
		if first == nil {
			first = all
		}
		if len(all) != len(first) {
			return false
		}
		for i := range all {
			if !bytes.Equal(all[i], first[i]) {
				return false
			}
		}
	}
	return true
}
