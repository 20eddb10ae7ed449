package node

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/quorate/quorate/cluster"
	"github.com/quorate/quorate/node/route"
	"github.com/quorate/quorate/node/tail"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/transport/mux"
	"github.com/quorate/quorate/wire"
)

// caller asks other nodes.
type caller interface {
	Call(ctx context.Context, to wire.NodeID, method uint8, body []byte) ([]byte, error)
	CallAsync(to wire.NodeID, method uint8, body []byte, done func(answer []byte, err error))
}

// peerHandler answers other nodes.
type peerHandler Node

// Call implements mux.Handler. It is called in the order in which the other
// node asked, and does not block.
func (h *peerHandler) Call(from wire.NodeID, method uint8, body []byte, reply func([]byte, error)) {
	n := (*Node)(h)
	if meta := n.early.Load(); meta != nil && method == route.MethodMeta {
		n.later(reply, func(ctx context.Context) ([]byte, error) { return meta.Receive(ctx, body) })
		return
	}
	if !n.serving.Load() {
		reply(nil, stopping(n.cfg.Node))
		return
	}
	switch method {
	case route.MethodPropose:
		n.router.ServePropose(body, reply)
	case route.MethodQuery:
		n.later(reply, func(ctx context.Context) ([]byte, error) { return n.router.ServeQuery(ctx, body) })
	case route.MethodStatus:
		n.later(reply, func(context.Context) ([]byte, error) { return json.Marshal(n.nodeStatus()) })
	case route.MethodScrubs:
		n.later(reply, func(context.Context) ([]byte, error) { return json.Marshal(scrubbing{n}.found()) })
	case route.MethodSignal:
		n.later(reply, func(context.Context) ([]byte, error) { return nil, n.shards.signal(body) })
	case route.MethodLost:
		n.later(reply, func(ctx context.Context) ([]byte, error) { return nil, presence{n}.serveLost(ctx, from, body) })
	default:
		reply(nil, wire.Errorf(wire.CodeInvalid, "", "node %s does not know method %d", from, method))
	}
}

func stopping(node wire.NodeID) error {
	return wire.Errorf(wire.CodeUnavailable, "", "node %s is starting or stopping", node)
}

// later answers from a goroutine of its own, which the node waits for. The mux
// bounds how many requests another node may have open.
func (n *Node) later(reply func([]byte, error), work func(context.Context) ([]byte, error)) {
	started := n.peerTasks.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), choreTimeout)
		defer cancel()
		reply(work(ctx))
	})
	if !started {
		reply(nil, stopping(n.cfg.Node))
	}
}

// Stream implements mux.Handler: an edge tails a shard's logs.
func (h *peerHandler) Stream(ctx context.Context, from wire.NodeID, method uint8, body []byte, stream *mux.Stream) {
	n := (*Node)(h)
	defer func() { _ = stream.Close() }()
	if method != route.MethodTail || !n.serving.Load() {
		return
	}
	id, place, err := tail.DecodeOpen(body)
	if err != nil {
		n.env.Logger.Warn("tail refused", "error", err)
		return
	}
	hosted := n.shards.get(id)
	if hosted == nil {
		return
	}
	if err := hosted.hub.Serve(ctx, from, place, stream); err != nil && !errors.Is(err, tail.ErrNotLeading) {
		n.env.Logger.Debug("feed ended", "shard", id, "error", err)
	}
}

// hubDialer finds the hubs of shards for the edge.
type hubDialer struct {
	place  string // of this edge
	router *route.Router
	mux    *mux.Mux
	table  func() *cluster.Table
}

// Shard implements tail.Dialer.
func (d *hubDialer) Shard(log state.LogKey) (wire.ShardID, bool) {
	root := string(log.Conversation)
	if root == "" {
		root = string(log.User)
	}
	r, ok := d.table().Route(wire.SlotOf(log.App, root))
	return r.Shard, ok
}

// Open implements tail.Dialer.
func (d *hubDialer) Open(ctx context.Context, s wire.ShardID, try int) (tail.Stream, error) {
	sh, ok := d.table().Shard(s)
	if !ok {
		return nil, tail.ErrNoRoute
	}
	_, leader, _ := d.router.Leader(sh.First)
	return d.mux.Open(ctx, hubAt(leader, sh.Placement.Voters, try), route.MethodTail, tail.EncodeOpen(s, d.place))
}

// hubAt says where a try looks for a shard's hub: at the leader as far as known,
// and every other time at the next of the voters. On a node without a replica of
// the shard nothing but a command corrects what is known, and there may be none
// for long.
func hubAt(known wire.NodeID, voters []wire.NodeID, try int) wire.NodeID {
	switch {
	case known == "":
		return voters[try%len(voters)]
	case try%2 == 0:
		return known
	default:
		return voters[try/2%len(voters)]
	}
}
