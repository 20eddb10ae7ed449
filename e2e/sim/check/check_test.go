package check

import (
	"slices"
	"testing"
	"time"

	"github.com/quorate/quorate/e2e/sim/history"
	"github.com/quorate/quorate/wire"
)

func TestLost(t *testing.T) {
	judge(t, []spoiled{
		{"an acknowledged message is on no replica", "A1", func(s *story) {
			for i := range s.h.Replicas {
				l := s.log(i)
				l.Entries, l.Messages, l.LastSeq, l.LastOffset = l.Entries[:7], l.Messages[:3], 3, 7
			}
		}},
		{"it is missing on one replica", "A1", func(s *story) {
			l := s.log(1)
			l.Entries, l.Messages, l.LastSeq, l.LastOffset = l.Entries[:7], l.Messages[:3], 3, 7
		}},
		{"another message has its sequence", "A1", func(s *story) { s.log(0).Messages[2].ID = "other" }},
		{"its body is another", "A1", func(s *story) { s.log(0).Messages[2].Body = "other" }},
		{"its conversation is gone", "A1", func(s *story) { s.h.Replicas[0].Conversations, s.h.Replicas[1].Conversations = nil, nil }},
		{"a message that was not acknowledged is lost", "", func(s *story) {
			s.add(13, history.Event{
				Op: history.OpSend, User: "ann", Client: "ann#0", Conversation: tea, Outcome: history.Unknown,
				Message: &history.Message{Body: "a.9", From: "ann"},
			})
		}},
	})
}

func TestPlaces(t *testing.T) {
	judge(t, []spoiled{
		{"a sequence is left out", "A2", func(s *story) { s.log(0).Messages[2].Seq = 5 }},
		{"an offset is left out", "A2", func(s *story) { s.log(0).Entries[4].Offset = 11 }},
		{"two readers see two messages at one sequence", "A2", func(s *story) { s.event(history.OpHistory, "bob").Page.Messages[2].ID = "other" }},
		{"a push and a page differ in who", "A2", func(s *story) { s.event(history.OpHistory, "bob").Page.Messages[2].From = "cid" }},
		{"one sees another text", "A2", func(s *story) { s.event(history.OpHistory, "bob").Page.Messages[2].Body = "a.1" }},
		{"nobody has edited it so", "A2", func(s *story) { s.event(history.OpEdit, "ann").Message.Body = "a.e7" }},
		{"another has edited it", "A2", func(s *story) { s.event(history.OpEdit, "ann").User = "bob" }},
		{"nobody has sent it", "A2", func(s *story) {
			for i := range s.h.Events {
				if e := &s.h.Events[i]; e.Op == history.OpSend && e.Message.Body == "a.2" {
					e.Message.Body = "a.7"
				}
			}
		}},
		{"two readers see two entries at one offset", "A2", func(s *story) { s.event(history.OpReadLog, "cid").Page.Entries[4].Users = users("cid") }},
		{"the log has one entry less than it says", "A2", func(s *story) { s.log(0).LastOffset = 11 }},
	})
}

func TestRetries(t *testing.T) {
	again := func(s *story, body string, seq wire.Seq, o history.Outcome) {
		m := *s.sent(body).Message
		m.Seq, m.ID = seq, id(seq)
		s.call(20, history.Event{Op: history.OpSend, User: m.From, Message: &m, Try: 1, Outcome: o})
	}
	judge(t, []spoiled{
		{"the same answer again", "", func(s *story) { again(s, "a.2", 3, history.OK) }},
		{"another sequence", "A3", func(s *story) { again(s, "a.2", 4, history.OK) }},
		{"the text is there twice", "A3", func(s *story) { s.log(0).Messages[3].Body = "a.2" }},
		{"a page has it twice", "A3", func(s *story) { s.event(history.OpHistory, "cid").Page.Messages[3].Body = "a.2" }},
		{"it was refused and is there", "A3", func(s *story) { s.sent("a.2").Outcome = history.Refused }},
		{"it was unknown, then refused, and is there", "A3", func(s *story) {
			s.sent("a.2").Outcome = history.Unknown
			again(s, "a.2", 3, history.Refused)
		}},
		{"an edit was refused, and is done", "A3", func(s *story) { s.event(history.OpEdit, "ann").Outcome = history.Refused }},
		{"it was unknown and is there", "", func(s *story) { s.sent("a.2").Outcome = history.Unknown }},
		{"it was refused, then asked again and done", "", func(s *story) {
			s.sent("a.2").Outcome = history.Refused
			again(s, "a.2", 3, history.OK)
		}},
	})
}

func TestOrder(t *testing.T) {
	judge(t, []spoiled{
		{"sent after an acknowledgement, and before it in the log", "A4", func(s *story) {
			e := s.sent("a.1")
			e.At, e.Until = 18*time.Second, 19*time.Second
		}},
		{"sent at the moment of the acknowledgement", "", func(s *story) { s.sent("a.1").Until = s.sent("b.1").At }},
		{"unknown, but there, and sent after a later one was acknowledged", "A4", func(s *story) {
			e := s.sent("a.2")
			e.At, e.Until, e.Outcome = 18*time.Second, 19*time.Second, history.Unknown
		}},
		{"a page is not in order", "A4", func(s *story) { slices.Reverse(s.event(history.OpHistory, "cid").Page.Messages) }},
		{"newest first", "", func(s *story) {
			p := s.event(history.OpHistory, "cid").Page
			p.OldestFirst = false
			slices.Reverse(p.Messages)
		}},
		{"a page of the log is not in order", "A4", func(s *story) { slices.Reverse(s.event(history.OpReadLog, "cid").Page.Entries) }},
	})
}

func TestSessions(t *testing.T) {
	earlier := func(s *story, client string, began time.Duration) {
		p := s.page("cid")
		p.Messages, p.LastSeq, p.Last = p.Messages[:2], 2, 4
		s.call(22, history.Event{Op: history.OpHistory, User: "cid", Client: client, Page: p})
		for i := range s.h.Events {
			if s.h.Events[i].Page == p {
				s.h.Events[i].At = began
			}
		}
	}
	judge(t, []spoiled{
		{"it has seen more by a push", "A6", func(s *story) { earlier(s, "cid#1", 22*time.Second) }},
		{"another session had seen more", "", func(s *story) { earlier(s, "cid#7", 22*time.Second) }},
		{"it saw more while it read", "", func(s *story) { earlier(s, "cid#1", time.Second) }},
		{"there is no such place", "A6", func(s *story) {
			s.call(30, history.Event{Op: history.OpReadLog, User: "ann", Client: "ann#2", Outcome: history.Refused, Error: "start_over"})
		}},
		{"a log that ends before what was read", "A6", func(s *story) {
			s.call(30, history.Event{Op: history.OpReadLog, User: "ann", Client: "ann#2", Page: &history.Page{After: 2, Upto: 2, Last: 2}})
		}},
		{"unread that knows less", "A6", func(s *story) {
			s.h.Events = slices.DeleteFunc(s.h.Events, func(e history.Event) bool { return e.Op == history.OpPhase })
			s.call(30, history.Event{Op: history.OpUnread, User: "ann", Client: "ann#2", State: &history.State{Unread: &history.Count{Last: 3}}})
		}},
	})
}

func TestStrong(t *testing.T) {
	read := func(s *story, strong bool) {
		p := s.page("cid")
		p.Messages, p.LastSeq, p.Last = p.Messages[:3], 3, 7
		s.call(13, history.Event{Op: history.OpHistory, User: "cid", Client: "cid#7", Page: p, Strong: strong})
	}
	judge(t, []spoiled{
		{"it lacks what was acknowledged to another", "A5", func(s *story) { read(s, true) }},
		{"a weak read may", "", func(s *story) { read(s, false) }},
		{"it began before the acknowledgement", "", func(s *story) {
			read(s, true)
			s.sent("a.3").Until = 14 * time.Second
		}},
		{"unread is strong", "A5", func(s *story) {
			s.call(13, history.Event{Op: history.OpUnread, User: "cid", Client: "cid#7", State: &history.State{Unread: &history.Count{Last: 3}}})
		}},
	})
}

func TestCursors(t *testing.T) {
	read := func(s *story, at int, read, delivered wire.Seq) {
		s.call(at, history.Event{Op: history.OpCursors, User: "cid", State: &history.State{Cursors: []history.Cursor{{User: "ann", Read: read, Delivered: delivered}}}})
	}
	judge(t, []spoiled{
		{"it goes back", "A7", func(s *story) { read(s, 20, 1, 1) }},
		{"an acknowledged move is not shown", "A7", func(s *story) {
			s.h.Events = slices.DeleteFunc(s.h.Events, func(e history.Event) bool { return e.Op == history.OpCursors })
			read(s, 20, 1, 1)
		}},
		{"nobody moved it there", "A7", func(s *story) { read(s, 20, 3, 3) }},
		{"it is past the last message", "A7", func(s *story) {
			s.event(history.OpMark, "ann").State.Cursors[0].Read = 9
			read(s, 20, 9, 9)
		}},
		{"read, but not received", "A7", func(s *story) { read(s, 20, 2, 1) }},
		{"it is moved while it is read", "", func(s *story) {
			s.h.Events = slices.DeleteFunc(s.h.Events, func(e history.Event) bool { return e.Op == history.OpCursors && e.User == "bob" && e.Client == "bob#0" })
			s.event(history.OpMark, "ann").Until = 20 * time.Second
			s.call(17, history.Event{Op: history.OpCursors, User: "cid", State: &history.State{}})
		}},
		{"forgotten with a removal", "", func(s *story) {
			s.h.Events = slices.DeleteFunc(s.h.Events, func(e history.Event) bool { return e.Op == history.OpCursors && e.Client == "bob#0" })
			e := s.event(history.OpMark, "ann")
			e.User, e.Client, e.At, e.Until = "bob", "bob#0", 5600*time.Millisecond, 5700*time.Millisecond
			for i := range s.h.Events {
				if e := &s.h.Events[i]; e.Op == history.OpCursors {
					e.State.Cursors = nil
				}
				if e := &s.h.Events[i]; e.Op == history.OpUnread && e.User == "ann" {
					e.State.Unread = &history.Count{Last: 4}
				}
			}
			s.log(0).Cursors, s.log(1).Cursors = nil, nil
		}},
	})
}

func TestVisibility(t *testing.T) {
	judge(t, []spoiled{
		{"read after the removal", "A8", func(s *story) {
			s.call(9, history.Event{Op: history.OpHistory, User: "bob", Page: &history.Page{LastSeq: 3, Last: 6, OldestFirst: true, Messages: s.page("bob").Messages}})
		}},
		{"the log is read after the removal", "A8", func(s *story) {
			s.call(9, history.Event{Op: history.OpReadLog, User: "bob", Page: &history.Page{After: 5, Upto: 6, Last: 6, Entries: theLog().Entries[5:6]}})
		}},
		{"pushed after the removal, before coming back", "A8", func(s *story) {
			s.follow("bob#3", "bob", 5, 6)
			e := s.event(history.OpPush, "bob")
			e.At, e.Until = 5*time.Second, 5*time.Second
		}},
		{"read after coming back", "", func(s *story) { s.follow("bob#3", "bob", 5, 6, 7) }},
		{"a targeted message is read by another", "A8", func(s *story) {
			p := s.event(history.OpHistory, "bob").Page
			p.Messages = append(p.Messages, theLog().Messages[3])
		}},
		{"a targeted message is pushed to another", "A8", func(s *story) { s.follow("bob#3", "bob", 7, 8) }},
		{"a stranger reads", "A8", func(s *story) {
			s.call(9, history.Event{Op: history.OpHistory, User: "eve", Page: &history.Page{LastSeq: 3, Last: 6, OldestFirst: true, Messages: s.page("eve").Messages}})
		}},
	})
}

func TestFollows(t *testing.T) {
	drop := func(s *story, o wire.Offset) {
		s.h.Events = slices.DeleteFunc(s.h.Events, func(e history.Event) bool {
			return e.Op == history.OpPush && e.Client == "cid#1" && e.Page.Entries[0].Offset == o
		})
	}
	judge(t, []spoiled{
		{"a hole", "A9", func(s *story) { drop(s, 6) }},
		{"the last one never comes", "A9", func(s *story) { drop(s, 10) }},
		{"handed out twice", "A9", func(s *story) {
			e := *s.event(history.OpPush, "cid")
			s.add(19, e)
		}},
		{"it ends without a removal", "A9", func(s *story) {
			s.add(20, history.Event{Op: history.OpEnded, Client: "cid#1", User: "cid", Conversation: tea, Text: "not_member", Page: &history.Page{Upto: 10}})
		}},
		{"it ends because the node has no such place", "A9", func(s *story) { s.event(history.OpEnded, "bob").Text = "start_over" }},
		{"what is not for him is no hole", "", func(s *story) { s.follow("bob#3", "bob", 5, 6, 7, 9, 10) }},
		{"a page leaves a message out", "A9", func(s *story) {
			p := s.event(history.OpHistory, "ann").Page
			p.Messages = slices.Delete(p.Messages, 2, 3)
		}},
		{"a page that is not the last one", "", func(s *story) {
			p := s.event(history.OpHistory, "ann").Page
			p.Messages, p.More = p.Messages[:2], true
		}},
		{"a page of the log leaves an entry out", "A9", func(s *story) {
			p := s.event(history.OpReadLog, "ann").Page
			p.Entries = slices.Delete(p.Entries, 5, 6)
		}},
		{"a hole in the user's own log", "A9", func(s *story) {
			s.add(19, history.Event{Op: history.OpReadLog, User: "ann", Client: "ann#1", Outcome: history.OK, Page: &history.Page{Upto: 2, Last: 2, Entries: []history.Entry{{Offset: 2}}}})
		}},
		{"a hole in what is pushed of it", "A9", func(s *story) {
			s.add(19, history.Event{Op: history.OpFollow, User: "ann", Client: "ann#1", Outcome: history.OK, Page: &history.Page{After: 3}})
			s.add(19, history.Event{Op: history.OpPush, User: "ann", Client: "ann#1", Page: &history.Page{Entries: []history.Entry{{Offset: 4}}}})
			s.add(19, history.Event{Op: history.OpPush, User: "ann", Client: "ann#1", Page: &history.Page{Entries: []history.Entry{{Offset: 6}}}})
		}},
	})
}

func TestChanges(t *testing.T) {
	original := func(s *story, u wire.UserID) *history.Message {
		m := &s.event(history.OpHistory, u).Page.Messages[0]
		m.Body, m.Edited = "a.1", 0
		return m
	}
	judge(t, []spoiled{
		{"the old form is read after the edit", "A10", func(s *story) { original(s, "cid") }},
		{"and by a weak read of the session that edited", "A10", func(s *story) {
			original(s, "ann")
			e := s.event(history.OpHistory, "ann")
			e.Strong, e.Client = false, "ann#0"
		}},
		{"a weak read of another may be old", "", func(s *story) {
			original(s, "cid")
			s.event(history.OpHistory, "cid").Strong = false
		}},
		{"a recalled body comes back", "A10", func(s *story) {
			m := &s.event(history.OpHistory, "cid").Page.Messages[1]
			m.Body, m.Recalled, m.Edited = "b.1", false, 0
		}},
		{"a replica has the old form", "A10", func(s *story) {
			m := &s.log(1).Messages[0]
			m.Body, m.Edited = "a.1", 0
		}},
		{"a session was pushed the new form, and reads the old one", "A10", func(s *story) {
			original(s, "cid")
			e := s.event(history.OpHistory, "cid")
			e.Strong, e.Client = false, "cid#1"
		}},
		{"the read began before the answer", "", func(s *story) {
			s.h.Events = slices.DeleteFunc(s.h.Events, func(e history.Event) bool { return e.Client == "ann#1" })
			original(s, "cid")
			s.event(history.OpHistory, "cid").At = 14 * time.Second
		}},
		{"an older edit is read after a newer one", "A10", func(s *story) {
			s.call(13, history.Event{Op: history.OpEdit, User: "ann", Message: &history.Message{ID: id(1), Seq: 1, Body: "a.e0"}})
			m := original(s, "cid")
			m.Body, m.Edited = "a.e0", 40
		}},
		{"an edit that is not acknowledged is seen, and then is not", "A10", func(s *story) {
			s.event(history.OpEdit, "ann").Outcome = history.Unknown
			original(s, "cid")
		}},
	})
}

func TestUnread(t *testing.T) {
	judge(t, []spoiled{
		{"one too many", "A11", func(s *story) { s.event(history.OpUnread, "cid").State.Unread.Count++ }},
		{"a mention that is none", "A11", func(s *story) { s.event(history.OpUnread, "cid").State.Unread.Mentioned = true }},
		{"a mention", "", func(s *story) {
			s.log(0).Messages[2].Mentions, s.log(1).Messages[2].Mentions = users(history.Everybody), users(history.Everybody)
			s.event(history.OpUnread, "cid").State.Unread.Mentioned = true
		}},
		{"another cursor", "A11", func(s *story) { s.event(history.OpUnread, "ann").State.Unread.Read = 1 }},
		{"a member too few", "A11", func(s *story) {
			st := s.event(history.OpMembers, "ann").State
			st.Members = st.Members[:2]
		}},
		{"a replica has a member too few", "A11", func(s *story) { s.log(0).Members = s.log(0).Members[:2] }},
		{"cursors that no replica has", "A11", func(s *story) { s.event(history.OpCursors, "ann").State.Cursors[0].Delivered = 3 }},
		{"the user's list lacks it", "A11", func(s *story) { s.event(history.OpListed, "bob").State.Members = nil }},
		{"the user's list has an old membership", "A11", func(s *story) { s.event(history.OpListed, "bob").State.Members[0].JoinedAt = 2 }},
		{"a replica's list lacks it", "A11", func(s *story) { s.h.Replicas[1].Users[0].Conversations = nil }},
	})
}

func TestReplicas(t *testing.T) {
	judge(t, []spoiled{
		{"chains differ", "A12", func(s *story) { s.h.Replicas[1].Chain++ }},
		{"chains differ at a checkpoint", "A12", func(s *story) { s.h.Replicas[1].Checkpoints = []history.Checkpoint{{Index: 10, Chain: 6}} }},
		{"chains differed during the run", "A12", func(s *story) {
			s.add(10, history.Event{Op: history.OpChain, Node: "n1", Raft: &history.Raft{Shard: 1, Index: 10, Hash: 6}})
		}},
		{"another shard", "", func(s *story) {
			s.add(10, history.Event{Op: history.OpChain, Node: "n1", Raft: &history.Raft{Shard: 2, Index: 10, Hash: 6}})
		}},
		{"a message differs", "A12", func(s *story) { s.log(1).Messages[2].Time++ }},
		{"an entry differs", "A12", func(s *story) { s.log(1).Entries[0].Actor = "bob" }},
		{"a member differs", "A12", func(s *story) { s.log(1).Members[0].Role = 3 }},
		{"a cursor differs", "A12", func(s *story) { s.log(1).Cursors[0].Delivered++ }},
		{"a user's list differs", "A12", func(s *story) { s.h.Replicas[1].Users[0].Conversations[0].Role = 1 }},
	})
}

func TestLeaders(t *testing.T) {
	judge(t, []spoiled{
		{"two in one term", "A13", func(s *story) {
			s.add(30, history.Event{Op: history.OpLeads, Node: "n2", Raft: &history.Raft{Shard: 1, Term: 2}})
		}},
		{"the same one twice", "", func(s *story) {
			s.add(30, history.Event{Op: history.OpLeads, Node: "n1", Raft: &history.Raft{Shard: 1, Term: 2}})
		}},
		{"of another shard", "", func(s *story) {
			s.add(30, history.Event{Op: history.OpLeads, Node: "n2", Raft: &history.Raft{Shard: 2, Term: 2}})
		}},
	})
}

func TestLiveness(t *testing.T) {
	judge(t, []spoiled{
		{"no answer at the end", "A14", func(s *story) { s.event(history.OpUnread, "cid").Outcome = history.Unknown }},
		{"no answer before", "", func(s *story) { s.sent("a.2").Outcome = history.Unknown }},
		{"nobody lets him in", "A14", func(s *story) {
			s.h.Events = slices.DeleteFunc(s.h.Events, func(e history.Event) bool { return e.Op == history.OpListed && e.User == "cid" })
		}},
		{"a replica is behind", "A14", func(s *story) { s.h.Replicas[1].Applied-- }},
		{"a replica is missing", "A14", func(s *story) {
			s.h.Replicas = append(s.h.Replicas, history.Replica{Node: "n1", Shard: 2})
		}},
	})
}

// markedAgain has bob read, which takes so long, and be removed, come back, and
// have read still.
func markedAgain(s *story, tries int, took time.Duration) {
	s.call(5, history.Event{
		Op: history.OpMark, User: "bob", Try: tries, Until: 5*time.Second + took,
		State: &history.State{Cursors: []history.Cursor{{User: "bob", Read: 1}}},
	})
	cursors := append(theLog().Cursors, history.Cursor{User: "bob", Read: 1, Delivered: 1})
	for i := range s.h.Events {
		if e := &s.h.Events[i]; e.Op == history.OpCursors {
			e.State = &history.State{Cursors: cursors}
		}
	}
	s.log(0).Cursors, s.log(1).Cursors = cursors, cursors
}

func TestRegisters(t *testing.T) {
	members := func(s *story, at int, who ...string) {
		st := &history.State{}
		for _, u := range who {
			st.Members = append(st.Members, history.Member{User: u})
		}
		s.call(at, history.Event{Op: history.OpMembers, User: "cid", State: st})
	}
	judge(t, []spoiled{
		{"a list between the removal and the return", "", func(s *story) { members(s, 9, "ann", "cid") }},
		{"a list that still has the removed", "A5", func(s *story) { members(s, 9, "ann", "bob", "cid") }},
		{"a list that has him not yet", "A5", func(s *story) { members(s, 13, "ann", "cid") }},
		{"a removal that may have happened", "", func(s *story) {
			s.event(history.OpRemove, "ann").Outcome = history.Unknown
			members(s, 6, "ann", "bob", "cid")
		}},
		{"he speaks after he was removed", "A5", func(s *story) {
			e := s.sent("b.1")
			e.At, e.Until = 7700*time.Millisecond, 7800*time.Millisecond
		}},
		{"he is refused though he is a member", "A5", func(s *story) {
			s.call(12, history.Event{Op: history.OpMark, User: "bob", Outcome: history.Refused, Error: "not_member", State: &history.State{Cursors: []history.Cursor{{Read: 1}}}})
		}},
		{"a second removal", "A5", func(s *story) {
			s.call(8, history.Event{Op: history.OpRemove, User: "ann", Users: users("bob")})
		}},
		{"a cursor read before and after is not moved in between", "A5", func(s *story) {
			s.call(18, history.Event{Op: history.OpCursors, User: "cid", State: &history.State{}})
		}},
		{"a cursor that outlives a removal", "A5", func(s *story) { markedAgain(s, 0, 20*time.Millisecond) }},
		{"a cursor that a second copy of its move has set again", "", func(s *story) { markedAgain(s, 1, 20*time.Millisecond) }},
		{"a cursor that its node has set twice", "", func(s *story) { markedAgain(s, 0, time.Second) }},
		{"a cursor that was moved past the end", "", func(s *story) {
			s.event(history.OpMark, "ann").State.Cursors[0].Read = 3 // known: 4
			for i := range s.h.Events {
				if e := &s.h.Events[i]; e.Op == history.OpCursors {
					e.State.Cursors = []history.Cursor{{User: "ann", Read: 3, Delivered: 3}}
				}
			}
			s.event(history.OpUnread, "ann").State.Unread.Read = 3
			s.log(0).Cursors, s.log(1).Cursors = []history.Cursor{{User: "ann", Read: 3, Delivered: 3}}, []history.Cursor{{User: "ann", Read: 3, Delivered: 3}}
		}},
		{"a cursor that was moved past the end, and by a late copy of the call past a later end", "", func(s *story) {
			mark := s.event(history.OpMark, "ann")
			mark.At, mark.State.Cursors[0].Read = 10500*time.Millisecond, 9 // known then: 3
			early := *s.event(history.OpCursors, "bob")
			last := []history.Cursor{{User: "ann", Read: 4, Delivered: 4}}
			s.log(0).Cursors, s.log(1).Cursors = last, last
			for i := range s.h.Events {
				if e := &s.h.Events[i]; e.Op == history.OpCursors {
					e.State = &history.State{Cursors: last}
				}
			}
			s.event(history.OpUnread, "ann").State.Unread.Read = 4
			s.event(history.OpUnread, "ann").State.Unread.Count = 0
			early.At, early.Until, early.State = 11*time.Second, 11500*time.Millisecond, &history.State{Cursors: []history.Cursor{{User: "ann", Read: 3, Delivered: 3}}}
			for i := range s.h.Events {
				if s.h.Events[i].At > early.At {
					s.h.Events = slices.Insert(s.h.Events, i, early)
					break
				}
			}
		}},
	})
}

// TestSearchIsBounded: a search that would take for ever is given up, and says
// so.
func TestSearchIsBounded(t *testing.T) {
	s := newStory()
	for i := range 40 {
		op := history.OpRemove
		if i%2 == 0 {
			op = history.OpAdd
		}
		s.call(11, history.Event{Op: op, User: "ann", Users: users("cid"), Outcome: history.Unknown})
		s.call(12+i%4, history.Event{Op: history.OpMark, User: "cid", Outcome: history.Unknown, State: &history.State{Cursors: []history.Cursor{{Read: wire.Seq(i)}}}})
	}
	s.call(16, history.Event{Op: history.OpCursors, User: "ann", State: &history.State{Cursors: []history.Cursor{{User: "cid", Read: 3, Delivered: 3}}}})
	s.call(17, history.Event{Op: history.OpMembers, User: "cid", State: &history.State{Members: []history.Member{{User: "ann"}}}})
	s.call(18, history.Event{Op: history.OpCursors, User: "ann", State: &history.State{Cursors: []history.Cursor{{User: "cid", Read: 99, Delivered: 99}}}})
	found := All(s.h)
	if !slices.ContainsFunc(found, func(v Violation) bool { return v.ID == "A5 unknown" }) {
		t.Errorf("found %v, want a search that was given up", found)
	}
}
