package check

import (
	"github.com/quorate/quorate/e2e/sim/history"
	"github.com/quorate/quorate/wire"
)

// retries checks A3: a retry with the same token yields the same message id and
// sequence, over failovers too, and the message is in the log once. What was
// refused, and neither acknowledged nor left unknown, is not in it at all.
func retries(x *index) {
	for _, s := range x.sends {
		for _, i := range s.tries {
			if e := &x.h.Events[i]; e.Outcome == history.OK {
				a, b := x.h.Events[s.acked].Message, e.Message
				if a.ID != b.ID || a.Seq != b.Seq || a.Offset != b.Offset || a.Time != b.Time {
					x.report("A3", []int{s.acked, i}, "%q is acknowledged as %d (%s) and as %d (%s)", s.body, a.Seq, a.ID, b.Seq, b.ID)
				}
			}
		}
	}
	for _, t := range x.order {
		onceEach(x, t)
	}
}

// onceEach checks that each text of a conversation stands at one place.
func onceEach(x *index, t *talk) {
	seen := map[string]sighting{}
	for _, i := range t.events {
		e := &x.h.Events[i]
		if e.Page == nil {
			continue
		}
		for j := range e.Page.Messages {
			once(x, t, seen, i, &e.Page.Messages[j])
		}
		for j := range e.Page.Entries {
			if m := e.Page.Entries[j].Message; m != nil {
				once(x, t, seen, i, m)
			}
		}
	}
	for _, c := range t.logs {
		for i := range c.log.Messages {
			once(x, t, seen, -1, &c.log.Messages[i])
		}
	}
}

// sighting is where a text was seen first.
type sighting struct {
	event int
	seq   wire.Seq
}

// once checks that a text stands at one sequence alone, and not at all if it was
// refused.
func once(x *index, t *talk, seen map[string]sighting, i int, m *history.Message) {
	if m.Edited != 0 || m.Recalled {
		return
	}
	old, was := seen[m.Body]
	if !was {
		seen[m.Body] = sighting{event: i, seq: m.Seq}
		if s := x.bodies[m.Body]; s != nil && s.denied(x) {
			x.report("A3", both(s.refused, i), "%q was refused, and is message %d of %s", m.Body, m.Seq, t.id)
		}
		return
	}
	if old.seq != m.Seq {
		x.report("A3", both(append([]int{old.event, i}, x.triesOf(m.Body)...)...), "%q is message %d and message %d of %s", m.Body, old.seq, m.Seq, t.id)
		seen[m.Body] = sighting{event: i, seq: m.Seq}
	}
}

func (x *index) triesOf(body string) []int {
	if s := x.bodies[body]; s != nil {
		return append([]int(nil), s.tries...)
	}
	return nil
}

// denied tells whether the last word on a message is that it was refused: no try
// was acknowledged, and every try of unknown outcome had ended before one that was
// refused began.
func (s *send) denied(x *index) bool {
	if s.refused < 0 || s.acked >= 0 {
		return false
	}
	for _, i := range s.tries {
		if e := &x.h.Events[i]; e.Outcome == history.Unknown && e.Until >= x.h.Events[s.refused].At {
			return false
		}
	}
	return true
}
