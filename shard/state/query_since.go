package state

import (
	"slices"

	"github.com/quorate/quorate/wire"
)

// LogSince returns the entries of a conversation's log that are not messages and
// are younger than a time in milliseconds: the newest of them, in ascending order.
// Edited and recalled messages are as they are now. Of some kinds only, if any are
// named. It does not ask who wants to know: see [Entry.For].
func (s *Listings) LogSince(app wire.AppID, id wire.ConversationID, since int64, limit int, kinds ...EntryKind) ([]*Entry, error) {
	v, err := s.view()
	if err != nil {
		return nil, err
	}
	c := reading{conversation: loadConversation(v, conversationScope(app, id)), v: v}
	if r := c.live(v.stamp); r != None {
		return nil, closeRefused(v, &RefusedError{Refusal: r})
	}
	entries := younger{v: v, scope: c.scope, table: tableEntry, kinds: kinds}.than(since, limit)
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
	entries := younger{v: v, scope: userScope(app, user), table: tableUserEntry}.than(since, limit)
	return entries, v.close()
}

// younger reads a table of entries from its end.
type younger struct {
	v     *view
	scope scope
	table byte
	kinds []EntryKind // none: all
}

// maxSinceLook is how many entries are looked at for those of some kinds.
const maxSinceLook = 10_000

// than returns the newest entries after a time. The times never go down.
func (y younger) than(since int64, limit int) []*Entry {
	var entries []*Entry
	size, looked := 0, 0
	prefix := y.scope.key(nil, y.table)
	y.v.scanBack(prefix, prefixEnd(prefix), func(key, value []byte) bool {
		e, err := decodeEntryRow(wire.Offset(lastNumber(key)), value)
		if err != nil {
			y.v.fail(err)
			return false
		}
		if looked++; e.Stamp <= since || len(entries) == limit || size > pageBytes || looked > maxSinceLook {
			return false
		}
		if len(y.kinds) == 0 || slices.Contains(y.kinds, e.Kind) {
			entries = append(entries, e)
			size += e.size()
		}
		return true
	})
	slices.Reverse(entries)
	return entries
}
