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
// changes and everybody's strong reads, for all reads of a session after its own
// changes and after what it was shown, and for what the replicas hold at the end. Which of two forms is the older one is told by the time that
// each carries, or by the calls that made them.
func changes(x *index) {
	for _, t := range x.order {
		v := newVersions(x, t)
		for _, i := range t.events {
			e := &x.h.Events[i]
			switch {
			case e.Op == history.OpPush:
				v.pushed(i, e)
			case e.Outcome == history.OK && (e.Op == history.OpHistory || e.Op == history.OpReadLog):
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
	edited  map[string]int64    // the time that a form carries, by its text
	seen    map[viewed][]change // forms that were shown, each newer than the one before
}

// viewed is a message as one session has seen it, or with no session as strong
// reads have shown it.
type viewed struct {
	client string
	seq    wire.Seq
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
	v := &versions{x: x, t: t, changes: map[wire.Seq][]change{}, edited: map[string]int64{}, seen: map[viewed][]change{}}
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
		if r.strong {
			v.note(viewed{"", m.Seq}, i, e.Until, m.Edited)
		}
		v.note(viewed{r.client, m.Seq}, i, e.Until, m.Edited)
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

// pushed notes what a session was shown without asking. It is not judged: what
// is handed out late is what it was.
func (v *versions) pushed(i int, e *history.Event) {
	for j := range e.Page.Entries {
		if m := e.Page.Entries[j].Message; m != nil {
			v.note(viewed{e.Client, m.Seq}, i, e.Until, m.Edited)
		}
	}
}

func (v *versions) note(what viewed, event int, until time.Duration, edited int64) {
	if edited > v.newest(what, math.MaxInt64).edited {
		v.seen[what] = append(v.seen[what], change{event: event, until: until, edited: edited})
	}
}

// newest returns the newest form of a message that was shown before a time.
func (v *versions) newest(what viewed, before time.Duration) change {
	for _, form := range slices.Backward(v.seen[what]) {
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
	form := v.newest(viewed{"", m.Seq}, r.at)
	if own := v.newest(viewed{r.client, m.Seq}, r.at); !r.strong || own.edited > form.edited {
		form = own
	}
	if form.edited > m.Edited {
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
