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
	conv, m, refused := ofApp(t, h, c.Conversation, c.ID, "only the app takes a message away without a word")
	if refused.Refusal != None {
		return refused
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

// ofApp finds a message that the app, and nobody else, changes without a word, or
// refuses.
func ofApp(t *txn, h *Header, id wire.ConversationID, message wire.MessageID, otherwise string) (*conversation, *Message, Result) {
	conv := t.conversation(conversationScope(h.App, id))
	if r := conv.live(t.stamp); r != None {
		return nil, nil, refuse(r, "")
	}
	if h.Actor != "" {
		return nil, nil, refuse(Forbidden, otherwise)
	}
	m := findMessage(t, conv.scope, message)
	if m == nil || m.Seq <= conv.head.floorSeq {
		return nil, nil, refuse(NotFound, "")
	}
	return conv, m, Result{}
}

// lower has a message that counted for unread not count any more.
func lower(t *txn, s scope, m *Message) {
	t.put(s.number(nil, tableRecalled, uint64(m.Seq)), appendRecalled(nil, recallRow{from: m.From, targets: m.Targets}))
}
