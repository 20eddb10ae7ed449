package state

import (
	"slices"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// Trim removes a conversation's oldest messages, and its log up to the last of
// them. It is the operator's; retention trims by timers. Result.More says that
// it stopped before its end: ask again.
type Trim struct {
	Conversation wire.ConversationID
	Upto         wire.Seq // the last one to go
}

func (*Trim) kind() Kind { return kindTrim }

func (c *Trim) subject() Subject { return Subject{Conversation: c.Conversation} }

func (c *Trim) append(b []byte) []byte {
	return bin.AppendUvarint(bin.AppendString(b, c.Conversation), uint64(c.Upto))
}

func (c *Trim) decode(in *bin.Reader) {
	c.Conversation = readID[wire.ConversationID](in)
	c.Upto = wire.Seq(in.Uvarint())
}

const (
	// trimmedAtOnce bounds what one command reads and removes.
	trimmedAtOnce = 1000
	// pointDeletes is up to how many rows are deleted one by one; a range
	// deletion is cheaper to write and dearer for every read that passes it.
	pointDeletes = 64
)

func (c *Trim) apply(t *txn, h *Header) Result {
	conv := t.conversation(conversationScope(h.App, c.Conversation))
	if r := conv.live(t.stamp); r != None {
		return refuse(r, "")
	}
	if h.Actor != "" {
		return refuse(Forbidden, "only the app may trim a conversation")
	}
	floor := conv.head.floorSeq
	upto := min(c.Upto, conv.head.seq, floor+trimmedAtOnce)
	conv.trim(t, upto)
	return Result{
		Seq: conv.head.floorSeq, Count: uint64(conv.head.floorSeq - floor), More: upto < min(c.Upto, conv.head.seq),
	}
}

// trim removes the messages up to a sequence, at most trimmedAtOnce of them, and
// the log's entries up to the last one's offset.
func (c *conversation) trim(t *txn, upto wire.Seq) {
	floor := c.head.floorSeq
	if upto <= floor {
		return
	}
	users := map[wire.UserID]bool{}
	days := map[int64][]byte{}
	var last *Message
	lo, hi := c.scope.number(nil, tableMessage, uint64(floor)+1), c.scope.number(nil, tableMessage, uint64(upto)+1)
	var trimmed []*Message
	t.scan(lo, hi, func(key, value []byte) bool {
		m, err := decodeMessage(c.id(), wire.Seq(lastNumber(key)), value)
		if err != nil {
			t.fail(err)
			return false
		}
		trimmed = append(trimmed, m)
		return true
	})
	for _, m := range trimmed {
		users[m.From] = true
		for _, u := range m.Targets {
			users[u] = true
		}
		days[m.Timestamp/dayMillis] = c.dayKey(nil, m.Timestamp)
		if m.Counted {
			unmention(t, c.scope, m)
		}
		if m.Imported {
			t.delete(c.scope.name(nil, tableImported, string(m.ID)))
		}
		last = m
	}
	if last == nil || t.err != nil {
		return
	}
	deleteRows(t, c, tableMessage, uint64(floor)+1, uint64(upto)+1)
	deleteRows(t, c, tableRecalled, 0, uint64(upto)+1)
	deleteRows(t, c, tableEntry, 0, uint64(last.Offset)+1)
	trimExceptions(t, c, users, upto)
	trimDays(t, c, days, upto)
	c.head.floorSeq, c.head.floorOffset, c.head.floorCount = upto, last.Offset, last.Count
	c.touch(t)
}

// deleteRows removes the rows with numbers in [from, to) from a table.
func deleteRows(t *txn, c *conversation, table byte, from, to uint64) {
	lo, hi := c.scope.number(nil, table, from), c.scope.number(nil, table, to)
	keys := keysOf(t, lo, hi, pointDeletes+1)
	if len(keys) > pointDeletes {
		t.deleteRange(lo, hi)
		return
	}
	for _, k := range keys {
		t.delete(k)
	}
}

// keysOf returns the first keys in a range.
func keysOf(t *txn, lo, hi []byte, limit int) [][]byte {
	var keys [][]byte
	t.scan(lo, hi, func(key, _ []byte) bool {
		keys = append(keys, slices.Clone(key))
		return len(keys) < limit
	})
	return keys
}

// trimExceptions removes of each user's exceptions up to the floor all but the
// last: it is the running sum at the floor.
func trimExceptions(t *txn, c *conversation, users map[wire.UserID]bool, upto wire.Seq) {
	if !c.info.Policy.Unread {
		return
	}
	for _, u := range sortedKeys(users) {
		lo := c.scope.nameNumber(nil, tableException, string(u), 0)
		hi := c.scope.nameNumber(nil, tableException, string(u), uint64(upto)+1)
		keys := keysOf(t, lo, hi, trimmedAtOnce+1)
		for _, k := range keys[:max(len(keys)-1, 0)] {
			t.delete(k)
		}
	}
}

// trimDays removes the rows of days that have no message left.
func trimDays(t *txn, c *conversation, days map[int64][]byte, upto wire.Seq) {
	next := loadMessage(t, c.scope, upto+1)
	for _, day := range sortedKeys(days) {
		if next == nil || next.Timestamp/dayMillis != day {
			t.delete(days[day])
			continue
		}
		t.put(days[day], appendDay(nil, next.Seq))
	}
}

// sweepRetention trims what is past retention; a timer named the head. It sets
// the next timer for the oldest message that is left.
func sweepRetention(t *txn, headKey []byte) {
	c := t.conversationAt(headKey)
	if c.live(t.stamp) != None || c.info.Policy.RetentionMillis == 0 {
		return
	}
	old := t.stamp - c.info.Policy.RetentionMillis
	upto := c.head.floorSeq
	lo := c.scope.number(nil, tableMessage, uint64(upto)+1)
	t.scan(lo, prefixEnd(c.scope.key(nil, tableMessage)), func(key, value []byte) bool {
		m, err := decodeMessage(c.id(), wire.Seq(lastNumber(key)), value)
		if err != nil {
			t.fail(err)
			return false
		}
		if m.Timestamp > old || m.Seq > c.head.floorSeq+trimmedAtOnce {
			return false
		}
		upto = m.Seq
		return true
	})
	c.trim(t, upto)
	if next := loadMessage(t, c.scope, upto+1); next != nil {
		// Not the time of the timer that this is about: the sweep deletes that one.
		due := max(next.Timestamp+c.info.Policy.RetentionMillis, t.stamp+1)
		setTimer(t, due, timerRetention, headKey)
	}
}
