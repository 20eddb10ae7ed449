package node

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/quorate/quorate/cluster"
	"github.com/quorate/quorate/node/native"
	"github.com/quorate/quorate/node/route"
	"github.com/quorate/quorate/node/session"
	"github.com/quorate/quorate/node/tail"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/transport/mux"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
	"github.com/quorate/quorate/wire/pb"
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
	id, err := tail.DecodeOpen(body)
	if err != nil {
		n.env.Logger.Warn("tail refused", "error", err)
		return
	}
	hosted := n.shards.get(id)
	if hosted == nil {
		return
	}
	if err := hosted.hub.Serve(ctx, from, stream); err != nil && !errors.Is(err, tail.ErrNotLeading) {
		n.env.Logger.Debug("feed ended", "shard", id, "error", err)
	}
}

// hubDialer finds the hubs of shards for the edge.
type hubDialer struct {
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
	if try%3 == 2 || leader == "" {
		leader = sh.Placement.Voters[try%len(sh.Placement.Voters)]
	}
	return d.mux.Open(ctx, leader, route.MethodTail, tail.EncodeOpen(s))
}

// signalMessage is a transient message on its way to its conversation's leader.
//
//	| version 1 | shard | app | conversation | user | message |
type signalMessage struct {
	shard        wire.ShardID
	app          wire.AppID
	conversation wire.ConversationID
	user         wire.UserID
	message      []byte
}

func (m signalMessage) encode() []byte {
	b := bin.AppendUvarint([]byte{1}, uint64(m.shard))
	b = bin.AppendString(b, m.app)
	b = bin.AppendString(b, m.conversation)
	b = bin.AppendString(b, m.user)
	return append(b, m.message...)
}

func decodeSignal(b []byte) (signalMessage, error) {
	r := bin.NewReader(b)
	if v := r.Byte(); v != 1 {
		r.Fail(bin.ErrRange)
	}
	m := signalMessage{
		shard: wire.ShardID(r.Uvarint()), app: wire.AppID(r.String()), conversation: wire.ConversationID(r.String()), user: wire.UserID(r.String()),
	}
	m.message = r.Rest()
	return m, r.Close()
}

// sendTransient tells who is online, without a place in the log: after the
// leader's membership check it goes to the edges.
func (b *backend) sendTransient(s *session.Session, asker native.Asker, req *pb.Request, r *pb.SendMessage) {
	const op = "message.send"
	message, err := native.Transient(asker, r, b.wall.Millis())
	if err != nil {
		s.Fail(req.GetId(), err)
		return
	}
	id, leader, ok := b.router.Leader(wire.SlotOf(asker.App, r.GetConversation()))
	if !ok {
		s.Fail(req.GetId(), wire.Errorf(wire.CodeUnavailable, op, "the slot map is not known yet"))
		return
	}
	m := signalMessage{shard: id, app: asker.App, conversation: wire.ConversationID(r.GetConversation()), user: asker.User, message: message}
	done := func(_ []byte, err error) {
		if err != nil {
			s.Fail(req.GetId(), withOp(op, err))
			return
		}
		s.Answer(&pb.Response{Id: req.GetId(), Result: &pb.Response_Sent{Sent: &pb.Sent{TimestampMillis: b.wall.Millis()}}})
	}
	b.mux.CallAsync(leader, route.MethodSignal, m.encode(), done)
}

// signal hands a transient message to the edges that follow the conversation,
// if its sender may speak there.
func (s *shards) signal(body []byte) error {
	m, err := decodeSignal(body)
	if err != nil {
		return wire.Errorf(wire.CodeInvalid, "", "decode transient message: %v", err)
	}
	h := s.get(m.shard)
	if h == nil || !h.leads.Load() {
		return &wire.Error{Code: wire.CodeNotLeader, Text: "ask the leader"}
	}
	err = h.state.MaySpeak(m.app, m.conversation, m.user)
	if refused, ok := errors.AsType[*state.RefusedError](err); ok {
		return native.Refused("message.send", refused.Refusal, refused.Text)
	}
	if err != nil {
		return err
	}
	h.hub.Signal(state.LogKey{App: m.app, Conversation: m.conversation}, m.message)
	return nil
}
