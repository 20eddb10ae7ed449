package node

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire/leanpb"
)

// read says that a user has read a conversation.
func (u *leanUser) read(cid string, millis int64, mid string) {
	u.t.Helper()
	tuple := &leanpb.ReadTuple{Cid: &cid, Timestamp: &millis}
	if mid != "" {
		tuple.Mid = &mid
	}
	u.say(&leanpb.GenericCommand{Cmd: leanpb.CommandType_read.Enum(), ReadMessage: &leanpb.ReadCommand{Convs: []*leanpb.ReadTuple{tuple}}})
}

// got acknowledges what was pushed.
func (u *leanUser) got(m *leanpb.AckCommand) {
	u.t.Helper()
	u.say(&leanpb.GenericCommand{Cmd: leanpb.CommandType_ack.Enum(), AckMessage: m})
}

// unread waits for the next push of unread counts.
func (u *leanUser) unread() *leanpb.UnreadCommand {
	u.t.Helper()
	return u.push(leanpb.CommandType_unread, 0).GetUnreadMessage()
}

func TestLM083_UnreadAfterOpen(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		one := c.conversation(&state.CreateConversation{}, "tom", "jerry")
		two := c.conversation(&state.CreateConversation{}, "tom", "jerry", "mary")
		c.conversation(&state.CreateConversation{}, "tom", "jerry")
		tom := c.session("tom", c.nodes[0])
		tom.send(one, "1")
		tom.send(two, "2", func(m *leanpb.DirectCommand) { m.MentionPids = []string{"jerry"} })
		last := tom.send(one, "3")
		tom.send(one, "typing", func(m *leanpb.DirectCommand) { m.Transient = new(true) })
		for _, n := range c.nodes[1:] {
			jerry := c.session("jerry", n)
			got := jerry.unread()
			if len(got.GetConvs()) != 2 || got.GetNotifTime() == 0 {
				t.Fatalf("unread %v", got)
			}
			first, second := got.GetConvs()[0], got.GetConvs()[1]
			want := &leanpb.UnreadTuple{
				Cid: &one, Unread: proto.Int32(2), Mid: last.Uid, Timestamp: last.T, From: new("tom"), Data: new("3"),
				Mentioned: new(false), ConvType: proto.Int32(1),
			}
			if !proto.Equal(first, want) {
				t.Errorf("unread %v\nwant %v", first, want)
			}
			if second.GetCid() != two || second.GetUnread() != 1 || !second.GetMentioned() {
				t.Errorf("unread %v", second)
			}
			if pushes := jerry.quiet(time.Second, leanpb.CommandType_direct); len(pushes) > 0 {
				t.Errorf("messages are replayed: %v", pushes)
			}
		}
		// Own messages add nothing.
		if again := c.session("tom", c.nodes[2]); len(again.quiet(time.Second, leanpb.CommandType_unread)) > 0 {
			t.Error("the sender has unread messages")
		}
	})
}

func TestLM087_ReadOnOneDevice(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		cid := c.conversation(&state.CreateConversation{}, "tom", "jerry")
		tom, phone, pad := c.session("tom", c.nodes[0]), c.session("jerry", c.nodes[1]), c.session("jerry", c.nodes[2])
		time.Sleep(time.Second)
		first := tom.send(cid, "1")
		second := tom.send(cid, "2")
		for _, u := range []*leanUser{phone, pad} {
			u.message()
			u.message()
		}
		phone.read(cid, second.GetT(), second.GetUid())
		for _, u := range []*leanUser{phone, pad} {
			got := u.unread()
			if tuple := got.GetConvs()[0]; len(got.GetConvs()) != 1 || tuple.GetCid() != cid || tuple.Unread == nil || tuple.GetUnread() != 0 || tuple.GetMentioned() || got.GetNotifTime() == 0 {
				t.Errorf("%v", got)
			}
		}
		// Again, or something older: the reader is told all the same.
		phone.read(cid, first.GetT(), first.GetUid())
		if got := phone.unread(); got.GetConvs()[0].GetUnread() != 0 {
			t.Errorf("read again: %v", got)
		}
		if late := c.session("jerry", c.nodes[0]); len(late.quiet(time.Second, leanpb.CommandType_unread)) > 0 {
			t.Error("a new device has unread messages")
		}
		tom.send(cid, "3")
		time.Sleep(time.Second)
		third := c.session("jerry", c.nodes[0])
		if got := third.unread(); got.GetConvs()[0].GetUnread() != 1 {
			t.Errorf("after another: %v", got)
		}
		// With a time alone, as of a clock that is ahead.
		third.read(cid, second.GetT()+1<<40, "")
		if got := third.unread(); got.GetConvs()[0].GetUnread() != 0 {
			t.Errorf("read until now: %v", got)
		}
	})
}

// TestLM086_ReadUpToAMessage leaves what is younger unread, and says how many.
func TestLM086_ReadUpToAMessage(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		cid := c.conversation(&state.CreateConversation{}, "tom", "jerry")
		tom, jerry := c.session("tom", c.nodes[0]), c.session("jerry", c.nodes[1])
		time.Sleep(time.Second)
		var sent []*leanpb.AckCommand
		for range 5 {
			sent = append(sent, tom.send(cid, "x"))
			jerry.message()
		}
		jerry.read(cid, sent[1].GetT(), sent[1].GetUid())
		if got := jerry.unread().GetConvs()[0]; got.GetUnread() != 3 || got.GetMid() != sent[4].GetUid() {
			t.Errorf("unread %v", got)
		}
		jerry.say(&leanpb.GenericCommand{Cmd: leanpb.CommandType_read.Enum(), ReadMessage: &leanpb.ReadCommand{Cids: []string{cid}}})
		if got := jerry.unread().GetConvs()[0]; got.GetUnread() != 0 {
			t.Errorf("unread %v", got)
		}
	})
}

// TestLM087_UnreadChangedWhileAway: a device that was away is told that another
// one has read, and nothing of what has not changed.
func TestLM087_UnreadChangedWhileAway(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		one, two := c.conversation(&state.CreateConversation{}, "tom", "jerry"), c.conversation(&state.CreateConversation{}, "tom", "jerry")
		tom, phone := c.session("tom", c.nodes[0]), c.session("jerry", c.nodes[1])
		sent := tom.send(one, "1")
		tom.send(two, "2")
		pad := c.session("jerry", c.nodes[2])
		told := pad.unread()
		if len(told.GetConvs()) != 2 {
			t.Fatalf("unread %v", told)
		}
		pad.leave()
		time.Sleep(2 * time.Minute)
		phone.read(one, sent.GetT(), sent.GetUid())
		time.Sleep(time.Second)
		pad = c.session("jerry", c.nodes[0], func(m *leanpb.SessionCommand) {
			m.R, m.LastUnreadNotifTime = new(true), new(told.GetNotifTime()+61_000)
		})
		if got := pad.unread(); len(got.GetConvs()) != 1 || got.GetConvs()[0].GetCid() != one || got.GetConvs()[0].GetUnread() != 0 {
			t.Errorf("unread %v", got)
		}
	})
}

func TestLM086_CountsAreCapped(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		var last string
		for range 51 {
			last = c.conversation(&state.CreateConversation{}, "tom", "jerry")
			c.do("tom", &state.SendMessage{Conversation: wireID(last), Body: []byte("x")})
			time.Sleep(time.Millisecond)
		}
		for range 100 {
			c.do("tom", &state.SendMessage{Conversation: wireID(last), Body: []byte("x")})
		}
		got := c.session("jerry", c.nodes[1]).unread()
		if len(got.GetConvs()) != 50 || got.GetConvs()[0].GetCid() != last || got.GetConvs()[0].GetUnread() != 100 {
			t.Errorf("%d conversations, the first has %v", len(got.GetConvs()), got.GetConvs()[0])
		}
	})
}

func TestLM067_Receipts(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		cid := c.conversation(&state.CreateConversation{}, "tom", "jerry")
		tom, pad, jerry := c.session("tom", c.nodes[0]), c.session("tom", c.nodes[2]), c.session("jerry", c.nodes[1])
		time.Sleep(time.Second)
		receipt := func(m *leanpb.DirectCommand) { m.R = new(true) }
		tom.send(cid, "without")
		jerry.message()
		one := tom.send(cid, "one", receipt)
		jerry.message()
		jerry.got(&leanpb.AckCommand{Cid: &cid, Fromts: one.T, Tots: one.T})
		for _, u := range []*leanUser{tom, pad} {
			got := u.push(leanpb.CommandType_rcp, 0).GetRcpMessage()
			if got.GetId() != one.GetUid() || got.GetCid() != cid || got.GetFrom() != "jerry" || got.GetT() < one.GetT() || got.Read != nil {
				t.Errorf("delivered: %v", got)
			}
		}
		two := tom.send(cid, "two", receipt)
		three := tom.send(cid, "three", receipt)
		jerry.got(&leanpb.AckCommand{Cid: &cid, Mid: two.Uid})
		if got := tom.push(leanpb.CommandType_rcp, 0).GetRcpMessage(); got.GetId() != two.GetUid() || got.Read != nil {
			t.Errorf("delivered: %v", got)
		}
		jerry.read(cid, three.GetT(), three.GetUid())
		reads := 0
		for _, push := range tom.quiet(3*time.Second, leanpb.CommandType_rcp) {
			if got := push.GetRcpMessage(); got.GetRead() {
				reads++
				if got.GetId() != three.GetUid() || got.GetFrom() != "jerry" || push.GetService() != 2 {
					t.Errorf("read: %v", got)
				}
			}
		}
		if reads != 1 {
			t.Errorf("%d receipts of reading", reads)
		}
		item := tom.logs(&leanpb.LogsCommand{Cid: &cid, L: proto.Int32(1)})[0]
		if item.GetReadAt() < three.GetT() || item.GetAckAt() < three.GetT() {
			t.Errorf("logs %v", item)
		}
		asked := tom.ask(&leanpb.GenericCommand{
			Cmd: leanpb.CommandType_conv.Enum(), Op: leanpb.OpType_max_read.Enum(), ConvMessage: &leanpb.ConvCommand{Cid: &cid},
		}).GetConvMessage()
		if asked.GetCid() != cid || asked.GetMaxReadTimestamp() != item.GetReadAt() || asked.GetMaxAckTimestamp() != item.GetAckAt() {
			t.Errorf("max_read %v, want those of %v", asked, item)
		}
		c.do("tom", &state.AddMembers{Conversation: wireID(cid), Users: userIDs("mary")})
		four := tom.send(cid, "four", receipt)
		jerry.got(&leanpb.AckCommand{Cid: &cid, Mid: four.Uid})
		jerry.read(cid, four.GetT(), four.GetUid())
		if got := tom.quiet(3*time.Second, leanpb.CommandType_rcp); len(got) > 0 {
			t.Errorf("receipts among three: %v", got)
		}
	})
}

func TestLM084_MissedMessagesAreReplayed(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		cid := c.conversation(&state.CreateConversation{}, "tom", "jerry")
		other := c.conversation(&state.CreateConversation{}, "tom", "jerry")
		tom := c.session("tom", c.nodes[0])
		for range 25 {
			tom.send(cid, "x")
			tom.send(other, "y")
			time.Sleep(time.Second)
		}
		jerry := c.lean("jerry", c.nodes[1], transport.LeanProtobuf1)
		jerry.open()
		var seen []string
		for len(seen) < 40 {
			var last *leanpb.DirectCommand
			tots := map[string]*int64{}
			for range 20 {
				last = jerry.message()
				seen = append(seen, last.GetId())
				tots[last.GetCid()] = last.Timestamp
				if !last.GetOffline() || last.GetHasMore() != (len(seen) <= 20) {
					t.Errorf("message %d: %v", len(seen), last)
				}
			}
			if more := jerry.quiet(5*time.Second, leanpb.CommandType_direct); len(more) > 0 {
				t.Errorf("more before the ack: %v", more)
			}
			for id, at := range tots {
				jerry.got(&leanpb.AckCommand{Cid: &id, Fromts: proto.Int64(0), Tots: at})
			}
		}
		time.Sleep(2 * time.Second)
		if got := jerry.quiet(time.Second, leanpb.CommandType_unread); len(got) > 0 {
			t.Errorf("counts are pushed too: %v", got)
		}
		jerry.leave()
		tom.send(cid, "new")
		jerry = c.lean("jerry", c.nodes[2], transport.LeanProtobuf1)
		jerry.open()
		if got := jerry.message(); got.GetMsg() != "new" || got.GetHasMore() {
			t.Errorf("the second time: %v", got)
		}
		if got := jerry.quiet(5*time.Second, leanpb.CommandType_direct); len(got) > 0 {
			t.Errorf("what was acknowledged is replayed: %v", got)
		}
		// Another device has missed it all.
		pad := c.lean("jerry", c.nodes[0], transport.LeanProtobuf1)
		pad.open(func(m *leanpb.SessionCommand) { m.DeviceId = new("pad") })
		if got := pad.message(); !got.GetOffline() {
			t.Errorf("the other device: %v", got)
		}
	})
}

// TestLM087_ReadWhileACountingClientIsAway: a client that was never told a count
// has counted itself.
func TestLM087_ReadWhileACountingClientIsAway(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		cid := c.conversation(&state.CreateConversation{}, "tom", "jerry")
		tom, phone, pad := c.session("tom", c.nodes[0]), c.session("jerry", c.nodes[1]), c.lean("jerry", c.nodes[2], transport.LeanProtobuf3)
		st := pad.open().GetSessionMessage().GetSt()
		time.Sleep(time.Second)
		sent := tom.send(cid, "1")
		pad.message()
		pad.leave()
		phone.read(cid, sent.GetT(), sent.GetUid())
		phone.unread()
		back := c.session("jerry", c.nodes[0], func(m *leanpb.SessionCommand) { m.R, m.St = new(true), &st })
		if got := back.unread(); len(got.GetConvs()) != 1 || got.GetConvs()[0].GetUnread() != 0 {
			t.Errorf("unread %v", got)
		}
	})
}
