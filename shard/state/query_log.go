package state

import (
	"slices"

	"github.com/quorate/quorate/wire"
)

// LogPage says everything about (After, Upto] of a log that is for the reader:
// what is absent in between is not for him.
type LogPage struct {
	After   wire.Offset
	Upto    wire.Offset
	Entries []*Entry
	Position
}

// LogQuery asks for a part of a log.
type LogQuery struct {
	Log    LogKey
	Reader wire.UserID // empty: the app, which sees everything
	After  wire.Offset
	Limit  int // entries looked at; 0: 100
	Bytes  int // about what the page may take in a frame; it stops after the entry that exceeds them; 0: 512 KiB
}

// ReadLog reads a log's entries after an offset, in order. A reader who is at a
// place that is not kept any more, or that never was, is refused with StartOver.
func (s *Queries) ReadLog(q LogQuery) (LogPage, error) {
	v, err := s.view()
	if err != nil {
		return LogPage{}, err
	}
	q.Limit = min(orDefault(q.Limit, 100), wire.MaxPageEntries)
	q.Bytes = orDefault(q.Bytes, pageBytes)
	var page LogPage
	var refused *RefusedError
	if q.Log.Conversation == "" {
		page, refused = readUserLog(v, &q)
	} else {
		page, refused = readConversationLog(v, &q)
	}
	if refused != nil {
		return LogPage{}, closeRefused(v, refused)
	}
	return page, v.close()
}

// startOver refuses a place outside of what is kept.
func startOver(after wire.Offset, p Position) *RefusedError {
	if after < p.Floor || after > p.Last {
		return &RefusedError{Refusal: StartOver}
	}
	return nil
}

func readUserLog(v *view, q *LogQuery) (LogPage, *RefusedError) {
	if q.Reader != "" && q.Reader != q.Log.User {
		return LogPage{}, &RefusedError{Refusal: Forbidden}
	}
	page := LogPage{After: q.After, Upto: q.After, Position: position(v, q.Log)}
	if refused := startOver(q.After, page.Position); refused != nil {
		return LogPage{}, refused
	}
	s := q.Log.scope()
	last := min(page.Last, q.After+wire.Offset(q.Limit))
	left := q.Bytes
	lo, hi := s.number(nil, tableUserEntry, uint64(q.After)+1), s.number(nil, tableUserEntry, uint64(last)+1)
	v.scan(lo, hi, func(key, value []byte) bool {
		e, err := decodeEntryRow(wire.Offset(lastNumber(key)), value)
		if err != nil {
			v.fail(err)
			return false
		}
		page.Entries = append(page.Entries, e)
		page.Upto = e.Offset
		left -= e.size()
		return left > 0
	})
	if left > 0 {
		page.Upto = last
	}
	return page, nil
}

func readConversationLog(v *view, q *LogQuery) (LogPage, *RefusedError) {
	c, a, refused := access(v, q.Log.scope(), q.Reader)
	if refused != nil {
		return LogPage{}, refused
	}
	page := LogPage{
		After: q.After, Upto: q.After,
		Position: Position{Last: a.Last, Floor: a.Floor, Seq: a.LastSeq},
	}
	if refused := startOver(q.After, page.Position); refused != nil {
		return LogPage{}, refused
	}
	// What is before the reader's time is passed over.
	after := max(q.After, a.First-1)
	last := min(a.Last, after+wire.Offset(q.Limit))
	left := q.Bytes
	reached, all := c.walk(after, last, func(e *Entry) bool {
		page.Upto = e.Offset
		if shown := e.For(q.Reader, &a.Policy); shown != nil {
			page.Entries = append(page.Entries, shown)
			left -= e.size()
		}
		return left > 0
	})
	if all {
		page.Upto = max(reached, page.Upto)
	}
	return page, nil
}

// pageBytes is where a page stops by default: half of a frame, since sizes are
// estimates, what is counted last may exceed it, and other things travel in the
// frame, too.
const pageBytes = wire.MaxPageBytes / 2

// sizeBeside is more than what an entry or a message takes in a frame beside its
// strings and lists.
const sizeBeside = 200

// size is about what an entry adds to a frame.
func (e *Entry) size() int {
	n := sizeBeside + len(e.Reason) + len(e.Changed) + len(e.Sent) + idsSize(e.Users)
	if e.Message != nil {
		n += e.Message.size()
	}
	return n
}

// size is about what a message adds to a frame.
func (m *Message) size() int {
	return sizeBeside + len(m.Body) + len(m.ContentType) + idsSize(m.Mentions) + idsSize(m.Targets)
}

func idsSize(ids []wire.UserID) int {
	n := 0
	for _, id := range ids {
		n += len(id) + 2
	}
	return n
}

// walk calls f with the log's entries in (after, upto], messages in their
// present form, until it returns false; else it says how far it came: not to upto
// where too much lies between. Entries that are not messages have rows by offset;
// between two of them offsets and sequences run in parallel.
func (c reading) walk(after, upto wire.Offset, f func(*Entry) bool) (reached wire.Offset, all bool) {
	seq := c.seqAt(after)
	others, upto := c.others(after, upto)
	for after < upto && c.v.err == nil {
		next := upto + 1
		if len(others) > 0 {
			next = others[0].Offset
		}
		if n := wire.Seq(next - after - 1); n > 0 {
			if !c.walkMessages(seq+1, seq+n, f) {
				return 0, false
			}
			seq += n
		}
		if len(others) > 0 {
			e := others[0]
			others = others[1:]
			if e.Target != 0 {
				e.Message = loadMessage(c.v, c.scope, e.Target)
			}
			if !f(e) {
				return 0, false
			}
		}
		after = next
	}
	return upto, true
}

// seqAt returns the sequence that the conversation had reached at an offset.
func (c reading) seqAt(at wire.Offset) wire.Seq {
	offset, seq := c.head.floorOffset, c.head.floorSeq
	lo, hi := c.scope.number(nil, tableEntry, 0), c.scope.number(nil, tableEntry, uint64(at)+1)
	c.v.scanBack(lo, hi, func(key, value []byte) bool {
		e, err := decodeEntryRow(wire.Offset(lastNumber(key)), value)
		if err != nil {
			c.v.fail(err)
			return false
		}
		offset, seq = e.Offset, e.Seq
		return false
	})
	return seq + wire.Seq(at-offset)
}

// others returns the entries in (after, upto] that are not messages. Where they
// would fill more than a page it stops, and returns how far it came.
func (c reading) others(after, upto wire.Offset) ([]*Entry, wire.Offset) {
	var found []*Entry
	size := 0
	lo, hi := c.scope.number(nil, tableEntry, uint64(after)+1), c.scope.number(nil, tableEntry, uint64(upto)+1)
	c.v.scan(lo, hi, func(key, value []byte) bool {
		e, err := decodeEntryRow(wire.Offset(lastNumber(key)), value)
		if err != nil {
			c.v.fail(err)
			return false
		}
		found = append(found, e)
		if size += len(value); size > pageBytes {
			upto = e.Offset
		}
		return size <= pageBytes
	})
	return found, upto
}

// walkMessages calls f with the entries of messages from one sequence to another.
func (c reading) walkMessages(from, to wire.Seq, f func(*Entry) bool) bool {
	more := true
	lo, hi := c.scope.number(nil, tableMessage, uint64(from)), c.scope.number(nil, tableMessage, uint64(to)+1)
	c.v.scan(lo, hi, func(key, value []byte) bool {
		m, err := decodeMessage(c.id(), wire.Seq(lastNumber(key)), value)
		if err != nil {
			c.v.fail(err)
			return false
		}
		e := messageEntry(m)
		more = f(&e)
		return more
	})
	return more
}

func messageEntry(m *Message) Entry {
	return Entry{Offset: m.Offset, Seq: m.Seq, Kind: EntryMessage, Stamp: m.Timestamp, Actor: m.From, Message: m}
}

// For returns the entry as a member of a conversation with this policy sees it,
// or nil when it is not for him. The empty user is the app and sees everything.
// It is the one rule of who sees what in a log, for pages and for pushes.
func (e *Entry) For(user wire.UserID, p *Policy) *Entry {
	switch {
	case e.Message != nil && e.Message.Deleted:
		return nil
	case user == "":
		return e
	case e.Message != nil && !e.Message.visibleTo(user):
		return nil
	case e.Target != 0 && e.Message == nil:
		return nil // the message was trimmed, and with it who may know of it
	case !e.Kind.IsNotice(), p.Notices, user == e.Actor:
		return e
	case !slices.Contains(e.Users, user):
		return nil
	}
	own := *e
	own.Users = []wire.UserID{user}
	return &own
}
