package state

import (
	"github.com/quorate/quorate/mutant"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// EditMessage replaces a message's content. Only its sender and the app may;
// the mentions are replaced with it.
type EditMessage struct {
	Conversation wire.ConversationID
	ID           wire.MessageID
	Body         []byte
	ContentType  string
	Mentions     []wire.UserID
	MentionAll   bool
	From         wire.UserID // of the app: who it says is the sender; empty: it does not say
}

func (*EditMessage) kind() Kind { return kindEditMessage }

func (c *EditMessage) subject() Subject { return Subject{Conversation: c.Conversation} }

func (c *EditMessage) append(b []byte) []byte {
	b = bin.AppendString(b, c.Conversation)
	b = bin.AppendString(b, c.ID)
	b = bin.AppendString(b, c.Body)
	b = bin.AppendString(b, c.ContentType)
	b = appendIDs(b, c.Mentions)
	b = bin.AppendBool(b, c.MentionAll)
	return appendFrom(b, c.From)
}

func (c *EditMessage) decode(in *bin.Reader) {
	c.Conversation = readID[wire.ConversationID](in)
	c.ID = readID[wire.MessageID](in)
	c.Body = in.Bytes()
	c.ContentType = in.String()
	c.Mentions = readIDs[wire.UserID](in, maxListed)
	c.MentionAll = in.Bool()
	c.From = readFrom(in)
}

// appendFrom appends the sender that the app names, if it does: else the command
// is as before it could.
func appendFrom(b []byte, from wire.UserID) []byte {
	if from == "" {
		return b
	}
	return bin.AppendString(b, from)
}

func readFrom(in *bin.Reader) wire.UserID {
	if in.Len() == 0 {
		return ""
	}
	return readID[wire.UserID](in)
}

func (c *EditMessage) apply(t *txn, h *Header) Result {
	conv, m, r := changeable(t, h, c.Conversation, c.ID)
	switch {
	case r != None:
		return refuse(r, "")
	case h.Actor != "" && h.Actor != m.From:
		return refuse(Forbidden, "only the sender may edit a message")
	case h.Actor == "" && c.From != "" && c.From != m.From:
		return refuse(Forbidden, "the message has another sender")
	case m.Recalled:
		return refuse(Gone, "the message was recalled")
	}
	if r := conv.speechOf(t, h.Actor); r != None {
		return refuse(r, "may not speak here")
	}
	if r := checkContent(c.Body, c.ContentType, c.Mentions); r.Refusal != None {
		return r
	}
	if m.Counted {
		unmention(t, conv.scope, m)
	}
	m.Body, m.ContentType, m.Mentions, m.MentionAll = c.Body, c.ContentType, distinct(c.Mentions), c.MentionAll
	if m.Counted {
		mention(t, conv.scope, m)
	}
	return conv.change(t, EntryEdited, m)
}

// RecallMessage takes a message back: its place stays, its content goes. Its
// sender, the app and whoever the policy lets recall others' messages can do it.
type RecallMessage struct {
	Conversation wire.ConversationID
	ID           wire.MessageID
	From         wire.UserID // of the app: who it says is the sender; empty: it does not say
}

func (*RecallMessage) kind() Kind { return kindRecallMessage }

func (c *RecallMessage) subject() Subject { return Subject{Conversation: c.Conversation} }

func (c *RecallMessage) append(b []byte) []byte {
	return appendFrom(bin.AppendString(bin.AppendString(b, c.Conversation), c.ID), c.From)
}

func (c *RecallMessage) decode(in *bin.Reader) {
	c.Conversation = readID[wire.ConversationID](in)
	c.ID = readID[wire.MessageID](in)
	c.From = readFrom(in)
}

func (c *RecallMessage) apply(t *txn, h *Header) Result {
	conv, m, r := changeable(t, h, c.Conversation, c.ID)
	if r != None {
		return refuse(r, "")
	}
	if h.Actor != "" && h.Actor != m.From {
		if r := conv.allow(t, h.Actor, conv.info.Policy.Recall); r != None {
			return refuse(Forbidden, "only the sender and managers may recall a message")
		}
	}
	if h.Actor == "" && c.From != "" && c.From != m.From {
		return refuse(Forbidden, "the message has another sender")
	}
	if m.Recalled {
		return Result{Existed: true, MessageID: m.ID, Seq: m.Seq, Timestamp: m.Edited}
	}
	if m.Counted {
		unmention(t, conv.scope, m)
	}
	m.Recalled, m.Body, m.Mentions, m.MentionAll = true, nil, nil, false
	if m.Counted && conv.info.Policy.Lowered {
		lower(t, conv.scope, m)
	}
	return conv.change(t, EntryRecalled, m)
}

// changeable finds a message that the actor can see, or refuses.
func changeable(t *txn, h *Header, id wire.ConversationID, message wire.MessageID) (*conversation, *Message, Refusal) {
	conv := t.conversation(conversationScope(h.App, id))
	if r := conv.live(t.stamp); r != None {
		return nil, nil, r
	}
	if h.Actor != "" && conv.role(t, h.Actor) == RoleNone {
		return nil, nil, NotMember
	}
	m := findMessage(t, conv.scope, message)
	if m == nil || m.Seq <= conv.head.floorSeq || !m.visibleTo(h.Actor) {
		return nil, nil, NotFound
	}
	return conv, m, None
}

// change writes a message that has a new form, and an entry that says so.
func (c *conversation) change(t *txn, kind EntryKind, m *Message) Result {
	c.info.Patched = max(c.info.next(t.stamp), m.Edited+1, m.Timestamp+1)
	c.writeInfo(t)
	m.Edited = c.info.Patched
	if kind != EntryRecalled || !mutant.On(mutant.RecallLeavesMessage) { // a planted bug, see package mutant
		c.writeMessage(t, m)
	}
	offset := c.append(t, &Entry{Kind: kind, Target: m.Seq, Message: m, Stamp: m.Edited})
	return Result{MessageID: m.ID, Seq: m.Seq, Offset: offset, Timestamp: m.Edited}
}
