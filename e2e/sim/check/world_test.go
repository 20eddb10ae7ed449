package check

import (
	"slices"
	"testing"
	"time"

	"github.com/quorate/quorate/e2e/sim/history"
	"github.com/quorate/quorate/wire"
)

// story is a small history in which every promise is kept, to be spoiled in one
// place by each test:
//
//	offset 1 created   2 added ann bob cid   3 a.1   4 b.1   5 removed bob   6 a.2
//	7 added bob   8 a.3, for cid   9 a.1 edited   10 b.1 recalled
type story struct{ h *history.History }

const tea wire.ConversationID = "tea"

func newStory() *story {
	s := &story{h: &history.History{}}
	s.life()
	s.follow("cid#1", "cid", 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
	s.follow("bob#1", "bob", 0, 1, 2, 3, 4, 5)
	s.add(20, history.Event{Op: history.OpEnded, Client: "bob#1", User: "bob", Conversation: tea, Text: "not_member", Page: &history.Page{Upto: 5}})
	s.add(21, history.Event{Op: history.OpLeads, Node: "n1", Raft: &history.Raft{Shard: 1, Term: 2}})
	s.add(22, history.Event{Op: history.OpLeads, Node: "n2", Raft: &history.Raft{Shard: 1, Term: 3}})
	s.add(23, history.Event{Op: history.OpPhase, Text: history.PhaseFinal})
	s.end()
	for _, n := range []wire.NodeID{"n1", "n2"} {
		s.h.Replicas = append(s.h.Replicas, history.Replica{
			Node: n, Shard: 1, Applied: 30, Chain: 77, Conversations: []history.Log{theLog()}, Checkpoints: []history.Checkpoint{{Index: 10, Chain: 5}},
			Users: []history.UserReplica{{User: "ann", Conversations: []history.Member{{User: "tea", JoinedAt: 2}}}},
		})
	}
	return s
}

// life is what the users do.
func (s *story) life() {
	s.call(1, history.Event{Op: history.OpCreate, User: "ann", Text: "basic", Users: users("ann", "bob", "cid")})
	s.send(2, "ann", "a.1", 1)
	s.send(4, "bob", "b.1", 2)
	s.call(6, history.Event{Op: history.OpRemove, User: "ann", Users: users("bob")})
	s.call(7, history.Event{Op: history.OpSend, User: "bob", Message: &history.Message{Body: "b.2", From: "bob"}, Outcome: history.Refused, Error: "not_member"})
	s.send(8, "ann", "a.2", 3)
	s.call(10, history.Event{Op: history.OpAdd, User: "ann", Users: users("bob")})
	s.send(12, "ann", "a.3", 4)
	s.call(14, history.Event{Op: history.OpEdit, User: "ann", Message: &history.Message{ID: id(1), Seq: 1, Body: "a.e1"}})
	s.call(15, history.Event{Op: history.OpRecall, User: "bob", Message: &history.Message{ID: id(2), Seq: 2}})
	s.call(16, history.Event{Op: history.OpMark, User: "ann", State: &history.State{Cursors: []history.Cursor{{User: "ann", Read: 2}}}})
	s.call(17, history.Event{Op: history.OpCursors, User: "bob", State: &history.State{Cursors: theLog().Cursors}})
	s.call(18, history.Event{Op: history.OpHistory, User: "ann", Client: "ann#1", Strong: true, Page: s.page("ann")})
}

// end is what is read at the end.
func (s *story) end() {
	at := 24
	for _, u := range users("ann", "bob", "cid") {
		c := string(u) + "#2"
		s.call(at, history.Event{Op: history.OpHistory, User: u, Client: c, Strong: true, Page: s.page(u)})
		s.call(at, history.Event{Op: history.OpReadLog, User: u, Client: c, Page: logPage(u)})
		s.call(at, history.Event{Op: history.OpMembers, User: u, Client: c, State: &history.State{Members: theLog().Members}})
		s.call(at, history.Event{Op: history.OpCursors, User: u, Client: c, State: &history.State{Cursors: theLog().Cursors}})
		count := map[wire.UserID]history.Count{"ann": {Read: 2, Last: 4}, "bob": {Read: 3, Last: 4}, "cid": {Count: 3, Last: 4}}[u]
		s.call(at, history.Event{Op: history.OpUnread, User: u, Client: c, State: &history.State{Unread: &count}})
		joined := map[wire.UserID]wire.Offset{"ann": 2, "bob": 7, "cid": 2}[u]
		s.add(at, history.Event{Op: history.OpListed, User: u, Client: c, Outcome: history.OK, State: &history.State{Members: []history.Member{{User: "tea", JoinedAt: joined}}}})
	}
	s.add(at+1, history.Event{Op: history.OpOpen, Client: "cid#1", User: "cid", Conversation: tea, Page: &history.Page{Upto: 10}})
}

func users(all ...wire.UserID) []wire.UserID { return all }

func id(seq wire.Seq) wire.MessageID { return wire.MessageID(rune('0' + seq)) }

// add adds what takes no time, behind all that has ended by then.
func (s *story) add(at int, e history.Event) {
	e.At = time.Duration(at) * time.Second
	if e.Until == 0 {
		e.Until = e.At
	}
	i := len(s.h.Events)
	for i > 0 && s.h.Events[i-1].Until > e.Until {
		i--
	}
	s.h.Events = slices.Insert(s.h.Events, i, e)
}

// call adds a call about tea that takes half a second, if nothing else is said.
func (s *story) call(at int, e history.Event) {
	e.Conversation = tea
	if e.Until == 0 {
		e.Until = time.Duration(at)*time.Second + 500*time.Millisecond
	}
	if e.Outcome == "" {
		e.Outcome = history.OK
	}
	if e.Client == "" {
		e.Client = string(e.User) + "#0"
	}
	s.add(at, e)
}

func (s *story) send(at int, by wire.UserID, body string, seq wire.Seq) {
	m := theLog().Messages[seq-1]
	m.Body, m.Edited, m.Recalled = body, 0, false
	s.call(at, history.Event{Op: history.OpSend, User: by, Message: &m})
}

func (s *story) follow(client string, u wire.UserID, after wire.Offset, pushed ...wire.Offset) {
	s.call(2, history.Event{Op: history.OpFollow, Client: client, User: u, Page: &history.Page{After: after}})
	for _, o := range pushed {
		e := theLog().Entries[o-1]
		s.add(19, history.Event{Op: history.OpPush, Client: client, User: u, Conversation: tea, Page: &history.Page{Entries: []history.Entry{e}}})
	}
}

// theLog is the conversation as replicas have it.
func theLog() history.Log {
	messages := []history.Message{
		{ID: id(1), Seq: 1, Offset: 3, From: "ann", Body: "a.e1", Edited: 50, Time: 1},
		{ID: id(2), Seq: 2, Offset: 4, From: "bob", Recalled: true, Edited: 60, Time: 2},
		{ID: id(3), Seq: 3, Offset: 6, From: "ann", Body: "a.2", Time: 3},
		{ID: id(4), Seq: 4, Offset: 8, From: "ann", Body: "a.3", Targets: users("cid"), Time: 4},
	}
	m := func(seq int) *history.Message { one := messages[seq-1]; return &one }
	return history.Log{
		Conversation: tea, LastSeq: 4, LastOffset: 10, Messages: messages, Kind: "basic",
		Entries: []history.Entry{
			{Offset: 1, Kind: history.EntryCreated, Actor: "ann"},
			{Offset: 2, Kind: history.EntryAdded, Actor: "ann", Users: users("ann", "bob", "cid")},
			{Offset: 3, Kind: history.EntryMessage, Actor: "ann", Message: m(1)},
			{Offset: 4, Kind: history.EntryMessage, Actor: "bob", Message: m(2)},
			{Offset: 5, Kind: history.EntryRemoved, Actor: "ann", Users: users("bob")},
			{Offset: 6, Kind: history.EntryMessage, Actor: "ann", Message: m(3)},
			{Offset: 7, Kind: history.EntryAdded, Actor: "ann", Users: users("bob")},
			{Offset: 8, Kind: history.EntryMessage, Actor: "ann", Message: m(4)},
			{Offset: 9, Kind: history.EntryEdited, Actor: "ann", Message: m(1)},
			{Offset: 10, Kind: history.EntryRecalled, Actor: "bob", Message: m(2)},
		},
		Members: []history.Member{{User: "ann", JoinedAt: 2}, {User: "bob", JoinedAt: 7}, {User: "cid", JoinedAt: 2}},
		Cursors: []history.Cursor{{User: "ann", Read: 2, Delivered: 2}},
	}
}

// page is the whole history as a user reads it at the end.
func (s *story) page(u wire.UserID) *history.Page {
	p := &history.Page{OldestFirst: true, LastSeq: 4, Last: 10, Limit: 100}
	for _, m := range theLog().Messages {
		if messageFor(&m, u) {
			p.Messages = append(p.Messages, m)
		}
	}
	return p
}

func logPage(u wire.UserID) *history.Page {
	p := &history.Page{Upto: 10, Last: 10}
	for _, e := range theLog().Entries {
		if shownTo(&e, u) {
			p.Entries = append(p.Entries, e)
		}
	}
	return p
}

// event returns the last event that is of the operation, by the user.
func (s *story) event(op history.Op, u wire.UserID) *history.Event {
	for i := len(s.h.Events) - 1; i >= 0; i-- {
		if s.h.Events[i].Op == op && s.h.Events[i].User == u {
			return &s.h.Events[i]
		}
	}
	panic("no such event")
}

// sent returns the first event that sends a text.
func (s *story) sent(body string) *history.Event {
	for i := range s.h.Events {
		if e := &s.h.Events[i]; e.Op == history.OpSend && e.Message.Body == body {
			return e
		}
	}
	panic("no such send")
}

// log is a replica's copy.
func (s *story) log(replica int) *history.Log { return &s.h.Replicas[replica].Conversations[0] }

// spoiled is a case: a history with one thing wrong, or another good one.
type spoiled struct {
	name  string
	want  string // the promise that is broken; empty: none
	spoil func(s *story)
}

func judge(t *testing.T, cases []spoiled) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newStory()
			c.spoil(s)
			found := All(s.h)
			is := slices.ContainsFunc(found, func(v Violation) bool { return v.ID == c.want })
			if c.want == "" && len(found) > 0 || c.want != "" && !is {
				t.Errorf("found %v, want %q", found, c.want)
			}
		})
	}
}

func TestGoodHistory(t *testing.T) {
	judge(t, []spoiled{
		{"as it is", "", func(*story) {}},
		{"nothing happened", "", func(s *story) { *s.h = history.History{} }},
		{"no replica told anything", "", func(s *story) { s.h.Replicas = nil }},
	})
}
