package ask

import (
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// maxPair is how many members a conversation has at most whose messages say how
// far they came.
const maxPair = 2

// maxCursors is how many members' cursors one answer has.
const maxCursors = 1000

// withReceipts adds to messages what the other member's cursors say of them. A
// cursor keeps the time of its last move alone: it is that of the newest message
// that it passed, and of an older one the latest that it can have been.
func (e executor) withReceipts(c *state.Conversation, messages []*state.Message) ([]Message, error) {
	out := make([]Message, len(messages))
	for i, m := range messages {
		out[i].Message = m
	}
	if len(out) == 0 || !c.Policy.Members || c.Policy.Receipts == 0 || c.MemberCount > maxPair {
		return out, nil
	}
	cursors, err := e.st.Cursors(e.app, c.ID, "", maxPair)
	if err != nil {
		return nil, err
	}
	for i := range out {
		m := &out[i]
		for _, at := range cursors {
			if at.User == m.From {
				continue
			}
			if at.Delivered >= m.Seq {
				m.AckAt = max(at.DeliveredStamp, m.Timestamp)
			}
			if at.Read >= m.Seq {
				m.ReadAt = max(at.ReadStamp, m.Timestamp)
			}
		}
	}
	return out, nil
}

// Cursors asks how far the members of a conversation have come.
type Cursors struct {
	Conversation wire.ConversationID `json:"conversation"`
}

// CursorList is the members' cursors: of all of them where the conversation has
// few enough for receipts, else only the asker's own.
type CursorList struct {
	Cursors []Cursor `json:"cursors,omitempty"`
}

// Cursor is how far a member has come. A time says that everything sent until
// then was delivered or read; 0: nothing was.
type Cursor struct {
	User      wire.UserID `json:"user"`
	Read      wire.Seq    `json:"read,omitempty"`
	ReadAt    int64       `json:"read_at,omitempty"` // milliseconds since 1970
	Delivered wire.Seq    `json:"delivered,omitempty"`
	AckAt     int64       `json:"ack_at,omitempty"` // milliseconds since 1970
}

func (q *Cursors) answer(e executor, a *Answer) error {
	cursors, err := e.st.Cursors(e.app, q.Conversation, e.user, maxCursors)
	if err != nil {
		return err
	}
	list := &CursorList{}
	for _, c := range cursors {
		one := Cursor{User: c.User, Read: c.Read, Delivered: c.Delivered}
		if one.ReadAt, err = e.untilNext(q.Conversation, c.Read, c.ReadStamp); err != nil {
			return err
		}
		if one.AckAt, err = e.untilNext(q.Conversation, c.Delivered, c.DeliveredStamp); err != nil {
			return err
		}
		list.Cursors = append(list.Cursors, one)
	}
	a.Cursors = list
	return nil
}

// untilNext lowers the time of a cursor's move below the next message's, which
// may have been sent before it: a client takes whatever is not younger for passed.
func (e executor) untilNext(id wire.ConversationID, seq wire.Seq, stamp int64) (int64, error) {
	if seq == 0 || stamp == 0 {
		return 0, nil
	}
	page, err := e.st.History(state.HistoryQuery{App: e.app, Conversation: id, OldestFirst: true, From: seq + 1, Limit: 1})
	if err != nil {
		return 0, err
	}
	if len(page.Messages) > 0 {
		stamp = min(stamp, page.Messages[0].Timestamp-1)
	}
	return stamp, nil
}
