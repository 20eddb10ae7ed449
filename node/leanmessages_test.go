package node

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/leanpb"
)

// TestLM063_SendPushLogs is the way of a message through three nodes.
func TestLM063_SendPushLogs(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		cid := c.conversation(&state.CreateConversation{}, "tom", "jerry")
		tom, jerry := c.session("tom", c.nodes[0]), c.session("jerry", c.nodes[1])
		time.Sleep(time.Second)

		body := `{"_lctype":-1,"_lctext":"hi"}`
		sent := tom.send(cid, body)
		if sent.Code != nil || len(sent.GetUid()) != 22 || sent.GetT() == 0 {
			t.Errorf("the ack is %v", sent)
		}
		got := jerry.message()
		want := &leanpb.DirectCommand{
			Id: sent.Uid, Cid: &cid, FromPeerId: new("tom"), Timestamp: sent.T, Msg: &body, ConvType: proto.Int32(1),
		}
		if !proto.Equal(got, want) {
			t.Errorf("pushed  %v\nwant %v", got, want)
		}
		items := jerry.logs(&leanpb.LogsCommand{Cid: &cid, L: proto.Int32(5)})
		if len(items) != 1 || items[0].GetMsgId() != sent.GetUid() || items[0].GetTimestamp() != sent.GetT() || items[0].GetData() != body || items[0].GetFrom() != "tom" {
			t.Errorf("logs %v", items)
		}
		if pushes := tom.quiet(time.Second, leanpb.CommandType_direct); len(pushes) > 0 {
			t.Errorf("the sender is pushed %v", pushes)
		}
	})
}

// TestLM065_OneOrderForAll: two senders interleave, and all see one order, that of
// the history.
func TestLM065_OneOrderForAll(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		cid := c.conversation(&state.CreateConversation{}, "tom", "jerry", "mary")
		tom, jerry, mary := c.session("tom", c.nodes[0]), c.session("jerry", c.nodes[1]), c.session("mary", c.nodes[2])
		time.Sleep(time.Second)
		const each = 20
		for n := range each {
			for _, u := range []*leanUser{tom, jerry} {
				u.i++
				u.say(&leanpb.GenericCommand{
					Cmd: leanpb.CommandType_direct.Enum(), I: new(u.i),
					DirectMessage: &leanpb.DirectCommand{Cid: &cid, Msg: new(fmt.Sprintf("%s %d", u.name, n))},
				})
			}
		}
		var order []string
		next := map[string]int{}
		for range 2 * each {
			m := mary.message()
			order = append(order, m.GetId())
			if want := fmt.Sprintf("%s %d", m.GetFromPeerId(), next[m.GetFromPeerId()]); m.GetMsg() != want {
				t.Errorf("%q where %q was due", m.GetMsg(), want)
			}
			next[m.GetFromPeerId()]++
		}
		for i, item := range mary.logs(&leanpb.LogsCommand{Cid: &cid, L: proto.Int32(100)}) {
			if item.GetMsgId() != order[i] {
				t.Fatalf("message %d of the history was not pushed there", i)
			}
		}
	})
}

func TestLM077_ResentMessageIsTheSame(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		cid := c.conversation(&state.CreateConversation{}, "tom", "jerry")
		tom, jerry := c.session("tom", c.nodes[0]), c.session("jerry", c.nodes[1])
		time.Sleep(time.Second)
		dt := func(token string) func(*leanpb.DirectCommand) {
			return func(m *leanpb.DirectCommand) { m.Dt = new(token) }
		}
		first := tom.send(cid, "once", dt("a"))
		tom.leave()
		again := c.session("tom", c.nodes[2])
		if resent := again.send(cid, "once", dt("a")); !proto.Equal(resent, first) {
			t.Errorf("resent %v, want %v", resent, first)
		}
		if other := again.send(cid, "once", dt("b")); other.GetUid() == first.GetUid() {
			t.Error("another token has the same message")
		}
		if jerry2 := c.session("jerry", c.nodes[1]); len(jerry2.logs(&leanpb.LogsCommand{Cid: &cid})) != 2 {
			t.Error("the resent message is there twice")
		}
		if got := jerry.quiet(time.Second, leanpb.CommandType_direct); len(got) != 2 {
			t.Errorf("jerry is pushed %v", got)
		}
	})
}

func TestLM020_RefusedMessages(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		cid := c.conversation(&state.CreateConversation{}, "tom", "jerry")
		tom, eve := c.session("tom", c.nodes[0]), c.session("eve", c.nodes[1])
		gone := c.conversation(&state.CreateConversation{Preset: state.PresetTemporary, TTLMillis: 60_000}, "tom", "jerry")
		muted := c.conversation(&state.CreateConversation{}, "tom", "eve")
		c.do("", &state.Mute{Conversation: wire.ConversationID(muted), Users: []wire.UserID{"eve"}})
		if ok := tom.send("_tmp:"+gone, "still there"); ok.Code != nil {
			t.Errorf("a temporary conversation refuses: %v", ok)
		}
		time.Sleep(2 * time.Minute)
		for _, one := range []struct {
			who       *leanUser
			cid, text string
			code      int32
			reason    string
		}{
			{eve, cid, "let me in", 4401, "INVALID_MESSAGING_TARGET"},
			{eve, "5a0000000000000000000000", "nobody there", 4401, "INVALID_MESSAGING_TARGET"},
			{eve, "", "nowhere", 4401, "INVALID_MESSAGING_TARGET"},
			{eve, muted, "mmh", 4563, "SILIENCED"},
			{tom, "_tmp:" + gone, "too late", 4323, "TEMPORARY_CONVERSATION_EXPIRED"},
			{tom, "_tmp:5a0000000000000000000000", "never there", 4323, "TEMPORARY_CONVERSATION_EXPIRED"},
			{tom, cid, strings.Repeat("x", 5121), 4109, "FRAME_TOO_LONG"},
		} {
			got := one.who.send(one.cid, one.text)
			if got.GetCode() != one.code || got.GetReason() != one.reason || got.Uid != nil {
				t.Errorf("%s to %q: %v, want %d", one.who.name, one.cid, got, one.code)
			}
		}
		if ok := tom.send(cid, ""); ok.Code != nil {
			t.Errorf("an empty message is refused: %v", ok)
		}
		counted := tom.send(cid, strings.Repeat("x", 5000), func(m *leanpb.DirectCommand) { m.PushData = new(strings.Repeat("y", 200)) })
		if counted.GetCode() != 4109 {
			t.Errorf("what is for the push does not count: %v", counted)
		}
	})
}

func TestLM062_BytesAndMentions(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		cid := c.conversation(&state.CreateConversation{}, "tom", "jerry")
		tom, jerry := c.session("tom", c.nodes[0]), c.session("jerry", c.nodes[1])
		time.Sleep(time.Second)
		tom.send(cid, "", func(m *leanpb.DirectCommand) {
			m.Msg, m.BinaryMsg = nil, []byte{0, 1, 0xff}
			m.MentionPids, m.MentionAll = []string{"jerry"}, new(false)
		})
		got := jerry.message()
		if got.Msg != nil || string(got.GetBinaryMsg()) != "\x00\x01\xff" || got.GetMentionPids()[0] != "jerry" || got.MentionAll != nil {
			t.Errorf("pushed %v", got)
		}
		item := jerry.logs(&leanpb.LogsCommand{Cid: &cid})[0]
		if !item.GetBin() || item.GetData() != "AAH/" || item.GetMentionPids()[0] != "jerry" || item.MentionAll != nil {
			t.Errorf("logs %v", item)
		}
		tom.send(cid, "all of you", func(m *leanpb.DirectCommand) { m.MentionAll = new(true) })
		if got := jerry.message(); !got.GetMentionAll() {
			t.Errorf("pushed %v", got)
		}
	})
}

func TestLM064_TransientMessages(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		cid := c.conversation(&state.CreateConversation{}, "tom", "jerry")
		tom, jerry, pad := c.session("tom", c.nodes[0]), c.session("jerry", c.nodes[1]), c.session("tom", c.nodes[2])
		eve := c.session("eve", c.nodes[0])
		time.Sleep(time.Second)
		transient := func(m *leanpb.DirectCommand) { m.Transient = new(true) }
		ack := tom.send(cid, "typing", transient)
		if ack.Code != nil || ack.GetUid() == "" || ack.GetT() == 0 {
			t.Errorf("the ack is %v", ack)
		}
		for _, u := range []*leanUser{jerry, pad} {
			if got := u.message(); !got.GetTransient() || got.GetId() != ack.GetUid() || got.GetMsg() != "typing" || got.GetConvType() != 1 || got.GetFromPeerId() != "tom" {
				t.Errorf("%s is pushed %v", u.name, got)
			}
		}
		if got := eve.send(cid, "typing", transient); got.GetCode() != 4401 {
			t.Errorf("a stranger's is answered %v", got)
		}
		if items := jerry.logs(&leanpb.LogsCommand{Cid: &cid}); len(items) != 0 {
			t.Errorf("logs %v", items)
		}
		old := c.session("tom", c.nodes[1], func(m *leanpb.SessionCommand) { m.ConfigBitmap = proto.Int64(1) })
		time.Sleep(time.Second)
		old.i++
		old.say(&leanpb.GenericCommand{
			Cmd: leanpb.CommandType_direct.Enum(), I: new(old.i), DirectMessage: &leanpb.DirectCommand{Cid: &cid, Msg: new("silent"), Transient: new(true)},
		})
		if got := jerry.message(); got.GetMsg() != "silent" {
			t.Errorf("jerry is pushed %v", got)
		}
		time.Sleep(time.Second)
		for _, in := range old.rest() {
			if in.GetCmd() == leanpb.CommandType_ack {
				t.Errorf("a client that does not want it has %v", in)
			}
		}
	})
}

func TestLM079_OtherDevicesOfTheSender(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		cid := c.conversation(&state.CreateConversation{}, "tom", "jerry")
		phone, pad := c.session("tom", c.nodes[0]), c.session("tom", c.nodes[0])
		time.Sleep(time.Second)
		sent := phone.send(cid, "mine")
		if got := pad.message(); got.GetId() != sent.GetUid() || got.GetFromPeerId() != "tom" {
			t.Errorf("the other device is pushed %v", got)
		}
		if got := phone.quiet(time.Second, leanpb.CommandType_direct); len(got) > 0 {
			t.Errorf("the sending one is pushed %v", got)
		}
	})
}

// TestLM004_TwoClientsOnOneSocket: each is pushed for itself.
func TestLM004_TwoClientsOnOneSocket(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		cid := c.conversation(&state.CreateConversation{}, "tom", "jerry", "mary")
		tom, both := c.session("tom", c.nodes[0]), c.session("jerry", c.nodes[1])
		both.name = "mary"
		both.open()
		time.Sleep(time.Second)
		tom.send(cid, "to both")
		peers := map[string]bool{}
		for range 2 {
			peers[both.push(leanpb.CommandType_direct, 0).GetPeerId()] = true
		}
		if !peers["jerry"] || !peers["mary"] {
			t.Errorf("pushed to %v", peers)
		}
		// A message of one of them is pushed to the other one, on the same socket.
		reply := both.ask(&leanpb.GenericCommand{
			Cmd: leanpb.CommandType_direct.Enum(), PeerId: new("mary"), DirectMessage: &leanpb.DirectCommand{Cid: &cid, Msg: new("from mary")},
		})
		if reply.GetPeerId() != "mary" || reply.GetAckMessage().GetUid() == "" {
			t.Errorf("replied %v", reply)
		}
		if got := both.push(leanpb.CommandType_direct, 0); got.GetPeerId() != "jerry" || got.GetDirectMessage().GetFromPeerId() != "mary" {
			t.Errorf("pushed %v", got)
		}
	})
}

// TestLM054_UrgentMessagesWait: to a client that does not read, only urgent
// transient messages wait.
func TestLM054_UrgentMessagesWait(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		c.settings(`{"leanmessage.rate.send":"0"}`)
		room := c.conversation(&state.CreateConversation{Preset: state.PresetRoom}, "owner")
		tom, jerry := c.session("tom", c.nodes[0]), c.session("jerry", c.nodes[1])
		jerry.join(room)
		transient := func(text string, priority int32) {
			reply := tom.ask(&leanpb.GenericCommand{
				Cmd: leanpb.CommandType_direct.Enum(), Priority: &priority,
				DirectMessage: &leanpb.DirectCommand{Cid: &room, Msg: new(text + strings.Repeat(" ", 4100)), Transient: new(true)},
			})
			if reply.GetAckMessage().GetUid() == "" {
				t.Errorf("replied %v", reply)
			}
		}
		release := jerry.stall()
		for range 140 { // more than what waits, and what is being written
			tom.send(room, strings.Repeat("x", 4000))
		}
		time.Sleep(time.Second)
		const lows = 80 // more than there can be room for: what did not fit may have been several at once
		for range lows {
			transient("low", 3)
		}
		transient("urgent", 1)
		transient("normal", 2)
		time.Sleep(time.Second)
		release()
		got := map[string]int{}
		for _, in := range jerry.quiet(10*time.Second, leanpb.CommandType_direct) {
			text := "stored"
			if m := in.GetDirectMessage(); m.GetTransient() {
				text = strings.TrimSpace(m.GetMsg())
			}
			got[text]++
		}
		if got["stored"] != 140 || got["urgent"] != 1 || got["normal"] != 0 || got["low"] == lows {
			t.Errorf("pushed %v", got)
		}
	})
}

// TestLM079_NoEcho: a back end can send in a user's name without an echo to him.
func TestLM079_NoEcho(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		cid := c.conversation(&state.CreateConversation{}, "tom", "jerry")
		tom, jerry := c.session("tom", c.nodes[0]), c.session("jerry", c.nodes[1])
		time.Sleep(time.Second)
		for n, session := range []uint64{door.NoEcho, 0} {
			host := doorHost{backend: c.nodes[2].node.backend}
			h := state.Header{App: testApp, Origin: state.Origin{Node: "n3", Session: session}}
			r, err := host.Change(t.Context(), h, &state.SendMessage{Conversation: wireID(cid), From: "tom", Body: []byte("from behind")})
			if err != nil || r.Refusal != state.None {
				t.Fatal(r.Refusal, err)
			}
			if got := jerry.message(); got.GetFromPeerId() != "tom" {
				t.Errorf("jerry is pushed %v", got)
			}
			if got := tom.quiet(time.Second, leanpb.CommandType_direct); len(got) != n {
				t.Errorf("tom is pushed %v", got)
			}
		}
	})
}
