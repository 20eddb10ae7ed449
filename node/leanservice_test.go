package node

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/leanpb"
)

// service is a service conversation and its back end.
type service struct {
	c   *testCluster
	cid string
}

func (c *testCluster) service(subscribers ...string) *service {
	c.t.Helper()
	s := &service{c: c, cid: c.conversation(&state.CreateConversation{Preset: state.PresetSystem, Name: "news"}, "")}
	for _, u := range subscribers {
		c.do(u, &state.AddMembers{Conversation: wireID(s.cid), Users: userIDs(u)})
	}
	return s
}

func (s *service) host() doorHost { return doorHost{backend: s.c.nodes[0].node.backend} }

func (s *service) toSubscribers(text string) state.Result {
	s.c.t.Helper()
	return s.c.do("", &state.SendMessage{Conversation: wireID(s.cid), From: "bot", Body: []byte(text)})
}

func (s *service) toUsers(text string, users ...string) door.SentToUsers {
	s.c.t.Helper()
	send := state.SendMessage{From: "bot", Body: []byte(text)}
	sent, err := door.SendToUsers(s.c.t.Context(), s.host(), state.Header{App: testApp}, wireID(s.cid), userIDs(users...), send)
	if err != nil || len(sent.Refused) > 0 {
		s.c.t.Fatalf("send to %q: %+v, %v", users, sent, err)
	}
	return sent
}

func (s *service) toAll(text string) state.Result {
	s.c.t.Helper()
	b := state.Broadcast{Service: wireID(s.cid)}
	r, err := door.SendBroadcast(s.c.t.Context(), s.host(), state.Header{App: testApp}, b, state.SendMessage{From: "bot", Body: []byte(text)})
	if err != nil || r.Refusal != state.None {
		s.c.t.Fatalf("broadcast: %v, %v", r.Refusal, err)
	}
	return r
}

// wantOf waits for the next message, which must be the service's.
func (u *leanUser) wantOf(s *service, text string) *leanpb.DirectCommand {
	u.t.Helper()
	m := u.message()
	if m.GetCid() != s.cid || m.GetMsg() != text || m.GetConvType() != int32(state.PresetSystem) || m.GetId() == "" {
		u.t.Errorf("%s is pushed %v, want %q of the service", u.name, m, text)
	}
	return m
}

func (u *leanUser) textsOf(s *service) string {
	u.t.Helper()
	text := ""
	for _, m := range u.logs(&leanpb.LogsCommand{Cid: &s.cid}) {
		text += m.GetData() + " "
		if m.GetConvType() != int32(state.PresetSystem) {
			u.t.Errorf("%s reads %v", u.name, m)
		}
	}
	return text
}

// TestLM057_TalkWithAService: what is said to subscribers, to a user, to all and
// by a user is one conversation to each of them, over three nodes.
func TestLM057_TalkWithAService(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		c.settings(`{"leanmessage.recall":"on","leanmessage.edit":"on"}`)
		news := c.service("tom")
		tom, jerry, pad := c.session("tom", c.nodes[0]), c.session("jerry", c.nodes[1]), c.session("jerry", c.nodes[2])
		time.Sleep(2 * time.Second) // of the bubble's clock: they are up to date

		news.toSubscribers("1")
		tom.wantOf(news, "1")

		sent := jerry.send(news.cid, "2") // who has not subscribed
		if sent.GetUid() == "" || sent.Code != nil {
			t.Fatalf("jerry writes: %v", sent)
		}
		if m := pad.wantOf(news, "2"); m.GetFromPeerId() != "jerry" || m.GetId() != sent.GetUid() {
			t.Errorf("his other session is pushed %v", m)
		}
		answer := news.toUsers("3", "jerry")
		if m := jerry.wantOf(news, "3"); m.GetFromPeerId() != "bot" || m.GetId() != string(answer.ID) {
			t.Errorf("the answer is %v, sent as %+v", m, answer)
		}
		pad.wantOf(news, "3")
		for i := range 5 {
			jerry.send(news.cid, fmt.Sprint("more", i))
		}
		for i := range 5 {
			pad.wantOf(news, fmt.Sprint("more", i)) // in order
		}
		tom.send(news.cid, "of tom")
		time.Sleep(10 * time.Millisecond) // of the bubble's clock: another shard's stamps
		news.toAll("4")
		for _, u := range []*leanUser{tom, jerry, pad} {
			u.wantOf(news, "4")
		}
		expect(t, "tom's view", tom.textsOf(news), "1 of tom 4 ")
		expect(t, "jerry's view", jerry.textsOf(news), "2 3 more0 more1 more2 more3 more4 4 ")
		mary := c.session("mary", c.nodes[0])
		expect(t, "mary's view", mary.textsOf(news), "4 ")

		// The back end's answer and the user's own words can be changed.
		reply := jerry.patch(&leanpb.PatchItem{Cid: &news.cid, Mid: sent.Uid, Timestamp: sent.T, Data: new("two")})
		if reply.GetOp() != leanpb.OpType_modified {
			t.Errorf("jerry edits: %v", reply)
		}
		if p := pad.patched(); p.GetCid() != news.cid || p.GetMid() != sent.GetUid() || p.GetData() != "two" {
			t.Errorf("his other session is told %v", p)
		}
		thread, _ := state.ThreadOf(wireID(news.cid), "jerry")
		c.do("", &state.RecallMessage{Conversation: thread, ID: answer.ID})
		if p := jerry.patched(); p.GetCid() != news.cid || p.GetMid() != string(answer.ID) || !p.GetRecall() {
			t.Errorf("jerry is told %v", p)
		}
		for _, u := range []*leanUser{tom, jerry, pad} {
			if rest := u.quiet(time.Second, leanpb.CommandType_direct); len(rest) > 0 {
				t.Errorf("%s is pushed %v too", u.name, rest)
			}
			if rest := u.quiet(0, leanpb.CommandType_conv); len(rest) > 0 {
				t.Errorf("%s is told %v", u.name, rest)
			}
		}
	})
}

// TestLM057_WhatStandsBehind: the conversations that a service is made of are not
// clients' to name or to find.
func TestLM057_WhatStandsBehind(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		news := c.service()
		jerry := c.session("jerry", c.nodes[1])
		jerry.send(news.cid, "1")
		news.toAll("2")
		thread, _ := state.ThreadOf(wireID(news.cid), "jerry")
		for _, id := range []wire.ConversationID{thread, state.BroadcastLog} {
			if sent := jerry.send(string(id), "hi"); sent.GetCode() != 4401 {
				t.Errorf("sent to %s: %v", id, sent)
			}
			reply := jerry.ask(&leanpb.GenericCommand{Cmd: leanpb.CommandType_logs.Enum(), LogsMessage: &leanpb.LogsCommand{Cid: new(string(id))}})
			if reply.GetErrorMessage().GetCode() != 4401 {
				t.Errorf("the history of %s: %v", id, reply)
			}
		}
		found := jerry.find(&leanpb.ConvCommand{Where: jsonObject(`{"m":"jerry"}`)})
		if len(found) != 0 {
			t.Errorf("found %v", found)
		}
		if sent := jerry.send("5d3a9ff5c8dbcf0006d5d9c1", "hi"); sent.GetCode() != 4401 {
			t.Errorf("sent to what is not there: %v", sent)
		}
	})
}

// TestLM056_ServiceWhileAway: what a service said while a user was away is one
// count, and reading the service reads all of it.
func TestLM056_ServiceWhileAway(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		news := c.service("tom")
		tom := c.session("tom", c.nodes[0])
		time.Sleep(2 * time.Second) // of the bubble's clock
		tom.leave()
		news.toSubscribers("1")
		time.Sleep(10 * time.Millisecond) // of the bubble's clock: another shard's stamps
		news.toUsers("2", "tom", "jerry")
		time.Sleep(10 * time.Millisecond)
		news.toAll("3")
		last := news.toAll("4")

		tom = c.session("tom", c.nodes[1])
		got := tom.unread()
		if len(got.GetConvs()) != 1 {
			t.Fatalf("unread %v", got)
		}
		want := &leanpb.UnreadTuple{
			Cid: &news.cid, Unread: proto.Int32(4), Mid: new(string(last.MessageID)), Timestamp: &last.Timestamp, From: new("bot"),
			Data: new("4"), Mentioned: new(false), ConvType: proto.Int32(3),
		}
		if !proto.Equal(got.GetConvs()[0], want) {
			t.Errorf("unread %v\nwant %v", got.GetConvs()[0], want)
		}
		// Who was written to is not new; who is, is told the newest broadcast alone.
		for user, want := range map[string]int32{"jerry": 3, "mary": 1} {
			convs := c.session(user, c.nodes[2]).unread().GetConvs()
			if len(convs) != 1 || convs[0].GetCid() != news.cid || convs[0].GetUnread() != want {
				t.Errorf("%s has unread %v, want %d", user, convs, want)
			}
		}

		phone := c.session("tom", c.nodes[2])
		phone.unread()
		tom.rest()
		tom.read(news.cid, last.Timestamp, string(last.MessageID))
		for _, u := range []*leanUser{tom, phone} {
			u.await("nothing unread", func(in *leanpb.GenericCommand) bool {
				convs := in.GetUnreadMessage().GetConvs()
				return len(convs) == 1 && convs[0].GetCid() == news.cid && convs[0].GetUnread() == 0
			})
		}
		tom.leave()
		again := c.session("tom", c.nodes[0])
		if left := again.quiet(2*time.Second, leanpb.CommandType_unread); len(left) > 0 {
			t.Errorf("after it was read: %v", left)
		}
	})
}

// TestLM056_ReplayedToOldClients: clients that do not count are replayed what
// they have missed, once.
func TestLM056_ReplayedToOldClients(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		news := c.service("tom")
		open := func(n *testNode) *leanUser {
			u := c.lean("tom", n, transport.LeanProtobuf1)
			u.open()
			time.Sleep(2 * time.Second) // of the bubble's clock
			return u
		}
		open(c.nodes[0]).leave()
		news.toSubscribers("1")
		time.Sleep(10 * time.Millisecond) // of the bubble's clock: another shard's stamps
		news.toUsers("2", "tom")
		time.Sleep(10 * time.Millisecond)
		news.toAll("3")
		tom := open(c.nodes[1])
		for _, text := range []string{"1", "2", "3"} {
			m := tom.wantOf(news, text)
			tom.got(&leanpb.AckCommand{Cid: &news.cid, Mid: m.Id, Tots: m.Timestamp})
		}
		time.Sleep(2 * time.Second) // of the bubble's clock: acks are gathered
		tom.leave()
		tom = open(c.nodes[2])
		if again := tom.quiet(time.Second, leanpb.CommandType_direct); len(again) > 0 {
			t.Errorf("replayed again: %v", again)
		}
	})
}
