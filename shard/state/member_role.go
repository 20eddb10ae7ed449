package state

import (
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// SetRole gives a member a role. Only owners and the app may; an owner who
// makes another the owner becomes a manager.
type SetRole struct {
	Conversation wire.ConversationID
	User         wire.UserID
	Role         Role
}

func (*SetRole) kind() Kind { return kindSetRole }

func (c *SetRole) subject() Subject { return Subject{Conversation: c.Conversation} }

func (c *SetRole) append(b []byte) []byte {
	b = bin.AppendString(b, c.Conversation)
	b = bin.AppendString(b, c.User)
	return append(b, byte(c.Role))
}

func (c *SetRole) decode(in *bin.Reader) {
	c.Conversation = readID[wire.ConversationID](in)
	c.User = readID[wire.UserID](in)
	c.Role = Role(in.Byte())
}

func (c *SetRole) apply(t *txn, h *Header) Result {
	conv := t.conversation(conversationScope(h.App, c.Conversation))
	if r := checkMembers(conv, t.stamp, []wire.UserID{c.User}); r.Refusal != None {
		return r
	}
	if c.Role == RoleNone || c.Role > RoleOwner {
		return refuse(Invalid, "no such role")
	}
	if r := conv.allow(t, h.Actor, WhoOwner); r != None {
		return refuse(r, "only an owner may set roles")
	}
	m := t.member(conv.scope, c.User)
	result := Result{Conversation: c.Conversation, Timestamp: t.stamp}
	switch {
	case m.User == "":
		return refuse(NotMember, "the user is not a member")
	case c.User == h.Actor:
		return refuse(Forbidden, "an owner may only make another the owner")
	case m.Role == c.Role:
		return result
	}
	result.Offset = conv.setRole(t, m, c.Role)
	if c.Role == RoleOwner && h.Actor != "" {
		result.Offset = conv.setRole(t, t.member(conv.scope, h.Actor), RoleManager)
	}
	return result
}

func (c *conversation) setRole(t *txn, m *member, role Role) wire.Offset {
	m.Role = role
	t.writeMember(c.scope, m)
	return c.append(t, &Entry{Kind: EntryRoleChanged, Users: []wire.UserID{m.User}, Role: role})
}

// Mute keeps members from speaking, for a time or for ever, or lets them speak
// again. Users who are refused are listed in Result.Users.
type Mute struct {
	Conversation wire.ConversationID
	Users        []wire.UserID // at most 500
	Millis       int64         // how long; 0: for ever
	Unmute       bool
}

func (*Mute) kind() Kind { return kindMute }

func (c *Mute) subject() Subject { return Subject{Conversation: c.Conversation} }

func (c *Mute) append(b []byte) []byte {
	b = appendIDs(bin.AppendString(b, c.Conversation), c.Users)
	b = bin.AppendUvarint(b, uint64(c.Millis))
	return bin.AppendBool(b, c.Unmute)
}

func (c *Mute) decode(in *bin.Reader) {
	c.Conversation = readID[wire.ConversationID](in)
	c.Users = readIDs[wire.UserID](in, maxListed)
	c.Millis = int64(in.Uvarint())
	c.Unmute = in.Bool()
}

// maxMuteMillis bounds a mute with an end: ten years.
const maxMuteMillis = 3650 * dayMillis

func (c *Mute) apply(t *txn, h *Header) Result {
	conv := t.conversation(conversationScope(h.App, c.Conversation))
	users := distinct(c.Users)
	if r := checkMembers(conv, t.stamp, users); r.Refusal != None {
		return r
	}
	if r := conv.allow(t, h.Actor, conv.info.Policy.Manage); r != None {
		return refuse(r, "may not mute members")
	}
	if c.Millis < 0 || c.Millis > maxMuteMillis {
		return refuse(Invalid, "the time of the mute is out of range")
	}
	result := Result{Conversation: c.Conversation, Timestamp: t.stamp}
	e := &Entry{Kind: EntryUnmuted}
	if !c.Unmute {
		e.Kind = EntryMuted
		if c.Millis > 0 {
			e.Until = t.stamp + c.Millis
		}
	}
	for _, u := range users {
		if r := conv.overrules(t, h.Actor, u); r != None {
			result.Users = append(result.Users, UserResult{User: u, Refusal: r})
			continue
		}
		m := t.member(conv.scope, u)
		m.Muted, m.MutedUntil = !c.Unmute, e.Until
		t.writeMember(conv.scope, m)
		e.Users = append(e.Users, u)
	}
	if len(e.Users) > 0 {
		result.Offset = conv.append(t, e)
	}
	return result
}
