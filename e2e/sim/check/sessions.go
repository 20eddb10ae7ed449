package check

import (
	"sort"
	"time"

	"github.com/quorate/quorate/e2e/sim/history"
	"github.com/quorate/quorate/wire"
)

// sessions checks A6: what one session reads of a conversation never goes back.
// Once it has seen an offset or a sequence, by whatever call or push, no read
// that it begins later says that the conversation ends before that, or that there
// is no such place.
func sessions(x *index) {
	for _, t := range x.order {
		marks := map[string]*highWater{}
		for _, i := range t.events {
			e := &x.h.Events[i]
			if e.Outcome == history.Refused && e.Error == "start_over" {
				x.report("A6", []int{i}, "%s is told that what it has seen of %s is not in the log", e.Client, t.id)
			}
			if e.Outcome == history.Unknown || e.Outcome == history.Refused || e.Client == "" {
				continue
			}
			w := marks[e.Client]
			if w == nil {
				w = &highWater{}
				marks[e.Client] = w
			}
			seq, offset, isRead := reach(e)
			if before := w.before(e.At); isRead && (seq < before.seq && seq > 0 || offset < before.offset && offset > 0) {
				x.report("A6", both(before.event, i), "%s has seen %s up to message %d and entry %d, and then reads that it ends at %d and %d",
					e.Client, t.id, before.seq, before.offset, seq, offset)
			}
			w.note(i, e.Until, seq, offset)
		}
	}
}

// reach returns how far an event shows its conversation to go, 0 where it does
// not tell, and whether it is a read that says where the end is.
func reach(e *history.Event) (seq wire.Seq, offset wire.Offset, isRead bool) {
	switch e.Op {
	case history.OpSend:
		return e.Message.Seq, e.Message.Offset, false
	case history.OpHistory:
		return e.Page.LastSeq, e.Page.Last, true
	case history.OpReadLog:
		if e.Page.Ended {
			return 0, e.Page.Upto, false
		}
		return 0, max(e.Page.Last, e.Page.Upto), true
	case history.OpPush:
		last := &e.Page.Entries[len(e.Page.Entries)-1]
		if last.Kind == history.EntryMessage {
			seq = last.Message.Seq
		}
		return seq, last.Offset, false
	case history.OpUnread:
		return e.State.Unread.Last, 0, true
	default:
		return 0, 0, false
	}
}

// highWater is how far a session had seen a conversation, at each time.
type highWater struct{ steps []waterMark }

type waterMark struct {
	event  int
	until  time.Duration
	seq    wire.Seq
	offset wire.Offset
}

// before returns what was seen before a time.
func (w *highWater) before(at time.Duration) waterMark {
	n := sort.Search(len(w.steps), func(i int) bool { return w.steps[i].until >= at })
	if n == 0 {
		return waterMark{event: -1}
	}
	return w.steps[n-1]
}

func (w *highWater) note(event int, until time.Duration, seq wire.Seq, offset wire.Offset) {
	last := waterMark{event: -1}
	if len(w.steps) > 0 {
		last = w.steps[len(w.steps)-1]
	}
	if seq > last.seq || offset > last.offset {
		w.steps = append(w.steps, waterMark{event: event, until: max(until, last.until), seq: max(seq, last.seq), offset: max(offset, last.offset)})
	}
}
