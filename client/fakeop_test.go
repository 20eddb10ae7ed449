package client

import (
	"fmt"
	"slices"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

func (s *nodeSession) doLocked(r *pb.Request) *pb.Response {
	c := s.n.c
	switch op := r.GetOp().(type) {
	case *pb.Request_CreateConversation:
		id := fmt.Sprintf("c%d", len(c.mu.logs)+1)
		l := &convLog{members: map[string]bool{s.user: true}}
		for _, m := range op.CreateConversation.GetMembers() {
			l.members[m] = true
		}
		c.mu.logs[id] = l
		return &pb.Response{Result: &pb.Response_Conversation{Conversation: &pb.Conversation{
			Id: id, Name: op.CreateConversation.GetName(), Creator: s.user, MemberCount: uint32(len(l.members)),
		}}}
	case *pb.Request_SendMessage:
		return s.sendLocked(op.SendMessage)
	case *pb.Request_ReadLog:
		return s.readLocked(op.ReadLog)
	case *pb.Request_History:
		return s.historyLocked(op.History)
	case *pb.Request_Subscribe:
		return s.subscribeLocked(op.Subscribe)
	case *pb.Request_Unsubscribe:
		for _, log := range op.Unsubscribe.GetLogs() {
			delete(s.follows, log.GetConversation())
		}
	case *pb.Request_MoveCursor:
		id := op.MoveCursor.GetConversation()
		c.mu.cursors[id] = max(c.mu.cursors[id], op.MoveCursor.GetReadSeq())
	case *pb.Request_GetCursors:
		return &pb.Response{Result: &pb.Response_Cursors{Cursors: &pb.Cursors{Cursors: []*pb.Cursor{
			{User: s.user, ReadSeq: c.mu.cursors[op.GetCursors.GetConversation()]},
		}}}}
	case *pb.Request_GetUnread:
		out := &pb.Unreads{}
		for _, id := range op.GetUnread.GetConversations() {
			l := c.mu.logs[id]
			out.Unreads = append(out.Unreads, &pb.Unread{Conversation: id, LastSeq: l.seq, LastOffset: uint64(len(l.entries))})
		}
		return &pb.Response{Result: &pb.Response_Unreads{Unreads: out}}
	case *pb.Request_AddMembers:
		return s.membersLocked(op.AddMembers.GetConversation(), op.AddMembers.GetUsers(), true)
	case *pb.Request_RemoveMembers:
		return s.membersLocked(op.RemoveMembers.GetConversation(), op.RemoveMembers.GetUsers(), false)
	}
	return &pb.Response{Result: &pb.Response_Done{Done: &pb.Done{}}}
}

func (s *nodeSession) sendLocked(m *pb.SendMessage) *pb.Response {
	l := s.n.c.mu.logs[m.GetConversation()]
	switch {
	case l == nil:
		return refused(wire.CodeNotFound)
	case !l.members[s.user]:
		return refused(wire.CodeNotMember)
	case m.GetTransient():
		return &pb.Response{Result: &pb.Response_Sent{Sent: &pb.Sent{}}}
	}
	e := s.n.c.sayLocked(m.GetConversation(), s.user, m.GetBody())
	return &pb.Response{Result: &pb.Response_Sent{Sent: &pb.Sent{
		Id: e.GetMessage().GetId(), Seq: l.seq, Offset: e.Offset, TimestampMillis: e.GetTimestampMillis(),
	}}}
}

func (s *nodeSession) membersLocked(id string, users []string, add bool) *pb.Response {
	l := s.n.c.mu.logs[id]
	if l == nil {
		return refused(wire.CodeNotFound)
	}
	done := &pb.Done{}
	e := &pb.LogEntry{Actor: s.user, What: &pb.LogEntry_MembersAdded{MembersAdded: &pb.MembersChanged{Users: users}}}
	if !add {
		e.What = &pb.LogEntry_MembersRemoved{MembersRemoved: &pb.MembersChanged{Users: users}}
	}
	for _, u := range users {
		if l.members[u] == add {
			done.Skipped = append(done.Skipped, &pb.Skipped{Subject: u, Error: refuse(wire.CodeConflict)})
		}
		l.members[u] = add
	}
	if len(done.Skipped) < len(users) {
		done.Offset = s.n.c.appendLocked(id, e).Offset
	}
	return &pb.Response{Result: &pb.Response_Done{Done: done}}
}

func (s *nodeSession) readLocked(r *pb.ReadLog) *pb.Response {
	id := r.GetLog().GetConversation()
	l := s.n.c.mu.logs[id]
	switch {
	case l == nil:
		return refused(wire.CodeNotFound)
	case id != "" && !l.members[s.user]:
		return refused(wire.CodeNotMember)
	case r.GetAfter() < l.floor || r.GetAfter() > uint64(len(l.entries)):
		return refused(wire.CodeStartOver)
	}
	upto := min(uint64(len(l.entries)), r.GetAfter()+uint64(max(r.GetLimit(), 1)))
	return &pb.Response{Result: &pb.Response_Log{Log: &pb.LogBatch{
		Log: r.GetLog(), After: r.GetAfter(), Upto: upto, Entries: l.entries[r.GetAfter():upto], Last: uint64(len(l.entries)),
	}}}
}

func (s *nodeSession) historyLocked(r *pb.History) *pb.Response {
	l := s.n.c.mu.logs[r.GetConversation()]
	if l == nil {
		return refused(wire.CodeNotFound)
	}
	page := &pb.MessagePage{LastSeq: l.seq, LastOffset: uint64(len(l.entries))}
	for _, e := range slices.Backward(l.entries) {
		if m := e.GetMessage(); m != nil && len(page.Messages) < int(r.GetLimit()) {
			page.Messages = append(page.Messages, m)
		}
	}
	return &pb.Response{Result: &pb.Response_Messages{Messages: page}}
}

func (s *nodeSession) subscribeLocked(r *pb.Subscribe) *pb.Response {
	answer := &pb.Subscribed{}
	for _, p := range r.GetPositions() {
		id := p.GetLog().GetConversation()
		log := &pb.SubscribedLog{Log: p.GetLog()}
		answer.Logs = append(answer.Logs, log)
		l := s.n.c.mu.logs[id]
		switch {
		case l == nil:
			log.Error = refuse(wire.CodeNotFound)
			continue
		case id != "" && !l.members[s.user]:
			log.Error = refuse(wire.CodeNotMember)
			continue
		case !p.GetFromEnd() && (p.GetAfter() < l.floor || p.GetAfter() > uint64(len(l.entries))):
			log.Error = refuse(wire.CodeStartOver)
			continue
		}
		log.Last, log.After = uint64(len(l.entries)), p.GetAfter()
		if p.GetFromEnd() {
			log.After = log.Last
		}
		s.follows[id] = log.After
	}
	return &pb.Response{Result: &pb.Response_Subscribed{Subscribed: answer}}
}

// pushLocked sends a session what is new for it in a log.
func (s *nodeSession) pushLocked(id string) {
	pos, ok := s.follows[id]
	l := s.n.c.mu.logs[id]
	if !ok || l == nil {
		return
	}
	b := &pb.LogBatch{Log: &pb.LogRef{Conversation: id}, After: pos, Last: uint64(len(l.entries))}
	for _, e := range l.entries[pos:] {
		b.Upto = e.Offset
		if s.n.c.drop == nil || !s.n.c.drop(id, e.Offset) {
			b.Entries = append(b.Entries, e)
		} else { // lost on the way: what comes after it does not join
			b.After, b.Entries = e.Offset, nil
		}
		if id != "" && !l.members[s.user] {
			b.Ended = true
			break
		}
	}
	if b.Upto == 0 {
		return
	}
	s.follows[id] = b.Upto
	if b.Ended {
		delete(s.follows, id)
	}
	if b.After < b.Upto || b.Ended {
		s.send(&pb.ServerFrame{Body: &pb.ServerFrame_Events{Events: &pb.Events{Logs: []*pb.LogBatch{b}}}})
	}
}
