package leanmessage

import (
	"github.com/quorate/quorate/node/leandoc"
	"github.com/quorate/quorate/node/tail"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire/leanpb"
)

// permanent says of a push that it is also told to who was away.
const permanent = 1

// conversationEntries are the pushes about conversations and their members: of
// conversation logs, and of the user's own log.
func conversationEntries() map[state.EntryKind]translator {
	all := map[state.EntryKind]translator{state.EntryJoined: move, state.EntryLeft: move, state.EntryShutOut: move, state.EntryLetIn: move}
	for _, kind := range []state.EntryKind{
		state.EntryMembersAdded, state.EntryMembersRemoved, state.EntryRoleChanged, state.EntryUpdated,
		state.EntryMuted, state.EntryUnmuted, state.EntryBanned, state.EntryUnbanned,
	} {
		all[kind] = conversationEvents
	}
	return all
}

// move follows the user; see [client.move].
func move(c *client, _ *tail.Batch, e *state.Entry) []outgoing {
	mover{c}.moved(e)
	return nil
}

// conversationEvents says what an entry of a conversation's log is to a session.
func conversationEvents(c *client, b *tail.Batch, e *state.Entry) []outgoing {
	id := b.Log.Conversation
	if e.Kind == state.EntryUpdated && (c.causeOf(e.Origin) != 0 || e.Origin.Node == "" && c.feed.isOwn(id, e.Offset)) {
		return nil // it has the reply
	}
	preset := c.presetOf(id)
	events := leandoc.OfConversation(id, preset, e, c.user)
	out := make([]outgoing, len(events))
	for i := range events {
		out[i] = mover{c}.eventPush(&events[i], preset)
	}
	return out
}

// secondsLeft is how long something is that ends, in seconds that have begun.
func secondsLeft(end, now int64) int32 { return int32((max(0, end-now) + 999) / 1000) }

// eventPush encodes an event.
func (c mover) eventPush(e *leandoc.Event, preset state.Preset) outgoing {
	push := c.pushOf(leanpb.CommandType_conv, leanpb.OpType(leanpb.OpType_value[string(e.Op)]))
	// The client asks for what it has missed since the newest time that it was
	// told: that is the log's time, not this node's.
	push.ServerTs, push.NotificationType = new(e.Stamp), new(int32(permanent))
	m := &leanpb.ConvCommand{Cid: new(shownID(e.Conversation, preset)), Udate: isoTime(e.Millis), M: names(e.Members)}
	if e.By != "" {
		m.InitBy = new(string(e.By))
	}
	switch preset {
	case state.PresetTemporary:
		m.TempConv = new(true)
		if end := c.moves.end(e.Conversation); end != 0 {
			m.TempConvTTL = new(secondsLeft(end, c.host().Millis()))
		}
	case state.PresetRoom:
		m.Transient = new(true)
	default:
	}
	switch e.Op {
	case leandoc.OpUpdated:
		m.Attr, m.AttrModified = jsonObject(e.Sent), jsonObject(e.Changed)
	case leandoc.OpMemberInfo:
		m.Info = &leanpb.ConvMemberInfo{Pid: new(string(e.Member)), Role: new(leandoc.RoleName(e.Role))}
	default:
	}
	push.ConvMessage = m
	return pushed(push)
}
