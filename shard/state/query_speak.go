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
	if c.info.Policy.Members {
		m, _ = loadMember(v, sc, user)
	} else if m.Role = RoleMember; user == c.info.Creator {
		m.Role = RoleOwner
	}
	if r := c.speech(user, &m, v.stamp); r != None {
		return closeRefused(v, &RefusedError{Refusal: r})
	}
	return v.close()
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
	case c.head.flags&headMuted != 0 && m.Role < RoleManager, m.mutedAt(now):
		return Muted
	default:
		return None
	}
}
