package state

import (
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// Quiet says which members want no push notifications of a conversation. A user
// says it for himself only. Nobody is told, but the conversation was updated.
type Quiet struct {
	Conversation wire.ConversationID
	Users        []wire.UserID // at most 500
	Off          bool          // they want them again
}

func (*Quiet) kind() Kind { return kindQuiet }

func (c *Quiet) subject() Subject { return Subject{Conversation: c.Conversation} }

func (c *Quiet) append(b []byte) []byte {
	return bin.AppendBool(appendIDs(bin.AppendString(b, c.Conversation), c.Users), c.Off)
}

func (c *Quiet) decode(in *bin.Reader) {
	c.Conversation = readID[wire.ConversationID](in)
	c.Users = readIDs[wire.UserID](in, maxListed)
	c.Off = in.Bool()
}

func (c *Quiet) apply(t *txn, h *Header) Result { return refuse(Invalid, "not yet") }
