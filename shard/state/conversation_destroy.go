package state

import (
	"bytes"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// DestroyConversation ends a conversation. Its id is never used again: of its
// rows the tombstone stays. The members are told through the outbox, some
// hundred at a time.
type DestroyConversation struct {
	ID wire.ConversationID
}

func (*DestroyConversation) kind() Kind { return kindDestroyConversation }

func (c *DestroyConversation) subject() Subject { return Subject{Conversation: c.ID} }

func (c *DestroyConversation) append(b []byte) []byte { return bin.AppendString(b, c.ID) }

func (c *DestroyConversation) decode(in *bin.Reader) { c.ID = readID[wire.ConversationID](in) }

func (c *DestroyConversation) apply(t *txn, h *Header) Result {
	conv := t.conversation(conversationScope(h.App, c.ID))
	if r := conv.live(t.stamp); r != None {
		return refuse(r, "")
	}
	if r := conv.allow(t, h.Actor, WhoOwner); r != None {
		return refuse(r, "only an owner may destroy the conversation")
	}
	stamp := conv.info.next(t.stamp)
	offset, r := conv.destroy(t, false)
	if r != None {
		return refuse(r, "too much waits to be told to the members")
	}
	return Result{Conversation: c.ID, Offset: offset, Timestamp: stamp}
}

// removedAtOnce is how many members a destroyed conversation lets go in one
// command.
const removedAtOnce = wire.MaxMembersAdded

// destroy makes the head a tombstone and removes the rest, or a first slice.
func (c *conversation) destroy(t *txn, expired bool) (wire.Offset, Refusal) {
	users := c.someMembers(t, removedAtOnce)
	if outboxFull(t, c, users) {
		return 0, Backlogged
	}
	c.head.flags |= headGone
	if expired {
		c.head.flags |= headExpired
	}
	c.head.gone = t.stamp
	offset := c.append(t, &Entry{Kind: EntryDestroyed, Expired: expired, Stamp: c.info.next(t.stamp)})
	c.remove(t, users)
	return offset, None
}

// remove lets go of some members of a conversation that is gone; after the last
// one it removes all rows but the tombstone. If there are more it sets a timer.
func (c *conversation) remove(t *txn, users []wire.UserID) {
	for _, u := range users {
		roster{c, t}.forgetMember(u)
		outboxMembership(t, c, membershipChange{
			user: u, offset: c.head.offset, stamp: c.head.gone, by: t.header.Actor, gone: true,
		})
	}
	c.touch(t)
	if c.head.members > 0 {
		// Not the time of the timer that this may be about: the sweep deletes
		// that one.
		setTimer(t, t.stamp+1, timerRemove, c.scope.key(nil, tableHead))
		return
	}
	// Tokens stay for their time, so that a retry of the last commands finds its
	// answer; timers remove them.
	for _, table := range [...]byte{
		tableMember, tableMessage, tableEntry, tableException, tableRecalled, tableMention, tableMentionAll, tableCursor,
		tableBlocked, tableImported, tableBanned, tableMuted, tableDeviceCursor,
	} {
		lo := c.scope.key(nil, table)
		t.deleteRange(lo, prefixEnd(lo))
	}
	t.delete(c.scope.key(nil, tableInfo))
	c.tellChanged(t)
	c.info = Info{}
	c.head.floorOffset, c.head.floorSeq = c.head.offset, c.head.seq
}

// someMembers returns the first members by id.
func (c *conversation) someMembers(t *txn, limit int) []wire.UserID {
	var users []wire.UserID
	prefix := c.scope.key(nil, tableMember)
	t.scan(prefix, prefixEnd(prefix), func(key, _ []byte) bool {
		users = append(users, wire.UserID(bytes.Clone(key[len(prefix):])))
		return len(users) < limit
	})
	return users
}

// sweepExpired ends a conversation whose time is over; a timer named its head.
// A refusal keeps the timer.
func sweepExpired(t *txn, headKey []byte) Refusal {
	c := t.conversationAt(headKey)
	if c == nil || c.head.flags&headGone != 0 || c.info.Expires == 0 || t.stamp < c.info.Expires {
		return None
	}
	_, r := c.destroy(t, true)
	return r
}

// sweepRemoved lets go of the next members of a conversation that is gone; a
// timer named its head. A refusal keeps the timer.
func sweepRemoved(t *txn, headKey []byte) Refusal {
	c := t.conversationAt(headKey)
	if c == nil || c.head.flags&headGone == 0 || c.head.members == 0 {
		return None
	}
	users := c.someMembers(t, removedAtOnce)
	if outboxFull(t, c, users) {
		return Backlogged
	}
	c.remove(t, users)
	return None
}

// conversationAt returns the conversation that a head's key is of, or nil.
func (t *txn) conversationAt(headKey []byte) *conversation {
	s, rest, err := splitKey(headKey)
	if err != nil || len(rest) > 0 || keyTable(headKey) != tableHead {
		return nil
	}
	return t.conversation(s)
}
