package node

import (
	"errors"

	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/node/native"
	"github.com/quorate/quorate/node/route"
	"github.com/quorate/quorate/node/session"
	"github.com/quorate/quorate/node/tail"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
	"github.com/quorate/quorate/wire/pb"
)

// signalMessage is a transient message on its way to its conversation's leader.
//
//	| version 2 | shard | app | conversation | user | node | session | request | message |
type signalMessage struct {
	shard        wire.ShardID
	app          wire.AppID
	conversation wire.ConversationID
	user         wire.UserID
	origin       state.Origin
	message      []byte // see [tail.EncodeTransient]
}

const signalVersion = 2

func (m signalMessage) encode() []byte {
	b := bin.AppendUvarint([]byte{signalVersion}, uint64(m.shard))
	b = bin.AppendString(b, m.app)
	b = bin.AppendString(b, m.conversation)
	b = bin.AppendString(b, m.user)
	b = bin.AppendString(b, m.origin.Node)
	b = bin.AppendUvarint(b, m.origin.Session)
	b = bin.AppendUvarint(b, m.origin.Request)
	return append(b, m.message...)
}

func decodeSignal(b []byte) (signalMessage, error) {
	r := bin.NewReader(b)
	if v := r.Byte(); v != signalVersion {
		r.Fail(bin.ErrRange)
	}
	m := signalMessage{
		shard: wire.ShardID(r.Uvarint()), app: wire.AppID(r.String()), conversation: wire.ConversationID(r.String()), user: wire.UserID(r.String()),
		origin: state.Origin{Node: r.String(), Session: r.Uvarint(), Request: r.Uvarint()},
	}
	m.message = r.Rest()
	return m, r.Close()
}

// sendTransient tells who is online, without a place in the log.
func (b *backend) sendTransient(s *session.Session, asker native.Asker, req *pb.Request, r *pb.SendMessage) {
	const op = "message.send"
	message, err := native.Transient(asker, r, b.wall.Millis())
	if err != nil {
		s.Fail(req.GetId(), err)
		return
	}
	one := door.Signal{
		App: asker.App, Conversation: wire.ConversationID(r.GetConversation()), From: asker.User, Origin: asker.Origin, Message: message,
	}
	b.signal(one, func(err error) {
		if err != nil {
			s.Fail(req.GetId(), withOp(op, err))
			return
		}
		s.Answer(&pb.Response{Id: req.GetId(), Result: &pb.Response_Sent{Sent: &pb.Sent{TimestampMillis: message.Timestamp}}})
	})
}

// signal brings a transient message to the edges that follow the conversation,
// after its leader's check whether the sender may speak there.
func (b *backend) signal(one door.Signal, done func(error)) {
	id, leader, ok := b.router.Leader(wire.SlotOf(one.App, string(one.Conversation)))
	if !ok {
		done(wire.Errorf(wire.CodeUnavailable, "", "the slot map is not known yet"))
		return
	}
	m := signalMessage{
		shard: id, app: one.App, conversation: one.Conversation, user: one.From, origin: one.Origin,
		message: tail.EncodeTransient(nil, one.Message),
	}
	b.mux.CallAsync(leader, route.MethodSignal, m.encode(), func(_ []byte, err error) {
		to, ok := b.router.Redirected(id, leader, err)
		if !ok {
			done(err)
			return
		}
		b.mux.CallAsync(to, route.MethodSignal, m.encode(), func(_ []byte, err error) { done(err) })
	})
}

// signal hands a transient message to the edges that follow the conversation,
// if its sender may speak there.
func (s *shards) signal(body []byte) error {
	m, err := decodeSignal(body)
	if err != nil {
		return wire.Errorf(wire.CodeInvalid, "", "decode transient message: %v", err)
	}
	message, err := tail.DecodeTransient(m.message)
	if err != nil || m.user != "" && message.From != m.user { // the app speaks as whom it likes
		return wire.Errorf(wire.CodeInvalid, "", "a transient message of %q: %v", m.user, err)
	}
	h := s.get(m.shard)
	if h == nil || !h.leads.Load() {
		return notLeading(h)
	}
	err = h.state.MaySpeak(m.app, m.conversation, m.user)
	if refused, ok := errors.AsType[*state.RefusedError](err); ok {
		return native.Refused("message.send", refused.Refusal, refused.Text)
	}
	if err != nil {
		return err
	}
	h.hub.Signal(state.LogKey{App: m.app, Conversation: m.conversation}, m.origin, message)
	return nil
}
