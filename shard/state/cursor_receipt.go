package state

import (
	"slices"

	"github.com/quorate/quorate/wire"
)

const (
	// receiptMembers is up to how many members those who asked for a receipt are
	// told, message by message.
	receiptMembers = 2
	// maxAsked is how many messages one move tells of, the newest ones, and
	// maxAskedLook how many it looks at for them.
	maxAsked     = 100
	maxAskedLook = 300
)

// asked returns the messages of others that asked for a receipt and that the move
// has passed: first those that it delivered, then those that it read, each in
// order. It is told to senders and changes nothing.
func (m *CursorMove) asked(t *txn, c *conversation, old, now cursorRow) []Asked {
	if c.head.asked == 0 || c.head.members > receiptMembers {
		return nil
	}
	joined := t.member(c.scope, m.User).JoinedSeq
	delivered := m.passed(t, c, max(old.Delivered, joined), now.Delivered)
	read := m.passed(t, c, max(old.Read, joined), now.Read)
	for i := range read {
		read[i].Read = true
	}
	return append(delivered, read...)
}

// passed returns the newest messages in (after, upto] that asked.
func (m *CursorMove) passed(t *txn, c *conversation, after, upto wire.Seq) []Asked {
	if upto = min(upto, c.head.asked); upto <= after {
		return nil
	}
	var found []Asked
	looked := 0
	lo, hi := c.scope.number(nil, tableMessage, uint64(after)+1), c.scope.number(nil, tableMessage, uint64(upto)+1)
	t.scanBack(lo, hi, func(key, value []byte) bool {
		one, err := decodeMessage(c.id(), wire.Seq(lastNumber(key)), value)
		if err != nil {
			t.fail(err)
			return false
		}
		if one.Receipt && one.From != "" && one.From != m.User && one.visibleTo(m.User) {
			found = append(found, Asked{ID: one.ID, Seq: one.Seq, From: one.From, Timestamp: one.Timestamp})
		}
		looked++
		return len(found) < maxAsked && looked < maxAskedLook
	})
	slices.Reverse(found)
	return found
}
