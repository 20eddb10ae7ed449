package state

import "github.com/quorate/quorate/wire"

// roomGraceMillis is how long a user whose session was lost is still in his
// chat room: a reconnect within it does not have to enter again.
const roomGraceMillis = 30 * 60 * 1000

// loadRoom reads the chat room that a user is in, or was within the grace; nil
// when there is none.
func loadRoom(r reader, s scope) *roomRow {
	b := r.get(s.key(nil, tableRoom))
	if b == nil {
		return nil
	}
	row, err := decodeRoomRow(b)
	if err != nil {
		r.fail(err)
		return nil
	}
	return &row
}

// apply enters the room, and with it leaves the one that the user was in: the
// result names that. The user log tells his other sessions, on whatever edge.
func (c *EnterRoom) apply(t *txn, h *Header) Result {
	if c.Conversation == "" || c.Session == "" {
		return refuse(Invalid, "who enters a room names the room and his session")
	}
	u := t.user(h.App, c.User)
	row := roomRow{Conversation: c.Conversation, Session: c.Session, Node: c.Node, Entered: t.stamp}
	result := Result{Timestamp: t.stamp}
	if old := loadRoom(t, u.scope); old != nil {
		if old.Conversation == c.Conversation && !old.goneAt(t.stamp) {
			result.Existed, row.Entered = true, old.Entered
		} else if old.Conversation != c.Conversation {
			result.Conversation = old.Conversation
		}
		u.clearRoom(t, old)
	}
	if !result.Existed {
		result.Offset = u.append(t, &Entry{Kind: EntryRoomEntered, Actor: h.Actor, Conversation: c.Conversation})
		u.write(t)
	}
	t.put(u.scope.key(nil, tableRoom), row.encode(nil))
	return result
}

func (c *LeaveRoom) apply(t *txn, h *Header) Result {
	u := t.user(h.App, c.User)
	room := loadRoom(t, u.scope)
	if room == nil || room.Conversation != c.Conversation {
		return Result{}
	}
	return Result{Count: 1, Offset: u.leaveRoom(t, room, h.Actor), Timestamp: t.stamp}
}

// leaveRoom takes the user out of his room, and tells his log.
func (u *user) leaveRoom(t *txn, room *roomRow, actor wire.UserID) wire.Offset {
	u.clearRoom(t, room)
	e := &Entry{Kind: EntryRoomLeft, Actor: actor, Conversation: room.Conversation, Expired: room.goneAt(t.stamp)}
	offset := u.append(t, e)
	u.write(t)
	return offset
}

// clearRoom removes the row, and its timer if the clock runs.
func (u *user) clearRoom(t *txn, room *roomRow) {
	key := u.scope.key(nil, tableRoom)
	if room.Deadline != 0 {
		clearTimer(t, room.Deadline, timerRoom, key)
	}
	t.delete(key)
}

// startRoomClock gives the user of a lost session the grace to come back.
func (u *user) startRoomClock(t *txn, room *roomRow) {
	room.Deadline = t.stamp + roomGraceMillis
	key := u.scope.key(nil, tableRoom)
	t.put(key, room.encode(nil))
	setTimer(t, room.Deadline, timerRoom, key)
}

// sweepRoom takes a user who has not come back out of his room; the timer named
// the row.
func sweepRoom(t *txn, key []byte) {
	b := t.get(key)
	if b == nil {
		return
	}
	room, err := decodeRoomRow(b)
	if err != nil {
		t.fail(err)
		return
	}
	if !room.goneAt(t.stamp) {
		return
	}
	s, _, err := splitKey(key)
	if err != nil {
		t.fail(err)
		return
	}
	t.user(s.app, wire.UserID(s.root)).leaveRoom(t, &room, "")
}

// InRoom tells whether the user is in the chat room: his session lives, or was
// lost within the grace.
func (s *Queries) InRoom(app wire.AppID, id wire.UserID, room wire.ConversationID) (bool, error) {
	v, err := s.view()
	if err != nil {
		return false, err
	}
	r := loadRoom(v, userScope(app, id))
	in := r != nil && r.Conversation == room && !r.goneAt(v.now())
	return in, v.close()
}
