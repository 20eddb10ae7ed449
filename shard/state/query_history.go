package state

import (
	"sort"

	"github.com/quorate/quorate/wire"
)

// HistoryQuery asks for a page of a conversation's messages, newest first or
// oldest first. The page begins at From, which is in it, or at FromTime, and
// does not go beyond Upto or UptoTime; what is 0 does not bound. It ends early
// where it would not fit a frame.
type HistoryQuery struct {
	App          wire.AppID
	Conversation wire.ConversationID
	Reader       wire.UserID // empty: the app, which sees everything
	OldestFirst  bool
	From, Upto   wire.Seq
	FromTime     int64 // milliseconds since 1970
	UptoTime     int64
	Limit        int // messages; 0: 20
}

// HistoryPage is the messages that were asked for and that the reader may see.
type HistoryPage struct {
	Messages []*Message
	More     bool        // there may be more, from Next on
	Next     wire.Seq    // with More: the From of the next page
	Last     wire.Seq    // the conversation's last message
	Offset   wire.Offset // the log's last offset: the page knows everything up to it
}

// historyLook is how many messages a page of history looks at for each that it
// returns: others may be for other readers.
const historyLook = 10

// History reads a page of messages.
func (s *Queries) History(q HistoryQuery) (HistoryPage, error) {
	v, err := s.view()
	if err != nil {
		return HistoryPage{}, err
	}
	c, a, refused := access(v, conversationScope(q.App, q.Conversation), q.Reader)
	if refused != nil {
		return HistoryPage{}, closeRefused(v, refused)
	}
	q.Limit = min(orDefault(q.Limit, 20), wire.MaxPageEntries)
	page := HistoryPage{Last: a.LastSeq, Offset: a.Last}
	first, last := c.historyBounds(&q, max(c.head.floorSeq, a.AfterSeq)+1)
	if first <= last {
		c.readHistory(&q, &page, first, last)
	}
	return page, v.close()
}

// historyBounds returns the sequences that the page may be of, in ascending
// order whatever its direction is.
func (c reading) historyBounds(q *HistoryQuery, lowest wire.Seq) (first, last wire.Seq) {
	first, last = lowest, c.head.seq
	low, high, lowTime, highTime := q.Upto, q.From, q.UptoTime, q.FromTime
	if q.OldestFirst {
		low, high, lowTime, highTime = q.From, q.Upto, q.FromTime, q.UptoTime
	}
	if lowTime > 0 {
		low = max(low, c.seqAtTime(lowTime))
	}
	if highTime > 0 {
		before := c.seqAtTime(highTime+1) - 1
		if high == 0 || before < high {
			last = min(last, before)
		}
	}
	if high > 0 {
		last = min(last, high)
	}
	return max(first, low), last
}

// seqAtTime returns the first message at or after a time, or the one after the
// last. Timestamps never go down as sequences go up.
func (c reading) seqAtTime(millis int64) wire.Seq {
	floor := c.head.floorSeq
	n := sort.Search(int(c.head.seq-floor), func(i int) bool {
		m := loadMessage(c.v, c.scope, floor+1+wire.Seq(i))
		return m == nil || m.Timestamp >= millis
	})
	return floor + 1 + wire.Seq(n)
}

func (c reading) readHistory(q *HistoryQuery, page *HistoryPage, first, last wire.Seq) {
	looked, size := 0, 0
	read := func(key, value []byte) bool {
		seq := wire.Seq(lastNumber(key))
		if len(page.Messages) == q.Limit || looked == q.Limit*historyLook || size >= pageBytes {
			page.More, page.Next = true, seq
			return false
		}
		looked++
		m, err := decodeMessage(c.id(), seq, value)
		if err != nil {
			c.v.fail(err)
			return false
		}
		if m.visibleTo(q.Reader) {
			page.Messages = append(page.Messages, m)
			size += m.size()
		}
		return true
	}
	lo, hi := c.scope.number(nil, tableMessage, uint64(first)), c.scope.number(nil, tableMessage, uint64(last)+1)
	if q.OldestFirst {
		c.v.scan(lo, hi, read)
	} else {
		c.v.scanBack(lo, hi, read)
	}
}

// Message returns a message that the reader may see, by its id.
func (s *Queries) Message(app wire.AppID, id wire.ConversationID, message wire.MessageID, reader wire.UserID) (*Message, error) {
	v, err := s.view()
	if err != nil {
		return nil, err
	}
	c, a, refused := access(v, conversationScope(app, id), reader)
	if refused != nil {
		return nil, closeRefused(v, refused)
	}
	m := findMessage(v, c.scope, message)
	if m == nil || m.Seq <= max(c.head.floorSeq, a.AfterSeq) || !m.visibleTo(reader) {
		return nil, closeRefused(v, &RefusedError{Refusal: NotFound})
	}
	return m, v.close()
}

// Days returns the app's conversations in one slot that have messages of a day,
// days being counted from 1970, each with the day's first sequence.
func (s *Queries) Days(slot wire.Slot, app wire.AppID, day uint32) ([]DayRow, error) {
	v, err := s.view()
	if err != nil {
		return nil, err
	}
	prefix := dayPrefix(nil, slot, app, day)
	var rows []DayRow
	v.scan(prefix, prefixEnd(prefix), func(key, value []byte) bool {
		first, err := decodeDay(value)
		if err != nil {
			v.fail(err)
			return false
		}
		rows = append(rows, DayRow{Conversation: wire.ConversationID(key[len(prefix):]), First: first})
		return true
	})
	return rows, v.close()
}
