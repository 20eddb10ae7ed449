package check

import (
	"cmp"
	"slices"

	"github.com/quorate/quorate/e2e/sim/history"
	"github.com/quorate/quorate/wire"
)

// unread checks A11: some seconds after everything is quiet, what is derived is
// exact. Each user's unread count and mention, as told at the end, are those of
// the messages after the cursor in the log; members and cursors are what the
// replicas hold and what the log says; each user's list of conversations is
// where the logs say that the user is.
func unread(x *index) {
	for i := x.final; i < len(x.h.Events); i++ {
		e := &x.h.Events[i]
		if e.Outcome != history.OK || e.State == nil {
			continue
		}
		if t := x.talks[e.Conversation]; e.Op == history.OpListed {
			compareList(x, []int{i}, e.User, e.State.Members, "for the user")
		} else if t != nil && t.log != nil && t.hasMembers() {
			derived(x, t, i, e)
		}
	}
	for i := range x.h.Replicas {
		for _, u := range x.h.Replicas[i].Users {
			compareList(x, nil, u.User, u.Conversations, "on "+string(x.h.Replicas[i].Node))
		}
	}
}

// derived compares what is told of a conversation with its log.
func derived(x *index, t *talk, i int, e *history.Event) {
	switch e.Op {
	case history.OpUnread:
		counted(x, t, i, e)
	case history.OpMembers:
		if want := t.membersNow(); !slices.Equal(names(e.State.Members), want) || !slices.Equal(names(t.log.Members), want) {
			x.report("A11", []int{i}, "the members of %s are %v for %s, %v in a replica, and %v by the log",
				t.id, names(e.State.Members), e.User, names(t.log.Members), want)
		}
	case history.OpCursors:
		if !slices.Equal(sortedCursors(e.State.Cursors), sortedCursors(t.log.Cursors)) {
			x.report("A11", []int{i}, "the cursors of %s are %v for %s, and %v in a replica", t.id, e.State.Cursors, e.User, t.log.Cursors)
		}
	default: // tells nothing that is derived
	}
}

// counted compares an unread count with the messages one by one.
func counted(x *index, t *talk, i int, e *history.Event) {
	told := e.State.Unread
	var want history.Count
	want.Last = t.log.LastSeq
	want.Read = t.joinedSeq(e.User)
	for _, c := range t.log.Cursors {
		if c.User == e.User {
			want.Read = max(want.Read, c.Read)
		}
	}
	for j := range t.log.Messages {
		m := &t.log.Messages[j]
		if m.Seq <= want.Read || m.From == e.User || m.Recalled || !messageFor(m, e.User) {
			continue
		}
		want.Count++
		want.Mentioned = want.Mentioned || slices.Contains(m.Mentions, e.User) || slices.Contains(m.Mentions, history.Everybody)
	}
	if *told != want {
		x.report("A11", []int{i}, "unread of %s in %s is %+v, and by the log %+v", e.User, t.id, *told, want)
	}
}

// joinedSeq returns the sequence that the conversation had reached when the user
// became a member.
func (t *talk) joinedSeq(u wire.UserID) wire.Seq {
	spans := t.spans[u]
	if len(spans) == 0 || spans[len(spans)-1].to != 0 {
		return 0
	}
	seq := wire.Seq(0)
	for i := range t.log.Entries {
		if t.log.Entries[i].Offset > spans[len(spans)-1].from {
			break
		}
		if t.log.Entries[i].Kind == history.EntryMessage {
			seq++
		}
	}
	return seq
}

// membersNow returns who is a member by the whole log.
func (t *talk) membersNow() []string {
	var now []string
	for u, spans := range t.spans {
		if len(spans) > 0 && spans[len(spans)-1].to == 0 {
			now = append(now, string(u))
		}
	}
	slices.Sort(now)
	return now
}

func names(members []history.Member) []string {
	var all []string
	for _, m := range members {
		all = append(all, m.User)
	}
	slices.Sort(all)
	return all
}

func sortedCursors(all []history.Cursor) []history.Cursor {
	return slices.SortedFunc(slices.Values(all), func(a, b history.Cursor) int { return cmp.Compare(a.User, b.User) })
}

// compareList compares a user's list of conversations with the logs.
func compareList(x *index, events []int, u wire.UserID, list []history.Member, where string) {
	if len(x.h.Replicas) == 0 {
		return
	}
	var want []history.Member
	for _, t := range x.order {
		spans := t.spans[u]
		if t.log != nil && t.hasMembers() && len(spans) > 0 && spans[len(spans)-1].to == 0 {
			want = append(want, history.Member{User: string(t.id), JoinedAt: spans[len(spans)-1].from})
		}
	}
	byName := func(a, b history.Member) int { return cmp.Compare(a.User, b.User) }
	got := slices.SortedFunc(slices.Values(list), byName)
	slices.SortFunc(want, byName)
	if !slices.EqualFunc(got, want, func(a, b history.Member) bool { return a.User == b.User && a.JoinedAt == b.JoinedAt }) {
		x.report("A11", events, "%s the conversations of %s are %v, and by the logs %v", where, u, got, want)
	}
}
