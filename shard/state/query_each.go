package state

import (
	"bytes"

	"github.com/quorate/quorate/wire"
)

// Detail says what is wanted of a conversation beside itself.
type Detail uint8

// What may be wanted.
const (
	WithMembers     Detail = 1 << iota // all members' ids
	WithQuiet                          // and of those who are quiet
	WithLastMessage                    // the last message that is there, for the app
)

// ConversationDetail is a conversation with what was wanted beside it.
type ConversationDetail struct {
	Conversation
	Members []wire.UserID // by id; where they are stored, and at most maxDetailMembers
	Quiet   []wire.UserID
	Last    *Message // nil: there is none
}

// maxDetailMembers bounds the members listed with a conversation. A system
// conversation may have more: see [Queries.Members].
const maxDetailMembers = 1000

// ConversationDetail returns a conversation with what is wanted beside it. It does
// not ask who wants to know.
func (s *Listings) ConversationDetail(app wire.AppID, id wire.ConversationID, want Detail) (ConversationDetail, error) {
	v, err := s.view()
	if err != nil {
		return ConversationDetail{}, err
	}
	c := reading{conversation: loadConversation(v, conversationScope(app, id)), v: v}
	if r := c.live(v.stamp); r != None {
		return ConversationDetail{}, closeRefused(v, &RefusedError{Refusal: r})
	}
	d := c.detail(want)
	return d, v.close()
}

func (c reading) detail(want Detail) ConversationDetail {
	d := ConversationDetail{Conversation: c.shown()}
	if want&(WithMembers|WithQuiet) != 0 && c.info.Policy.Members {
		c.listMembers(&d, want)
	}
	if want&WithLastMessage != 0 {
		d.Last = c.lastMessage("")
	}
	return d
}

func (c reading) listMembers(d *ConversationDetail, want Detail) {
	left := maxDetailMembers
	prefix := c.scope.key(nil, tableMember)
	c.v.scan(prefix, prefixEnd(prefix), func(key, value []byte) bool {
		m, err := decodeMember(wire.UserID(bytes.Clone(key[len(prefix):])), value)
		if err != nil {
			c.v.fail(err)
			return false
		}
		if want&WithMembers != 0 {
			d.Members = append(d.Members, m.User)
		}
		if want&WithQuiet != 0 && m.Quiet {
			d.Quiet = append(d.Quiet, m.User)
		}
		left--
		return left > 0
	})
}

// EachDetail calls f with the conversations of an app in this shard that are there,
// after one, with what is wanted beside each, until it returns false. They come in
// the order of their slots and, in a slot, by id: give the last one to go on. Empty:
// from the first.
func (s *Listings) EachDetail(app wire.AppID, after wire.ConversationID, want Detail, f func(ConversationDetail) bool) error {
	v, err := s.view()
	if err != nil {
		return err
	}
	at := appendShort(appendTable(nil, s.rng.First, tableHead), app)
	if after != "" {
		switch sc := conversationScope(app, after); {
		case sc.slot > s.rng.Last:
			return v.close() // all of this shard came before it
		case sc.slot >= s.rng.First:
			at = append(sc.key(nil, tableHead), 0)
		}
	}
	for v.err == nil {
		sc, ok := s.nextHead(v, at, app)
		if !ok {
			break
		}
		at = append(sc.key(nil, tableHead), 0)
		c := reading{conversation: loadConversation(v, sc), v: v}
		if c.live(v.stamp) == None && !f(c.detail(want)) {
			break
		}
	}
	return v.close()
}

// nextHead finds the first head of an app's conversation at or after a key, in its
// slot or a later one.
func (s *Listings) nextHead(v *view, at []byte, app wire.AppID) (found scope, ok bool) {
	for more := true; more && v.err == nil; {
		more = false
		slot := keySlot(at)
		prefix := appendShort(appendTable(nil, slot, tableHead), app)
		v.scan(at, s.end, func(key, _ []byte) bool {
			if bytes.HasPrefix(key, prefix) {
				var err error
				if found, _, err = splitKey(bytes.Clone(key)); err != nil {
					v.fail(err)
				}
				ok = true
				return false
			}
			next := keySlot(key)
			if next == slot { // the slot has other rows, but no more heads of this app
				if slot == s.rng.Last {
					return false
				}
				next++
			}
			at, more = appendShort(appendTable(nil, next, tableHead), app), true
			return false
		})
	}
	return found, ok
}

// LastMessage returns a conversation's last message that is there, as the app sees
// it. A conversation without one refuses with NotFound.
func (s *Listings) LastMessage(app wire.AppID, id wire.ConversationID) (*Message, error) {
	return s.LastMessageFor(app, id, "")
}

// LastMessageFor is LastMessage for a reader.
func (s *Listings) LastMessageFor(app wire.AppID, id wire.ConversationID, reader wire.UserID) (*Message, error) {
	v, err := s.view()
	if err != nil {
		return nil, err
	}
	c, a, refused := access(v, conversationScope(app, id), reader)
	if refused != nil {
		return nil, closeRefused(v, refused)
	}
	m := c.lastMessage(reader)
	if m == nil || m.Seq <= a.AfterSeq {
		return nil, closeRefused(v, &RefusedError{Refusal: NotFound})
	}
	return m, v.close()
}

// maxLastLook is how many messages are looked at for the last one that a reader
// may see.
const maxLastLook = 100

// lastMessage returns the last message that a reader may see, of the newest ones;
// nil when there is none.
func (c reading) lastMessage(reader wire.UserID) (last *Message) {
	left := maxLastLook
	prefix := c.scope.key(nil, tableMessage)
	c.v.scanBack(prefix, prefixEnd(prefix), func(key, value []byte) bool {
		m, err := decodeMessage(c.id(), wire.Seq(lastNumber(key)), value)
		if err != nil {
			c.v.fail(err)
			return false
		}
		if m.visibleTo(reader) {
			last = m
		}
		left--
		return last == nil && left > 0
	})
	return last
}
