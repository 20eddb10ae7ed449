package state

import (
	"github.com/quorate/quorate/wire"
)

// maxUserEntries is how many entries a user log keeps. A device that was away
// for more begins anew from the user's present rows.
const maxUserEntries = 10_000

// user is a user's head during one command. What changes it calls write at the
// end.
type user struct {
	scope scope
	id    wire.UserID
	head  userHead
}

// user reads the head of a user, known or not.
func (t *txn) user(app wire.AppID, id wire.UserID) *user {
	s := userScope(app, id)
	return &user{scope: s, id: id, head: loadUserHead(t, s)}
}

// loadUserHead reads a user's head; that of an unknown user is empty.
func loadUserHead(r reader, s scope) userHead {
	b := r.get(s.key(nil, tableUser))
	if b == nil {
		return userHead{}
	}
	h, err := decodeUserHead(b)
	if err != nil {
		r.fail(err)
	}
	return h
}

func (u *user) write(t *txn) {
	t.keyBuf = u.scope.key(t.keyBuf[:0], tableUser)
	t.valBuf = u.head.encode(t.valBuf[:0])
	t.put(t.keyBuf, t.valBuf)
}

// append adds an entry to the user log with the next offset and the time, and
// lets go of the oldest one when the log is full.
func (u *user) append(t *txn, e *Entry) wire.Offset {
	u.head.Last++
	e.Offset, e.Stamp = u.head.Last, t.stamp
	t.appendEntry(u.scope, LogKey{App: u.scope.app, User: u.id}, e)
	if u.head.Last-u.head.Floor > maxUserEntries {
		u.head.Floor++
		t.delete(u.scope.number(nil, tableUserEntry, uint64(u.head.Floor)))
	}
	return e.Offset
}
