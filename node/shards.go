package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/cluster"
	"github.com/quorate/quorate/node/columns"
	"github.com/quorate/quorate/node/route"
	"github.com/quorate/quorate/node/tail"
	"github.com/quorate/quorate/raftlog"
	"github.com/quorate/quorate/raftnet"
	"github.com/quorate/quorate/shard"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// hosted is one shard's replica on this node, with what stands around it.
type hosted struct {
	id      wire.ShardID
	slots   wire.SlotRange
	state   *state.State
	columns *columns.Index
	replica *shard.Replica
	net     *raftnet.Transport
	hub     *tail.Hub
	wall    clock.Wall
	scrubs  *shard.Scrubber
	leads   atomic.Bool // it leads and is ready
	outbox  chan struct{}
	timers  chan struct{}
	held    atomic.Bool // a fault for tests: the outbox waits
}

// shards is all replicas of this node.
type shards struct {
	self   wire.NodeID
	env    *Env
	stores *raftlog.Stores
	net    raftnet.Network
	full   func() bool
	limit  *raftnet.Limiter
	pacer  *shard.Pacer
	logger *slog.Logger

	mu struct {
		sync.RWMutex
		byID map[wire.ShardID]*hosted
	}
}

// roundsPerProcessor is how many entries a node proposes a second and processor.
// A round takes its leader and two followers together some 0.5 ms of processor
// time: so at most about a third of it goes into rounds.
const roundsPerProcessor = 200

func newShards(self wire.NodeID, env *Env, stores *raftlog.Stores, net raftnet.Network, full func() bool) *shards {
	s := &shards{
		self: self, env: env, stores: stores, net: net, full: full,
		limit: raftnet.NewLimiter(2), pacer: shard.NewPacer(roundsPerProcessor * runtime.NumCPU()), logger: env.Logger,
	}
	s.mu.byID = map[wire.ShardID]*hosted{}
	return s
}

// get returns the node's replica of a shard, or nil.
func (s *shards) get(id wire.ShardID) *hosted {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mu.byID[id]
}

// replica is get for the router, which knows replicas as an interface.
func (s *shards) replica(id wire.ShardID) route.Replica {
	if h := s.get(id); h != nil {
		return h.replica
	}
	return nil
}

// all returns all replicas.
func (s *shards) all() []*hosted {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Collect(maps.Values(s.mu.byID))
}

// open opens a replica that the table places here.
func (s *shards) open(sh cluster.Shard) (err error) {
	h := &hosted{
		id: sh.ID, slots: sh.Slots(), wall: s.env.Wall,
		outbox: make(chan struct{}, 1), timers: make(chan struct{}, 1),
	}
	group, err := s.stores.Group(uint32(sh.ID))
	if err != nil {
		return fmt.Errorf("open the raft log of shard %d: %w", sh.ID, err)
	}
	h.scrubs = shard.OpenScrubber(shard.ScrubOptions{Logger: s.logger})
	defer func() {
		if err != nil {
			h.scrubs.Close()
		}
	}()
	h.hub = tail.NewHub(h.access)
	h.state, err = state.Open(s.stores.State(), h.slots, state.Options{Applied: h.applied, ScrubAt: h.scrubs.Start, Logger: s.logger})
	if err != nil {
		return fmt.Errorf("open the state of shard %d: %w", sh.ID, err)
	}
	h.columns = columns.New(h.state)
	snapshots, err := s.stores.Snapshots(uint32(sh.ID), keyRange(h.slots), metaReader(h.slots))
	if err != nil {
		return fmt.Errorf("open the snapshots of shard %d: %w", sh.ID, err)
	}
	gate := &raftnet.Gate{}
	h.net = raftnet.New(s.self, sh.ID, s.net, raftnet.Options{
		Gate:    gate,
		Applied: func() uint64 { return h.state.Record().Applied }, Installs: s.limit, Logger: s.logger,
	})
	h.replica, err = shard.Open(
		shard.Place{Shard: sh.ID, Node: s.self, Voters: sh.Bootstrap},
		shard.Stores{Log: gate.Log(group), Stable: group, Snapshots: snapshots},
		h.state, h.net, s.options(h))
	if err != nil {
		return errors.Join(err, h.net.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.byID[sh.ID] = h
	return nil
}

// options returns the options of a shard's replica.
func (s *shards) options(h *hosted) shard.Options {
	o := s.env.Replicas
	o.Pacer = s.pacer
	o.Clock, o.Full, o.Fatal, o.Scrubs, o.Logger = s.env.Wall, s.full, s.env.Fatal, h.scrubs, s.logger
	o.LeaderChanged = func(l shard.Leadership) {
		h.lead(l.Leads && l.Ready)
		if s.env.LeaderChanged != nil {
			s.env.LeaderChanged(h.id, l)
		}
	}
	return o
}

// pauseOutbox keeps what outboxes hold from being delivered, as a fault of a
// test, or ends that.
func (s *shards) pauseOutbox(on bool) {
	for _, h := range s.all() {
		h.held.Store(on)
		signal(h.outbox)
	}
}

// led tells whether each replica knows a leader.
func (s *shards) led() bool {
	for _, h := range s.all() {
		if l := h.replica.Leadership(); l.Leader == "" || l.Leads && !l.Ready {
			return false
		}
	}
	return true
}

// close closes all replicas, at once. The network goes first: what waits for
// an answer of another node ends with it.
func (s *shards) close() error {
	replicas := s.all()
	errs := make([]error, len(replicas))
	var all sync.WaitGroup
	for i, h := range replicas {
		h.lead(false)
		all.Go(func() {
			errs[i] = errors.Join(h.net.Close(), h.replica.Close())
			h.columns.Close()
			h.scrubs.Close()
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// handOver gives the leadership of all shards to other nodes, before this one
// stops.
func (s *shards) handOver(ctx context.Context) {
	var all sync.WaitGroup
	for _, h := range s.all() {
		if !h.leads.Load() {
			continue
		}
		all.Go(func() {
			if err := h.replica.TransferLeadership(ctx, ""); err != nil {
				s.logger.Debug("leadership was not handed over", "shard", h.id, "error", err)
			}
		})
	}
	all.Wait()
}

// applied is told by the state what an entry changed.
func (h *hosted) applied(a state.Applied) {
	h.columns.Applied(a)
	h.hub.Applied(a)
	for i, t := range a.Transients {
		age := time.Duration(h.wall.Millis()-a.Stamp) * time.Millisecond
		h.hub.Tell(tail.Will{Log: t.Log, Number: a.Index<<16 | uint64(i), Message: t.Message, Age: age})
	}
	if a.Outbox {
		signal(h.outbox)
	}
	if a.Timers {
		signal(h.timers)
	}
}

func (h *hosted) lead(leads bool) {
	if h.leads.Swap(leads) == leads {
		return
	}
	h.hub.Lead(leads)
	signal(h.outbox)
	signal(h.timers)
}

// access says whether a user may follow a log, and from where.
func (h *hosted) access(log state.LogKey, user wire.UserID) (tail.Grant, error) {
	return tail.GrantOf(&h.state.Queries, log, user)
}

func keyRange(slots wire.SlotRange) raftlog.KeyRange {
	start, end := state.Bounds(slots)
	return raftlog.KeyRange{Start: start, End: end}
}

func metaReader(slots wire.SlotRange) raftlog.MetaReader {
	return func(key, value []byte) (raftlog.Meta, bool, error) {
		p, ok, err := shard.ReadPosition(slots, key, value)
		return raftlog.Meta{Index: p.Index, Term: p.Term, ConfigurationIndex: p.ConfigurationIndex, Configuration: p.Configuration}, ok, err
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
