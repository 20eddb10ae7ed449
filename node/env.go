package node

import (
	"context"
	"io"
	"io/fs"
	"log/slog"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/cluster"
	"github.com/quorate/quorate/node/session"
	"github.com/quorate/quorate/raftlog"
	"github.com/quorate/quorate/raftnet"
	"github.com/quorate/quorate/shard"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/transport/mux"
	"github.com/quorate/quorate/wire"
)

// Env is what a node stands on: clock, disk and networks. On a machine it is
// [System]; a simulator hands in its own.
type Env struct {
	Wall clock.Wall
	FS   vfs.FS
	// Disk says how much of the disk under a directory is free.
	Disk func(dir string) (free, total uint64, err error)
	// Nodes is the network between nodes.
	Nodes PeerNetwork
	// Clients makes the doors for clients, which hand each connection to serve.
	Clients func(ctx context.Context, serve func(transport.ClientConn), web WebHandlers) (ClientDoors, error)
	// Web is what browsers get of Config.Web. Nil: nothing.
	Web fs.FS
	// Gossip joins the nodes' gossip. Nil: there is none.
	Gossip func(self cluster.Presence, seeds []string) (cluster.Gossip, error)
	// Meta opens the stores of the meta group in a directory.
	Meta func(dir string, fatal func(error)) (cluster.Stores, io.Closer, error)
	// DiskOp is called before and after each synced write, outside all locks: a
	// simulator makes it take time. Nil: nothing.
	DiskOp func()
	// Stores, Replicas and Sessions tune the node's stores, its replicas and the
	// sessions of clients, where they are not zero. What the node itself sets in
	// them is overwritten.
	Stores   raftlog.Options
	Replicas shard.Options
	Sessions session.Options
	// Raft puts something between the replicas of all shards and the network
	// that carries their frames, of which some may be lost. Nil: nothing.
	Raft func(raftnet.Network) raftnet.Network
	// LeaderChanged is told what this node's replicas know of their leaders, as
	// [shard.Options] says. Nil: nobody is told.
	LeaderChanged func(wire.ShardID, shard.Leadership)
	// Collect collects garbage, for [sessions]. Nil: the runtime alone decides
	// when.
	Collect func()
	// Fatal ends the process, with a reason for people. It is called when a
	// store failed or hangs, or when a replica would fork.
	Fatal  func(error)
	Logger *slog.Logger
}

// PeerNetwork connects nodes.
type PeerNetwork interface {
	mux.Dialer
	// Listen accepts the other nodes' connections.
	Listen(ctx context.Context) (transport.NodeListener, error)
}

// ClientDoors are open doors for clients.
type ClientDoors interface {
	// Addresses says where they are: of HTTP and of QUIC, as host:port.
	Addresses() (http, quic string)
	Metrics() transport.EdgeMetrics
	Close() error
}

// peers says where nodes are, for the mux. While the meta group and the
// configuration differ about a node, which of them is newer is found by trying:
// they take turns.
type peers struct {
	table func() *cluster.Table
	first map[wire.NodeID]string
	turn  atomic.Uint32
}

// Resolve implements mux.Resolver.
func (p *peers) Resolve(node wire.NodeID) string {
	first := p.first[node]
	n, ok := p.table().Node(node)
	if !ok || n.Addresses.Peer == "" || first != "" && p.turn.Add(1)%2 == 0 {
		return first
	}
	return n.Addresses.Peer
}
