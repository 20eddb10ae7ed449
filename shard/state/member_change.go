package state

import (
	"slices"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// AddMembers adds users to a conversation; a user who adds only himself joins.
// Users who are refused are listed in Result.Users; the others are added. Unless
// the rules are the preset's, a creator who comes back is the owner again, and
// nobody is added where there is no room for all.
type AddMembers struct {
	Conversation wire.ConversationID
	Users        []wire.UserID // at most 500
}

func (*AddMembers) kind() Kind { return kindAddMembers }

func (c *AddMembers) subject() Subject { return Subject{Conversation: c.Conversation} }

func (c *AddMembers) append(b []byte) []byte {
	return appendIDs(bin.AppendString(b, c.Conversation), c.Users)
}

func (c *AddMembers) decode(in *bin.Reader) {
	c.Conversation = readID[wire.ConversationID](in)
	c.Users = readIDs[wire.UserID](in, maxListed)
}

func (c *AddMembers) apply(t *txn, h *Header) Result {
	conv := t.conversation(conversationScope(h.App, c.Conversation))
	users := distinct(c.Users)
	if r := checkMembers(conv, t.stamp, users); r.Refusal != None {
		return r
	}
	who := conv.info.Policy.Invite
	if joins := len(users) == 1 && users[0] == h.Actor; joins {
		who = conv.info.Policy.Join
		if m := t.member(conv.scope, h.Actor); m.User != "" {
			return Result{Conversation: c.Conversation, Existed: true, Offset: m.JoinedOffset, Timestamp: m.Joined}
		}
	}
	if r := conv.allow(t, h.Actor, who); r != None {
		return refuse(r, "may not add to the conversation")
	}
	if outboxFull(t, conv, users) {
		return refuse(Backlogged, "too much waits to be told to the members")
	}
	members := roster{conv, t}
	added, skipped := members.addable(users)
	switch whole := conv.info.Policy.creatorOwns(); {
	case len(users) == 1 && len(skipped) == 1 && skipped[0].Refusal != Exists:
		return refuse(skipped[0].Refusal, "")
	case whole && slices.ContainsFunc(skipped, func(u UserResult) bool { return u.Refusal == Limit }):
		return refuse(Limit, "there is no room for all of them")
	}
	result := Result{Conversation: c.Conversation, Timestamp: conv.info.Updated, Users: skipped}
	if len(added) > 0 {
		result.Timestamp = conv.update(t)
		result.Offset = members.add(added, func(u wire.UserID) Role {
			if u == conv.info.Creator && conv.info.Policy.creatorOwns() {
				return RoleOwner
			}
			return RoleMember
		})
		offerMembers(t, conv)
	}
	return result
}

// checkMembers refuses a command about members that can never succeed.
func checkMembers(c *conversation, now int64, users []wire.UserID) Result {
	if r := checkUsers(c, now, users); r.Refusal != None {
		return r
	}
	if !c.info.Policy.Members {
		return refuse(Invalid, "this kind of conversation stores no members")
	}
	return Result{}
}

// checkUsers refuses a command about users that can never succeed.
func checkUsers(c *conversation, now int64, users []wire.UserID) Result {
	switch r := c.live(now); {
	case r != None:
		return refuse(r, "")
	case len(users) == 0 || slices.Contains(users, ""):
		return refuse(Invalid, "a user's id is empty")
	case len(users) > wire.MaxMembersAdded:
		return refuse(Limit, "too many users in one command")
	default:
		return Result{}
	}
}

// addable divides users into those who can be added and those who cannot.
func (c roster) addable(users []wire.UserID) (added []wire.UserID, skipped []UserResult) {
	for _, u := range users {
		var r Refusal
		switch {
		case c.t.member(c.scope, u).User != "":
			r = Exists
		case c.banned(c.t, u):
			r = Banned
		case u != c.t.header.Actor && blockedBy(c.t, c.scope, u):
			r = Blocked
		case int(c.head.members)+len(added) >= int(c.info.Policy.MemberLimit):
			r = Limit
		}
		if r == None {
			added = append(added, u)
		} else {
			skipped = append(skipped, UserResult{User: u, Refusal: r})
		}
	}
	return added, skipped
}

// add makes users members, with one entry for all of them, at the time of the
// last change.
func (c roster) add(users []wire.UserID, role func(wire.UserID) Role) wire.Offset {
	if len(users) == 0 {
		return 0
	}
	offset := c.append(c.t, &Entry{Kind: EntryMembersAdded, Users: users})
	c.head.members += uint32(len(users))
	for _, u := range users {
		m := c.t.member(c.scope, u)
		m.Member = Member{User: u, Role: role(u), Joined: c.info.Updated, JoinedOffset: offset, JoinedSeq: c.head.seq}
		c.t.writeMember(c.scope, m)
		outboxMembership(c.t, c.conversation, membershipChange{user: u, member: true, offset: offset, stamp: c.info.Updated, by: c.t.header.Actor})
	}
	return offset
}

// RemoveMembers removes users from a conversation; a user who removes only
// himself leaves. Users who are refused are listed in Result.Users. That the only
// one is no member is a refusal only where the rules are the preset's.
type RemoveMembers struct {
	Conversation wire.ConversationID
	Users        []wire.UserID // at most 500
}

func (*RemoveMembers) kind() Kind { return kindRemoveMembers }

func (c *RemoveMembers) subject() Subject { return Subject{Conversation: c.Conversation} }

func (c *RemoveMembers) append(b []byte) []byte {
	return appendIDs(bin.AppendString(b, c.Conversation), c.Users)
}

func (c *RemoveMembers) decode(in *bin.Reader) {
	c.Conversation = readID[wire.ConversationID](in)
	c.Users = readIDs[wire.UserID](in, maxListed)
}

func (c *RemoveMembers) apply(t *txn, h *Header) Result {
	conv := t.conversation(conversationScope(h.App, c.Conversation))
	users := distinct(c.Users)
	if r := checkMembers(conv, t.stamp, users); r.Refusal != None {
		return r
	}
	leaves := len(users) == 1 && users[0] == h.Actor
	if !leaves {
		if r := conv.allow(t, h.Actor, conv.info.Policy.Remove); r != None {
			return refuse(r, "may not remove from the conversation")
		}
	}
	if outboxFull(t, conv, users) {
		return refuse(Backlogged, "too much waits to be told to the members")
	}
	removed, kept := c.removable(t, conv, users)
	if len(users) == 1 && len(kept) == 1 && (kept[0].Refusal != NotMember || !conv.info.Policy.creatorOwns()) {
		return refuse(kept[0].Refusal, "")
	}
	result := Result{Conversation: c.Conversation, Timestamp: conv.info.Updated, Users: kept}
	if len(removed) > 0 {
		result.Timestamp = conv.update(t)
		result.Offset = roster{conv, t}.removeMembers(removed)
		offerMembers(t, conv)
	}
	return result
}

// removable divides users into those whom the actor can remove and those whom he
// cannot.
func (c *RemoveMembers) removable(t *txn, conv *conversation, users []wire.UserID) (removed []wire.UserID, kept []UserResult) {
	actor := t.header.Actor
	for _, u := range users {
		r := conv.overrules(t, actor, u)
		switch {
		case r == NotMember:
		case conv.mustStay(t, u):
			r = NeedOwner
		case len(users) == 1 && u == actor:
			r = None // he leaves
		}
		if r == None {
			removed = append(removed, u)
		} else {
			kept = append(kept, UserResult{User: u, Refusal: r})
		}
	}
	return removed, kept
}

// removeMembers ends users' memberships, with one entry for all of them, at the
// time of the last change.
func (c roster) removeMembers(users []wire.UserID) wire.Offset {
	offset := c.append(c.t, &Entry{Kind: EntryMembersRemoved, Users: users})
	for _, u := range users {
		c.forgetMember(u)
		outboxMembership(c.t, c.conversation, membershipChange{user: u, offset: offset, stamp: c.info.Updated, by: c.t.header.Actor})
	}
	return offset
}

// forgetMember removes a member's rows. His unread exceptions stay: they are a
// running sum that goes on if he comes back.
func (c roster) forgetMember(user wire.UserID) {
	m := c.t.member(c.scope, user)
	if m.mutedForEver() {
		c.head.unmuted()
	}
	c.head.demoted(m)
	m.Member = Member{}
	c.head.members--
	c.t.delete(c.scope.name(nil, tableMember, string(user)))
	if key := c.scope.name(nil, tableCursor, string(user)); c.t.get(key) != nil {
		c.t.delete(key)
	}
	forgetDevices(c.t, c.scope, user)
}

// allow refuses an actor who may not do what the policy leaves to some. The app
// may do everything.
func (c *conversation) allow(t *txn, actor wire.UserID, who Who) Refusal {
	if actor == "" || who == WhoAnyone {
		return None
	}
	role := c.role(t, actor)
	if role == RoleNone {
		return NotMember
	}
	if who == WhoApp || role < who.least() {
		return Forbidden
	}
	return None
}

// least is the lowest role that may.
func (w Who) least() Role {
	switch w {
	case WhoOwner:
		return RoleOwner
	case WhoManager:
		return RoleManager
	default:
		return RoleMember
	}
}

// role returns what the user is in the conversation. Where no members are
// stored everybody is a member and the creator is the owner.
func (c *conversation) role(t *txn, user wire.UserID) Role {
	if c.info.Policy.Members {
		return t.member(c.scope, user).Role
	}
	if user == c.info.Creator {
		return RoleOwner
	}
	return RoleMember
}

// overrules refuses an actor whose role is not above that of a member he wants
// to do something to. Owners overrule everybody, and so does the app; where roles
// do not count, everybody does.
func (c *conversation) overrules(t *txn, actor, user wire.UserID) Refusal {
	target := c.role(t, user)
	switch {
	case target == RoleNone:
		return NotMember
	case actor == "", !c.info.Policy.Ranked:
		return None
	}
	if role := c.role(t, actor); role <= target && role != RoleOwner {
		return Forbidden
	}
	return None
}

// mustStay tells whether the user is the owner that the conversation must keep.
func (c *conversation) mustStay(t *txn, user wire.UserID) bool {
	return c.info.Policy.OwnerStays && c.head.flags&headRoles != 0 && c.info.Policy.Members && c.role(t, user) == RoleOwner
}
