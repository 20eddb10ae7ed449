package node

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire/leanpb"
)

// TestLM065_SlowReaderMissesNothing: a client that does not read for a while gets
// every message once, in order, with what was sent meanwhile.
func TestLM065_SlowReaderMissesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		c.settings(`{"leanmessage.rate.send":"0"}`)
		cid := c.conversation(&state.CreateConversation{}, "tom", "jerry")
		tom, jerry, pad := c.session("tom", c.nodes[0]), c.session("jerry", c.nodes[1]), c.session("tom", c.nodes[1])
		time.Sleep(time.Second)
		release := jerry.stall()
		const n = 300
		for i := range n {
			u := tom
			if i%2 == 1 {
				u = pad
			}
			u.send(cid, fmt.Sprintf("%d %s", i, strings.Repeat("x", 4000)))
		}
		release()
		tom.send(cid, fmt.Sprint(n, " "))
		for i := range n + 1 {
			if got := jerry.message().GetMsg(); !strings.HasPrefix(got, fmt.Sprint(i, " ")) {
				t.Fatalf("message %d is %.10q", i, got)
			}
		}
		if got := jerry.quiet(5*time.Second, leanpb.CommandType_direct); len(got) > 0 {
			t.Errorf("%d messages twice, the first %.10q", len(got), got[0].GetDirectMessage().GetMsg())
		}
	})
}

// TestLM066_OwnMessagesAreNotRead: a sender that was behind is not pushed its own
// messages of meanwhile.
func TestLM066_OwnMessagesAreNotRead(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		c.settings(`{"leanmessage.rate.send":"0"}`)
		cid := c.conversation(&state.CreateConversation{}, "tom", "jerry")
		tom, jerry := c.session("tom", c.nodes[0]), c.session("jerry", c.nodes[1])
		time.Sleep(time.Second)
		release := jerry.stall()
		for i := range 200 {
			tom.send(cid, fmt.Sprint(i, strings.Repeat("x", 4000)))
			if i > 20 && i <= 60 && i%10 == 0 { // he reads nothing, and is read while there is room for him
				jerry.i++
				jerry.say(&leanpb.GenericCommand{
					Cmd: leanpb.CommandType_direct.Enum(), I: new(jerry.i), DirectMessage: &leanpb.DirectCommand{Cid: &cid, Msg: new("mine")},
				})
			}
		}
		time.Sleep(time.Second)
		release()
		got := jerry.quiet(10*time.Second, leanpb.CommandType_direct)
		for _, in := range got {
			if in.GetDirectMessage().GetMsg() == "mine" {
				t.Error("an own message is pushed")
			}
		}
		if len(got) != 200 {
			t.Errorf("%d messages, want 200", len(got))
		}
	})
}

// TestLM063_LeaderIsLost: acknowledged messages are pushed once, whatever happens
// to the conversation's leader.
func TestLM063_LeaderIsLost(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		c.settings(`{"leanmessage.rate.send":"0"}`)
		cid := c.conversation(&state.CreateConversation{}, "tom", "jerry")
		leader := c.leader(cid)
		a := c.other(leader)
		b := c.other(leader, a)
		tom, jerry := c.session("tom", a), c.session("jerry", b)
		time.Sleep(time.Second)
		const n = 40
		acked := map[string]bool{}
		for i := range n {
			if i == n/2 {
				c.crash(leader)
			}
			for {
				ack := tom.send(cid, fmt.Sprint(i), func(m *leanpb.DirectCommand) { m.Dt = new(fmt.Sprint("token ", i)) })
				if ack.Code == nil {
					acked[ack.GetUid()] = true
					break
				}
				time.Sleep(time.Second)
			}
		}
		for i := range n {
			got := jerry.message()
			if got.GetMsg() != fmt.Sprint(i) || !acked[got.GetId()] {
				t.Fatalf("message %d is %v", i, got)
			}
		}
		if got := jerry.quiet(10*time.Second, leanpb.CommandType_direct); len(got) > 0 {
			t.Errorf("%d messages twice", len(got))
		}
	})
}

// TestLM086_CountsAreExact counts as a client does, one for each message and then
// whatever the server says, while messages come and another device reads.
func TestLM086_CountsAreExact(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		c.settings(`{"leanmessage.rate.send":"0"}`)
		cid := c.conversation(&state.CreateConversation{}, "tom", "jerry")
		tom, phone := c.session("tom", c.nodes[0]), c.session("jerry", c.nodes[1])
		time.Sleep(time.Second)
		var sent []*leanpb.AckCommand
		for range 5 {
			sent = append(sent, tom.send(cid, "before"))
		}
		pad := c.session("jerry", c.nodes[2]) // while messages come
		for i := range 100 {
			sent = append(sent, tom.send(cid, "x"))
			if i%3 == 0 {
				upto := sent[len(sent)-3]
				phone.read(cid, upto.GetT(), upto.GetUid())
			}
		}
		time.Sleep(5 * time.Second)
		want := c.session("jerry", c.nodes[0]).unread().GetConvs()[0].GetUnread()
		if want == 0 {
			t.Error("everything is read")
		}
		for n, u := range []*leanUser{phone, pad} {
			count := int32(0)
			for _, in := range u.rest() {
				if in.GetCmd() == leanpb.CommandType_direct {
					count++
				}
				for _, tuple := range in.GetUnreadMessage().GetConvs() {
					count = tuple.GetUnread()
				}
			}
			if count != want {
				t.Errorf("client %d counts %d, want %d", n, count, want)
			}
		}
	})
}

// TestLM066_OwnMessagesOfALostLeader: what a session has sent while the leader was
// lost is answered, and not pushed to it as somebody else's.
func TestLM066_OwnMessagesOfALostLeader(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		c.settings(`{"leanmessage.rate.send":"0"}`)
		cid := c.conversation(&state.CreateConversation{}, "tom", "jerry")
		leader := c.leader(cid)
		a := c.other(leader)
		tom, pad := c.session("tom", a), c.session("tom", c.other(leader, a))
		time.Sleep(time.Second)
		const n = 60
		for i := range n {
			if i == n/2 {
				c.crash(leader)
			}
			tom.i++
			tom.say(&leanpb.GenericCommand{
				Cmd: leanpb.CommandType_direct.Enum(), I: new(tom.i), DirectMessage: &leanpb.DirectCommand{Cid: &cid, Msg: new(fmt.Sprint(i))},
			})
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(20 * time.Second)
		acks := map[string]bool{}
		for _, in := range tom.rest() {
			switch m := in.GetDirectMessage(); {
			case in.GetAckMessage().GetUid() != "":
				acks[in.GetAckMessage().GetUid()] = true
			case m != nil && acks[m.GetId()]:
				t.Errorf("an own message is pushed: %v", m)
			case m != nil:
				t.Logf("a message without an ack is pushed: %v", m)
			}
		}
		if got := pad.quiet(0, leanpb.CommandType_direct); len(got) < len(acks) || len(acks) < n/2 {
			t.Errorf("%d acks, and the other device has %d messages", len(acks), len(got))
		}
	})
}
