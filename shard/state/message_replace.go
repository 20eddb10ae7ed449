package state

import (
	"bytes"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// ReplaceMessage gives a message another content without telling anybody: whoever
// reads it from now on reads that. Only the app may.
type ReplaceMessage struct {
	Conversation wire.ConversationID
	ID           wire.MessageID
	Body         []byte
	ContentType  string
}

func (*ReplaceMessage) kind() Kind { return kindReplaceMessage }

func (c *ReplaceMessage) subject() Subject { return Subject{Conversation: c.Conversation} }

func (c *ReplaceMessage) append(b []byte) []byte {
	b = bin.AppendString(bin.AppendString(b, c.Conversation), c.ID)
	return bin.AppendString(bin.AppendString(b, c.Body), c.ContentType)
}

func (c *ReplaceMessage) decode(in *bin.Reader) {
	c.Conversation = readID[wire.ConversationID](in)
	c.ID = readID[wire.MessageID](in)
	c.Body, c.ContentType = in.Bytes(), in.String()
}

func (c *ReplaceMessage) apply(t *txn, h *Header) Result {
	conv, m, refused := ofApp(t, h, c.Conversation, c.ID, "only the app replaces a message without a word")
	switch {
	case refused.Refusal != None:
		return refused
	case m.Deleted:
		return refuse(NotFound, "")
	case m.Recalled:
		return refuse(Gone, "the message was recalled")
	}
	if r := checkContent(c.Body, c.ContentType, nil); r.Refusal != None {
		return r
	}
	m.Body, m.ContentType = bytes.Clone(c.Body), c.ContentType
	conv.writeMessage(t, m)
	return Result{MessageID: m.ID, Seq: m.Seq, Timestamp: m.Timestamp}
}
