package state

import (
	"bytes"

	"github.com/quorate/quorate/wire"
)

// Rows below a read cursor that nobody asks for any more, mentions and
// exceptions, are removed when the cursor passes a multiple of pruneEvery, at
// most pruneRows of each at once.
const (
	pruneEvery = 64
	pruneRows  = 64
)

// maxRecalledScan is how many recalled messages after the cursor are looked at.
// Beyond it the count may be too high, until the cursor moves.
const maxRecalledScan = 1000

// maxMentionScan is how many mentions of all after the cursor are looked at for
// one that is not the reader's own.
const maxMentionScan = 1000

// Unread is what a member has not read of a conversation.
type Unread struct {
	Count     uint64
	Mentioned bool        // by name or with all, in what is unread
	Read      wire.Seq    // the read cursor
	Last      wire.Seq    // the conversation's last message
	Offset    wire.Offset // the log's last offset: the answer knows everything up to it
}

// Unread returns what the user has not read. Where the policy does not count,
// the count is 0.
func (s *Queries) Unread(app wire.AppID, id wire.ConversationID, user wire.UserID) (Unread, error) {
	v, err := s.view()
	if err != nil {
		return Unread{}, err
	}
	sc := conversationScope(app, id)
	c, m, refused := readable(v, sc, user)
	if refused != nil {
		return Unread{}, closeRefused(v, refused)
	}
	read := max(loadCursor(v, sc, user).Read, m.JoinedSeq)
	u := Unread{Read: read, Last: c.head.seq, Offset: c.head.offset}
	if c.info.Policy.Unread && read < c.head.seq {
		u.Count = countUnread(v, c, user, read)
		u.Mentioned = mentionedAfter(v, sc, user, max(read, c.head.floorSeq))
	}
	return u, v.close()
}

// countUnread is the arithmetic: (C(last) − C(p)) + (E(last) − E(p)) − R(p),
// with p no lower than the retention floor.
func countUnread(v *view, c *conversation, user wire.UserID, p wire.Seq) uint64 {
	before := c.head.floorCount
	if p > c.head.floorSeq {
		m := loadMessage(v, c.scope, p)
		if m == nil {
			return 0 // a message that is neither trimmed nor there: not counted rather than guessed
		}
		before = m.Count
	} else {
		p = c.head.floorSeq
	}
	n := int64(c.head.count - before)
	n += exceptionSum(v, c.scope, user, c.head.seq) - exceptionSum(v, c.scope, user, p)
	n -= int64(loadRecalled(v, c.scope, user, p, maxRecalledScan))
	return uint64(max(n, 0))
}

// pruneRead removes the mentions of a member up to a sequence, and all but the
// last of his exceptions up to it: E is not asked for below a read cursor.
func pruneRead(t *txn, s scope, user wire.UserID, read wire.Seq) {
	for _, table := range [...]byte{tableMention, tableException} {
		var keys [][]byte
		lo := s.nameNumber(nil, table, string(user), 0)
		hi := s.nameNumber(nil, table, string(user), uint64(read)+1)
		t.scan(lo, hi, func(key, _ []byte) bool {
			keys = append(keys, bytes.Clone(key))
			return len(keys) <= pruneRows
		})
		if table == tableException || len(keys) > pruneRows {
			keys = keys[:max(len(keys)-1, 0)]
		}
		for _, key := range keys {
			t.delete(key)
		}
	}
}
