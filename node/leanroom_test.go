package node

import (
	"fmt"
	"testing"
	"time"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire/leanpb"
)

// join joins a conversation, or with leave leaves it.
func (u *leanUser) join(cid string, leave ...bool) {
	u.t.Helper()
	op, want := leanpb.OpType_add, leanpb.OpType_added
	if len(leave) > 0 {
		op, want = leanpb.OpType_remove, leanpb.OpType_removed
	}
	reply := u.ask(&leanpb.GenericCommand{
		Cmd: leanpb.CommandType_conv.Enum(), Op: op.Enum(), ConvMessage: &leanpb.ConvCommand{Cid: &cid, M: []string{u.name}},
	})
	if reply.GetOp() != want {
		u.t.Fatalf("%s and %s: %v", u.name, cid, reply)
	}
}

// hears tells whether a client is pushed what somebody sends now.
func (u *leanUser) hears(from *leanUser, cid string) bool {
	u.t.Helper()
	text := fmt.Sprint("can you hear me at ", time.Now().UnixNano())
	if ack := from.send(cid, text); ack.Code != nil {
		u.t.Fatalf("%s sends to %s: %v", from.name, cid, ack)
	}
	for _, in := range u.quiet(time.Second, leanpb.CommandType_direct) {
		if m := in.GetDirectMessage(); m.GetMsg() == text && m.GetConvType() == 2 {
			return true
		}
	}
	return false
}

func TestLM050_ChatRoom(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		one := c.conversation(&state.CreateConversation{Preset: state.PresetRoom}, "owner")
		two := c.conversation(&state.CreateConversation{Preset: state.PresetRoom}, "owner")
		tom, jerry := c.session("tom", c.nodes[0]), c.session("jerry", c.nodes[1])
		if jerry.hears(tom, one) {
			t.Error("jerry is not in the room, and hears")
		}
		jerry.join(one)
		if !jerry.hears(tom, one) {
			t.Error("jerry does not hear who has not joined")
		}
		if got := tom.quiet(time.Second, leanpb.CommandType_direct); len(got) > 0 {
			t.Errorf("the sender has an echo: %v", got)
		}
		jerry.join(two) // and leaves the first
		if jerry.hears(tom, one) || !jerry.hears(tom, two) {
			t.Error("jerry is in the wrong room")
		}
		jerry.join(two, true)
		if jerry.hears(tom, two) {
			t.Error("jerry has left, and hears")
		}
		if items := jerry.logs(&leanpb.LogsCommand{Cid: &two}); len(items) != 2 || items[0].GetConvType() != 2 {
			t.Errorf("the history is %v", items)
		}
		if got := c.session("jerry", c.nodes[2]).quiet(time.Second, leanpb.CommandType_unread); len(got) > 0 {
			t.Errorf("a room counts: %v", got)
		}
	})
}

// TestLM052_ComingBackToTheRoom: within half an hour one is in it again, and after
// leaving it one is not.
func TestLM052_ComingBackToTheRoom(t *testing.T) {
	for _, row := range []struct {
		name  string
		away  time.Duration
		leave bool
		in    bool
	}{
		{"at once", 0, false, true},
		{"after 29 minutes", 29 * time.Minute, false, true},
		{"after 31 minutes", 31 * time.Minute, false, false},
		{"after leaving", time.Minute, true, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, c *testCluster) {
				room := c.conversation(&state.CreateConversation{Preset: state.PresetRoom}, "owner")
				jerry := c.session("jerry", c.nodes[1])
				jerry.join(room)
				if row.leave {
					jerry.join(room, true)
				}
				jerry.leave()
				time.Sleep(row.away)
				tom := c.session("tom", c.nodes[0])
				jerry = c.session("jerry", c.nodes[2], func(m *leanpb.SessionCommand) { m.R = new(true) })
				time.Sleep(time.Second)
				if got := jerry.hears(tom, room); got != row.in {
					t.Errorf("hears: %t, want %t", got, row.in)
				}
			})
		})
	}
}

func TestLM070_Will(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		cid := c.conversation(&state.CreateConversation{}, "tom", "jerry")
		other := c.conversation(&state.CreateConversation{}, "tom", "jerry")
		jerry := c.session("jerry", c.nodes[1])
		will := func(u *leanUser, cid, text string) *leanpb.AckCommand {
			ack := u.send(cid, text, func(m *leanpb.DirectCommand) { m.Will = new(true) })
			if ack.Code != nil || ack.GetUid() == "" || ack.GetT() == 0 {
				t.Errorf("the ack is %v", ack)
			}
			return ack
		}
		tom := c.session("tom", c.nodes[0])
		time.Sleep(time.Second)
		will(tom, other, "the first")
		last := will(tom, cid, "the last")
		if got := jerry.quiet(5*time.Second, leanpb.CommandType_direct); len(got) > 0 {
			t.Errorf("told too early: %v", got)
		}
		tom.leave()
		if got := jerry.message(); got.GetId() != last.GetUid() || got.GetMsg() != "the last" || got.GetCid() != cid || got.GetFromPeerId() != "tom" || got.GetTimestamp() < last.GetT() {
			t.Errorf("told %v", got)
		}
		if items := jerry.logs(&leanpb.LogsCommand{Cid: &cid}); len(items) > 0 {
			t.Errorf("stored: %v", items)
		}
		// Not when one logs out.
		tom = c.session("tom", c.nodes[2])
		will(tom, cid, "not to be told")
		closed := tom.ask(&leanpb.GenericCommand{Cmd: leanpb.CommandType_session.Enum(), Op: leanpb.OpType_close.Enum()})
		if closed.GetOp() != leanpb.OpType_closed {
			t.Errorf("closed: %v", closed)
		}
		tom.leave()
		if got := jerry.quiet(10*time.Second, leanpb.CommandType_direct); len(got) > 0 {
			t.Errorf("told %v", got)
		}
		// When the node is lost.
		tom = c.session("tom", c.nodes[0])
		time.Sleep(time.Second)
		lost := will(tom, cid, "with the node")
		c.crash(c.nodes[0])
		if got := jerry.message(); got.GetId() != lost.GetUid() {
			t.Errorf("told %v", got)
		}
	})
}
