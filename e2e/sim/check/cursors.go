package check

import (
	"time"

	"github.com/quorate/quorate/e2e/sim/history"
	"github.com/quorate/quorate/wire"
)

// cursors checks A7: read and delivered cursors never go back, and are never past
// the last message. What was read, or stored and acknowledged, is the least that
// any read shows which begins later; what nobody has asked for is shown to
// nobody. A removal forgets the cursors of the removed.
func cursors(x *index) {
	for _, t := range x.order {
		tracks := map[wire.UserID]*cursorTrack{}
		var users []wire.UserID
		of := func(u wire.UserID) *cursorTrack {
			c := tracks[u]
			if c == nil {
				c = &cursorTrack{}
				tracks[u] = c
				users = append(users, u)
			}
			return c
		}
		known := &highWater{}
		for _, i := range t.events {
			trackCursors(i, &x.h.Events[i], known, of)
		}
		for _, u := range users {
			tracks[u].judge(x, t, u)
		}
	}
}

// cursorTrack is what happened to one member's cursors in one conversation.
type cursorTrack struct {
	floors   []cursorSight // what a later read shows at least
	reads    []cursorSight
	asked    []cursorSight // how far somebody tried to move it
	removals []cursorSight
}

type cursorSight struct {
	event           int
	at, until       time.Duration
	read, delivered wire.Seq
}

// trackCursors sorts an event into the tracks of those whom it concerns. known is
// how far the conversation was known to go.
func trackCursors(i int, e *history.Event, known *highWater, of func(wire.UserID) *cursorTrack) {
	s := cursorSight{event: i, at: e.At, until: e.Until}
	switch {
	case e.Op == history.OpMark && e.Outcome != history.Refused:
		c := of(e.User)
		s.read, s.delivered = e.State.Cursors[0].Read, max(e.State.Cursors[0].Delivered, e.State.Cursors[0].Read)
		c.asked = append(c.asked, s)
		if e.Outcome == history.OK {
			s.read = min(s.read, known.before(e.At).seq)
			s.delivered = s.read
			c.floors = append(c.floors, s)
		}
	case e.Op == history.OpCursors && e.Outcome == history.OK:
		for _, one := range e.State.Cursors {
			s.read, s.delivered = one.Read, one.Delivered
			c := of(one.User)
			c.reads, c.floors = append(c.reads, s), append(c.floors, s)
		}
	case (e.Op == history.OpRemove || e.Op == history.OpLeave) && e.Outcome != history.Refused:
		if e.Outcome == history.Unknown {
			s.until = forever
		}
		for _, u := range e.Users {
			c := of(u)
			c.removals = append(c.removals, s)
		}
	}
	if seq := seqShown(e); seq > 0 {
		known.note(i, e.Until, seq, 0)
	}
}

// seqShown returns how far an event shows its conversation to go, or 0.
func seqShown(e *history.Event) wire.Seq {
	if e.Outcome == history.Unknown || e.Outcome == history.Refused {
		return 0
	}
	seq, _, _ := reach(e)
	return seq
}

const forever = time.Duration(1<<63 - 1)

func (c *cursorTrack) judge(x *index, t *talk, u wire.UserID) {
	for _, r := range c.reads {
		if t.log != nil && max(r.read, r.delivered) > t.log.LastSeq {
			x.report("A7", []int{r.event}, "the cursors of %s in %s are at %d and %d, past the last message %d", u, t.id, r.read, r.delivered, t.log.LastSeq)
		}
		if r.delivered < r.read {
			x.report("A7", []int{r.event}, "%s has read %s up to %d, and received it up to %d", u, t.id, r.read, r.delivered)
		}
		var most cursorSight
		for _, a := range c.asked {
			if a.at <= r.until {
				most.read, most.delivered = max(most.read, a.read), max(most.delivered, a.delivered)
			}
		}
		if r.read > most.read || r.delivered > most.delivered {
			x.report("A7", []int{r.event}, "the cursors of %s in %s are at %d and %d, and nobody moved them past %d and %d",
				u, t.id, r.read, r.delivered, most.read, most.delivered)
		}
		for _, f := range c.floors {
			if f.until < r.at && (f.read > r.read || f.delivered > r.delivered) && !c.removedBetween(f.at, r.until) {
				x.report("A7", both(f.event, r.event), "the cursors of %s in %s went back from %d and %d to %d and %d",
					u, t.id, f.read, f.delivered, r.read, r.delivered)
			}
		}
	}
}

// removedBetween tells whether the member may have been removed in a time.
func (c *cursorTrack) removedBetween(from, to time.Duration) bool {
	for _, r := range c.removals {
		if r.at <= to && r.until >= from {
			return true
		}
	}
	return false
}
