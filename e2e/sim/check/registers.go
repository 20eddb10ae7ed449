package check

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/quorate/quorate/e2e/sim/history"
	"github.com/quorate/quorate/wire"
)

// maxSteps bounds the search of one register. Beyond it nothing is known of it,
// which is told.
const maxSteps = 30_000_000

// registers gives each user's place in each conversation to porcupine, which
// looks for an order of all calls that explains every answer: whether the user
// is a member, and where the read cursor is. It is A5 (strong reads and changes
// are linearizable) and A8 for membership, and A7 for cursors, told as A5. One
// register for each pair is enough, since linearizability is composed of its
// objects.
func registers(x *index) {
	for _, t := range x.order {
		if !t.hasMembers() {
			continue
		}
		ops := map[wire.UserID][]porcupine.Operation{}
		known := &highWater{}
		for _, i := range t.events {
			e := &x.h.Events[i]
			for _, a := range accessesOf(x, e, known) {
				ops[a.user] = append(ops[a.user], porcupine.Operation{Input: a, Call: a.from.At, Return: a.returns(), Metadata: i})
			}
			if seq := seqShown(e); seq > 0 {
				known.note(i, e.Until, seq, 0)
			}
		}
		for _, u := range slices.Sorted(maps.Keys(ops)) {
			search(x, t, u, ops[u])
		}
	}
}

func search(x *index, t *talk, u wire.UserID, ops []porcupine.Operation) {
	ops = slices.DeleteFunc(ops, func(o porcupine.Operation) bool { // nothing is changed or told by it
		a := o.Input.(access)
		return a.unknown && !a.does.changes()
	})
	steps := 0
	model := porcupine.Model{
		Init: func() any { return register{} },
		Step: func(state, input, _ any) (bool, any) {
			if steps++; steps > maxSteps {
				return false, state
			}
			return input.(access).step(state.(register))
		},
	}
	ok := porcupine.CheckOperations(model, ops)
	switch {
	case ok:
	case steps > maxSteps:
		x.report("A5 unknown", nil, "the search for an order of %d calls about %s in %s was given up", len(ops), u, t.id)
	default:
		x.report("A5", tellingEvents(model, ops, &steps), "no order of calls explains what was told of %s in %s (the shortest begin of the history without one has these events at its end)", u, t.id)
	}
}

// tellingEvents returns the last events of the shortest part of the history, by
// the times of returning, that has no order.
func tellingEvents(model porcupine.Model, ops []porcupine.Operation, steps *int) []int {
	byReturn := slices.Clone(ops)
	slices.SortStableFunc(byReturn, func(a, b porcupine.Operation) int {
		switch {
		case a.Return < b.Return:
			return -1
		case a.Return > b.Return:
			return 1
		default:
			return 0
		}
	})
	low, high := 0, len(byReturn) // byReturn[:high] has no order
	for low < high {
		mid := (low + high) / 2
		*steps = 0
		if porcupine.CheckOperations(model, withOpen(byReturn, mid)) {
			low = mid + 1
		} else {
			high = mid
		}
	}
	var events []int
	for _, o := range byReturn[max(0, high-6):high] {
		events = append(events, o.Metadata.(int))
	}
	return events
}

// withOpen is the first n calls that returned, and those that never did.
func withOpen(byReturn []porcupine.Operation, n int) []porcupine.Operation {
	part := slices.Clone(byReturn[:n])
	for _, o := range byReturn[n:] {
		if o.Return == int64(forever) {
			part = append(part, o)
		}
	}
	return part
}

// register is a user's place in a conversation. The cursor is exactly at low
// when low is high; else somewhere between, since it was moved past an end that
// nobody knows. It stays so when it was seen: a copy of the call that was lost
// with a connection may move it once more, to a later end.
type register struct {
	in        bool
	low, high wire.Seq
}

// does is what an access does to a register.
type does int

const (
	addsNew  does = iota // becomes a member, and was none
	adds                 // is a member after it
	removes              // was a member, and is none after it
	isIn                 // is a member
	isOut                // is none
	moves                // moves the cursor to at least low, at most high
	shows                // is a member whose cursor is at low
	showsNot             // is no member, or one who has no cursor
)

func (d does) changes() bool { return d == addsNew || d == adds || d == removes || d == moves }

// access is one event as it concerns one user's register.
type access struct {
	user      wire.UserID
	does      does
	low, high wire.Seq
	unknown   bool // it may have happened, at any time
	from      interval
}

type interval struct{ At, Until int64 }

func (a access) returns() int64 {
	if a.unknown {
		return int64(forever)
	}
	return a.from.Until
}

func (a access) String() string { return fmt.Sprintf("%s %d %d", a.user, a.does, a.low) }

// step is the sequential specification.
func (a access) step(r register) (bool, any) {
	if a.does.changes() {
		return a.change(r)
	}
	switch a.does {
	case shows:
		if !r.in || a.low < r.low || a.low > max(r.low, r.high) {
			return false, r
		}
		return true, register{in: true, low: a.low, high: r.high}
	case showsNot:
		return !r.in || r.low == 0, register{in: r.in}
	case isIn:
		return r.in, r
	default:
		return !r.in, r
	}
}

// change is step for what changes the register. What is unknown may have done
// nothing.
func (a access) change(r register) (bool, any) {
	switch {
	case a.does == removes:
		return r.in || a.unknown, register{}
	case a.does == moves && !r.in:
		return a.unknown, r
	case a.does == moves:
		r.low, r.high = max(r.low, a.low), max(r.high, a.high, a.low)
		return true, r
	case r.in:
		return a.unknown || a.does == adds, r
	default:
		return true, register{in: true}
	}
}

// accessesOf returns what an event says of the registers of its conversation.
func accessesOf(x *index, e *history.Event, known *highWater) []access {
	var all []access
	span := interval{int64(e.At), int64(e.Until)}
	add := func(d does, users ...wire.UserID) {
		for _, u := range users {
			all = append(all, access{user: u, does: d, unknown: e.Outcome == history.Unknown, from: span})
		}
	}
	switch {
	case e.Outcome == history.Refused:
		if e.Error == "not_member" && tellsOfItsUser(e) {
			add(isOut, e.User)
		}
	case e.Op == history.OpCreate:
		add(adds, append(slices.Clone(e.Users), e.User)...)
	case e.Op == history.OpJoin:
		add(adds, e.User)
	case e.Op == history.OpAdd:
		add(addsNew, slices.DeleteFunc(slices.Clone(e.Users), func(u wire.UserID) bool { return u == e.User })...)
		if slices.Contains(e.Users, e.User) {
			add(adds, e.User)
		}
		add(isIn, e.Skipped...)
	case e.Op == history.OpRemove || e.Op == history.OpLeave:
		add(removes, e.Users...)
		add(isOut, e.Skipped...)
	case e.Op == history.OpMark:
		add(moves, e.User)
		all[0].low, all[0].high = markRange(e, known)
		if mayRepeat(e) && e.Outcome == history.OK {
			// A copy of it may come later: where the cursor is already, that is nothing,
			// but a member who has left and come back begins anew.
			again := all[0]
			again.unknown = true
			all = append(all, again)
		}
	case e.Outcome == history.OK:
		return append(all, readsOf(x, e, span)...)
	}
	return all
}

// repeatAfter is how long a call takes at least whose node may have asked again.
const repeatAfter = int64(250 * time.Millisecond)

// mayRepeat tells whether copies of a call may be under way: its client asked
// again, or was kept waiting so long that the node may have done so.
func mayRepeat(e *history.Event) bool {
	return e.Try > 0 || int64(e.Until-e.At) >= repeatAfter
}

// tellsOfItsUser tells whether "not a member" is about who asked, as things were
// while he asked.
func tellsOfItsUser(e *history.Event) bool {
	switch e.Op {
	case history.OpSend:
		return len(e.Message.Targets) == 0
	case history.OpHistory:
		return e.Strong
	case history.OpEdit, history.OpRecall, history.OpMark, history.OpCursors, history.OpUnread, history.OpLeave:
		return true
	default:
		return false
	}
}

// markRange returns where a mark takes a cursor at least, and at most. It is
// never past the last message, and it is not known how far the conversation went
// when the mark was applied, only how far before.
func markRange(e *history.Event, known *highWater) (low, high wire.Seq) {
	to := e.State.Cursors[0].Read
	return min(to, known.before(e.At).seq), to
}

// readsOf returns what an answered call that changes no register says of some.
func readsOf(x *index, e *history.Event, span interval) []access {
	var all []access
	add := func(a access) {
		a.from = span
		all = append(all, a)
	}
	switch e.Op {
	case history.OpSend:
		if e.Try == 0 { // else it may have happened at any try: so long a span tells little, and costs a search its time
			add(access{user: e.User, does: isIn})
		}
	case history.OpEdit, history.OpRecall, history.OpUnread:
		add(access{user: e.User, does: isIn})
	case history.OpHistory:
		if e.Strong {
			add(access{user: e.User, does: isIn})
		}
	case history.OpMembers:
		everyone(x, e.Conversation, func(u wire.UserID) {
			d := isOut
			if slices.ContainsFunc(e.State.Members, func(m history.Member) bool { return m.User == string(u) }) {
				d = isIn
			}
			add(access{user: u, does: d})
		})
	case history.OpCursors:
		everyone(x, e.Conversation, func(u wire.UserID) {
			a := access{user: u, does: showsNot}
			for _, c := range e.State.Cursors {
				if c.User == u {
					a.does, a.low = shows, c.Read
				}
			}
			if a.does == showsNot && u == e.User {
				add(access{user: u, does: isIn})
			}
			add(a)
		})
	default: // says nothing of any register
	}
	return all
}

// everyone calls f for all users that the conversation ever had.
func everyone(x *index, id wire.ConversationID, f func(wire.UserID)) {
	for _, u := range x.talks[id].users(x.h) {
		f(u)
	}
}

// users returns who was ever named in the conversation's calls, sorted.
func (t *talk) users(h *history.History) []wire.UserID {
	if t.named != nil {
		return t.named
	}
	seen := map[wire.UserID]bool{}
	for _, i := range t.events {
		e := &h.Events[i]
		for _, u := range append(slices.Clone(e.Users), e.User) {
			if u != "" && !seen[u] {
				seen[u] = true
				t.named = append(t.named, u)
			}
		}
	}
	slices.Sort(t.named)
	return t.named
}
