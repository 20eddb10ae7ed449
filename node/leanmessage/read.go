package leanmessage

import (
	"context"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/leanpb"
)

// endOfTime is later than all messages, in milliseconds.
const endOfTime = 1 << 47

// read notes what the user has read. There is no reply: all his sessions are
// pushed what is left.
func read(_ context.Context, c *client, in *leanpb.GenericCommand, done func(*leanpb.GenericCommand, error)) {
	done(nil, nil)
	for _, p := range readPlaces(in.GetReadMessage()) {
		preset := c.presetOf(p.Conversation)
		if wire.ValidID(string(p.Conversation)) != nil || preset == state.PresetRoom {
			continue
		}
		if preset == 0 || preset == state.PresetSystem {
			c.later(&c.errands.services, errand{PlaceIn: p}, progress{c}.readServices)
			continue
		}
		one := errand{PlaceIn: p}
		one.seq, _ = progress{c}.seqOf(p)
		c.later(&c.errands.read, one, progress{c}.readAll)
	}
}

// readServices notes what was read of services, and of what turns out to be none.
func (c progress) readServices(ctx context.Context, some []errand) {
	for _, one := range some {
		services(c).read(ctx, one.PlaceIn)
	}
}

// readAll notes what was read of conversations.
func (c progress) readAll(ctx context.Context, some []errand) {
	var asked []ask.PlaceIn
	var known []placed
	for _, one := range some {
		if one.seq > 0 {
			known = append(known, placed{one.Conversation, one.seq})
		} else {
			asked = append(asked, one.PlaceIn)
		}
	}
	c.readUpto(ctx, append(known, c.find(ctx, asked)...))
}

// readPlaces is what a client says it has read, in whichever form.
func readPlaces(m *leanpb.ReadCommand) []ask.PlaceIn {
	var places []ask.PlaceIn
	for _, t := range m.GetConvs() {
		p := ask.PlaceIn{Conversation: storedID(t.GetCid()), Message: messageNamed(t.GetMid()), Time: t.GetTimestamp()}
		if p.Message == "" && t.Timestamp == nil {
			p.Time = endOfTime
		}
		places = append(places, p)
	}
	all := m.GetCids()
	if m.Cid != nil {
		all = append(all, m.GetCid())
	}
	for _, cid := range all {
		places = append(places, ask.PlaceIn{Conversation: storedID(cid), Time: endOfTime})
	}
	return places
}

// messageNamed is the id of a message; empty: it can be none's. What is no id may
// be of any length, and is not to be kept.
func messageNamed(mid string) wire.MessageID {
	if wire.ValidID(mid) != nil {
		return ""
	}
	return wire.MessageID(mid)
}

// readUpto moves the user's cursors. All his sessions are told by the cursor; the
// one that asked is told also when nothing moved.
func (c progress) readUpto(ctx context.Context, places []placed) {
	ctx, cancel := context.WithTimeout(ctx, c.door().opts.RequestTimeout)
	defer cancel()
	byRoot := map[string]wire.Seq{}
	roots := make([]string, 0, len(places))
	for _, p := range places {
		root := string(p.id)
		if _, twice := byRoot[root]; !twice {
			roots = append(roots, root)
		}
		byRoot[root] = max(byRoot[root], p.seq)
	}
	for _, group := range c.host().Divide(c.app, roots) {
		c.readGroup(ctx, group, byRoot)
	}
}

// readGroup moves the cursors in the conversations of one shard.
func (c progress) readGroup(ctx context.Context, group []string, byRoot map[string]wire.Seq) {
	move := &state.MoveCursors{}
	all := make([]wire.ConversationID, 0, len(group))
	followed := true
	for _, root := range group {
		id := wire.ConversationID(root)
		all = append(all, id)
		followed = followed && c.feed.of(id) != nil
		if seq := byRoot[root]; seq > 0 {
			move.Moves = append(move.Moves, state.CursorMove{Conversation: id, User: c.user, Read: seq})
		}
	}
	moved := 0
	if len(move.Moves) > 0 {
		r, err := c.host().Change(ctx, state.Header{App: c.app, Actor: c.user}, move)
		if err != nil || r.Refusal != state.None {
			return // he may not, or reads again
		}
		moved = int(r.Count)
	}
	if moved < len(group) || !followed {
		c.askUnread(ctx, all)
	}
}

// maxRead answers how far the others have read, and got, a conversation.
func maxRead(ctx context.Context, c *client, in *leanpb.GenericCommand) (*leanpb.GenericCommand, error) {
	m := in.GetConvMessage()
	id := storedID(m.GetCid())
	if wire.ValidID(string(id)) != nil {
		return nil, errorf(CodeInvalidTarget, "the conversation's id is none")
	}
	a, err := c.host().Ask(ctx, c.app, c.user, string(id), &ask.Request{Cursors: &ask.Cursors{Conversation: id}})
	if err != nil {
		return nil, messageCodes.failed(err)
	}
	out := &leanpb.ConvCommand{Cid: new(m.GetCid())}
	if a.Cursors != nil {
		var gotAt, readAt int64
		for _, one := range a.Cursors.Cursors {
			if m.GetQueryAllMembers() {
				out.MaxReadTuples = append(out.MaxReadTuples, &leanpb.MaxReadTuple{
					Pid: new(string(one.User)), MaxAckTimestamp: known(one.AckAt), MaxReadTimestamp: known(one.ReadAt),
				})
			}
			if one.User != c.user {
				gotAt, readAt = max(gotAt, one.AckAt), max(readAt, one.ReadAt)
			}
		}
		out.MaxAckTimestamp, out.MaxReadTimestamp = known(gotAt), known(readAt)
	}
	return &leanpb.GenericCommand{Cmd: leanpb.CommandType_conv.Enum(), Op: leanpb.OpType_max_read.Enum(), ConvMessage: out}, nil
}
