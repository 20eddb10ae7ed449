package state

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/quorate/quorate/wire"
)

// takeMembership takes what a conversation says of one of its members. It tells
// whether that was news.
func takeMembership(t *txn, o *OutboxRow) bool {
	u := t.user(o.App, o.User)
	key := u.scope.name(nil, tableMembership, string(o.Conversation))
	var old membershipRow
	if b := t.get(key); b != nil {
		var err error
		if old, err = decodeMembershipRow(b); err != nil {
			t.fail(err)
			return false
		}
	}
	if o.Version <= old.Version {
		return false
	}
	row := membershipRow{Version: o.Version, Present: o.On}
	if old.Present {
		t.delete(u.membershipOrderKey(old.Entry, o.Conversation))
	}
	e := &Entry{Conversation: o.Conversation, ConversationOffset: wire.Offset(o.Version), Actor: o.By, Until: o.At}
	switch {
	case o.On:
		e.Kind = EntryJoined
		row.Joined, row.JoinedAt, row.By = wire.Offset(o.Version), o.At, o.By
		row.Entry = u.append(t, e)
		t.put(u.membershipOrderKey(row.Entry, o.Conversation), []byte{userVersion})
		u.write(t)
	case old.Present:
		e.Kind, e.Expired = EntryLeft, o.Gone
		u.append(t, e)
		u.write(t)
	}
	t.put(key, row.encode(nil))
	return true
}

func (u *user) membershipOrderKey(entry wire.Offset, id wire.ConversationID) []byte {
	return append(u.scope.number(nil, tableMembershipOrder, uint64(entry)), id...)
}

// Membership is a conversation that a user is in, as his own slot knows it. It
// may be behind the conversation, which alone decides who may see.
type Membership struct {
	Conversation wire.ConversationID
	JoinedOffset wire.Offset // of the conversation's log
	Joined       int64       // milliseconds since 1970
	By           wire.UserID // who added the user; empty: the app
	Entry        wire.Offset // of the user log's entry that told it: the place in the list
}

// UserConversations returns a page of the conversations that a user is in, the
// newest membership first: those told before the entry "before", or all when
// that is 0. More says that there are others.
func (s *Queries) UserConversations(app wire.AppID, id wire.UserID, before wire.Offset, limit int) (page []Membership, more bool, err error) {
	v, err := s.view()
	if err != nil {
		return nil, false, err
	}
	sc := userScope(app, id)
	prefix := sc.key(nil, tableMembershipOrder)
	hi := prefixEnd(prefix)
	if before != 0 {
		hi = sc.number(nil, tableMembershipOrder, uint64(before))
	}
	v.scanBack(prefix, hi, func(key, _ []byte) bool {
		if len(page) == limit {
			more = true
			return false
		}
		rest := key[len(prefix):]
		page = append(page, Membership{
			Entry:        wire.Offset(binary.BigEndian.Uint64(rest)),
			Conversation: wire.ConversationID(rest[8:]),
		})
		return true
	})
	for i := range page {
		m := &page[i]
		b := v.get(sc.name(nil, tableMembership, string(m.Conversation)))
		row, err := decodeMembershipRow(b)
		if err != nil {
			v.fail(fmt.Errorf("read the membership in %s: %w", m.Conversation, err))
			break
		}
		m.JoinedOffset, m.Joined, m.By = row.Joined, row.JoinedAt, row.By
	}
	return page, more, v.close()
}

// UserInfo is what is kept once for a user.
type UserInfo struct {
	Last       wire.Offset // of the user log
	Floor      wire.Offset // entries up to here are not kept any more
	ValidAfter int64       // milliseconds: session tokens issued before it open nothing
	Blocked    []wire.ConversationID
	Banned     bool // the app does not let him sign in
}

// maxBlocks is how many conversations one user may block.
const maxBlocks = 10_000

// User returns what is kept of a user. One that nobody has heard of is empty.
func (s *Queries) User(app wire.AppID, id wire.UserID) (UserInfo, error) {
	v, err := s.view()
	if err != nil {
		return UserInfo{}, err
	}
	sc := userScope(app, id)
	h := loadUserHead(v, sc)
	info := UserInfo{Last: h.Last, Floor: h.Floor, ValidAfter: h.ValidAfter, Banned: h.Banned}
	prefix := sc.key(nil, tableUserBlock)
	v.scan(prefix, prefixEnd(prefix), func(key, value []byte) bool {
		row, err := decodeBlockRow(value)
		if err != nil {
			v.fail(err)
			return false
		}
		if row.Blocked {
			info.Blocked = append(info.Blocked, wire.ConversationID(bytes.TrimPrefix(key, prefix)))
		}
		return true
	})
	return info, v.close()
}
