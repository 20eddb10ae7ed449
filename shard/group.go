package shard

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/raftnet"
	"github.com/quorate/quorate/wire"
)

// Place says whose replica of which shard this is.
type Place struct {
	Shard wire.ShardID
	Node  wire.NodeID

	// Voters found the group when this replica has no state yet: the same for
	// all of them. Empty for a replica that is added to a running group. It must
	// not be given to a replica that lost its disk, which would vote twice.
	Voters []wire.NodeID
}

// Stores is where raft keeps what it must remember.
type Stores struct {
	Log    raft.LogStore
	Stable raft.StableStore

	// Snapshots holds no data: its snapshot is the state as it is. Closing a sink
	// that nothing was written to makes durable what the state machine has
	// applied; raft cuts its log after that. A snapshot that was received has a
	// reader with a method Install() error.
	Snapshots raft.SnapshotStore
}

// group is the raft instance of a replica, which can be replaced by a new one
// on the same stores. Whoever waits for an answer of raft does so between enter
// and leave: raft never answers what it holds when it is shut down, so it is
// shut down only when nobody waits.
type group struct {
	config  raft.Config
	fsm     *fsm
	stores  Stores
	tap     *tap
	changed chan struct{} // cap 1: the leader or this replica's role may have changed

	current atomic.Pointer[raft.Raft]
	mu      struct {
		sync.Mutex
		inside   int
		draining bool
		empty    chan struct{} // closed when the last one leaves while draining
	}
}

// start makes a raft instance on what the stores hold.
func (g *group) start() error {
	config := g.config
	r, err := raft.NewRaft(&config, g.fsm, g.stores.Log, g.stores.Stable, g.stores.Snapshots, g.tap)
	if err != nil {
		return fmt.Errorf("start raft: %w", err)
	}
	g.current.Store(r)
	r.RegisterObserver(raft.NewObserver(nil, false, g.observe))
	g.notify()
	return nil
}

// observe is called by raft's goroutines. It must not block.
func (g *group) observe(o *raft.Observation) bool {
	switch o.Data.(type) {
	case raft.RaftState, raft.LeaderObservation:
		g.notify()
	}
	return false
}

func (g *group) notify() {
	select {
	case g.changed <- struct{}{}:
	default:
	}
}

// raft returns the present instance, for calls that do not wait for it.
func (g *group) raft() *raft.Raft { return g.current.Load() }

// enter returns the present instance and keeps it running until leave, or
// false while it is being stopped.
func (g *group) enter() (*raft.Raft, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mu.draining {
		return nil, false
	}
	g.mu.inside++
	return g.raft(), true
}

func (g *group) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mu.inside--
	if g.mu.draining && g.mu.inside == 0 {
		close(g.mu.empty)
	}
}

// stop waits until nobody waits for raft and shuts it down. A leader that has
// lost its followers answers everything within its lease, so this ends.
func (g *group) stop() error {
	g.mu.Lock()
	g.mu.draining = true
	g.mu.empty = make(chan struct{})
	if g.mu.inside == 0 {
		close(g.mu.empty)
	}
	empty := g.mu.empty
	g.mu.Unlock()
	<-empty
	if err := g.raft().Shutdown().Error(); err != nil {
		return fmt.Errorf("shut raft down: %w", err)
	}
	return nil
}

// restart replaces the instance by a new one.
func (g *group) restart() error {
	if err := g.stop(); err != nil {
		return err
	}
	if err := g.start(); err != nil {
		return err
	}
	g.mu.Lock()
	g.mu.draining = false
	g.mu.Unlock()
	return nil
}

// bootstrap founds the group if nothing of it is in the stores.
func (g *group) bootstrap(voters []wire.NodeID) error {
	exists, err := raft.HasExistingState(g.stores.Log, g.stores.Stable, g.stores.Snapshots)
	if err != nil {
		return fmt.Errorf("look for raft's state: %w", err)
	}
	if exists || len(voters) == 0 {
		return nil
	}
	var first raft.Configuration
	for _, node := range voters {
		first.Servers = append(first.Servers, raft.Server{ID: raft.ServerID(node), Address: raft.ServerAddress(node)})
	}
	config := g.config
	if err := raft.BootstrapCluster(&config, g.stores.Log, g.stores.Stable, g.stores.Snapshots, g.tap, first); err != nil {
		return fmt.Errorf("found the raft group: %w", err)
	}
	return nil
}

// servers returns the ids of the voters and of the others, as raft has them
// now, which may not be committed yet.
func (g *group) servers() (voters, others []raft.ServerID) {
	future := g.raft().GetConfiguration()
	if future.Error() != nil {
		return nil, nil
	}
	for _, s := range future.Configuration().Servers {
		if s.Suffrage == raft.Voter {
			voters = append(voters, s.ID)
		} else {
			others = append(others, s.ID)
		}
	}
	return voters, others
}

// raftConfig is raft's settings, each with its reason where it is not the
// default.
func raftConfig(self wire.NodeID, o Options) raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(self)
	c.HeartbeatTimeout = o.ElectionTimeout
	c.ElectionTimeout = o.ElectionTimeout
	c.LeaderLeaseTimeout = o.ElectionTimeout / 2
	// Most idle traffic comes from this one. It only tells followers the last
	// commit index when writes stop.
	c.CommitTimeout = o.ElectionTimeout / 2
	// Also the size of slices made for each round: entries are packed already.
	c.MaxAppendEntries = 64
	// Otherwise Apply would wait while raft's main goroutine writes the log.
	c.BatchApplyCh = true
	// The snapshot policy is ours, in bytes: raft only looks once in a while.
	c.SnapshotThreshold = 1 << 62
	c.SnapshotInterval = time.Hour
	c.TrailingLogs = o.TrailingEntries
	// The state is on disk; the snapshot store says at which index.
	c.NoSnapshotRestoreOnStart = true
	c.NoLegacyTelemetry = true
	// A removed leader goes on as a follower that never stands for election, so
	// that whoever waits gets an answer; the node closes it.
	c.ShutdownOnRemove = false
	// Hangs or loses the configuration in raft 1.8.0.
	c.RestoreCommittedLogs = false
	c.Logger = raftnet.Logger(o.Logger)
	return *c
}

var errNoPreVote = errors.New("the transport does not carry pre-votes")
