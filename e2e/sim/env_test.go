package sim

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/cluster"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/raftlog"
	"github.com/quorate/quorate/raftnet"
	"github.com/quorate/quorate/shard"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
)

// newRand returns a source for who wants one of the standard library.
func newRand(d *dice) *rand.Rand { return rand.New(rand.NewPCG(d.seed(), d.seed())) }

// env is what a life of a node stands on.
func (l *life) env() node.Env {
	w := l.m.w
	return node.Env{
		Wall:          func() time.Time { return time.Now().Add(time.Duration(l.m.wall.Load())) },
		FS:            l.fs,
		Disk:          l.m.disk.measure,
		Nodes:         &peers{l},
		Clients:       l.openDoors,
		Meta:          l.openMeta,
		DiskOp:        func() { l.m.disk.op(l) },
		Stores:        w.plan.stores,
		Replicas:      w.plan.replicas,
		Sessions:      w.plan.sessions,
		Raft:          func(net raftnet.Network) raftnet.Network { return &frames{Network: net, l: l} },
		LeaderChanged: l.leaderChanged,
		Fatal:         l.fatal,
		Logger:        w.logger.With("life", l.addr),
	}
}

// leaderChanged notes who leads what.
func (l *life) leaderChanged(id wire.ShardID, now shard.Leadership) {
	if !now.Leads || l.died.Load() {
		return
	}
	w := l.m.w
	w.mu.Lock()
	known := w.mu.leaders[id] == l.m.index && w.mu.watched[id] == int64(now.Term)
	w.mu.leaders[id], w.mu.watched[id] = l.m.index, int64(now.Term)
	w.mu.Unlock()
	if !known {
		w.rec.Leads(l.m.id, id, now.Term)
	}
}

// openMeta opens the meta group's stores, on the same disk.
func (l *life) openMeta(dir string, fatal func(error)) (cluster.Stores, io.Closer, error) {
	o := l.m.w.plan.stores
	o.Fatal, o.Disk, o.Logger = fatal, func(raftlog.DiskOp) { l.m.disk.op(l) }, l.m.w.logger.With("life", l.addr, "store", "meta")
	stores, err := raftlog.Open(filepath.Join(dir, "log"), l.fs, o)
	if err != nil {
		return cluster.Stores{}, nil, err
	}
	group, err := stores.Group(0)
	return cluster.Stores{Log: group, Stable: group, Snapshots: raft.NewInmemSnapshotStore()}, stores, err
}

// peers is a life's place in the network between nodes.
type peers struct{ l *life }

// Listen implements node.PeerNetwork.
func (p *peers) Listen(context.Context) (transport.NodeListener, error) {
	inner, err := p.l.m.w.links.net.Listen(p.l.addr)
	return &named{inner}, err
}

// Dial implements mux.Dialer.
func (p *peers) Dial(ctx context.Context, to wire.NodeID, _ string) (transport.Conn, error) {
	w := p.l.m.w
	for _, m := range w.nodes {
		if m.id == to {
			return w.links.dial(ctx, p.l.addr, m, "")
		}
	}
	return nil, fmt.Errorf("there is no node %s", to)
}

// named is a listener that knows nodes by their names, not by their lives'.
type named struct{ transport.NodeListener }

func (n *named) Accept(ctx context.Context) (transport.NodeConn, error) {
	conn, err := n.NodeListener.Accept(ctx)
	if err != nil {
		return nil, err
	}
	name, _, _ := strings.Cut(string(conn.Peer()), "#")
	return &namedConn{conn, wire.NodeID(name)}, nil
}

type namedConn struct {
	transport.NodeConn
	name wire.NodeID
}

func (n *namedConn) Peer() wire.NodeID { return n.name }

// doorSuffix makes the address of a life's door of the life's.
const doorSuffix = ":door"

// openDoors opens the doors for clients.
func (l *life) openDoors(_ context.Context, serve func(transport.ClientConn), _ node.WebHandlers) (node.ClientDoors, error) {
	at, err := l.m.w.links.net.Listen(l.addr + doorSuffix)
	if err != nil {
		return nil, err
	}
	d := &doors{edge: transport.NewEdge(serve, transport.EdgeOptions{}), l: at}
	return d, d.edge.Serve(at)
}

type doors struct {
	edge *transport.Edge
	l    transport.NodeListener
}

func (d *doors) Addresses() (string, string)    { return d.l.Addr(), "" }
func (d *doors) Metrics() transport.EdgeMetrics { return d.edge.Metrics() }
func (d *doors) Close() error                   { return errors.Join(d.l.Close(), d.edge.Close()) }

// Dial implements load.World.
func (w *world) Dial(ctx context.Context, at int, change func(*client.Options)) (*client.Client, error) {
	name := fmt.Sprintf("client %d", w.clients.Add(1))
	o := client.Options{
		App: theApp, Key: theKey,
		Dialer: func(ctx context.Context, s client.Server, _ *tls.Config) (transport.Conn, error) {
			for _, m := range w.nodes {
				if s.Address == string(m.id)+":2" {
					return w.links.dial(ctx, name, m, doorSuffix)
				}
			}
			return nil, fmt.Errorf("there is no server %s", s.Address)
		},
		Logger: w.logger.With("client", name),
	}
	for i := range w.nodes {
		o.Servers = append(o.Servers, "ws://"+string(w.nodes[(at+i)%len(w.nodes)].id)+":2")
	}
	if change != nil {
		change(&o)
	}
	return client.Dial(ctx, o)
}
