package state

import "github.com/quorate/quorate/wire"

// EdgeSession is a session that has rows in this shard: what is to be reported
// with [SessionsLost] when its edge is gone.
type EdgeSession struct {
	App     wire.AppID
	User    wire.UserID
	Session string
	Tag     string // that it holds; empty: none
	HasWill bool   // it left the user's will
	HasRoom bool   // it is in the user's chat room
}

// SessionsElsewhere returns the sessions that have rows in this shard, a tag, a
// will or a room, and are at none of the places that are given: of these nobody
// reports their end. A room that waits for its user to come back is of no session
// any more. It reads every slot of the shard, so it is for the end of an edge, not
// for its daily life.
func (s *Queries) SessionsElsewhere(there map[string]bool) ([]EdgeSession, error) {
	v, err := s.view()
	if err != nil {
		return nil, err
	}
	found := edgeSessions{there: there}
	for slot, more := s.rng.First, true; more; {
		more = false
		v.scan(appendTable(nil, slot, tableTag), s.end, func(key, value []byte) bool {
			if keySlot(key) != slot {
				slot, more = keySlot(key), true
				return false
			}
			if keyTable(key) > tableRoom {
				more = slot < s.rng.Last
				slot++
				return false
			}
			if err := found.row(key, value); err != nil {
				v.fail(err)
				return false
			}
			return true
		})
		found.endSlot()
	}
	return found.all, v.close()
}

// edgeSessions gathers sessions of edges that are not there. The rows of one session are apart, but
// in one slot.
type edgeSessions struct {
	there map[string]bool
	all   []EdgeSession
	slot  int // where in all the slot begins that is being read
}

func (e *edgeSessions) endSlot() { e.slot = len(e.all) }

// row notes a row of the three tables, if the place of its session is none of those.
func (e *edgeSessions) row(key, value []byte) error {
	s, tag, err := splitKey(key)
	if err != nil {
		return err
	}
	switch keyTable(key) {
	case tableTag:
		row, err := decodeTagRow(value)
		if err != nil {
			return err
		}
		if !e.there[row.Node] {
			e.all = append(e.all, EdgeSession{
				App: s.app, User: wire.UserID(s.root), Session: row.Session, Tag: string(tag),
			})
		}
	case tableWill:
		row, err := decodeWillRow(value)
		if err != nil {
			return err
		}
		if !e.there[row.Node] {
			e.session(s, row.Session).HasWill = true
		}
	case tableRoom:
		row, err := decodeRoomRow(value)
		if err != nil {
			return err
		}
		if !e.there[row.Node] && row.Deadline == 0 {
			e.session(s, row.Session).HasRoom = true
		}
	}
	return nil
}

// session finds or adds a session of the slot.
func (e *edgeSessions) session(s scope, name string) *EdgeSession {
	for i := e.slot; i < len(e.all); i++ {
		if o := &e.all[i]; o.Session == name && o.User == wire.UserID(s.root) && o.App == s.app {
			return o
		}
	}
	e.all = append(e.all, EdgeSession{App: s.app, User: wire.UserID(s.root), Session: name})
	return &e.all[len(e.all)-1]
}
