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

func (c *DeleteMessage) apply(t *txn, h *Header) Result { return refuse(Invalid, "not yet") }
