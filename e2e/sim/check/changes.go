package check

import (
	"math"
	"slices"
	"time"

	"github.com/quorate/quorate/e2e/sim/history"
	"github.com/quorate/quorate/wire"
)

// changes checks A10: a recalled or edited message is never seen in its old form
// by a read that begins after the acknowledgement of the change, on any node, and
// the old form never comes back. That goes for strong reads after everybody's
// changes, for all reads of a session after its own, and for what the replicas
// hold at the end. Which of two forms is the older one is told by the time that
// each carries, or by the calls that made them.
func changes(x *index) {
	for _, t := range x.order {
		v := newVersions(x, t)
		for _, i := range t.events {
			e := &x.h.Events[i]
			if e.Outcome == history.OK && e.Page != nil && (e.Op == history.OpHistory || e.Op == history.OpReadLog) {
				v.page(i, e)
			}
		}
		for _, c := range t.logs {
			r := reading{event: -1, at: forever, strong: true, where: "on " + string(c.node)}
			for i := range c.log.Messages {
				v.judge(r, &c.log.Messages[i])
			}
			for i := range c.log.Entries {
				if m := c.log.Entries[i].Message; m != nil {
					v.judge(r, m)
				}
			}
		}
	}
}

// versions is what is known of the forms of the messages of a conversation.
type versions struct {
	x       *index
	t       *talk
	changes map[wire.Seq][]change
	edited  map[string]int64      // the time that a form carries, by its text
	seen    map[wire.Seq][]change // forms that strong reads have shown, each newer than the one before
}

// change is an edit or recall that was tried, or a form that was seen.
type change struct {
	event     int
	at, until time.Duration
	acked     bool
	client    string
	recall    bool
	body      string
	edited    int64 // of a form
}

// reading is who reads.
type reading struct {
	event  int // -1: the end of the run
	at     time.Duration
	strong bool
	client string
	where  string
}

func newVersions(x *index, t *talk) *versions {
	v := &versions{x: x, t: t, changes: map[wire.Seq][]change{}, edited: map[string]int64{}, seen: map[wire.Seq][]change{}}
	learn := func(m *history.Message) {
		if m != nil && m.Edited != 0 && !m.Recalled {
			v.edited[m.Body] = m.Edited
		}
	}
	for _, i := range t.events {
		e := &x.h.Events[i]
		if (e.Op == history.OpEdit || e.Op == history.OpRecall) && e.Outcome != history.Refused {
			c := change{event: i, at: e.At, until: e.Until, acked: e.Outcome == history.OK, client: e.Client, recall: e.Op == history.OpRecall, body: e.Message.Body}
			v.changes[e.Message.Seq] = append(v.changes[e.Message.Seq], c)
		}
		if e.Page != nil {
			for j := range e.Page.Messages {
				learn(&e.Page.Messages[j])
			}
			for j := range e.Page.Entries {
				learn(e.Page.Entries[j].Message)
			}
		}
	}
	return v
}

func (v *versions) page(i int, e *history.Event) {
	r := reading{event: i, at: e.At, strong: e.Strong, client: e.Client, where: "in a read"}
	each := func(m *history.Message) {
		v.judge(r, m)
		if last := v.newest(m.Seq, math.MaxInt64); r.strong && m.Edited > last.edited {
			v.seen[m.Seq] = append(v.seen[m.Seq], change{event: i, until: e.Until, edited: m.Edited})
		}
	}
	for j := range e.Page.Messages {
		each(&e.Page.Messages[j])
	}
	for j := range e.Page.Entries {
		if m := e.Page.Entries[j].Message; m != nil {
			each(m)
		}
	}
}

// newest returns the newest form of a message that a strong read had shown
// before a time.
func (v *versions) newest(seq wire.Seq, before time.Duration) change {
	forms := v.seen[seq]
	for _, form := range slices.Backward(forms) {
		if form.until < before {
			return form
		}
	}
	return change{event: -1}
}

func (v *versions) judge(r reading, m *history.Message) {
	for _, c := range v.changes[m.Seq] {
		if c.acked && c.until < r.at && (r.strong || c.client == r.client) && v.older(m, &c) {
			what := "edited to say " + c.body
			if c.recall {
				what = "recalled"
			}
			v.x.report("A10", both(c.event, r.event), "message %d of %s was %s, and %s it says %q", m.Seq, v.t.id, what, r.where, m.Body)
		}
	}
	if form := v.newest(m.Seq, r.at); r.strong && form.edited > m.Edited {
		v.x.report("A10", both(form.event, r.event), "message %d of %s was seen as it was after %d, and %s again as of %d", m.Seq, v.t.id, form.edited, r.where, m.Edited)
	}
}

// older tells whether what is shown of a message is certainly older than a
// change that was acknowledged.
func (v *versions) older(m *history.Message, c *change) bool {
	switch {
	case m.Recalled:
		return false // nothing is newer than that
	case c.recall, m.Edited == 0:
		return true
	case m.Body == c.body:
		return false
	}
	if mine, known := v.edited[c.body]; known {
		return m.Edited < mine
	}
	for _, other := range v.changes[m.Seq] {
		if other.body == m.Body && other.acked && other.until < c.at {
			return true
		}
	}
	return false
}
