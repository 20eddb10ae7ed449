package check

import (
	"github.com/quorate/quorate/e2e/sim/history"
	"github.com/quorate/quorate/wire"
)

// follows checks A9: who follows a log gets all of it that is for him, each
// entry once and in order, over reconnects; a subscription ends only when its
// user was removed, and at the end of the run those that are open have reached the
// ends of their logs. Pages leave nothing out either.
func follows(x *index) {
	for _, t := range x.order {
		if t.log == nil {
			continue
		}
		subs := map[string]*followed{}
		for _, i := range t.events {
			e := &x.h.Events[i]
			switch {
			case e.Op == history.OpHistory && e.Outcome == history.OK:
				wholePage(x, t, i, e)
			case e.Op == history.OpReadLog && e.Outcome == history.OK:
				wholeLogPage(x, t, i, e)
			default:
				followEvent(x, t, subs, i)
			}
		}
	}
	ownLogs(x)
}

// followed is one subscription.
type followed struct {
	began int
	after wire.Offset // where it began
	pos   wire.Offset // the last entry that was handed out
}

func followEvent(x *index, t *talk, subs map[string]*followed, i int) {
	e := &x.h.Events[i]
	f := subs[e.Client]
	switch {
	case e.Op == history.OpFollow && e.Outcome == history.OK:
		subs[e.Client] = &followed{began: i, after: e.Page.After, pos: e.Page.After}
	case f == nil:
	case e.Op == history.OpPush:
		for j := range e.Page.Entries {
			f.take(x, t, i, e.Page.Entries[j].Offset)
		}
	case e.Op == history.OpEnded:
		f.ended(x, t, i)
		delete(subs, e.Client)
	case e.Op == history.OpOpen:
		if o, ok := t.firstShown(e.User, f.pos, t.log.LastOffset); ok {
			x.report("A9", both(f.began, i), "%s follows %s from %d on, and has got no further than %d at the end: entry %d is for him",
				e.Client, t.id, f.after, f.pos, o)
		}
	}
}

// take checks that an entry is the next one that is for the user.
func (f *followed) take(x *index, t *talk, i int, o wire.Offset) {
	e := &x.h.Events[i]
	if o <= f.pos {
		x.report("A9", both(f.began, i), "%s is handed entry %d of %s after %d", e.Client, o, t.id, f.pos)
		return
	}
	if hole, ok := t.firstShown(e.User, f.pos, o-1); ok {
		x.report("A9", both(f.began, i), "%s is handed entry %d of %s after %d, and never %d, which is for him", e.Client, o, t.id, f.pos, hole)
	}
	f.pos = o
}

func (f *followed) ended(x *index, t *talk, i int) {
	e := &x.h.Events[i]
	switch e.Text {
	case "closed", "conflict": // the client ended: another device has taken the tag
		return
	case "not_member", "gone", "not_found", "forbidden":
		for _, s := range t.spans[e.User] {
			if s.to > f.after {
				return
			}
		}
	}
	x.report("A9", both(f.began, i), "the subscription of %s to %s, from %d on, ended at %d with %q, and its user was never removed after its begin",
		e.Client, t.id, f.after, f.pos, e.Text)
}

// firstShown returns the first entry in (after, upto] that is for the user.
func (t *talk) firstShown(u wire.UserID, after, upto wire.Offset) (wire.Offset, bool) {
	for o := after + 1; o <= upto && int(o) <= len(t.log.Entries); o++ {
		if shownTo(&t.log.Entries[o-1], u) {
			return o, true
		}
	}
	return 0, false
}

// wholeLogPage checks that a page of the log has all entries of its range that
// are for the reader.
func wholeLogPage(x *index, t *talk, i int, e *history.Event) {
	has := map[wire.Offset]bool{}
	for j := range e.Page.Entries {
		has[e.Page.Entries[j].Offset] = true
	}
	for after := e.Page.After; ; {
		o, ok := t.firstShown(e.User, after, e.Page.Upto)
		if !ok {
			return
		}
		if !has[o] {
			x.report("A9", []int{i}, "a page of %s from %d to %d leaves out entry %d, which is for %s", t.id, e.Page.After, e.Page.Upto, o, e.User)
			return
		}
		after = o
	}
}

// wholePage checks that a page of history has all messages between its begin and
// its end that are for the reader.
func wholePage(x *index, t *talk, i int, e *history.Event) {
	p := e.Page
	if len(p.Messages) == 0 && p.More {
		return
	}
	low, high := wire.Seq(1), p.LastSeq
	if p.OldestFirst {
		low = max(low, p.From)
		if p.More {
			high = p.Messages[len(p.Messages)-1].Seq
		}
	} else {
		if p.From > 0 {
			high = min(high, p.From)
		}
		if p.More {
			low = p.Messages[len(p.Messages)-1].Seq
		}
	}
	has := map[wire.Seq]bool{}
	for j := range p.Messages {
		has[p.Messages[j].Seq] = true
	}
	for seq := low; seq <= high && int(seq) <= len(t.log.Messages); seq++ {
		if !has[seq] && messageFor(&t.log.Messages[seq-1], e.User) {
			x.report("A9", []int{i}, "a page of %s from message %d to %d leaves out %d, which is for %s", t.id, low, high, seq, e.User)
			return
		}
	}
}

// ownLogs checks the logs of users: all of such a log is for its user, so what is
// read and pushed of it has no hole at all.
func ownLogs(x *index) {
	pos := map[string]wire.Offset{}
	for i := range x.h.Events {
		e := &x.h.Events[i]
		if e.Conversation != "" || e.Page == nil || e.Outcome != history.OK && e.Outcome != "" {
			continue
		}
		next := e.Page.After
		switch e.Op {
		case history.OpFollow:
			pos[e.Client] = e.Page.After
			continue
		case history.OpPush:
			next = pos[e.Client]
		case history.OpReadLog:
		default:
			continue
		}
		for j := range e.Page.Entries {
			if next++; e.Page.Entries[j].Offset != next {
				x.report("A9", []int{i}, "%s gets entry %d of the user's own log, and should get %d", e.Client, e.Page.Entries[j].Offset, next)
				next = e.Page.Entries[j].Offset
			}
		}
		if e.Op == history.OpPush {
			pos[e.Client] = next
		}
	}
}
