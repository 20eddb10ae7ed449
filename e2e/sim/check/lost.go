package check

import "github.com/quorate/quorate/e2e/sim/history"

// lost checks A1: no acknowledged message is ever lost. At the end every replica
// has each message that was acknowledged, at the sequence and with the id that
// the acknowledgement named; what was not edited since says what was sent.
func lost(x *index) {
	for _, s := range x.sends {
		if s.acked < 0 {
			continue
		}
		ack := x.h.Events[s.acked].Message
		if len(s.talk.logs) == 0 && len(x.h.Replicas) > 0 {
			x.report("A1", []int{s.acked}, "%q is acknowledged, and no replica has its conversation %s", s.body, s.talk.id)
			continue
		}
		for _, c := range s.talk.logs {
			if why := missing(c.log, ack, s.body); why != "" {
				x.report("A1", []int{s.acked}, "%q is acknowledged as message %d of %s, and on %s %s", s.body, ack.Seq, s.talk.id, c.node, why)
			}
		}
	}
	for _, t := range x.order {
		for _, i := range t.events {
			if e := &x.h.Events[i]; e.Op == history.OpCreate && e.Outcome == history.OK && len(t.logs) == 0 && len(x.h.Replicas) > 0 {
				x.report("A1", []int{i}, "conversation %s is acknowledged, and no replica has it", t.id)
			}
		}
	}
}

// missing says how a message that was acknowledged is not in a log, or "".
func missing(l *history.Log, ack *history.Message, body string) string {
	if ack.Seq == 0 || int(ack.Seq) > len(l.Messages) {
		return "there are fewer messages"
	}
	m := &l.Messages[ack.Seq-1]
	switch {
	case m.ID != ack.ID:
		return "another one is there: " + m.Body
	case m.Offset != ack.Offset:
		return "it is at another offset"
	case m.Edited == 0 && !m.Recalled && m.Body != body:
		return "it says " + m.Body
	}
	return ""
}
