package state

import (
	"slices"

	"github.com/quorate/quorate/wire"
)

// LogSince returns the entries of a conversation's log that are not messages and
// are younger than a time in milliseconds: the newest of them, in ascending order.
// Edited and recalled messages are as they are now. It does not ask who wants to
// know: see [Entry.For].
func (s *Listings) LogSince(app wire.AppID, id wire.ConversationID, since int64, limit int) ([]*Entry, error) {
	v, err := s.view()
	if err != nil {
		return nil, err
	}
	c := reading{conversation: loadConversation(v, conversationScope(app, id)), v: v}
	if r := c.live(v.stamp); r != None {
		return nil, closeRefused(v, &RefusedError{Refusal: r})
	}
	entries := youngerThan(v, c.scope, tableEntry, since, limit)
	for _, e := range entries {
		if e.Target != 0 {
			e.Message = loadMessage(v, c.scope, e.Target)
		}
	}
	return entries, v.close()
}

// UserLogSince returns the entries of a user's log that are younger than a time in
// milliseconds: the newest of them, in ascending order.
func (s *Listings) UserLogSince(app wire.AppID, user wire.UserID, since int64, limit int) ([]*Entry, error) {
	v, err := s.view()
	if err != nil {
		return nil, err
	}
	entries := youngerThan(v, userScope(app, user), tableUserEntry, since, limit)
	return entries, v.close()
}

// youngerThan reads a table of entries from its end. Their times never go down.
func youngerThan(v *view, s scope, table byte, since int64, limit int) []*Entry {
	var entries []*Entry
	size := 0
	prefix := s.key(nil, table)
	v.scanBack(prefix, prefixEnd(prefix), func(key, value []byte) bool {
		e, err := decodeEntryRow(wire.Offset(lastNumber(key)), value)
		if err != nil {
			v.fail(err)
			return false
		}
		if e.Stamp <= since || len(entries) == limit || size > pageBytes {
			return false
		}
		entries = append(entries, e)
		size += e.size()
		return true
	})
	slices.Reverse(entries)
	return entries
}
