package state

import (
	"bytes"

	"github.com/quorate/quorate/wire"
)

// BlockedPage is some of the users whom a conversation keeps out, by id.
type BlockedPage struct {
	Users []wire.UserID
	More  bool // there are more after the last one
}

// Blocked returns a page of the users whom a conversation keeps out, after an id.
func (s *Listings) Blocked(app wire.AppID, id wire.ConversationID, after wire.UserID, limit int) (BlockedPage, error) {
	var page BlockedPage
	err := s.usersIn(usersQuery{app, id, tableBanned, after}, func(_ *view, user wire.UserID, _ []byte) bool {
		if len(page.Users) == limit {
			page.More = true
			return false
		}
		page.Users = append(page.Users, user)
		return true
	})
	return page, err
}

// IsBlocked returns those of the users whom the conversation keeps out.
func (s *Listings) IsBlocked(app wire.AppID, id wire.ConversationID, users []wire.UserID) ([]wire.UserID, error) {
	v, err := s.view()
	if err != nil {
		return nil, err
	}
	c := loadConversation(v, conversationScope(app, id))
	if r := c.live(v.stamp); r != None {
		return nil, closeRefused(v, &RefusedError{Refusal: r})
	}
	var blocked []wire.UserID
	for _, u := range users {
		if c.banned(v, u) {
			blocked = append(blocked, u)
		}
	}
	return blocked, v.close()
}

// MutedMember is a user who may not speak in a conversation.
type MutedMember struct {
	User  wire.UserID
	Until int64 // milliseconds since 1970; 0: for ever
}

// MutedPage is some of the users who may not speak in a conversation, by id.
type MutedPage struct {
	Members []MutedMember
	More    bool // there are more after the last one
}

// MutedMembers returns a page of the users who may not speak now, after an id.
func (s *Listings) MutedMembers(app wire.AppID, id wire.ConversationID, after wire.UserID, limit int) (MutedPage, error) {
	var page MutedPage
	note := func(user wire.UserID, until int64) bool {
		if len(page.Members) == limit {
			page.More = true
			return false
		}
		page.Members = append(page.Members, MutedMember{User: user, Until: until})
		return true
	}
	err := s.usersIn(usersQuery{app, id, tableMuted, after}, func(v *view, user wire.UserID, row []byte) bool {
		m, err := decodeMutedRow(row)
		if err != nil {
			v.fail(err)
			return false
		}
		return !m.mutedAt(v.stamp) || note(user, m.Until)
	})
	if err != nil || len(page.Members) > 0 {
		return page, err // a conversation has mutes in one of the two places
	}
	err = s.usersIn(usersQuery{app, id, tableMember, after}, func(v *view, user wire.UserID, row []byte) bool {
		m, err := decodeMember(user, row)
		if err != nil {
			v.fail(err)
			return false
		}
		return !m.mutedAt(v.stamp) || note(user, m.MutedUntil)
	})
	return page, err
}

// usersQuery asks for the rows of a table that has one for each user.
type usersQuery struct {
	app   wire.AppID
	id    wire.ConversationID
	table byte
	after wire.UserID
}

// usersIn calls f with the rows of a conversation's users after one, in order,
// until it returns false.
func (s *Listings) usersIn(q usersQuery, f func(v *view, user wire.UserID, row []byte) bool) error {
	v, err := s.view()
	if err != nil {
		return err
	}
	sc := conversationScope(q.app, q.id)
	if r := loadConversation(v, sc).live(v.stamp); r != None {
		return closeRefused(v, &RefusedError{Refusal: r})
	}
	prefix := sc.key(nil, q.table)
	lo := prefix
	if q.after != "" {
		lo = append(sc.name(nil, q.table, string(q.after)), 0)
	}
	v.scan(lo, prefixEnd(prefix), func(key, value []byte) bool {
		return f(v, wire.UserID(bytes.Clone(key[len(prefix):])), value)
	})
	return v.close()
}
