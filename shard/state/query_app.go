package state

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"github.com/quorate/quorate/wire"
)

// AppMessagesQuery asks for the messages of all of an app's conversations in this
// shard, in the order of their times and, at one time, of their ids.
type AppMessagesQuery struct {
	App         wire.AppID
	From, Upto  int64             // milliseconds since 1970, both included; Upto 0: to the end
	After       *AppMessagesPlace // where the last page ended; nil: from the beginning
	NewestFirst bool
	Limit       int // messages; 0: 100, at most 1000
}

// AppMessagesPlace is a place in the order of an app's messages.
type AppMessagesPlace struct {
	Timestamp int64
	ID        wire.MessageID
}

// AppMessage is a message with where it is.
type AppMessage struct {
	Conversation wire.ConversationID
	*Message
}

// AppMessagesPage is the messages that were asked for, in their order.
type AppMessagesPage struct {
	Messages []AppMessage
	More     bool             // there may be more, after Next
	Next     AppMessagesPlace // with More: the After of the next page
}

const (
	// maxPageDays is how many days with messages one page looks at.
	maxPageDays = 32

	lastID = "\xff" // after all ids
)

// AppMessages reads a page of the messages of an app, for the app.
func (s *Listings) AppMessages(q AppMessagesQuery) (AppMessagesPage, error) {
	v, err := s.view()
	if err != nil {
		return AppMessagesPage{}, err
	}
	if q.Upto == 0 {
		q.Upto = math.MaxInt64
	}
	q.Limit = min(orDefault(q.Limit, 100), wire.MaxPageEntries)
	p := appPage{s: s, v: v, q: &q}
	p.read()
	return p.page, v.close()
}

// appPage reads one page, day by day: of each day the first messages of all
// conversations that have some, until there are enough.
type appPage struct {
	s    *Listings
	v    *view
	q    *AppMessagesQuery
	page AppMessagesPage
	best []AppMessage // of the day, in order, at most as many as the page has room for and one more
	room int
}

func (p *appPage) read() {
	from, upto := p.bounds()
	for days := 0; p.v.err == nil && from <= upto; days++ {
		day, ok := p.nextDay(from/dayMillis, upto/dayMillis)
		if !ok {
			return
		}
		first, last := max(from, day*dayMillis), min(upto, (day+1)*dayMillis-1)
		if days == maxPageDays {
			p.page.More, p.page.Next = true, p.before(first, last)
			return
		}
		if p.readDay(uint32(day), first, last); p.page.More {
			return
		}
		if p.q.NewestFirst {
			upto = first - 1
		} else {
			from = last + 1
		}
	}
}

// bounds are the times that the page may be of.
func (p *appPage) bounds() (from, upto int64) {
	from, upto = max(p.q.From, 0), min(p.q.Upto, p.v.stamp+dayMillis)
	if a := p.q.After; a != nil && p.q.NewestFirst {
		upto = min(upto, a.Timestamp)
	} else if a != nil {
		from = max(from, a.Timestamp)
	}
	return from, upto
}

// before is the place before all of a day's messages.
func (p *appPage) before(first, last int64) AppMessagesPlace {
	if p.q.NewestFirst {
		return AppMessagesPlace{Timestamp: last + 1}
	}
	return AppMessagesPlace{Timestamp: first - 1, ID: lastID}
}

// nextDay finds the next day that has messages of the app.
func (p *appPage) nextDay(from, upto int64) (day int64, ok bool) {
	note := func(key, _ []byte) bool {
		found := int64(binary.BigEndian.Uint32(key[len(dayPrefix(nil, 0, p.q.App, 0))-4:]))
		if !ok || (found < day) != p.q.NewestFirst {
			day, ok = found, true
		}
		return false
	}
	p.s.slotsWith(p.v, tableDay, p.q.App, func(slot wire.Slot) {
		lo, hi := dayPrefix(nil, slot, p.q.App, uint32(from)), prefixEnd(dayPrefix(nil, slot, p.q.App, uint32(upto)))
		if p.q.NewestFirst {
			p.v.scanBack(lo, hi, note)
		} else {
			p.v.scan(lo, hi, note)
		}
	})
	return day, ok
}

// readDay adds the first messages of a day, of those between two times.
func (p *appPage) readDay(day uint32, first, last int64) {
	p.best, p.room = p.best[:0], p.q.Limit-len(p.page.Messages)
	p.s.slotsWith(p.v, tableDay, p.q.App, func(slot wire.Slot) {
		var rows []DayRow
		prefix := dayPrefix(nil, slot, p.q.App, day)
		p.v.scan(prefix, prefixEnd(prefix), func(key, value []byte) bool {
			seq, err := decodeDay(value)
			if err != nil {
				p.v.fail(err)
				return false
			}
			rows = append(rows, DayRow{Conversation: wire.ConversationID(bytes.Clone(key[len(prefix):])), First: seq})
			return true
		})
		for _, row := range rows {
			p.readConversation(row, first, last)
		}
	})
	size := 0
	for _, m := range p.page.Messages {
		size += m.size()
	}
	for _, m := range p.best {
		if len(p.page.Messages) == p.q.Limit || size >= pageBytes {
			end := p.page.Messages[len(p.page.Messages)-1]
			p.page.More, p.page.Next = true, AppMessagesPlace{Timestamp: end.Timestamp, ID: end.ID}
			return
		}
		p.page.Messages = append(p.page.Messages, m)
		size += m.size()
	}
}

// readConversation gathers a conversation's messages between two times of a day.
func (p *appPage) readConversation(row DayRow, first, last int64) {
	c := reading{conversation: loadConversation(p.v, conversationScope(p.q.App, row.Conversation)), v: p.v}
	if c.live(p.v.stamp) != None {
		return
	}
	lo, hi := max(row.First, c.head.floorSeq+1), c.head.seq
	if first%dayMillis != 0 {
		lo = max(lo, c.seqAtTime(first))
	}
	if p.q.NewestFirst && c.head.timestamp > last {
		hi = c.seqAtTime(last+1) - 1
	}
	read := func(key, value []byte) bool {
		m, err := decodeMessage(c.id(), wire.Seq(lastNumber(key)), value)
		if err != nil {
			p.v.fail(err)
			return false
		}
		if m.Timestamp < first || m.Timestamp > last {
			return false
		}
		return p.offer(AppMessage{Conversation: row.Conversation, Message: m})
	}
	from, to := c.scope.number(nil, tableMessage, uint64(lo)), c.scope.number(nil, tableMessage, uint64(hi)+1)
	switch {
	case lo > hi:
	case p.q.NewestFirst:
		p.v.scanBack(from, to, read)
	default:
		p.v.scan(from, to, read)
	}
}

// offer takes a message if it is among the first ones, and returns false when it
// comes after as many as are needed: so do those that follow it.
func (p *appPage) offer(m AppMessage) bool {
	if a := p.q.After; a != nil && p.compare(m, AppMessage{Message: &Message{Timestamp: a.Timestamp, ID: a.ID}}) <= 0 {
		return true
	}
	at, _ := slices.BinarySearchFunc(p.best, m, p.compare)
	if at > p.room {
		return false
	}
	if m.visibleTo("") {
		p.best = slices.Insert(p.best, at, m)
		p.best = p.best[:min(len(p.best), p.room+1)]
	}
	return true
}

func (p *appPage) compare(a, b AppMessage) int {
	order := cmp.Or(cmp.Compare(a.Timestamp, b.Timestamp), strings.Compare(string(a.ID), string(b.ID)))
	if p.q.NewestFirst {
		return -order
	}
	return order
}

// slotsWith calls f with the shard's slots that have rows of an app in a table
// that has the app in its keys.
func (s *Listings) slotsWith(v *view, table byte, app wire.AppID, f func(slot wire.Slot)) {
	for slot, more := int(s.rng.First), true; more && v.err == nil; {
		prefix := appendShort(appendTable(nil, wire.Slot(slot), table), app)
		found := false
		more = false
		next := slot + 1
		v.scan(prefix, s.end, func(key, _ []byte) bool {
			found, more = bytes.HasPrefix(key, prefix), true
			if at := int(keySlot(key)); at > slot {
				next = at
			}
			return false
		})
		if found {
			f(wire.Slot(slot))
		}
		slot = next
		more = more && slot <= int(s.rng.Last)
	}
}
