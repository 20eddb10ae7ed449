package node

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/shard/state"
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
			Id: sent.Uid, Cid: &cid, FromPeerId: proto.String("tom"), Timestamp: sent.T, Msg: &body, ConvType: proto.Int32(1),
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
					Cmd: leanpb.CommandType_direct.Enum(), I: proto.Int32(u.i),
					DirectMessage: &leanpb.DirectCommand{Cid: &cid, Msg: proto.String(fmt.Sprintf("%s %d", u.name, n))},
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
