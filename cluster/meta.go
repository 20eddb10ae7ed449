package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/raftnet"
	"github.com/quorate/quorate/wire"
)

// Errors of a Meta.
var (
	// ErrUncertain is returned when a command was handed to raft but its fate
	// is unknown: it may yet be applied. Proposing it again is harmless.
	ErrUncertain = errors.New("cluster: outcome unknown")

	// ErrOverloaded is returned when too many calls wait already.
	ErrOverloaded = errors.New("cluster: too many calls wait for the meta group")

	// ErrClosed is returned once the Meta is closed.
	ErrClosed = errors.New("cluster: closed")

	// ErrNoLeader is the cause when a call ended before the meta group had a
	// leader.
	ErrNoLeader = errors.New("cluster: the meta group has no leader")
)

// NotLeaderError is returned to another node by one that does not lead the
// meta group.
type NotLeaderError struct {
	Leader wire.NodeID // empty while there is none
}

func (e *NotLeaderError) Error() string {
	if e.Leader == "" {
		return "the meta group is led by another node"
	}
	return fmt.Sprintf("the meta group is led by node %q", e.Leader)
}

// Forward carries a request to the node that leads the meta group, whose
// [Meta.Receive] answers it. An error of the code wire.CodeNotLeader, or a
// [*NotLeaderError], means that nothing was done there.
type Forward func(ctx context.Context, to wire.NodeID, body []byte) ([]byte, error)

// Links are a Meta's ways to other nodes.
type Links struct {
	Raft    raft.Transport // its addresses are node ids
	Forward Forward
}

// Meta is this node's copy of the meta group. Its methods may be called from
// many goroutines.
type Meta struct {
	self      wire.NodeID
	raft      *raft.Raft
	board     *board
	snapshots *snapshots
	links     Links
	opts      Options

	proposals chan *proposal
	refreshes chan chan refreshed

	stop   context.CancelFunc
	closed chan struct{}  // closed when Close begins
	once   sync.Once      // guards Close
	work   sync.WaitGroup // the goroutines that Open starts
}

// Open starts this node's copy of the meta group. With a Bootstrap the node is
// one of those that set the cluster up; what is stored already wins over it.
// Close stops it; the stores and links stay the caller's.
func Open(self wire.NodeID, stores Stores, links Links, boot Bootstrap, opts Options) (*Meta, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	if !boot.empty() {
		if err := boot.Validate(); err != nil {
			return nil, fmt.Errorf("set the cluster up: %w", err)
		}
	}
	stores.Log = clearable(stores.Log)
	snaps, err := guardSnapshots(stores.Snapshots)
	if err != nil {
		return nil, err
	}
	conf := raftConfig(self, opts)
	if err := bootstrapRaft(conf, stores, links.Raft, &boot); err != nil {
		return nil, err
	}
	m := &Meta{
		self: self, board: newBoard(), snapshots: snaps, links: links, opts: opts,
		proposals: make(chan *proposal, opts.MaxPending),
		refreshes: make(chan chan refreshed, opts.MaxPending),
		closed:    make(chan struct{}),
	}
	m.raft, err = raft.NewRaft(conf, &fsm{board: m.board, fatal: opts.Fatal}, stores.Log, stores.Stable, snaps, links.Raft)
	if err != nil {
		return nil, fmt.Errorf("start the meta group: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	m.work.Go(func() { m.runProposer(ctx) })
	m.work.Go(func() { m.runRefresher(ctx) })
	m.work.Go(func() { m.runSteward(ctx, &boot) })
	return m, nil
}

// raftConfig returns the settings of the meta group. A leader is missed after
// 1 to 2 s; the lease makes one that is cut off step down before another is
// elected.
func raftConfig(self wire.NodeID, opts Options) *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(self)
	c.HeartbeatTimeout = time.Second
	c.ElectionTimeout = time.Second
	c.LeaderLeaseTimeout = 500 * time.Millisecond
	c.CommitTimeout = 500 * time.Millisecond
	c.TrailingLogs = opts.TrailingLogs
	c.NoLegacyTelemetry = true
	c.Logger = raftnet.Logger(opts.Logger)
	// BatchApplyCh stays false: a command waiting in its buffer when raft is
	// shut down is never answered.
	return c
}

// clearable makes raft clear the whole old log after it has installed a
// snapshot. Otherwise an entry in conflict with the snapshot can stay at its
// index, and the leader sends the snapshot again and again, without a pause.
func clearable(log raft.LogStore) raft.LogStore {
	if m, ok := log.(raft.MonotonicLogStore); ok && m.IsMonotonic() {
		return log
	}
	return clearableLog{log}
}

type clearableLog struct{ raft.LogStore }

// IsMonotonic implements raft.MonotonicLogStore.
func (clearableLog) IsMonotonic() bool { return true }

// bootstrapRaft writes the first configuration, unless the node has a state
// already.
func bootstrapRaft(conf *raft.Config, stores Stores, t raft.Transport, boot *Bootstrap) error {
	if boot.empty() {
		return nil
	}
	known, err := raft.HasExistingState(stores.Log, stores.Stable, stores.Snapshots)
	if err != nil {
		return fmt.Errorf("look for an earlier state of the meta group: %w", err)
	}
	if known {
		return finishBootstrap(stores, boot)
	}
	if err := raft.BootstrapCluster(conf, stores.Log, stores.Stable, stores.Snapshots, t, boot.configuration()); err != nil {
		return fmt.Errorf("set the meta group up: %w", err)
	}
	return nil
}

// finishBootstrap writes the first configuration where the power was cut
// between raft's two writes, the term and the configuration: raft would take
// the term for a state, and a cluster cut on all nodes would never start. The
// entry is the same on all nodes, so one written late is the right one.
func finishBootstrap(stores Stores, boot *Bootstrap) error {
	last, err := stores.Log.LastIndex()
	if err != nil {
		return fmt.Errorf("find the end of the meta group's log: %w", err)
	}
	list, err := stores.Snapshots.List()
	if err != nil {
		return fmt.Errorf("list snapshots of the meta group: %w", err)
	}
	if last > 0 || len(list) > 0 {
		return nil
	}
	first := &raft.Log{Index: 1, Term: 1, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(boot.configuration())}
	if err := stores.Log.StoreLog(first); err != nil {
		return fmt.Errorf("set the meta group up: %w", err)
	}
	return nil
}

// Close stops the copy and waits for its goroutines. Raft stops last: as long
// as it runs it answers every call, so that nothing is left waiting.
func (m *Meta) Close() error {
	var err error
	m.once.Do(func() {
		close(m.closed)
		m.stop()
		m.work.Wait()
		err = m.raft.Shutdown().Error()
	})
	if err != nil {
		return fmt.Errorf("stop the meta group: %w", err)
	}
	return nil
}

// Table returns what this node knows now. It may be a moment behind the
// leader; see Refresh.
func (m *Meta) Table() *Table { return m.board.table.Load() }

// Changed returns a channel that is closed when the table is replaced. Take
// the channel first, then look at the table, so that no change is missed.
func (m *Meta) Changed() <-chan struct{} { return m.board.changed() }

// Wait returns once the table contains the entry at index, or ctx is done.
func (m *Meta) Wait(ctx context.Context, index uint64) error {
	return m.board.wait(ctx, m.closed, func(t *Table) bool { return t.Index() >= index })
}

// WaitReady returns once the cluster is set up, or ctx is done.
func (m *Meta) WaitReady(ctx context.Context) error {
	return m.board.wait(ctx, m.closed, (*Table).Ready)
}

// IsLeader tells whether this node leads the meta group, as far as it knows.
func (m *Meta) IsLeader() bool { return m.raft.State() == raft.Leader }

// Leader returns the node that leads the meta group, as far as this one knows,
// or "".
func (m *Meta) Leader() wire.NodeID {
	_, id := m.raft.LeaderWithID()
	return wire.NodeID(id)
}

// Applied returns the raft index up to which this node's copy has applied.
func (m *Meta) Applied() uint64 { return m.raft.AppliedIndex() }

// LastSnapshot returns the raft index and term of the newest snapshot stored
// on this node, 0 when there is none.
func (m *Meta) LastSnapshot() (index, term uint64) {
	meta := m.snapshots.newest.Load()
	return meta.Index, meta.Term
}

// Resign hands the leadership of the meta group to another voter, if this node
// has it. A node does so before it stops, to spare the others an election; it
// is not for anything else (a hand-over that is cut short can leave raft
// refusing commands until it is restarted).
func (m *Meta) Resign() error {
	if !m.IsLeader() {
		return nil
	}
	if err := m.raft.LeadershipTransfer().Error(); err != nil {
		return fmt.Errorf("hand over the meta group: %w", err)
	}
	return nil
}

// Status is what an operator wants to see of the meta group on one node.
type Status struct {
	Node      wire.NodeID
	Leader    wire.NodeID // empty while there is none
	Role      string      // follower, candidate, leader or shutdown
	Term      uint64
	Last      uint64 // the last index in the raft log
	Commit    uint64
	Applied   uint64
	Snapshot  uint64 // the index of the newest snapshot
	Table     uint64 // the index of the last command in the table
	Digest    string // of the table: equal on all nodes with the same Table
	Voters    []wire.NodeID
	Nonvoters []wire.NodeID
}

// Status returns the present status.
func (m *Meta) Status() (Status, error) {
	table := m.Table()
	digest, err := table.Digest()
	if err != nil {
		return Status{}, err
	}
	snapshot, _ := m.LastSnapshot()
	s := Status{
		Node: m.self, Leader: m.Leader(), Role: strings.ToLower(m.raft.State().String()), Term: m.raft.CurrentTerm(),
		Last: m.raft.LastIndex(), Commit: m.raft.CommitIndex(), Applied: m.raft.AppliedIndex(),
		Snapshot: snapshot, Table: table.Index(), Digest: digest,
	}
	f := m.raft.GetConfiguration()
	if err := f.Error(); err != nil {
		return Status{}, fmt.Errorf("get the meta group's configuration: %w", err)
	}
	for _, server := range f.Configuration().Servers {
		if server.Suffrage == raft.Voter {
			s.Voters = append(s.Voters, wire.NodeID(server.ID))
		} else {
			s.Nonvoters = append(s.Nonvoters, wire.NodeID(server.ID))
		}
	}
	return s, nil
}
