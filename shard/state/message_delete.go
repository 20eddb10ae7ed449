package state

import (
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// DeleteMessage takes a message away without telling anybody. Only the app may.
// Its place stays, so that sequences and counts do.
type DeleteMessage struct {
	Conversation wire.ConversationID
	ID           wire.MessageID
}

func (*DeleteMessage) kind() Kind { return kindDeleteMessage }

func (c *DeleteMessage) subject() Subject { return Subject{Conversation: c.Conversation} }

func (c *DeleteMessage) append(b []byte) []byte {
	return bin.AppendString(bin.AppendString(b, c.Conversation), c.ID)
}

func (c *DeleteMessage) decode(in *bin.Reader) {
	c.Conversation = readID[wire.ConversationID](in)
	c.ID = readID[wire.MessageID](in)
}

func (c *DeleteMessage) apply(t *txn, h *Header) Result {
	conv := t.conversation(conversationScope(h.App, c.Conversation))
	if r := conv.live(t.stamp); r != None {
		return refuse(r, "")
	}
	if h.Actor != "" {
		return refuse(Forbidden, "only the app takes a message away without a word")
	}
	m := findMessage(t, conv.scope, c.ID)
	if m == nil || m.Seq <= conv.head.floorSeq {
		return refuse(NotFound, "")
	}
	result := Result{Existed: m.Deleted, MessageID: m.ID, Seq: m.Seq, Timestamp: m.Timestamp}
	if m.Deleted {
		return result
	}
	if m.Counted {
		unmention(t, conv.scope, m)
		lower(t, conv.scope, m)
	}
	m.Deleted, m.Body, m.ContentType, m.Mentions, m.MentionAll = true, nil, "", nil, false
	conv.writeMessage(t, m)
	return result
}

// lower has a message that counted for unread not count any more.
func lower(t *txn, s scope, m *Message) {
	t.put(s.number(nil, tableRecalled, uint64(m.Seq)), appendRecalled(nil, recallRow{from: m.From, targets: m.Targets}))
}
