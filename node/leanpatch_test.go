package node

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire/leanpb"
)

// patch changes a message and returns the reply.
func (u *leanUser) patch(p *leanpb.PatchItem) *leanpb.GenericCommand {
	u.t.Helper()
	return u.ask(&leanpb.GenericCommand{
		Cmd: leanpb.CommandType_patch.Enum(), Op: leanpb.OpType_modify.Enum(), PatchMessage: &leanpb.PatchCommand{Patches: []*leanpb.PatchItem{p}},
	})
}

// patched waits for the next push of a changed message.
func (u *leanUser) patched() *leanpb.PatchItem {
	u.t.Helper()
	items := u.push(leanpb.CommandType_patch, leanpb.OpType_modify).GetPatchMessage().GetPatches()
	if len(items) != 1 {
		u.t.Fatalf("%d patches in one push", len(items))
	}
	return items[0]
}

func TestLM072_Recall(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		cid := c.conversation(&state.CreateConversation{}, "tom", "jerry")
		c.settings(`{"leanmessage.recall":"on","leanmessage.edit":"on"}`)
		tom, pad, jerry := c.session("tom", c.nodes[0]), c.session("tom", c.nodes[1]), c.session("jerry", c.nodes[2])
		time.Sleep(time.Second)
		sent := tom.send(cid, `{"_lctype":-1,"_lctext":"oops"}`)
		reply := tom.patch(&leanpb.PatchItem{Cid: &cid, Mid: sent.Uid, Timestamp: sent.T, Recall: new(true)})
		at := reply.GetPatchMessage().GetLastPatchTime()
		if reply.GetOp() != leanpb.OpType_modified || at <= sent.GetT() {
			t.Fatalf("replied %v", reply)
		}
		for _, u := range []*leanUser{pad, jerry} {
			got := u.patched()
			want := &leanpb.PatchItem{
				Cid: &cid, Mid: sent.Uid, Timestamp: sent.T, From: new("tom"), Recall: new(true), PatchTimestamp: &at,
				Data: new(`{"_lctype":-127}`), MentionAll: new(false),
			}
			if !proto.Equal(got, want) {
				t.Errorf("%s is pushed %v\nwant %v", u.name, got, want)
			}
		}
		if got := tom.quiet(time.Second, leanpb.CommandType_patch); len(got) > 0 {
			t.Errorf("who recalled is pushed %v", got)
		}
		item := jerry.logs(&leanpb.LogsCommand{Cid: &cid})[0]
		if item.GetData() != `{"_lctype":-127}` || item.GetPatchTimestamp() != at || item.GetMsgId() != sent.GetUid() || item.GetTimestamp() != sent.GetT() {
			t.Errorf("logs %v", item)
		}
	})
}

func TestLM073_EditAndWhoMayNot(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		cid := c.conversation(&state.CreateConversation{}, "tom", "jerry")
		tom, jerry := c.session("tom", c.nodes[0]), c.session("jerry", c.nodes[2])
		time.Sleep(time.Second)
		sent := tom.send(cid, "one")
		edit := &leanpb.PatchItem{Cid: &cid, Mid: sent.Uid, Timestamp: sent.T, Data: new("two"), Recall: new(false), MentionPids: []string{"jerry"}}
		refused := func(u *leanUser, p *leanpb.PatchItem, code int32) {
			t.Helper()
			if got := u.patch(p); got.GetCmd() != leanpb.CommandType_error || got.GetErrorMessage().GetCode() != code {
				t.Errorf("replied %v, want %d", got, code)
			}
		}
		refused(tom, edit, 4406)
		refused(tom, &leanpb.PatchItem{Cid: &cid, Mid: sent.Uid, Timestamp: sent.T, Recall: new(true)}, 4407)
		c.settings(`{"leanmessage.recall":"on","leanmessage.edit":"on"}`)
		refused(jerry, edit, 4403)
		refused(tom, &leanpb.PatchItem{Cid: &cid, Mid: sent.Uid, Timestamp: new(sent.GetT() + 1), Data: new("x")}, 4404)
		refused(tom, &leanpb.PatchItem{Cid: &cid, Mid: new("nothing"), Timestamp: sent.T, Data: new("x")}, 4404)
		reply := tom.patch(edit)
		if reply.GetOp() != leanpb.OpType_modified {
			t.Fatalf("replied %v", reply)
		}
		got := jerry.patched()
		if got.GetData() != "two" || got.GetRecall() || got.GetMentionPids()[0] != "jerry" || got.GetPatchTimestamp() != reply.GetPatchMessage().GetLastPatchTime() {
			t.Errorf("pushed %v", got)
		}
		// Bytes where a text belongs.
		tom.patch(&leanpb.PatchItem{Cid: &cid, Mid: sent.Uid, Timestamp: sent.T, Data: new("\xff\x00")})
		if got := jerry.patched(); string(got.GetBinaryMsg()) != "\xff\x00" || got.Data != nil {
			t.Errorf("pushed %v", got)
		}
	})
}

func TestLM075_PatchesWhileAway(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		cid := c.conversation(&state.CreateConversation{}, "tom", "jerry")
		c.settings(`{"leanmessage.recall":"on","leanmessage.edit":"on"}`)
		tom, jerry := c.session("tom", c.nodes[0]), c.session("jerry", c.nodes[2])
		first, second := tom.send(cid, "one"), tom.send(cid, "two")
		before := tom.patch(&leanpb.PatchItem{Cid: &cid, Mid: first.Uid, Timestamp: first.T, Data: new("ONE")})
		jerry.leave()
		tom.patch(&leanpb.PatchItem{Cid: &cid, Mid: second.Uid, Timestamp: second.T, Data: new("TWO")})
		tom.patch(&leanpb.PatchItem{Cid: &cid, Mid: second.Uid, Timestamp: second.T, Recall: new(true)})
		jerry = c.session("jerry", c.nodes[1], func(m *leanpb.SessionCommand) {
			m.LastPatchTime = before.GetPatchMessage().LastPatchTime
		})
		if got := jerry.patched(); got.GetMid() != second.GetUid() || !got.GetRecall() {
			t.Errorf("pushed %v", got)
		}
		if got := jerry.quiet(time.Second, leanpb.CommandType_patch); len(got) > 0 {
			t.Errorf("pushed as well %v", got)
		}
		old := c.session("jerry", c.nodes[0], func(m *leanpb.SessionCommand) {
			m.LastPatchTime, m.ConfigBitmap = proto.Int64(1), proto.Int64(0)
		})
		if got := old.quiet(time.Second, leanpb.CommandType_patch); len(got) > 0 {
			t.Errorf("a client that knows no patches is pushed %v", got)
		}
	})
}
