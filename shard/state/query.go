package state

import (
	"bytes"

	"github.com/quorate/quorate/wire"
)

// Conversation is what a query returns of a conversation.
type Conversation struct {
	ID wire.ConversationID
	Info
	Muted       bool // nobody below a manager may speak
	MemberCount uint32
	LastSeq     wire.Seq
	LastOffset  wire.Offset
	LastMessage int64       // time of the last message, milliseconds since 1970; 0: there was none
	FloorOffset wire.Offset // the log up to here was trimmed
	FloorSeq    wire.Seq    // and so were the messages up to here
}

// Conversation returns a conversation. It does not ask who wants to know.
func (s *Queries) Conversation(app wire.AppID, id wire.ConversationID) (Conversation, error) {
	v, err := s.view()
	if err != nil {
		return Conversation{}, err
	}
	c := loadConversation(v, conversationScope(app, id))
	if r := c.live(v.stamp); r != None {
		return Conversation{}, closeRefused(v, &RefusedError{Refusal: r})
	}
	return c.shown(), v.close()
}

func (c *conversation) shown() Conversation {
	h := &c.head
	return Conversation{
		ID: c.id(), Info: c.info, Muted: h.flags&headMuted != 0, MemberCount: h.members, LastSeq: h.seq, LastOffset: h.offset,
		LastMessage: h.timestamp, FloorOffset: h.floorOffset, FloorSeq: h.floorSeq,
	}
}

// Member returns a user's membership.
func (s *Queries) Member(app wire.AppID, id wire.ConversationID, user wire.UserID) (Member, error) {
	v, err := s.view()
	if err != nil {
		return Member{}, err
	}
	sc := conversationScope(app, id)
	if r := loadConversation(v, sc).live(v.stamp); r != None {
		return Member{}, closeRefused(v, &RefusedError{Refusal: r})
	}
	m, ok := loadMember(v, sc, user)
	if !ok {
		return Member{}, closeRefused(v, &RefusedError{Refusal: NotMember})
	}
	return m, v.close()
}

// MemberPage is some of a conversation's members, by id.
type MemberPage struct {
	Members []Member
	More    bool // there are more after the last one
}

// Members returns a page of the members after an id.
func (s *Queries) Members(app wire.AppID, id wire.ConversationID, after wire.UserID, limit int) (MemberPage, error) {
	v, err := s.view()
	if err != nil {
		return MemberPage{}, err
	}
	sc := conversationScope(app, id)
	if r := loadConversation(v, sc).live(v.stamp); r != None {
		return MemberPage{}, closeRefused(v, &RefusedError{Refusal: r})
	}
	var page MemberPage
	prefix := sc.key(nil, tableMember)
	lo := prefix
	if after != "" {
		lo = append(sc.name(nil, tableMember, string(after)), 0)
	}
	v.scan(lo, prefixEnd(prefix), func(key, value []byte) bool {
		if len(page.Members) == limit {
			page.More = true
			return false
		}
		m, err := decodeMember(wire.UserID(bytes.Clone(key[len(prefix):])), value)
		if err != nil {
			v.fail(err)
			return false
		}
		page.Members = append(page.Members, m)
		return true
	})
	return page, v.close()
}

// Access is what a reader may see of a conversation log.
type Access struct {
	Role     Role        // RoleNone where members are not stored, and of the app
	First    wire.Offset // the first offset he may see
	AfterSeq wire.Seq    // he may see messages after this
	Last     wire.Offset // the log's last offset
	LastSeq  wire.Seq
	Floor    wire.Offset // the log up to here was trimmed
	Policy   Policy
}

// CanRead tells whether a user may read a conversation's log, and from where.
// The empty user is the app. The conversation alone decides: a user's own rows
// may be behind.
func (s *Queries) CanRead(app wire.AppID, id wire.ConversationID, user wire.UserID) (Access, error) {
	v, err := s.view()
	if err != nil {
		return Access{}, err
	}
	_, a, refused := access(v, conversationScope(app, id), user)
	if refused != nil {
		return Access{}, closeRefused(v, refused)
	}
	return a, v.close()
}

// CanFollow is CanRead, with the last message that the user has read.
func (s *Queries) CanFollow(app wire.AppID, id wire.ConversationID, user wire.UserID) (Access, wire.Seq, error) {
	v, err := s.view()
	if err != nil {
		return Access{}, 0, err
	}
	c, a, refused := access(v, conversationScope(app, id), user)
	if refused != nil {
		return Access{}, 0, closeRefused(v, refused)
	}
	var read wire.Seq
	if user != "" && a.Policy.Members {
		read = loadCursor(v, c.scope, user).Read
	}
	return a, read, v.close()
}

// reading is a conversation as a query reads it, with its log.
type reading struct {
	*conversation
	v *view
}

// access opens a conversation for a reader, or says why he may not read it.
func access(v *view, s scope, user wire.UserID) (reading, Access, *RefusedError) {
	c := reading{conversation: loadConversation(v, s), v: v}
	if r := c.live(v.stamp); r != None {
		return reading{}, Access{}, &RefusedError{Refusal: r}
	}
	a, r := c.access(user)
	if r != None {
		return reading{}, Access{}, &RefusedError{Refusal: r}
	}
	return c, a, nil
}

func (c reading) access(user wire.UserID) (Access, Refusal) {
	a := Access{
		First: 1, Last: c.head.offset, LastSeq: c.head.seq, Floor: c.head.floorOffset, Policy: c.info.Policy,
	}
	if user == "" {
		return a, None
	}
	if !a.Policy.Members {
		return a, orBanned(c.conversation, c.v, user, None)
	}
	m, ok := loadMember(c.v, c.scope, user)
	if !ok {
		return Access{}, orBanned(c.conversation, c.v, user, NotMember)
	}
	a.Role = m.Role
	if !a.Policy.Past {
		a.First, a.AfterSeq = m.JoinedOffset, m.JoinedSeq
	}
	return a, None
}

// UserAccess is one user's access, or why he has none.
type UserAccess struct {
	User    wire.UserID
	Refusal Refusal
	Access  Access // with None
}

// CanReadEach is CanRead for many users at one moment: what an edge asks when it
// begins to follow a log for them. A conversation that is not there or not any
// more refuses all of them.
func (s *Queries) CanReadEach(app wire.AppID, id wire.ConversationID, users []wire.UserID) ([]UserAccess, Position, error) {
	v, err := s.view()
	if err != nil {
		return nil, Position{}, err
	}
	c := reading{conversation: loadConversation(v, conversationScope(app, id)), v: v}
	gone := c.live(v.stamp)
	each := make([]UserAccess, 0, len(users))
	for _, u := range users {
		one := UserAccess{User: u, Refusal: gone}
		if gone == None {
			one.Access, one.Refusal = c.access(u)
		}
		each = append(each, one)
	}
	return each, c.position(gone), v.close()
}

// Position is where a log ends and where it begins.
type Position struct {
	Last  wire.Offset // 0: the log is empty
	Floor wire.Offset // entries up to here are not kept any more
	Seq   wire.Seq    // of a conversation: its last message
	Gone  bool        // the conversation was destroyed or expired
}

// Last returns where a log ends. A log that was never written is empty.
func (s *Queries) Last(k LogKey) (Position, error) {
	v, err := s.view()
	if err != nil {
		return Position{}, err
	}
	return position(v, k), v.close()
}

func position(v *view, k LogKey) Position {
	if k.Conversation == "" {
		h := loadUserHead(v, k.scope())
		return Position{Last: h.Last, Floor: h.Floor}
	}
	c := loadConversation(v, k.scope())
	return c.position(c.live(v.stamp))
}

// position is where the log of a conversation ends; of none, an empty one.
func (c *conversation) position(gone Refusal) Position {
	if c == nil {
		return Position{}
	}
	return Position{Last: c.head.offset, Floor: c.head.floorOffset, Seq: c.head.seq, Gone: gone == Gone}
}
