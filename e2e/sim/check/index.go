package check

import (
	"slices"
	"time"

	"github.com/quorate/quorate/e2e/sim/history"
	"github.com/quorate/quorate/wire"
)

// index is a history as the checkers look at it, and what they find.
type index struct {
	h      *history.History
	talks  map[wire.ConversationID]*talk
	order  []*talk // in the order in which they are first named
	bodies map[string]*send
	sends  []*send        // in the order in which their first try began
	edits  map[string]int // the event of each edit, by its text
	final  int            // the first event of the final phase; len(h.Events) if there is none
	found  []Violation
	counts map[string]int
}

// talk is a conversation.
type talk struct {
	id     wire.ConversationID
	kind   string // "basic", "unique", "room", "temporary"; "" if nobody said
	events []int  // that concern it
	logs   []copyOf
	log    *history.Log // the longest of logs; nil: no replica told it
	spans  map[wire.UserID][]span
	named  []wire.UserID   // who is named in its calls; see users
	began  []time.Duration // by offset: it came into being no earlier than this
}

// copyOf is one replica's copy of a conversation.
type copyOf struct {
	node wire.NodeID
	log  *history.Log
}

// span is a membership: the entry at from made it, that at to ended it.
type span struct{ from, to wire.Offset } // to: 0 while it lasts

// send is a message that somebody tried to send, maybe several times under one
// token.
type send struct {
	talk    *talk
	body    string
	user    wire.UserID
	tries   []int // events
	first   time.Duration
	acked   int // the event of the first OK; -1: none
	refused int // the event of the last refusal; -1: none
	unknown bool
}

func newIndex(h *history.History) *index {
	x := &index{
		h: h, talks: map[wire.ConversationID]*talk{}, bodies: map[string]*send{}, edits: map[string]int{},
		final: len(h.Events), counts: map[string]int{},
	}
	for i := range h.Events {
		x.addEvent(i, &h.Events[i])
	}
	for i := range h.Replicas {
		r := &h.Replicas[i]
		for j := range r.Conversations {
			x.addLog(r.Node, &r.Conversations[j])
		}
	}
	for _, t := range x.order {
		t.spans = spansOf(t.log)
		t.began = x.beganOf(t.log)
	}
	return x
}

func (x *index) talk(id wire.ConversationID) *talk {
	t := x.talks[id]
	if t == nil {
		t = &talk{id: id}
		x.talks[id] = t
		x.order = append(x.order, t)
	}
	return t
}

func (x *index) addEvent(i int, e *history.Event) {
	if e.Op == history.OpPhase && e.Text == history.PhaseFinal {
		x.final = min(x.final, i)
	}
	if e.Conversation == "" {
		return
	}
	t := x.talk(e.Conversation)
	t.events = append(t.events, i)
	switch e.Op {
	case history.OpCreate:
		if e.Outcome == history.OK || t.kind == "" {
			t.kind = e.Text
		}
	case history.OpSend:
		x.addSend(i, e, t)
	case history.OpEdit:
		x.edits[e.Message.Body] = i
	default: // of the conversation, and nothing more to be noted
	}
}

func (x *index) addSend(i int, e *history.Event, t *talk) {
	s := x.bodies[e.Message.Body]
	if s == nil {
		s = &send{talk: t, body: e.Message.Body, user: e.User, first: e.At, acked: -1, refused: -1}
		x.bodies[s.body] = s
		x.sends = append(x.sends, s)
	}
	s.tries = append(s.tries, i)
	s.first = min(s.first, e.At)
	switch e.Outcome {
	case history.OK:
		if s.acked < 0 {
			s.acked = i
		}
	case history.Refused:
		s.refused = i
	case history.Unknown:
		s.unknown = true
	}
}

func (x *index) addLog(node wire.NodeID, l *history.Log) {
	t := x.talk(l.Conversation)
	t.logs = append(t.logs, copyOf{node: node, log: l})
	if t.log == nil || l.LastOffset > t.log.LastOffset {
		t.log = l
	}
	if t.kind == "" {
		t.kind = l.Kind
	}
}

// hasMembers tells whether only members may see the conversation.
func (t *talk) hasMembers() bool { return t.kind != "room" }

// spansOf folds the memberships out of a log.
func spansOf(l *history.Log) map[wire.UserID][]span {
	spans := map[wire.UserID][]span{}
	if l == nil {
		return spans
	}
	end := func(u wire.UserID, at wire.Offset) {
		if s := spans[u]; len(s) > 0 && s[len(s)-1].to == 0 {
			s[len(s)-1].to = at
		}
	}
	for i := range l.Entries {
		e := &l.Entries[i]
		switch e.Kind {
		case history.EntryAdded:
			for _, u := range e.Users {
				end(u, e.Offset)
				spans[u] = append(spans[u], span{from: e.Offset})
			}
		case history.EntryRemoved:
			for _, u := range e.Users {
				end(u, e.Offset)
			}
		case history.EntryDestroyed:
			for u := range spans {
				end(u, e.Offset)
			}
		default: // changes nobody's membership
		}
	}
	return spans
}

// beganOf returns for each offset of a log a time before which it was not there:
// when the first try began of a send that stands at or before it.
func (x *index) beganOf(l *history.Log) []time.Duration {
	if l == nil {
		return nil
	}
	began := make([]time.Duration, len(l.Entries)+1)
	var latest time.Duration
	for i := range l.Entries {
		if e := &l.Entries[i]; e.Kind == history.EntryMessage && e.Message != nil {
			if s := x.bodies[e.Message.Body]; s != nil {
				latest = max(latest, s.first)
			}
		}
		began[i+1] = latest
	}
	return began
}

// memberAt tells whether the user is a member in the state after an offset.
func (t *talk) memberAt(u wire.UserID, at wire.Offset) bool {
	for _, s := range t.spans[u] {
		if s.from <= at && (s.to == 0 || at < s.to) {
			return true
		}
	}
	return false
}

// shownTo tells whether an entry is for a member.
func shownTo(e *history.Entry, u wire.UserID) bool {
	return e.Message == nil || messageFor(e.Message, u)
}

// messageFor tells whether a message is for a member.
func messageFor(m *history.Message, u wire.UserID) bool {
	return len(m.Targets) == 0 || m.From == u || slices.Contains(m.Targets, u)
}
