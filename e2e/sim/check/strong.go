package check

import "github.com/quorate/quorate/e2e/sim/history"

// strong checks A5 for what reads say of the log: a strong read is never stale.
// Whatever anybody had seen of a conversation before it began, by an
// acknowledgement, a push or any read, on any node, it knows.
func strong(x *index) {
	for _, t := range x.order {
		seen := &highWater{}
		for _, i := range t.events {
			e := &x.h.Events[i]
			if e.Outcome == history.Unknown || e.Outcome == history.Refused {
				continue
			}
			seq, offset, isRead := reach(e)
			before := seen.before(e.At)
			if isRead && (e.Strong || e.Op == history.OpUnread) && (seq < before.seq && seq > 0 || offset < before.offset && offset > 0) {
				x.report("A5", both(before.event, i), "%s was seen up to message %d and entry %d, and a strong read that began later says that it ends at %d and %d",
					t.id, before.seq, before.offset, seq, offset)
			}
			seen.note(i, e.Until, seq, offset)
		}
	}
}
