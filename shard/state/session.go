package state

import (
	"bytes"

	"github.com/quorate/quorate/wire"
)

// loadTag reads who holds a tag of a user; nil when nobody does.
func loadTag(r reader, s scope, tag string) *tagRow {
	b := r.get(s.name(nil, tableTag, tag))
	if b == nil {
		return nil
	}
	row, err := decodeTagRow(b)
	if err != nil {
		r.fail(err)
		return nil
	}
	return &row
}

func (c *Login) apply(t *txn, h *Header) Result {
	if c.Tag == "" || c.Session == "" {
		return refuse(Invalid, "a login that takes a tag names the tag and the session")
	}
	u := t.user(h.App, c.User)
	if u.head.Banned {
		return refuse(BannedUser, "the app does not let the user sign in")
	}
	if c.IssuedAt != 0 && c.IssuedAt < u.head.ValidAfter {
		return refuse(SignedOut, "the user was signed out after this token was issued")
	}
	holder := loadTag(t, u.scope, c.Tag)
	switch {
	case holder == nil:
	case holder.Session == c.Session:
		return Result{Login: holder.Login, Existed: true}
	case c.Reconnect && (c.Device == "" || holder.Device != c.Device):
		return refuse(Conflict, "another device holds the tag")
	}
	u.head.Logins++
	row := tagRow{Login: u.head.Logins, Session: c.Session, Node: c.Node, Device: c.Device, Since: t.stamp}
	result := Result{Login: row.Login, Timestamp: t.stamp}
	if holder != nil {
		// The edge of the one that lost it learns from the user log.
		result.Offset = u.append(t, &Entry{Kind: EntryTagTaken, Tag: c.Tag, Login: row.Login, Device: c.Device})
	}
	u.write(t)
	t.put(u.scope.name(nil, tableTag, c.Tag), row.encode(nil))
	return result
}

// releaseTag gives a tag back, if the session holds it.
func (u *user) releaseTag(t *txn, tag, session string) bool {
	if tag == "" {
		return false
	}
	if holder := loadTag(t, u.scope, tag); holder == nil || holder.Session != session {
		return false
	}
	t.delete(u.scope.name(nil, tableTag, tag))
	return true
}

func (c *Logout) apply(t *txn, h *Header) Result {
	u := t.user(h.App, c.User)
	var result Result
	if u.releaseTag(t, c.Tag, c.Session) {
		result.Count++
	}
	if will := loadWill(t, u.scope); will != nil && (c.Last || will.Session == c.Session) {
		t.delete(u.scope.key(nil, tableWill))
		result.Count++
	}
	if room := loadRoom(t, u.scope); room != nil && (c.Last || room.Session == c.Session) {
		u.leaveRoom(t, room, h.Actor)
		result.Count++
	}
	return result
}

func (c *SessionsLost) apply(t *txn, h *Header) Result {
	for i := range c.Losses {
		l := &c.Losses[i]
		switch {
		case !t.owns(wire.SlotOf(l.app(h), string(l.User))):
			return refuse(Moved, "a user's slot is another shard's")
		case h.Actor != "" && (l.User != h.Actor || l.app(h) != h.App):
			return refuse(Forbidden, "a user reports only his own sessions")
		}
	}
	var result Result
	for i := range c.Losses {
		l := &c.Losses[i]
		if refusal := l.apply(t, l.app(h)); refusal != None {
			result.Users = append(result.Users, UserResult{User: l.User, Refusal: refusal})
			continue
		}
		result.Count++
	}
	return result
}

func (l *SessionLoss) app(h *Header) wire.AppID {
	if l.App == "" {
		return h.App
	}
	return l.App
}

// apply gives back the tag that the lost session held, starts the clock of its
// room, and fires the will if no session is left. A loss that is reported again
// changes nothing.
func (l *SessionLoss) apply(t *txn, app wire.AppID) Refusal {
	u := t.user(app, l.User)
	if l.Last {
		if refusal := u.fireWill(t); refusal != None {
			return refusal
		}
	}
	u.releaseTag(t, l.Tag, l.Session)
	if room := loadRoom(t, u.scope); room != nil && room.Deadline == 0 && (l.Last || room.Session == l.Session) {
		u.startRoomClock(t, room)
	}
	return None
}

func (c *Kick) apply(t *txn, h *Header) Result {
	u := t.user(h.App, c.User)
	e := &Entry{Kind: EntryKicked, Actor: h.Actor, Device: c.Device, Reason: c.Reason, Until: t.stamp}
	if c.Device == "" {
		u.head.ValidAfter = max(u.head.ValidAfter, t.stamp)
		t.delete(u.scope.key(nil, tableWill))
		if room := loadRoom(t, u.scope); room != nil {
			u.leaveRoom(t, room, h.Actor)
		}
	}
	offset := u.append(t, e)
	u.write(t)
	var held [][]byte
	prefix := u.scope.key(nil, tableTag)
	t.scan(prefix, prefixEnd(prefix), func(key, value []byte) bool {
		row, err := decodeTagRow(value)
		if err != nil {
			t.fail(err)
			return false
		}
		if c.Device == "" || row.Device == c.Device {
			held = append(held, bytes.Clone(key))
		}
		return true
	})
	for _, key := range held {
		t.delete(key)
	}
	return Result{Offset: offset, Timestamp: t.stamp, Count: uint64(len(held))}
}

// Sessions is what outlives the edges of a user's sessions.
type Sessions struct {
	ValidAfter int64 // milliseconds: session tokens issued before it open nothing
	Tags       []TagHolder
	Banned     bool  // the app does not let him sign in
	Will       *Will // nil: none
	Room       *Room // nil: none
}

// TagHolder is the session that holds a tag.
type TagHolder struct {
	Tag     string
	Login   uint64 // counts the user's tagged logins; an edge closes a session of the tag with a lower one
	Session string
	Node    string
	Device  string
}

// Will is the message to be sent when the user's last session is lost.
type Will struct {
	Session      string
	Node         string
	Conversation wire.ConversationID
	ContentType  string
	Body         []byte
	ID           wire.MessageID
	Mentions     []wire.UserID
	MentionAll   bool
}

// Room is the chat room that the user is in.
type Room struct {
	Conversation wire.ConversationID
	Session      string
	Node         string
	Deadline     int64 // milliseconds; 0 while the session lives. The user who comes back before it is still in
}

// Sessions returns a user's session rows.
func (s *Queries) Sessions(app wire.AppID, id wire.UserID) (Sessions, error) {
	v, err := s.view()
	if err != nil {
		return Sessions{}, err
	}
	sc := userScope(app, id)
	head := loadUserHead(v, sc)
	out := Sessions{ValidAfter: head.ValidAfter, Banned: head.Banned}
	prefix := sc.key(nil, tableTag)
	v.scan(prefix, prefixEnd(prefix), func(key, value []byte) bool {
		row, err := decodeTagRow(value)
		if err != nil {
			v.fail(err)
			return false
		}
		out.Tags = append(out.Tags, TagHolder{
			Tag: string(key[len(prefix):]), Login: row.Login, Session: row.Session, Node: row.Node, Device: row.Device,
		})
		return true
	})
	if w := loadWill(v, sc); w != nil {
		out.Will = &Will{
			Session: w.Session, Node: w.Node, Conversation: w.Conversation, ContentType: w.ContentType, Body: w.Body,
			ID: w.ID, Mentions: w.Mentions, MentionAll: w.MentionAll,
		}
	}
	if r := loadRoom(v, sc); r != nil && !r.goneAt(v.now()) {
		out.Room = &Room{Conversation: r.Conversation, Session: r.Session, Node: r.Node, Deadline: r.Deadline}
	}
	return out, v.close()
}
