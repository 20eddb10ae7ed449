package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/cluster"
	"github.com/quorate/quorate/histogram"
	"github.com/quorate/quorate/node/leanmessage"
	"github.com/quorate/quorate/node/route"
	"github.com/quorate/quorate/node/session"
	"github.com/quorate/quorate/node/tail"
	"github.com/quorate/quorate/raftlog"
	"github.com/quorate/quorate/raftnet"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/transport/mux"
	"github.com/quorate/quorate/wire"
)

// Node is a running node.
type Node struct {
	cfg         Config
	env         Env
	plainLogger *slog.Logger // for rooms that name the node themselves
	started     time.Time
	serving     atomic.Bool
	parts       *stack

	stores  *raftlog.Stores
	syncs   histogram.Histogram // of the stores' logs
	mux     *mux.Mux
	meta    *cluster.Meta
	early   atomic.Pointer[cluster.Meta] // meta, for what runs while the node opens
	shards  *shards
	router  *route.Router
	edge    *tail.Edge
	backend *backend
	disk    *diskGuard
	native  struct { // of sessions of the native protocol
		options session.Options
		lastID  atomic.Uint64
	}
	lean  *leanmessage.Door
	doors ClientDoors

	peerTasks tasks // requests of other nodes that have a goroutine here
}

// renewSessions is how often a session may ask for a fresh goroutine, once it has
// worked: often enough that one which then waits soon has a small stack, and so
// seldom that nobody notices.
const renewSessions = time.Second

// waitingEvery is how often a starting node says what it waits for.
const waitingEvery = 5 * time.Second

// handOverTimeout bounds how long a stopping node tries to hand its leaderships
// over.
const handOverTimeout = 2 * time.Second

const (
	// sessionsDrain is how long a stopping node gives its sessions to move.
	sessionsDrain = 300 * time.Millisecond
	// lastMove is what is left of it to who is asked last.
	lastMove = 100 * time.Millisecond
)

// Run opens a node, serves until ctx is done or a part fails, and closes it.
// ready is called once the node serves clients. Nil: nobody is told.
func Run(ctx context.Context, cfg Config, env Env, ready func(*Node)) error {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	n := &Node{cfg: cfg, env: env, started: env.Wall(), parts: newStack(env.Logger.With("node", cfg.Node))}
	n.native.options = env.Sessions.WithDefaults()
	n.native.options.Renew = renewSessions
	n.env.Logger = env.Logger.With("node", cfg.Node)
	n.plainLogger = env.Logger
	err := n.open(ctx)
	if err == nil {
		n.serving.Store(true)
		n.env.Logger.Info("node serves", "cluster", cfg.Cluster)
		if ready != nil {
			ready(n)
		}
		select {
		case <-ctx.Done():
			n.env.Logger.Info("node stops")
		case err = <-n.parts.failed:
			n.env.Logger.Error("node stops, a part of it failed", "error", err)
		}
	} else if ctx.Err() != nil {
		err = nil // it was told to stop before it stood
	}
	n.serving.Store(false)
	return errors.Join(err, n.parts.close())
}

// open opens every part, in order. What it has opened when it fails is closed
// by the caller.
func (n *Node) open(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		n.openStores, n.openMux, n.openMeta, n.awaitCluster, n.openShards, n.openEdge, n.openChores, n.awaitLeaders, n.openDoors, n.openGossip,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) openStores(context.Context) error {
	if err := n.makeDir(); err != nil {
		return fmt.Errorf("make the directory %s: %w", n.cfg.Dir, err)
	}
	n.disk = &diskGuard{
		dir: n.cfg.Dir, measure: n.env.Disk, logger: n.env.Logger,
		percent: uint64(n.cfg.Storage.ReservePercent), atLeast: uint64(n.cfg.Storage.ReserveBytes), told: make(chan struct{}, 1),
	}
	if err := n.disk.look(); err != nil {
		return fmt.Errorf("measure the disk of %s: %w", n.cfg.Dir, err)
	}
	n.parts.run("disk watch", n.disk.run)

	opts := n.env.Stores
	opts.Fatal, opts.Stalled, opts.Logger = n.env.Fatal, n.stalled, n.env.Logger
	if n.env.DiskOp != nil {
		opts.Disk = func(raftlog.DiskOp) { n.env.DiskOp() }
	}
	stores, err := raftlog.Open(n.cfg.Dir, meteredFS{n.env.FS, &n.syncs}, opts)
	if err != nil {
		return fmt.Errorf("open the stores in %s: %w", n.cfg.Dir, err)
	}
	n.stores = stores
	n.parts.push("stores", stores.Close)
	return nil
}

// makeDir makes the node's directory, so that a power cut does not take it away.
func (n *Node) makeDir() error {
	if err := n.env.FS.MkdirAll(n.cfg.Dir, 0o700); err != nil {
		return err
	}
	parent, err := n.env.FS.OpenDir(n.env.FS.PathDir(n.cfg.Dir))
	if err != nil {
		return err
	}
	return errors.Join(parent.Sync(), parent.Close())
}

// stalled hands leaderships away: a store holds back writes for too long.
func (n *Node) stalled() {
	n.env.Logger.Warn("a store holds back writes: leaderships are handed away")
	if !n.serving.Load() {
		return // it opens, or hands them over already
	}
	n.backend.tasks.Go(func() {
		ctx, cancel := context.WithTimeout(n.backend.ctx, handOverTimeout)
		defer cancel()
		n.shards.handOver(ctx)
	})
}

func (n *Node) openMux(ctx context.Context) error {
	listener, err := n.env.Nodes.Listen(ctx)
	if err != nil {
		return fmt.Errorf("listen for other nodes on %s: %w", n.cfg.Listen.Peer, err)
	}
	n.parts.push("listener for nodes", listener.Close)
	first := map[wire.NodeID]string{}
	for _, b := range n.cfg.Bootstrap.Nodes {
		first[b.ID] = b.Peer
	}
	m, err := mux.New(n.cfg.Node, n.cfg.Cluster, listener, n.env.Nodes, &peers{table: n.table, first: first}, (*peerHandler)(n),
		mux.Options{Logger: n.env.Logger})
	if err != nil {
		return err
	}
	n.mux = m
	n.parts.run("mux", m.Run)
	return nil
}

// raftNetwork is what replicas send their frames through.
func (n *Node) raftNetwork() raftnet.Network {
	if n.env.Raft == nil {
		return n.mux
	}
	return n.env.Raft(n.mux)
}

// table returns what the meta group knows; before it is open, nothing.
func (n *Node) table() *cluster.Table {
	meta := n.early.Load()
	if meta == nil {
		return &cluster.Table{}
	}
	return meta.Table()
}

func (n *Node) openMeta(context.Context) (err error) {
	// The libraries under the meta group panic when its file is damaged.
	defer func() {
		if damage := recover(); damage != nil {
			err = fmt.Errorf("open the meta group in %s: its data are damaged: %v", filepath.Join(n.cfg.Dir, "meta"), damage)
		}
	}()

	stores, closer, err := n.env.Meta(filepath.Join(n.cfg.Dir, "meta"), n.env.Fatal)
	if err != nil {
		return fmt.Errorf("open the meta group's stores: %w", err)
	}
	n.parts.push("meta group's stores", closer.Close)
	net := raftnet.New(n.cfg.Node, wire.MetaShard, n.raftNetwork(), raftnet.Options{
		Applied: func() uint64 {
			meta := n.early.Load()
			if meta == nil { // it is being opened: nothing has come in yet
				return 0
			}
			index, _ := meta.LastSnapshot()
			return max(index, meta.Applied())
		},
		Logger: n.env.Logger,
	})
	meta, err := cluster.Open(n.cfg.Node, stores,
		cluster.Links{Raft: net, Forward: func(ctx context.Context, to wire.NodeID, body []byte) ([]byte, error) {
			return n.mux.Call(ctx, to, route.MethodMeta, body)
		}},
		n.cfg.bootstrap(), cluster.Options{Fatal: n.env.Fatal, Logger: n.plainLogger})
	if err != nil {
		return errors.Join(fmt.Errorf("open the meta group: %w", err), net.Close())
	}
	n.meta = meta
	n.early.Store(meta)
	n.parts.push("meta group", func() error { return errors.Join(net.Close(), meta.Close()) })
	n.parts.push("answers to other nodes", func() error {
		n.peerTasks.end()
		return nil
	})
	return nil
}

// awaitCluster waits until the meta group has set the cluster up.
func (n *Node) awaitCluster(ctx context.Context) error {
	for {
		wait, cancel := context.WithTimeout(ctx, waitingEvery)
		err := n.meta.WaitReady(wait)
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case err := <-n.parts.failed:
			return err
		default:
			n.env.Logger.Warn("the cluster is not there yet: waiting for a majority of its first nodes")
		}
	}
}

// openGossip joins the gossip last, and so it leaves first: who is there serves
// clients.
func (n *Node) openGossip(context.Context) error {
	if n.env.Gossip == nil {
		return nil
	}
	own, ok := n.meta.Table().Node(n.cfg.Node)
	if !ok {
		return fmt.Errorf("the cluster does not know node %s", n.cfg.Node)
	}
	var seeds []string
	for _, o := range n.meta.Table().Nodes() {
		if o.ID != n.cfg.Node && o.Addresses.Gossip != "" {
			seeds = append(seeds, o.Addresses.Gossip)
		}
	}
	gossip, err := n.env.Gossip(cluster.Presence{Node: n.cfg.Node, Addresses: own.Addresses}, seeds)
	if err != nil {
		return fmt.Errorf("join the gossip: %w", err)
	}
	n.backend.gossip.Store(&gossip)
	n.parts.push("gossip", gossip.Close)
	return nil
}

func (n *Node) openShards(context.Context) error {
	n.shards = newShards(n.cfg.Node, &n.env, n.stores, n.raftNetwork(), n.disk.Full)
	n.parts.push("shards", n.shards.close)
	for _, sh := range n.meta.Table().Shards() {
		if !holds(sh, n.cfg.Node) {
			continue
		}
		if err := n.shards.open(sh); err != nil {
			return err
		}
	}
	return nil
}

func holds(sh cluster.Shard, node wire.NodeID) bool {
	return slices.Contains(sh.Placement.Voters, node) || slices.Contains(sh.Placement.Nonvoters, node)
}

// openEdge opens the client side: routing, tailing, and what sessions ask for.
func (n *Node) openEdge(context.Context) error {
	routes := func(slot wire.Slot) (cluster.Route, bool) { return n.table().Route(slot) }
	n.router = route.New(n.cfg.Node, routes, n.shards.replica, n.mux, n.shards.execute, route.Options{})
	n.parts.push("router", func() error {
		n.router.Close()
		return nil
	})
	place, err := newPlace(n.cfg.Node)
	if err != nil {
		return err
	}
	n.edge = tail.NewEdge(&hubDialer{place: place, router: n.router, mux: n.mux, table: n.table}, tail.Options{
		Logger: n.env.Logger,
		Reconnected: func(id wire.ShardID) {
			if n.serving.Load() {
				n.backend.reconnected(id)
			}
		},
	})
	n.parts.push("tails", func() error {
		n.edge.Close()
		return nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	n.backend = &backend{
		self: n.cfg.Node, place: place, cluster: n.cfg.Cluster, plain: n.cfg.TLS.PlainClients, meta: n.meta, router: n.router, edge: n.edge,
		mux: n.mux, shards: n.shards, cursors: newCursors(n.router, n.table), collect: n.env.Collect, wall: n.env.Wall, logger: n.env.Logger, ctx: ctx,
		pages: make(chan struct{}, maxPages), scans: newTurns(maxScans),
	}
	n.lean = leanmessage.New(n.host(), leanmessage.Options{Logger: n.env.Logger})
	n.parts.push("requests", func() error {
		cancel()
		n.backend.tasks.end()
		return nil
	})
	n.parts.run("cursors", n.backend.cursors.run)
	return nil
}

func (n *Node) openChores(context.Context) error {
	for _, h := range n.shards.all() {
		c := &chores{h: h, router: n.router, table: n.table, wall: n.env.Wall.Millis, logger: n.env.Logger.With("shard", h.id)}
		n.parts.run(fmt.Sprintf("outbox of shard %d", h.id), c.runOutbox)
		n.parts.run(fmt.Sprintf("timers of shard %d", h.id), c.runTimers)
	}
	n.parts.run("comparison of replicas", stewardship{n}.compareReplicas)
	n.parts.run("steward", stewardship{n}.steward)
	n.parts.run("addresses", n.announceAddresses)
	n.parts.run("watch over edges", presence{n}.watchEdges)
	n.parts.run("watch over idle conversations", idleWatch{n}.run)
	n.parts.push("leaderships", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), handOverTimeout)
		defer cancel()
		n.shards.handOver(ctx)
		_ = n.meta.Resign() // the others elect one if this fails
		return nil
	})
	return nil
}

// leadersTimeout bounds how long a node holds its doors shut for want of
// leaders: a cluster without a majority still answers, that it has none.
const leadersTimeout = 5 * time.Second

// awaitLeaders waits until each shard has a leader, as far as this node knows.
func (n *Node) awaitLeaders(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leadersTimeout)
	defer cancel()
	looks := time.NewTicker(20 * time.Millisecond)
	defer looks.Stop()
	for !n.shards.led() {
		select {
		case <-looks.C:
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// announceAddresses tells the meta group where this node is, when its
// configuration says another place than the meta group knows.
func (n *Node) announceAddresses(ctx context.Context) error {
	i := slices.IndexFunc(n.cfg.bootstrap().Nodes, func(o cluster.Node) bool { return o.ID == n.cfg.Node })
	want := n.cfg.bootstrap().Nodes[i].Addresses
	for {
		own, ok := n.meta.Table().Node(n.cfg.Node)
		if ok && own.Addresses == want {
			break
		}
		own.Addresses = want
		one, cancel := context.WithTimeout(ctx, choreTimeout)
		result, err := n.meta.Propose(one, cluster.PutNode{Node: own})
		cancel()
		if err = errors.Join(err, result.Err()); err == nil {
			n.env.Logger.Info("this node's addresses have changed", "peer", want.Peer, "http", want.HTTP)
			break
		}
		select {
		case <-time.After(chorePause):
		case <-ctx.Done():
			return nil
		}
	}
	<-ctx.Done()
	return nil
}

func (n *Node) openDoors(ctx context.Context) error {
	doors, err := n.env.Clients(ctx, n.serveClient, n.web())
	if err != nil {
		return fmt.Errorf("listen for clients on %s: %w", n.cfg.Listen.Client, err)
	}
	n.doors = doors
	n.parts.push("doors for clients", doors.Close)
	n.parts.push("sessions", func() error {
		n.backend.stopping.Store(true)
		if n.backend.sessions.len()+n.lean.Len() > 0 {
			n.backend.sessions.goaway(sessionsDrain)
			n.lean.Goaway(sessionsDrain - lastMove)
			time.Sleep(lastMove) // the clients' time to move, not a wait for something
		}
		return nil
	})
	return nil
}

// serveClient serves one connection of a client.
func (n *Node) serveClient(conn transport.ClientConn) {
	n.serveSession(conn, session.New(n.native.lastID.Add(1), conn, n.backend, &n.native.options))
}

// serveSession serves a session, in one goroutine after another. The doors close
// the connections when the node stops, so no context has to.
func (n *Node) serveSession(conn transport.ClientConn, s *session.Session) {
	err := s.Serve(context.Background())
	switch {
	case errors.Is(err, session.ErrRenew):
		conn.Continue(func() { n.serveSession(conn, s) })
	case err != nil:
		n.env.Logger.Debug("session ended", "session", s.Name, "remote", conn.RemoteAddr(), "kind", conn.Kind(), "error", err)
	}
}
