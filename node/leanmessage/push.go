package leanmessage

import (
	"maps"

	"github.com/quorate/quorate/node/tail"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire/leanpb"
)

// outgoing is one push: the frame, or its beginning and a rest that sessions
// share.
type outgoing struct {
	head, body []byte
	cause      uint64 // the request of this session that caused it; 0: none
}

func (o *outgoing) size() int { return len(o.head) + len(o.body) }

// translator says what a session is pushed for an entry of a batch that is no
// message. It is called
// with a lock of the edge held, and the batch and its entries are shared with
// other sessions: it changes none of them.
type translator func(c *client, b *tail.Batch, e *state.Entry) []outgoing

type translators map[state.EntryKind]translator

// allTranslators merges the tables of the groups.
func allTranslators() translators {
	all := translators{state.EntryKicked: kicked, state.EntryTagTaken: tagTaken}
	maps.Copy(all, messageEntries())
	maps.Copy(all, conversationEntries())
	return all
}

// translate appends what an entry of a log is to this session. Messages, which
// are most of what is pushed, make no garbage here.
func (c *client) translate(out []outgoing, l *followed, b *tail.Batch, e *state.Entry) []outgoing {
	from := len(out)
	if e.Kind == state.EntryMessage {
		if push, ok := pushMessage(c, b, e, l.preset); ok {
			out = append(out, push)
		}
	} else if t := c.door().entries[e.Kind]; t != nil {
		out = append(out, t(c, b, e)...)
	}
	if cause := c.causeOf(e.Origin); cause != 0 {
		for i := from; i < len(out); i++ {
			out[i].cause = cause
		}
	}
	return out
}

// causeOf returns the request of this session that a change comes from; 0: it
// comes from elsewhere.
func (c *client) causeOf(o state.Origin) uint64 {
	if o.Session != c.id || o.Node != string(c.host().Self()) {
		return 0
	}
	return o.Request
}

// DeliverCursor implements tail.Sink.
func (c *client) DeliverCursor(cursor tail.Cursor) bool {
	progress{c}.cursorMoved(cursor)
	return true
}

// DeliverTransient implements tail.Sink.
func (c *client) DeliverTransient(t *tail.Transient) {
	urgent := t.Message != nil && t.Message.Receipt && !isCrowded(c.socket, urgentQueues)
	c.send(c.transientPushes(t), urgent)
}

// Late implements tail.Sink.
func (c *client) Late() { c.socket.catchUpLater() }

// pushOf begins a push to this session: with its cmd and op, to be completed and
// handed to pushed.
func (c *client) pushOf(cmd leanpb.CommandType, o leanpb.OpType) *leanpb.GenericCommand {
	m := &leanpb.GenericCommand{
		Cmd: cmd.Enum(), PeerId: new(string(c.user)), Service: new(int32(serviceConversations)),
		ServerTs: new(c.host().Millis()),
	}
	if o != 0 {
		m.Op = o.Enum()
	}
	return m
}

// pushed encodes a push.
func pushed(m *leanpb.GenericCommand) outgoing { return outgoing{head: encode(m)} }
