package state

import (
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// EndIdle ends a conversation in which nothing has happened for long: no message,
// and no change. Only the app may, and only of conversations and rooms. Where
// something has happened since, it does nothing, and says Existed.
type EndIdle struct {
	ID     wire.ConversationID
	Before int64 // milliseconds since 1970: whatever came last came before
}

func (*EndIdle) kind() Kind { return kindEndIdle }

func (c *EndIdle) subject() Subject { return Subject{Conversation: c.ID} }

func (c *EndIdle) append(b []byte) []byte {
	return bin.AppendVarint(bin.AppendString(b, c.ID), c.Before)
}

func (c *EndIdle) decode(in *bin.Reader) {
	c.ID, c.Before = readID[wire.ConversationID](in), in.Varint()
}

func (c *EndIdle) apply(t *txn, h *Header) Result {
	conv := t.conversation(conversationScope(h.App, c.ID))
	if r := conv.live(t.stamp); r != None {
		return refuse(r, "")
	}
	switch {
	case h.Actor != "":
		return refuse(Forbidden, "only the app ends what is idle")
	case !conv.info.Policy.Preset.EndsIdle():
		return refuse(Forbidden, "such a conversation does not end because it is idle")
	case conv.info.LastActive(conv.head.timestamp) >= c.Before:
		return Result{Conversation: c.ID, Existed: true}
	}
	offset, r := conv.destroy(t, true)
	if r != None {
		return refuse(r, "too much waits to be told to the members")
	}
	return Result{Conversation: c.ID, Offset: offset, Timestamp: t.stamp}
}

// EndsIdle tells whether conversations of the preset can end because nothing
// happens in them. Temporary ones end anyway.
func (p Preset) EndsIdle() bool { return p == PresetBasic || p == PresetRoom }

// LastActive is when something happened last, in milliseconds since 1970: the last
// message, of which the caller knows, or a change.
func (c *Info) LastActive(lastMessage int64) int64 {
	return max(lastMessage, c.Created, c.Updated, c.Patched)
}
