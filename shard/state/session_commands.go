package state

import (
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// Login takes a tag for a session. With Reconnect it does not take it from
// another device.
type Login struct {
	User      wire.UserID
	Tag       string
	Session   string
	Node      string
	Device    string
	Reconnect bool
	IssuedAt  int64 // when the token that signs in was issued, in milliseconds; 0: not checked
}

func (*Login) kind() Kind { return kindLogin }

func (c *Login) subject() Subject { return Subject{User: c.User} }

func (c *Login) append(b []byte) []byte {
	b = bin.AppendString(b, c.User)
	b = bin.AppendString(b, c.Tag)
	b = bin.AppendString(b, c.Session)
	b = bin.AppendString(b, c.Node)
	b = bin.AppendString(b, c.Device)
	b = bin.AppendBool(b, c.Reconnect)
	return bin.AppendVarint(b, c.IssuedAt)
}

func (c *Login) decode(in *bin.Reader) {
	*c = Login{
		User:      readID[wire.UserID](in),
		Tag:       readID[string](in),
		Session:   readID[string](in),
		Node:      readID[string](in),
		Device:    readID[string](in),
		Reconnect: in.Bool(),
		IssuedAt:  in.Varint(),
	}
}

// Logout gives back what the session holds: its tag, its will, its room.
type Logout struct {
	User    wire.UserID
	Tag     string // empty: none
	Session string
	Last    bool // the user has no other session: no will of his is left behind
}

func (*Logout) kind() Kind { return kindLogout }

func (c *Logout) subject() Subject { return Subject{User: c.User} }

func (c *Logout) append(b []byte) []byte {
	b = bin.AppendString(b, c.User)
	b = bin.AppendString(b, c.Tag)
	b = bin.AppendString(b, c.Session)
	return bin.AppendBool(b, c.Last)
}

func (c *Logout) decode(in *bin.Reader) {
	*c = Logout{
		User: readID[wire.UserID](in), Tag: readID[string](in), Session: readID[string](in), Last: in.Bool(),
	}
}

// SetWill leaves the message that is sent when the user's last session is lost.
// The newest replaces the older one; an empty conversation takes it back.
type SetWill struct {
	User         wire.UserID
	Session      string
	Node         string
	Conversation wire.ConversationID
	ContentType  string
	Body         []byte

	ID         wire.MessageID // that the message will have; empty: none
	Mentions   []wire.UserID  // at most 100
	MentionAll bool
}

func (*SetWill) kind() Kind { return kindSetWill }

func (c *SetWill) subject() Subject { return Subject{User: c.User} }

func (c *SetWill) append(b []byte) []byte {
	b = bin.AppendString(b, c.User)
	b = bin.AppendString(b, c.Session)
	b = bin.AppendString(b, c.Node)
	b = bin.AppendString(b, c.Conversation)
	b = bin.AppendString(b, c.ContentType)
	b = bin.AppendString(b, c.Body)
	if more := c.more(); !more.isZero() {
		b = more.encode(b)
	}
	return b
}

func (c *SetWill) more() willMore {
	return willMore{ID: c.ID, Mentions: c.Mentions, MentionAll: c.MentionAll}
}

func (c *SetWill) decode(in *bin.Reader) {
	*c = SetWill{
		User:         readID[wire.UserID](in),
		Session:      readID[string](in),
		Node:         readID[string](in),
		Conversation: readID[wire.ConversationID](in),
		ContentType:  in.String(),
		Body:         in.Bytes(),
	}
	if in.Len() > 0 {
		more := readWillMore(in)
		c.ID, c.Mentions, c.MentionAll = more.ID, more.Mentions, more.MentionAll
	}
}

// EnterRoom puts the user into a chat room, out of the one he was in.
type EnterRoom struct {
	User         wire.UserID
	Conversation wire.ConversationID
	Session      string
	Node         string
}

func (*EnterRoom) kind() Kind { return kindEnterRoom }

func (c *EnterRoom) subject() Subject { return Subject{User: c.User} }

func (c *EnterRoom) append(b []byte) []byte {
	b = bin.AppendString(b, c.User)
	b = bin.AppendString(b, c.Conversation)
	b = bin.AppendString(b, c.Session)
	return bin.AppendString(b, c.Node)
}

func (c *EnterRoom) decode(in *bin.Reader) {
	*c = EnterRoom{
		User:         readID[wire.UserID](in),
		Conversation: readID[wire.ConversationID](in),
		Session:      readID[string](in),
		Node:         readID[string](in),
	}
}

// LeaveRoom takes the user out of the chat room.
type LeaveRoom struct {
	User         wire.UserID
	Conversation wire.ConversationID
}

func (*LeaveRoom) kind() Kind { return kindLeaveRoom }

func (c *LeaveRoom) subject() Subject { return Subject{User: c.User} }

func (c *LeaveRoom) append(b []byte) []byte {
	return bin.AppendString(bin.AppendString(b, c.User), c.Conversation)
}

func (c *LeaveRoom) decode(in *bin.Reader) {
	*c = LeaveRoom{User: readID[wire.UserID](in), Conversation: readID[wire.ConversationID](in)}
}

// SessionsLost reports sessions that ended without a logout, of one app or of
// several: all users' slots must be the shard's. Where the first loss names its
// app, the command's slot is that user's whatever app the header names.
type SessionsLost struct {
	Losses []SessionLoss
}

// A SessionLoss is one session of SessionsLost.
type SessionLoss struct {
	App     wire.AppID // empty: the header's
	User    wire.UserID
	Tag     string // the tag it may hold; empty: none
	Session string
	Last    bool // the user has no other session
}

func (*SessionsLost) kind() Kind { return kindSessionsLost }

func (c *SessionsLost) subject() Subject {
	switch {
	case len(c.Losses) == 0:
		return Subject{}
	case c.Losses[0].App != "":
		return Subject{Slot: wire.SlotOf(c.Losses[0].App, string(c.Losses[0].User))}
	default:
		return Subject{User: c.Losses[0].User}
	}
}

func (c *SessionsLost) append(b []byte) []byte {
	b = bin.AppendUvarint(b, uint64(len(c.Losses)))
	for _, l := range c.Losses {
		b = bin.AppendString(b, l.App)
		b = bin.AppendString(b, l.User)
		b = bin.AppendString(b, l.Tag)
		b = bin.AppendString(b, l.Session)
		b = bin.AppendBool(b, l.Last)
	}
	return b
}

func (c *SessionsLost) decode(in *bin.Reader) {
	*c = SessionsLost{Losses: readMany(in, func(in *bin.Reader) SessionLoss {
		return SessionLoss{
			App: readID[wire.AppID](in), User: readID[wire.UserID](in), Tag: readID[string](in), Session: readID[string](in),
			Last: in.Bool(),
		}
	})}
}

// Kick ends sessions of the user: those of one device, or all of them; then
// tokens issued before now open nothing any more.
type Kick struct {
	User   wire.UserID
	Device string // empty: all
	Reason string // for people
}

func (*Kick) kind() Kind { return kindKick }

func (c *Kick) subject() Subject { return Subject{User: c.User} }

func (c *Kick) append(b []byte) []byte {
	b = bin.AppendString(b, c.User)
	b = bin.AppendString(b, c.Device)
	return bin.AppendString(b, c.Reason)
}

func (c *Kick) decode(in *bin.Reader) {
	*c = Kick{User: readID[wire.UserID](in), Device: readID[string](in), Reason: in.String()}
}
