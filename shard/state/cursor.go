package state

import (
	"github.com/quorate/quorate/mutant"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// MoveCursors moves cursors of many members of many conversations of the shard
// forward. The larger value wins.
type MoveCursors struct {
	Moves []CursorMove
}

// A CursorMove is one member's part of MoveCursors. Sequences past the last and
// times past the stamp are lowered to them; a time of 0 is the stamp.
type CursorMove struct {
	Conversation wire.ConversationID
	User         wire.UserID
	Read         wire.Seq // 0: not moved
	ReadAt       int64    // milliseconds
	Delivered    wire.Seq // 0: not moved; kept only where the policy has receipts
	DeliveredAt  int64    // milliseconds
}

func (*MoveCursors) kind() Kind { return kindMoveCursors }

func (c *MoveCursors) subject() Subject {
	if len(c.Moves) == 0 {
		return Subject{}
	}
	return Subject{Conversation: c.Moves[0].Conversation}
}

func (c *MoveCursors) append(b []byte) []byte {
	b = bin.AppendUvarint(b, uint64(len(c.Moves)))
	for _, m := range c.Moves {
		b = bin.AppendString(b, m.Conversation)
		b = bin.AppendString(b, m.User)
		b = bin.AppendUvarint(b, uint64(m.Read))
		b = bin.AppendVarint(b, m.ReadAt)
		b = bin.AppendUvarint(b, uint64(m.Delivered))
		b = bin.AppendVarint(b, m.DeliveredAt)
	}
	return b
}

func (c *MoveCursors) decode(in *bin.Reader) {
	*c = MoveCursors{Moves: readMany(in, func(in *bin.Reader) CursorMove {
		return CursorMove{
			Conversation: readID[wire.ConversationID](in),
			User:         readID[wire.UserID](in),
			Read:         wire.Seq(in.Uvarint()),
			ReadAt:       in.Varint(),
			Delivered:    wire.Seq(in.Uvarint()),
			DeliveredAt:  in.Varint(),
		}
	})}
}

func (c *MoveCursors) apply(t *txn, h *Header) Result {
	for i := range c.Moves {
		if !t.owns(wire.SlotOf(h.App, string(c.Moves[i].Conversation))) {
			return refuse(Moved, "a conversation's slot is another shard's")
		}
	}
	var result Result
	for i := range c.Moves {
		m := &c.Moves[i]
		now, moved, refusal := m.apply(t, h)
		switch {
		case refusal != None && len(c.Moves) == 1:
			return refuse(refusal, "the cursor cannot be moved")
		case refusal != None:
			result.Users = append(result.Users, UserResult{User: m.User, Refusal: refusal})
		case moved:
			result.Count++
		}
		if len(c.Moves) == 1 {
			result.Seq, result.Timestamp = now.Read, now.ReadAt
		}
	}
	return result
}

// apply moves one member's cursors and returns where they are.
func (m *CursorMove) apply(t *txn, h *Header) (now cursorRow, moved bool, refusal Refusal) {
	c := t.conversation(conversationScope(h.App, m.Conversation))
	if refusal := c.live(t.stamp); refusal != None {
		return now, false, refusal
	}
	switch {
	case h.Actor != "" && h.Actor != m.User:
		return now, false, Forbidden
	case !c.info.Policy.Members:
		return now, false, Forbidden // nobody's place is kept
	case t.member(c.scope, m.User).User == "":
		return now, false, NotMember
	}
	old := loadCursor(t, c.scope, m.User)
	now = m.moved(old, c, t.stamp)
	if now == old {
		return now, false, None
	}
	t.keyBuf = c.scope.name(t.keyBuf[:0], tableCursor, string(m.User))
	t.valBuf = now.encode(t.valBuf[:0])
	t.put(t.keyBuf, t.valBuf)
	if now.Read/pruneEvery != old.Read/pruneEvery {
		pruneRead(t, c.scope, m.User, now.Read)
	}
	if t.told != nil {
		t.told.Cursors = append(t.told.Cursors, CursorMoved{
			App: h.App, Conversation: m.Conversation, User: m.User,
			Read: now.Read, Delivered: now.Delivered, ReadStamp: now.ReadAt, DeliveredStamp: now.DeliveredAt, Origin: h.Origin,
			Receipts: c.head.members <= c.info.Policy.Receipts, Receipt: m.asked(t, c, old, now),
		})
	}
	return now, true, None
}

// moved returns where the move takes the cursors: never back, never past the
// last message, never into the future.
func (m *CursorMove) moved(old cursorRow, c *conversation, stamp int64) cursorRow {
	now := old
	if read := min(m.Read, c.head.seq); read > old.Read || mutant.On(mutant.CursorGoesBack) && read > 0 { // a planted bug, see package mutant
		now.Read, now.ReadAt = read, max(old.ReadAt, clampTime(m.ReadAt, stamp))
	}
	if c.head.members > c.info.Policy.Receipts {
		return now
	}
	// What was read was delivered.
	delivered, at := min(m.Delivered, c.head.seq), m.DeliveredAt
	if now.Read > delivered {
		delivered, at = now.Read, now.ReadAt
	}
	if delivered > old.Delivered {
		now.Delivered, now.DeliveredAt = delivered, max(old.DeliveredAt, clampTime(at, stamp))
	}
	return now
}

// clampTime makes a client's time no later than the stamp; 0 is the stamp.
func clampTime(at, stamp int64) int64 {
	if at <= 0 || at > stamp {
		return stamp
	}
	return at
}

// loadCursor reads a member's cursors. They are before the first message until
// they are moved.
func loadCursor(r reader, s scope, user wire.UserID) cursorRow {
	b := r.get(s.name(nil, tableCursor, string(user)))
	if b == nil {
		return cursorRow{}
	}
	row, err := decodeCursorRow(b)
	if err != nil {
		r.fail(err)
	}
	return row
}

// Cursor is where one member is.
type Cursor struct {
	User           wire.UserID
	Read           wire.Seq
	ReadStamp      int64 // milliseconds
	Delivered      wire.Seq
	DeliveredStamp int64 // milliseconds
}

// Cursors returns the members' cursors: of all of them where the policy has
// receipts for so many, else only the reader's own. The empty reader is the app;
// he gets all that there are, up to limit.
func (s *Queries) Cursors(app wire.AppID, id wire.ConversationID, reader wire.UserID, limit int) ([]Cursor, error) {
	v, err := s.view()
	if err != nil {
		return nil, err
	}
	sc := conversationScope(app, id)
	c, _, refused := readable(v, sc, reader)
	if refused != nil {
		return nil, closeRefused(v, refused)
	}
	if reader != "" && c.head.members > c.info.Policy.Receipts {
		row := loadCursor(v, sc, reader)
		return []Cursor{row.cursor(reader)}, v.close()
	}
	var all []Cursor
	prefix := sc.key(nil, tableCursor)
	v.scan(prefix, prefixEnd(prefix), func(key, value []byte) bool {
		row, err := decodeCursorRow(value)
		if err != nil {
			v.fail(err)
			return false
		}
		all = append(all, row.cursor(wire.UserID(key[len(prefix):])))
		return len(all) < limit
	})
	// Those who have left keep theirs for their return.
	members := all[:0]
	for _, one := range all {
		if _, ok := loadMember(v, sc, one.User); ok {
			members = append(members, one)
		}
	}
	return members, v.close()
}

func (c *cursorRow) cursor(user wire.UserID) Cursor {
	return Cursor{User: user, Read: c.Read, ReadStamp: c.ReadAt, Delivered: c.Delivered, DeliveredStamp: c.DeliveredAt}
}

// readable returns a conversation that the reader is a member of. The empty
// reader is the app, which is let in everywhere.
func readable(v *view, s scope, reader wire.UserID) (*conversation, Member, *RefusedError) {
	c := loadConversation(v, s)
	if refusal := c.live(v.now()); refusal != None {
		return nil, Member{}, &RefusedError{Refusal: refusal}
	}
	m, ok := loadMember(v, s, reader)
	if !ok && reader != "" {
		return nil, Member{}, &RefusedError{Refusal: NotMember}
	}
	return c, m, nil
}

// closeRefused ends a view with a refusal, or with what went wrong in reading.
func closeRefused(v *view, refused *RefusedError) error {
	if err := v.close(); err != nil {
		return err
	}
	return refused
}
