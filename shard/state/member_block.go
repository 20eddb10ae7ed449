package state

import (
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// BlockMembers keeps users out of a conversation, or lets them come again. Those
// who are members are removed. Users who are refused are listed in Result.Users.
type BlockMembers struct {
	Conversation wire.ConversationID
	Users        []wire.UserID // at most 500
	Unblock      bool
}

func (*BlockMembers) kind() Kind { return kindBlockMembers }

func (c *BlockMembers) subject() Subject { return Subject{Conversation: c.Conversation} }

func (c *BlockMembers) append(b []byte) []byte {
	return bin.AppendBool(appendIDs(bin.AppendString(b, c.Conversation), c.Users), c.Unblock)
}

func (c *BlockMembers) decode(in *bin.Reader) {
	c.Conversation = readID[wire.ConversationID](in)
	c.Users = readIDs[wire.UserID](in, maxListed)
	c.Unblock = in.Bool()
}

func (c *BlockMembers) apply(t *txn, h *Header) Result { return refuse(Invalid, "not yet") }

// banned tells whether the conversation keeps the user out.
func (c *conversation) banned(r reader, user wire.UserID) bool {
	return c.head.bans > 0 && r.get(c.scope.name(nil, tableBanned, string(user))) != nil
}
