package state

import (
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// SetRole gives a member a role. Only owners and the app may; an owner who
// makes another the owner becomes a manager. Where the owner stays, managers may,
// too: both to members of lower roles, who become members or managers.
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
	if r := conv.allow(t, h.Actor, conv.info.Policy.givesRoles()); r != None {
		return refuse(r, "may not set roles")
	}
	m := t.member(conv.scope, c.User)
	if r := c.check(t, conv, m); r.Refusal != None {
		return r
	}
	if m.Role == c.Role {
		return Result{Conversation: c.Conversation, Timestamp: conv.info.Updated}
	}
	result := Result{Conversation: c.Conversation, Timestamp: conv.update(t)}
	members := roster{conv, t}
	result.Offset = members.setRole(m, c.Role)
	if c.Role == RoleOwner && h.Actor != "" {
		result.Offset = members.setRole(t.member(conv.scope, h.Actor), RoleManager)
	}
	return result
}

// check refuses a role that the member cannot be given by the actor.
func (c *SetRole) check(t *txn, conv *conversation, m *member) Result {
	actor, stays := t.header.Actor, conv.info.Policy.OwnerStays
	switch {
	case m.User == "":
		return refuse(NotMember, "the user is not a member")
	case c.User == actor:
		return refuse(Forbidden, "nobody sets his own role")
	case stays && actor != "" && (c.Role == RoleOwner || conv.overrules(t, actor, c.User) != None):
		return refuse(Forbidden, "a role is given by a higher one, and the owner stays the owner")
	case stays && c.Role == RoleManager && m.Role != c.Role && conv.head.managers >= maxManagers:
		return refuse(Limit, "the conversation has as many managers as it may")
	default:
		return Result{}
	}
}

// givesRoles is who may set roles at all: those who manage, where the owner
// stays; else the owner, unless it is the app's alone to manage.
func (p *Policy) givesRoles() Who {
	if p.OwnerStays || p.Manage == WhoApp {
		return p.Manage
	}
	return WhoOwner
}

// maxManagers is how many managers there may be where owner and managers share
// the power.
const maxManagers = 50

func (c roster) setRole(m *member, role Role) wire.Offset {
	c.head.demoted(m)
	if m.Role = role; role == RoleManager {
		c.head.managers++
	}
	c.head.flags |= headRoles
	c.t.writeMember(c.scope, m)
	return c.append(c.t, &Entry{Kind: EntryRoleChanged, Users: []wire.UserID{m.User}, Role: role})
}

// demoted counts one manager less, if the member is one. Those from before managers
// were counted are not in the count.
func (h *head) demoted(m *member) {
	if m.Role == RoleManager && h.managers > 0 {
		h.managers--
	}
}
