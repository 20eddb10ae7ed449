package check

import (
	"cmp"
	"slices"

	"github.com/quorate/quorate/e2e/sim/history"
	"github.com/quorate/quorate/wire"
)

// order checks A4: every member sees the same total order, and if a send was
// begun after the acknowledgement of another, its sequence is higher. That all
// see the same at each place is A2's; here pages and pushes go up (or down), by
// sequence and by offset alike.
func order(x *index) {
	for _, t := range x.order {
		for _, i := range t.events {
			e := &x.h.Events[i]
			if e.Page == nil || e.Op != history.OpHistory && e.Op != history.OpReadLog {
				continue
			}
			if !inOrder(e.Page) {
				x.report("A4", []int{i}, "a page of %s is not in order", t.id)
			}
		}
		realTime(x, t)
	}
}

func inOrder(p *history.Page) bool {
	up := 1
	if !p.OldestFirst {
		up = -1
	}
	for i := 1; i < len(p.Messages); i++ {
		a, b := &p.Messages[i-1], &p.Messages[i]
		if cmp.Compare(b.Seq, a.Seq) != up || cmp.Compare(b.Offset, a.Offset) != up {
			return false
		}
	}
	for i := 1; i < len(p.Entries); i++ {
		if p.Entries[i].Offset <= p.Entries[i-1].Offset {
			return false
		}
	}
	return true
}

// realTime compares each send with the highest sequence that was acknowledged
// before it began.
func realTime(x *index, t *talk) {
	type placed struct {
		s   *send
		seq wire.Seq
	}
	var begun, acked []placed
	seqs := map[string]wire.Seq{}
	if t.log != nil {
		for i := range t.log.Messages {
			if m := &t.log.Messages[i]; m.Edited == 0 && !m.Recalled {
				seqs[m.Body] = m.Seq
			}
		}
	}
	for _, s := range x.sends {
		if s.talk != t {
			continue
		}
		seq := seqs[s.body]
		if s.acked >= 0 {
			seq = x.h.Events[s.acked].Message.Seq
			acked = append(acked, placed{s, seq})
		}
		if seq > 0 {
			begun = append(begun, placed{s, seq})
		}
	}
	until := func(p placed) int64 { return int64(x.h.Events[p.s.acked].Until) }
	slices.SortStableFunc(begun, func(a, b placed) int { return cmp.Compare(a.s.first, b.s.first) })
	slices.SortStableFunc(acked, func(a, b placed) int { return cmp.Compare(until(a), until(b)) })
	highest := placed{}
	for _, b := range begun {
		for len(acked) > 0 && until(acked[0]) < int64(b.s.first) {
			if acked[0].seq > highest.seq {
				highest = acked[0]
			}
			acked = acked[1:]
		}
		if b.seq < highest.seq {
			x.report("A4", []int{highest.s.acked, b.s.tries[0]}, "%q is message %d of %s, and was sent after %q was acknowledged as message %d",
				b.s.body, b.seq, t.id, highest.s.body, highest.seq)
		}
	}
}
