package check

import (
	"github.com/quorate/quorate/e2e/sim/history"
	"github.com/quorate/quorate/wire"
)

// visibility checks A8: no message with a place after the removal of a user is
// visible to that user, and a message for some is visible to nobody else. A read
// says how far its conversation went when it was read: then the reader was a
// member there. Who is pushed an entry was a member when it was written, or
// became one again before it was handed out.
//
// Policies that hide the past from newcomers do not exist for clients yet;
// shard/state tests them.
func visibility(x *index) {
	for _, t := range x.order {
		if t.log == nil || !t.hasMembers() {
			continue
		}
		for _, i := range t.events {
			e := &x.h.Events[i]
			if e.Page == nil || e.Outcome == history.Refused || e.Outcome == history.Unknown {
				continue
			}
			switch e.Op {
			case history.OpHistory, history.OpReadLog:
				if !e.Page.Ended && !t.memberAt(e.User, e.Page.Last) {
					x.report("A8", []int{i}, "%s reads %s as it is at entry %d, and is no member then", e.User, t.id, e.Page.Last)
				}
			case history.OpPush:
				for j := range e.Page.Entries {
					o := e.Page.Entries[j].Offset
					if !t.mayHave(e, o) {
						x.report("A8", []int{i}, "%s is pushed entry %d of %s, and is no member then", e.User, o, t.id)
					}
				}
			default: // shows nothing of the log
			}
			targets(x, t, i, e)
		}
	}
}

// mayHave tells whether the event's user may have an entry by the event's end.
func (t *talk) mayHave(e *history.Event, o wire.Offset) bool {
	for _, s := range t.spans[e.User] {
		if s.to != 0 && s.to < o {
			continue // that membership had ended
		}
		// Members see their removal, and what was before they joined.
		return s.from <= o || int(s.from) >= len(t.began) || t.began[s.from] <= e.Until
	}
	return false
}

// targets checks that all messages of a page are for its reader.
func targets(x *index, t *talk, i int, e *history.Event) {
	check := func(m *history.Message) {
		if m == nil || m.Seq == 0 || int(m.Seq) > len(t.log.Messages) {
			return
		}
		if !messageFor(&t.log.Messages[m.Seq-1], e.User) {
			x.report("A8", []int{i}, "%s sees message %d of %s, which is for %v", e.User, m.Seq, t.id, t.log.Messages[m.Seq-1].Targets)
		}
	}
	for j := range e.Page.Messages {
		check(&e.Page.Messages[j])
	}
	for j := range e.Page.Entries {
		check(e.Page.Entries[j].Message)
	}
}
