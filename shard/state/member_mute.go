package state

import (
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// Mute keeps members from speaking, for a time or for ever, or lets them speak
// again; where no members are stored, any users. Those who are refused are listed
// in Result.Users.
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

const (
	// maxMutes is how many members a conversation mutes for ever, and
	// maxRoomMutes how many users where no members are stored, for a time or not.
	maxMutes     = 500
	maxRoomMutes = 10_000
)

func (c *Mute) apply(t *txn, h *Header) Result {
	conv := t.conversation(conversationScope(h.App, c.Conversation))
	users := distinct(c.Users)
	if r := checkUsers(conv, t.stamp, users); r.Refusal != None {
		return r
	}
	if r := conv.allow(t, h.Actor, conv.info.Policy.Manage); r != None {
		return refuse(r, "may not mute members")
	}
	if c.Millis < 0 || c.Millis > maxMuteMillis {
		return refuse(Invalid, "the time of the mute is out of range")
	}
	result := Result{Conversation: c.Conversation, Timestamp: conv.info.Updated}
	e := &Entry{Kind: EntryUnmuted}
	if !c.Unmute {
		e.Kind = EntryMuted
		if c.Millis > 0 {
			e.Until = t.stamp + c.Millis
		}
	}
	for _, u := range users {
		r := conv.overrules(t, h.Actor, u)
		if r == None {
			r = roster{conv, t}.mute(u, mutedRow{Until: e.Until}, !c.Unmute)
		}
		if r != None {
			result.Users = append(result.Users, UserResult{User: u, Refusal: r})
			continue
		}
		e.Users = append(e.Users, u)
	}
	if len(users) == 1 && len(result.Users) == 1 && result.Users[0].Refusal == MuteListFull {
		return refuse(MuteListFull, "the conversation mutes as many as it may")
	}
	if len(e.Users) > 0 {
		result.Timestamp = conv.update(t)
		result.Offset = conv.append(t, e)
	}
	return result
}

// mute changes whether a user may speak.
func (c roster) mute(user wire.UserID, row mutedRow, on bool) Refusal {
	if !c.info.Policy.Members {
		return c.muteUser(user, row, on)
	}
	m := c.t.member(c.scope, user)
	was := m.mutedForEver()
	switch will := on && row.Until == 0; {
	case will && !was && c.head.mutes >= maxMutes:
		return MuteListFull
	case will && !was:
		c.head.mutes++
	case was && !will:
		c.head.unmuted()
	}
	m.Muted, m.MutedUntil = on, row.Until
	c.t.writeMember(c.scope, m)
	return None
}

// unmuted counts one mute less. Those from before mutes were counted are not in
// the count.
func (h *head) unmuted() {
	if h.mutes > 0 {
		h.mutes--
	}
}

// muteUser is mute where no members are stored: a muted user has a row, and one
// that ends a timer.
func (c roster) muteUser(user wire.UserID, row mutedRow, on bool) Refusal {
	key := c.scope.name(nil, tableMuted, string(user))
	old, was := loadMuted(c.t, key)
	switch {
	case on && !was && c.head.mutes >= maxRoomMutes:
		return MuteListFull
	case on && !was:
		c.head.mutes++
	case was && !on:
		c.head.unmuted()
	}
	if was && old.Until != 0 {
		clearTimer(c.t, old.Until, timerMuted, key)
	}
	switch {
	case on:
		c.t.put(key, row.encode(nil))
		if row.Until != 0 {
			setTimer(c.t, row.Until, timerMuted, key)
		}
	case was:
		c.t.delete(key)
	}
	c.touch(c.t)
	return None
}

// loadMuted reads the row of a muted user, and false when there is none.
func loadMuted(r reader, key []byte) (mutedRow, bool) {
	b := r.get(key)
	if b == nil {
		return mutedRow{}, false
	}
	row, err := decodeMutedRow(b)
	if err != nil {
		r.fail(err)
		return mutedRow{}, false
	}
	return row, true
}

// sweepMuted removes the row of a mute that has ended; a timer named it.
func sweepMuted(t *txn, key []byte) {
	row, ok := loadMuted(t, key)
	if !ok || row.mutedAt(t.stamp) {
		return
	}
	s, _, err := splitKey(key)
	if err != nil {
		t.fail(err)
		return
	}
	t.delete(key)
	if c := t.conversation(s); c != nil {
		c.head.unmuted()
		c.touch(t)
	}
}
