package state

import (
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// BlockConversation says that the user does not want to be added to the
// conversation, or that he does again.
type BlockConversation struct {
	User         wire.UserID
	Conversation wire.ConversationID
	Unblock      bool
}

func (*BlockConversation) kind() Kind { return kindBlockConversation }

func (c *BlockConversation) subject() Subject { return Subject{User: c.User} }

func (c *BlockConversation) append(b []byte) []byte {
	b = bin.AppendString(b, c.User)
	b = bin.AppendString(b, c.Conversation)
	return bin.AppendBool(b, c.Unblock)
}

func (c *BlockConversation) decode(in *bin.Reader) {
	*c = BlockConversation{
		User:         readID[wire.UserID](in),
		Conversation: readID[wire.ConversationID](in),
		Unblock:      in.Bool(),
	}
}

func (c *BlockConversation) apply(t *txn, _ *Header) Result {
	if c.Conversation == "" {
		return refuse(Invalid, "no conversation is named")
	}
	u := t.user(t.header.App, c.User)
	key := u.scope.name(nil, tableUserBlock, string(c.Conversation))
	row := t.blockRow(key)
	if row.Blocked == !c.Unblock {
		return Result{Existed: true, Offset: wire.Offset(row.Version)}
	}
	o := OutboxRow{
		OutboxRef:  OutboxRef{Kind: OutboxBlock, App: u.scope.app, Conversation: c.Conversation, User: c.User},
		OutboxNote: OutboxNote{On: !c.Unblock, At: t.stamp},
	}
	switch {
	case t.outboxFullFor(&o.OutboxRef):
		return refuse(Backlogged, "too much waits to be told to the conversation's slot")
	case !c.Unblock && u.head.Blocks >= maxBlocks:
		return refuse(Limit, "the user blocks as many conversations as one may")
	}
	e := &Entry{Kind: EntryBlocked, Conversation: c.Conversation, Actor: t.header.Actor}
	if c.Unblock {
		e.Kind = EntryUnblocked
		u.head.Blocks--
	} else {
		u.head.Blocks++
	}
	offset := u.append(t, e)
	u.write(t)
	row = blockRow{Version: uint64(offset), Blocked: !c.Unblock}
	t.put(key, row.encode(nil))
	o.Version = row.Version
	t.note(&o)
	return Result{Offset: offset, Timestamp: t.stamp}
}

// blockRow reads a row of either side; there is none until the first block.
func (t *txn) blockRow(key []byte) blockRow {
	b := t.get(key)
	if b == nil {
		return blockRow{}
	}
	row, err := decodeBlockRow(b)
	if err != nil {
		t.fail(err)
	}
	return row
}

// takeBlock takes, for a conversation, that a user does not want to be added to
// it, or does again. It tells whether that was news.
func takeBlock(t *txn, o *OutboxRow) bool {
	s := conversationScope(o.App, o.Conversation)
	if c := t.conversation(s); c != nil && c.head.flags&headGone != 0 {
		return false // nobody is added to it any more
	}
	key := s.name(nil, tableBlocked, string(o.User))
	if o.Version <= t.blockRow(key).Version {
		return false
	}
	t.put(key, blockRow{Version: o.Version, Blocked: o.On}.encode(nil))
	return true
}

// blockedBy tells whether the user does not want to be added to the
// conversation.
func blockedBy(t *txn, conversation scope, user wire.UserID) bool {
	return t.blockRow(conversation.name(nil, tableBlocked, string(user))).Blocked
}
