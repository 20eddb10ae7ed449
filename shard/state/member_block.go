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

// maxBans and maxRoomBans are how many users a conversation keeps out; it is the
// latter where anybody may come: chat rooms and system conversations.
const (
	maxBans     = 500
	maxRoomBans = 10_000
)

func (p *Policy) maxBans() uint32 {
	if p.Preset == PresetRoom || p.Preset == PresetSystem {
		return maxRoomBans
	}
	return maxBans
}

func (c *BlockMembers) apply(t *txn, h *Header) Result {
	conv := t.conversation(conversationScope(h.App, c.Conversation))
	users := distinct(c.Users)
	if r := checkUsers(conv, t.stamp, users); r.Refusal != None {
		return r
	}
	if r := conv.allow(t, h.Actor, conv.info.Policy.Block); r != None {
		return refuse(r, "may not block users")
	}
	if outboxFull(t, conv, users) {
		return refuse(Backlogged, "too much waits to be told to the members")
	}
	result := Result{Conversation: c.Conversation, Timestamp: conv.info.Updated}
	change := roster{conv, t}.ban
	if c.Unblock {
		change = roster{conv, t}.unban
	}
	var done []wire.UserID
	for _, u := range users {
		if r := change(u); r != None {
			result.Users = append(result.Users, UserResult{User: u, Refusal: r})
			continue
		}
		done = append(done, u)
	}
	if len(users) == 1 && len(done) == 0 && result.Users[0].Refusal != Exists && result.Users[0].Refusal != NotFound {
		return refuse(result.Users[0].Refusal, "the user cannot be blocked")
	}
	if len(done) == 0 {
		return result
	}
	result.Timestamp = conv.update(t)
	if c.Unblock {
		result.Offset = conv.append(t, &Entry{Kind: EntryUnbanned, Users: done})
		roster{conv, t}.tellBans(done, result.Offset, false)
		return result
	}
	result.Offset = conv.append(t, &Entry{Kind: EntryBanned, Users: done})
	roster{conv, t}.tellBans(done, result.Offset, true)
	if offset := (roster{conv, t}).expel(done); offset != 0 {
		result.Offset = offset
	}
	return result
}

// ban writes the row of a user who is kept out, or refuses.
func (c roster) ban(user wire.UserID) Refusal {
	r := c.overrules(c.t, c.t.header.Actor, user)
	switch {
	case c.banned(c.t, user):
		return Exists
	case user == c.t.header.Actor:
		return Forbidden // he can leave
	case c.mustStay(c.t, user):
		return NeedOwner
	case r != None && r != NotMember: // who is no member has no role
		return r
	case c.head.bans >= c.info.Policy.maxBans():
		return BlockListFull
	}
	c.head.bans++
	c.touch(c.t)
	c.t.put(c.scope.name(nil, tableBanned, string(user)), bannedRow{Since: c.t.stamp, By: c.t.header.Actor}.encode(nil))
	return None
}

func (c roster) unban(user wire.UserID) Refusal {
	if !c.banned(c.t, user) {
		return NotFound
	}
	c.head.bans--
	c.touch(c.t)
	c.t.delete(c.scope.name(nil, tableBanned, string(user)))
	return None
}

// expel removes those of the users who are members. Where none are stored, all of
// them may be there: the entry ends their following of the log.
func (c roster) expel(users []wire.UserID) wire.Offset {
	if !c.info.Policy.Members {
		return c.append(c.t, &Entry{Kind: EntryMembersRemoved, Users: users})
	}
	var members []wire.UserID
	for _, u := range users {
		if c.t.member(c.scope, u).User != "" {
			members = append(members, u)
		}
	}
	if len(members) == 0 {
		return 0
	}
	offset := c.removeMembers(members)
	offerMembers(c.t, c.conversation)
	return offset
}

// tellBans tells those of the users who are no members, by their own logs, that
// they are kept out, or not any more: members see it in the conversation's. It is
// left out where too much waits for a user's slot.
func (c roster) tellBans(users []wire.UserID, offset wire.Offset, banned bool) {
	if !c.info.Policy.Notices {
		return
	}
	for _, u := range users {
		o := OutboxRow{
			OutboxRef:  OutboxRef{Kind: OutboxBan, App: c.scope.app, Conversation: c.id(), User: u, Version: uint64(offset)},
			OutboxNote: OutboxNote{On: banned, At: c.info.Updated, By: c.t.header.Actor},
		}
		if c.t.member(c.scope, u).User == "" && !c.t.outboxFullFor(&o.OutboxRef) {
			c.t.note(&o)
		}
	}
}

// takeBan takes, for a user, that a conversation keeps him out, or does not any
// more. It tells whether that was news.
func takeBan(t *txn, o *OutboxRow) bool {
	if !t.news(&o.OutboxRef) {
		return false
	}
	u := t.user(o.App, o.User)
	e := &Entry{Kind: EntryLetIn, Conversation: o.Conversation, ConversationOffset: wire.Offset(o.Version), Actor: o.By, Until: o.At}
	if o.On {
		e.Kind = EntryShutOut
	}
	u.append(t, e)
	u.write(t)
	return true
}

// banned tells whether the conversation keeps the user out.
func (c *conversation) banned(r reader, user wire.UserID) bool {
	return c.head.bans > 0 && r.get(c.scope.name(nil, tableBanned, string(user))) != nil
}
