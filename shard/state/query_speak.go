package state

import "github.com/quorate/quorate/wire"

// MaySpeak refuses a user who may not tell a conversation anything now, a
// transient message for example. It is the rule of sends, without a store.
func (s *Queries) MaySpeak(app wire.AppID, id wire.ConversationID, user wire.UserID) error {
	v, err := s.view()
	if err != nil {
		return err
	}
	sc := conversationScope(app, id)
	c := loadConversation(v, sc)
	if r := c.live(v.stamp); r != None {
		return closeRefused(v, &RefusedError{Refusal: r})
	}
	var m Member
	var ok bool // the user is a stored member, and so not banned
	if c.info.Policy.Members {
		m, ok = loadMember(v, sc, user)
	} else {
		m = c.visitor(v, user)
	}
	r := c.speech(user, &m, v.stamp)
	if !ok {
		r = orBanned(c, v, user, r)
	}
	if r != None {
		return closeRefused(v, &RefusedError{Refusal: r})
	}
	return v.close()
}

// visitor is a user as a member, where no members are stored: everybody is one,
// and the creator the owner.
func (c *conversation) visitor(r reader, user wire.UserID) Member {
	m := Member{User: user, Role: RoleMember}
	if user == c.info.Creator {
		m.Role = RoleOwner
	}
	if c.head.mutes > 0 {
		var row mutedRow
		row, m.Muted = loadMuted(r, c.scope.name(nil, tableMuted, string(user)))
		m.MutedUntil = row.Until
	}
	return m
}

// speech refuses an actor with this membership, who may not speak at that time.
func (c *conversation) speech(actor wire.UserID, m *Member, now int64) Refusal {
	who := c.info.Policy.Speak
	switch {
	case actor == "":
		return None
	case who != WhoAnyone && m.Role == RoleNone:
		return NotMember
	case who == WhoApp, who != WhoAnyone && m.Role < who.least():
		return Forbidden
	case c.head.flags&headMuted != 0 && m.Role < RoleManager, m.mutedForEver():
		return Muted
	case m.mutedAt(now):
		return MutedForNow
	default:
		return None
	}
}

// orBanned is a refusal of a user who is no stored member; that he is banned says
// more than all others.
func orBanned(c *conversation, r reader, user wire.UserID, refusal Refusal) Refusal {
	if user != "" && c.banned(r, user) {
		return Banned
	}
	return refusal
}
