package check

import (
	"fmt"
	"slices"

	"github.com/quorate/quorate/e2e/sim/history"
	"github.com/quorate/quorate/wire"
)

// places checks A2: the sequences of a conversation are 1, 2, 3 … without gap or
// duplicate, its offsets too, and what stands at a place never changes, but for
// edits and recalls: whoever reads, or is pushed, or is acknowledged something
// at a sequence or an offset, at any time and anywhere, meets the same.
func places(x *index) {
	for _, t := range x.order {
		for _, c := range t.logs {
			dense(x, t, &c)
		}
		p := &placed{x: x, t: t, bySeq: map[wire.Seq]sight{}, byOffset: map[wire.Offset]sight{}}
		for _, i := range t.events {
			p.event(i, &x.h.Events[i])
		}
		for _, c := range t.logs {
			for i := range c.log.Entries {
				p.entry(-1, &c.log.Entries[i])
			}
			for i := range c.log.Messages {
				p.message(-1, &c.log.Messages[i])
			}
		}
	}
}

// dense checks one replica's log by itself.
func dense(x *index, t *talk, c *copyOf) {
	l := c.log
	if len(l.Messages) != int(l.LastSeq) {
		x.report("A2", nil, "%s has %d messages of %s, and says that the last one is %d", c.node, len(l.Messages), t.id, l.LastSeq)
	}
	if len(l.Entries) != int(l.LastOffset) {
		x.report("A2", nil, "%s has %d entries of %s, and says that the last one is %d", c.node, len(l.Entries), t.id, l.LastOffset)
	}
	for i := range l.Messages {
		if l.Messages[i].Seq != wire.Seq(i+1) {
			x.report("A2", nil, "on %s message %d of %s has the sequence %d", c.node, i+1, t.id, l.Messages[i].Seq)
			break
		}
	}
	seq := wire.Seq(0)
	for i := range l.Entries {
		e := &l.Entries[i]
		if e.Offset != wire.Offset(i+1) {
			x.report("A2", nil, "on %s entry %d of %s has the offset %d", c.node, i+1, t.id, e.Offset)
			break
		}
		if e.Kind != history.EntryMessage {
			continue
		}
		if seq++; e.Message == nil || e.Message.Seq != seq || e.Message.Offset != e.Offset {
			x.report("A2", nil, "on %s entry %d of %s is %+v, and should be message %d", c.node, i+1, t.id, e.Message, seq)
			break
		}
	}
}

// placed is what was seen at the places of one conversation.
type placed struct {
	x        *index
	t        *talk
	bySeq    map[wire.Seq]sight
	byOffset map[wire.Offset]sight
}

// sight is what somebody saw at a place.
type sight struct {
	event   int // -1: at the end, in a replica
	entry   *history.Entry
	message *history.Message
	body    string // of the message as it was sent, once it was seen so
	said    int    // where that was
	edited  int64  // the time of the last edit that was seen
}

func (p *placed) event(i int, e *history.Event) {
	switch e.Op {
	case history.OpSend:
		if e.Outcome == history.OK {
			p.message(i, e.Message)
		}
	case history.OpHistory, history.OpReadLog, history.OpPush:
		if e.Page == nil {
			return
		}
		for j := range e.Page.Messages {
			p.message(i, &e.Page.Messages[j])
		}
		for j := range e.Page.Entries {
			p.entry(i, &e.Page.Entries[j])
		}
	default: // shows nothing of the log
	}
}

func (p *placed) entry(i int, e *history.Entry) {
	old, seen := p.byOffset[e.Offset]
	switch {
	case !seen:
		p.byOffset[e.Offset] = sight{event: i, entry: e}
	case !sameEntry(old.entry, e):
		p.x.report("A2", both(old.event, i), "entry %d of %s is %s and %s", e.Offset, p.t.id, describe(old.entry), describe(e))
	}
	if e.Message != nil {
		p.message(i, e.Message)
	}
}

func (p *placed) message(i int, m *history.Message) {
	old, seen := p.bySeq[m.Seq]
	if !seen {
		old = sight{event: i, message: m, said: -2}
	} else if o := old.message; o.ID != m.ID || o.Offset != m.Offset || o.From != m.From || o.Time != m.Time {
		p.x.report("A2", both(old.event, i), "message %d of %s is %+v and %+v", m.Seq, p.t.id, *o, *m)
		return
	}
	if m.Edited == 0 && !m.Recalled {
		switch {
		case old.said == -2:
			old.body, old.said = m.Body, i
			p.known(i, m)
		case old.body != m.Body:
			p.x.report("A2", both(old.said, i), "message %d of %s says %q and %q", m.Seq, p.t.id, old.body, m.Body)
		}
	}
	if m.Edited != 0 && !m.Recalled && old.edited != m.Edited {
		old.edited = m.Edited
		p.editedBy(i, m)
	}
	p.bySeq[m.Seq] = old
}

// editedBy checks that the sender has tried to edit the message so, and was not
// refused.
func (p *placed) editedBy(i int, m *history.Message) {
	by, tried := p.x.edits[m.Body]
	if !tried {
		p.x.report("A2", both(i), "message %d of %s says %q, to which nobody has edited it", m.Seq, p.t.id, m.Body)
		return
	}
	switch e := &p.x.h.Events[by]; {
	case e.Message.ID != m.ID || e.User != m.From:
		p.x.report("A2", both(i, by), "message %d of %s says %q, to which %s has edited %s", m.Seq, p.t.id, m.Body, e.User, e.Message.ID)
	case e.Outcome == history.Refused:
		p.x.report("A3", both(i, by), "the edit of message %d of %s to %q was refused, and is done", m.Seq, p.t.id, m.Body)
	}
}

// known checks that somebody has tried to send the message, here and as this
// user.
func (p *placed) known(i int, m *history.Message) {
	s := p.x.bodies[m.Body]
	switch {
	case s == nil:
		p.x.report("A2", both(i), "message %d of %s says %q, which nobody has sent", m.Seq, p.t.id, m.Body)
	case s.talk != p.t || s.user != m.From:
		p.x.report("A2", both(i, s.tries[0]), "message %d of %s is from %s and says %q, which %s has sent to %s", m.Seq, p.t.id, m.From, m.Body, s.user, s.talk.id)
	}
}

// sameEntry compares what never changes of an entry. A member of a conversation
// without notices is shown himself alone.
func sameEntry(a, b *history.Entry) bool {
	if a.Kind != b.Kind || a.Actor != b.Actor {
		return false
	}
	if a.Message != nil && b.Message != nil && a.Message.Seq != b.Message.Seq {
		return false
	}
	return slices.Equal(a.Users, b.Users)
}

func describe(e *history.Entry) string {
	text := fmt.Sprintf("%s by %s %v", e.Kind, e.Actor, e.Users)
	if e.Message != nil {
		text += " " + e.Message.Body
	}
	return text
}

// both lists events, without those that are none.
func both(events ...int) []int {
	return slices.DeleteFunc(events, func(i int) bool { return i < 0 })
}
