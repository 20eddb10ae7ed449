package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/cluster"
	"github.com/quorate/quorate/raftlog"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/virtual"
	"github.com/quorate/quorate/wire"
)

const (
	testApp    = "app-of-the-tests"
	testKey    = "key-of-the-tests"
	testMaster = "master-key-of-the-tests"
)

// bubble runs a test with whole nodes in a synctest bubble: virtual time, disks
// and networks in memory. It runs in a process of its own, since pools of the
// stores carry a bubble's channels on to the next one.
func bubble(t *testing.T, test func(t *testing.T, c *testCluster)) {
	t.Helper()
	if os.Getenv("NODE_BUBBLE") != t.Name() {
		if testing.Short() {
			t.Skip("a whole cluster")
		}
		t.Parallel()
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		child.Env = append(os.Environ(), "NODE_BUBBLE="+t.Name())
		if out, err := child.CombinedOutput(); err != nil {
			t.Fatalf("in a process of its own: %v\n%s", err, out)
		}
		return
	}
	virtual.Test(t, func(t *testing.T) {
		c := newTestCluster(t, 3)
		defer c.close()
		for _, n := range c.nodes {
			c.start(n)
		}
		for _, n := range c.nodes {
			c.awaitServing(n)
		}
		test(t, c)
	})
}

// testCluster is nodes in one process.
type testCluster struct {
	t     *testing.T
	net   *transport.Network
	doors *transport.Network
	hub   *cluster.Hub
	nodes []*testNode

	users []*leanUser // whose connections end first
}

// testNode is a node's life after life: its disk stays.
type testNode struct {
	id   wire.NodeID
	fs   *vfs.MemFS
	wall clock.Wall
	full atomic.Bool // its disk has only 1 MiB left

	node   *Node
	cancel context.CancelFunc
	ended  chan error
	ready  chan struct{}
}

func newTestCluster(t *testing.T, n int) *testCluster {
	c := &testCluster{
		t: t, hub: cluster.NewHub(),
		net:   transport.NewNetwork(func(string, string) time.Duration { return 200 * time.Microsecond }),
		doors: transport.NewNetwork(func(string, string) time.Duration { return 200 * time.Microsecond }),
	}
	for i := range n {
		c.nodes = append(c.nodes, &testNode{id: wire.NodeID(fmt.Sprintf("n%d", i+1)), fs: vfs.NewCrashableMem(), wall: clock.System})
	}
	return c
}

func (c *testCluster) config(id wire.NodeID) Config {
	cfg := Config{
		Cluster: "test", Node: id, Dir: "data",
		Listen: Listen{Client: "c:1", Peer: "p:1", Gossip: "g:1"},
		TLS:    TLS{CA: "-", Node: "-", Client: "-", PlainClients: true},
		Bootstrap: Bootstrap{Shards: 4, Apps: []BootstrapApp{
			{ID: testApp, Name: "test", Key: testKey, MasterKey: testMaster, Settings: map[string]string{"leanmessage.enabled": "on"}},
		}},
	}
	for _, n := range c.nodes {
		id := string(n.id)
		cfg.Bootstrap.Nodes = append(cfg.Bootstrap.Nodes, BootstrapNode{ID: n.id, Peer: id + ":1", Gossip: id + ":3", HTTP: id + ":2", QUIC: id + ":2"})
	}
	return cfg
}

// testNet is a node's place in the network in memory.
type testNet struct {
	*transport.MemoryDialer

	net  *transport.Network
	addr string
}

func (n *testNet) Listen(context.Context) (transport.NodeListener, error) {
	return n.net.Listen(n.addr)
}

func (n *testNet) Dial(ctx context.Context, node wire.NodeID, _ string) (transport.Conn, error) {
	return n.MemoryDialer.Dial(ctx, node, string(node))
}

// testDoors are a node's doors for clients in memory.
type testDoors struct {
	edge *transport.Edge
	l    transport.NodeListener
}

func (d *testDoors) Addresses() (string, string)    { return d.l.Addr(), "" }
func (d *testDoors) Metrics() transport.EdgeMetrics { return d.edge.Metrics() }
func (d *testDoors) Close() error                   { return errors.Join(d.l.Close(), d.edge.Close()) }

func (c *testCluster) env(n *testNode) Env {
	logger := slog.New(slog.DiscardHandler)
	if os.Getenv("NODE_LOG") != "" {
		logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	fatal := func(err error) { panic(fmt.Sprintf("%s: %v", n.id, err)) }
	return Env{
		Wall: n.wall, FS: n.fs, Logger: logger, Fatal: fatal,
		Disk:   n.measure,
		Nodes:  &testNet{MemoryDialer: c.net.Dialer(n.id), net: c.net, addr: string(n.id)},
		Gossip: func(self cluster.Presence, _ []string) (cluster.Gossip, error) { return c.hub.Join(self) },
		DiskOp: func() { time.Sleep(100 * time.Microsecond) },
		Clients: func(_ context.Context, serve func(transport.ClientConn), _ WebHandlers) (ClientDoors, error) {
			l, err := c.doors.Listen(string(n.id) + ":2")
			if err != nil {
				return nil, err
			}
			d := &testDoors{edge: transport.NewEdge(serve, transport.EdgeOptions{}), l: l}
			return d, d.edge.Serve(l)
		},
		Meta: func(dir string, fatal func(error)) (cluster.Stores, io.Closer, error) {
			stores, err := raftlog.Open(filepath.Join(dir, "log"), n.fs, raftlog.Options{Fatal: fatal})
			if err != nil {
				return cluster.Stores{}, nil, err
			}
			group, err := stores.Group(0)
			return cluster.Stores{Log: group, Stable: group, Snapshots: raft.NewInmemSnapshotStore()}, stores, err
		},
	}
}

// measure implements Env.Disk.
func (n *testNode) measure(string) (free, total uint64, err error) {
	if n.full.Load() {
		return 1 << 20, 1 << 40, nil
	}
	return 1 << 40, 1 << 40, nil
}

// start starts a node. It serves a little later.
func (c *testCluster) start(n *testNode) {
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel, n.ended, n.ready = cancel, make(chan error, 1), make(chan struct{})
	go func() {
		n.ended <- Run(ctx, c.config(n.id), c.env(n), func(up *Node) {
			n.node = up
			close(n.ready)
		})
	}()
}

func (c *testCluster) awaitServing(n *testNode) {
	c.t.Helper()
	select {
	case <-n.ready:
	case err := <-n.ended:
		c.t.Fatalf("%s ended: %v", n.id, err)
	case <-time.After(time.Minute):
		c.t.Fatalf("%s does not serve", n.id)
	}
}

// stop stops a node in order.
func (c *testCluster) stop(n *testNode) {
	c.t.Helper()
	if n.cancel == nil {
		return
	}
	n.cancel()
	if err := <-n.ended; err != nil {
		c.t.Errorf("%s: %v", n.id, err)
	}
	n.cancel, n.node = nil, nil
}

// crash cuts a node's power: nothing more leaves it, and of its disk only what
// was synced is left.
func (c *testCluster) crash(n *testNode) {
	c.t.Helper()
	for _, o := range c.nodes {
		if o != n {
			c.net.Break(string(n.id), string(o.id))
			c.net.Cut(string(n.id), string(o.id))
			c.net.Cut(string(o.id), string(n.id))
		}
	}
	c.doors.Cut(string(n.id)+":2", "")
	left := n.fs.CrashClone(vfs.CrashCloneCfg{})
	c.stop(n)
	n.fs = left
	for _, o := range c.nodes {
		if o != n {
			c.net.Heal(string(n.id), string(o.id))
			c.net.Heal(string(o.id), string(n.id))
		}
	}
}

// crashAll cuts the power of all nodes at one moment.
func (c *testCluster) crashAll() {
	c.t.Helper()
	links := func(do func(a, b string)) {
		for _, n := range c.nodes {
			for _, o := range c.nodes {
				if o != n {
					do(string(n.id), string(o.id))
				}
			}
		}
	}
	links(c.net.Break)
	links(c.net.Cut)
	var left []*vfs.MemFS
	for _, n := range c.nodes {
		left = append(left, n.fs.CrashClone(vfs.CrashCloneCfg{}))
	}
	c.close()
	for i, n := range c.nodes {
		n.fs = left[i]
	}
	links(c.net.Heal)
}

func (c *testCluster) close() {
	for _, u := range c.users {
		u.leave()
	}
	c.users = nil
	var all sync.WaitGroup
	for _, n := range c.nodes {
		all.Go(func() { c.stop(n) })
	}
	all.Wait()
}

// dial signs a user in, at the given node first.
func (c *testCluster) dial(user string, at *testNode, change func(*client.Options)) *client.Client {
	c.t.Helper()
	q, err := c.tryDial(user, at, change)
	if err != nil {
		c.t.Fatalf("sign %s in at %s: %v", user, at.id, err)
	}
	return q
}

// tryDial signs a user in who may be refused.
func (c *testCluster) tryDial(user string, at *testNode, change func(*client.Options)) (*client.Client, error) {
	o := client.Options{
		Servers: []string{"ws://" + string(at.id) + ":2"}, App: testApp, User: wire.UserID(user), Key: testKey,
		Dialer: func(ctx context.Context, s client.Server, _ *tls.Config) (transport.Conn, error) {
			return c.doors.Dial(ctx, "client "+user, s.Address)
		},
	}
	if change != nil {
		change(&o)
	}
	return client.Dial(c.t.Context(), o)
}

// shut closes a client.
func (c *testCluster) shut(q *client.Client) {
	if err := q.Close(); err != nil {
		c.t.Errorf("close the client of %s: %v", q.User(), err)
	}
}

// leader returns the node that leads a conversation's or user's shard.
func (c *testCluster) leader(root string) *testNode {
	c.t.Helper()
	slot := wire.SlotOf(testApp, root)
	for range 1000 {
		for _, n := range c.nodes {
			if n.node == nil {
				continue
			}
			if r, ok := n.node.table().Route(slot); ok {
				if h := n.node.shards.get(r.Shard); h != nil && h.leads.Load() {
					return n
				}
			}
		}
		time.Sleep(10 * time.Millisecond) // of the bubble's clock
	}
	c.t.Fatalf("no leader for %s", root)
	return nil
}

// other returns a node that is none of the given ones.
func (c *testCluster) other(not ...*testNode) *testNode {
	for _, n := range c.nodes {
		same := false
		for _, o := range not {
			same = same || n == o
		}
		if !same {
			return n
		}
	}
	return nil
}

// next waits for a subscription's next message.
func next(t *testing.T, sub *client.Subscription, within time.Duration) client.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for {
		e, err := sub.Next(ctx)
		if err != nil {
			t.Fatalf("next entry: %v", err)
		}
		if e.Kind == client.EntryMessage {
			return *e.Message
		}
	}
}
