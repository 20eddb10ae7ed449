package node

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/wire/leanpb"
)

// TestLM044_Roles: what owner, managers and members may do to each other, and what
// they are told when they may not.
func TestLM044_Roles(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		c.settings(`{"leanmessage.roles":"on","leanmessage.blacklist":"on","leanmessage.limit.managers":"2"}`)
		users := map[string]*leanUser{}
		for i, name := range []string{"owner", "manager", "manager2", "member", "member2", "eve"} {
			users[name] = c.session(name, c.nodes[i%3])
		}
		cid := users["owner"].start(&leanpb.ConvCommand{M: []string{"manager", "manager2", "member", "member2"}}).GetCid()
		who := func(m ...string) *leanpb.ConvCommand { return &leanpb.ConvCommand{Cid: &cid, M: m} }
		for _, step := range []struct {
			what string
			by   string
			op   leanpb.OpType
			m    *leanpb.ConvCommand
			code int32
		}{
			{"the creator may leave before there are roles", "owner", leanpb.OpType_remove, who("owner"), 0},
			{"and come back as the owner", "owner", leanpb.OpType_add, who("owner"), 0},
			{"a member gives roles", "member", leanpb.OpType_member_info_update, memberInfo(cid, "member2", "Manager"), 4320},
			{"somebody gives roles", "eve", leanpb.OpType_member_info_update, memberInfo(cid, "member", "Manager"), 4317},
			{"an unknown role", "owner", leanpb.OpType_member_info_update, memberInfo(cid, "member", "King"), 4321},
			{"a second owner", "owner", leanpb.OpType_member_info_update, memberInfo(cid, "member", "Owner"), 4320},
			{"a role for nobody's member", "owner", leanpb.OpType_member_info_update, memberInfo(cid, "eve", "Manager"), 4317},
			{"the owner makes a manager", "owner", leanpb.OpType_member_info_update, memberInfo(cid, "manager", "Manager"), 0},
			{"a manager makes a manager", "manager", leanpb.OpType_member_info_update, memberInfo(cid, "manager2", "Manager"), 0},
			{"one too many", "owner", leanpb.OpType_member_info_update, memberInfo(cid, "member", "Manager"), 4322},
			{"a manager changes a manager", "manager", leanpb.OpType_member_info_update, memberInfo(cid, "manager2", "Member"), 4320},
			{"a member adds", "member", leanpb.OpType_add, who("eve"), 4320},
			{"a member removes", "member", leanpb.OpType_remove, who("member2"), 4320},
			{"a member mutes", "member", leanpb.OpType_add_shutup, who("member2"), 4320},
			{"a manager removes the owner", "manager", leanpb.OpType_remove, who("owner"), 0}, // who is listed as failed
			{"the owner leaves", "owner", leanpb.OpType_remove, who("owner"), 4324},
			{"a member changes the name", "member", leanpb.OpType_update, &leanpb.ConvCommand{Cid: &cid, Attr: jsonObject(`{"name":"x"}`)}, 0},
			{"somebody joins", "eve", leanpb.OpType_add, who("eve"), 0},
			{"a manager removes him", "manager", leanpb.OpType_remove, who("eve"), 0},
			{"a manager adds", "manager", leanpb.OpType_add, who("eve"), 0},
			{"a manager mutes", "manager", leanpb.OpType_add_shutup, who("eve"), 0},
			{"the owner makes a manager a member", "owner", leanpb.OpType_member_info_update, memberInfo(cid, "manager2", "Member"), 0},
		} {
			expectCode(t, step.what, users[step.by].conv(step.op, step.m), step.code)
		}
		r := users["manager"].conv(leanpb.OpType_remove, who("owner", "member2", "manager")).GetConvMessage()
		expect(t, "removed are", fmt.Sprint(r.GetAllowedPids()), "[member2]")
		expect(t, "and not", failures(r.GetFailedPids()), "4324 [owner]; 4320 [manager]")

		c.settings(`{"leanmessage.roles":"off"}`)
		owner := c.session("owner", c.nodes[1])
		expectCode(t, "without roles", owner.conv(leanpb.OpType_member_info_update, memberInfo(cid, "member", "Manager")), 4325)
	})
}

// TestLM040_Open: without roles every member adds and removes every other one.
func TestLM040_Open(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		tom, jerry, eve := c.session("tom", c.nodes[0]), c.session("jerry", c.nodes[1]), c.session("eve", c.nodes[2])
		cid := tom.start(&leanpb.ConvCommand{M: []string{"jerry"}, Unique: new(true)}).GetCid()
		who := func(m ...string) *leanpb.ConvCommand { return &leanpb.ConvCommand{Cid: &cid, M: m} }
		r := jerry.conv(leanpb.OpType_add, who("mary", "tom", "mary"))
		expect(t, "a member adds", fmt.Sprint(r.GetConvMessage().GetAllowedPids(), r.GetConvMessage().GetFailedPids()), "[mary tom] []")
		if r.GetConvMessage().GetUdate() == "" {
			t.Errorf("no time of update: %v", r)
		}
		expectCode(t, "who is no member adds", eve.conv(leanpb.OpType_add, who("carl")), 4317)
		expectCode(t, "who is no member removes", eve.conv(leanpb.OpType_remove, who("tom")), 4317)
		expectCode(t, "who is no member leaves", eve.conv(leanpb.OpType_remove, who("eve")), 0)
		expectCode(t, "Eve joins", eve.conv(leanpb.OpType_add, who("eve")), 0)
		expectCode(t, "Eve removes the creator", eve.conv(leanpb.OpType_remove, who("tom")), 0)
		expectCode(t, "the creator comes back", tom.conv(leanpb.OpType_add, who("tom")), 0)
		expectCode(t, "the creator leaves", tom.conv(leanpb.OpType_remove, who("tom")), 0)
		expectCode(t, "nobody mutes", jerry.conv(leanpb.OpType_add_shutup, who("eve")), 4320)
		expectCode(t, "no blacklist", jerry.black(leanpb.OpType_block, &leanpb.BlacklistCommand{SrcCid: &cid, ToPids: []string{"eve"}}), 4544)
		none := "0123456789abcdef01234567"
		expectCode(t, "no conversation", tom.conv(leanpb.OpType_add, &leanpb.ConvCommand{Cid: &none, M: []string{"tom"}}), 4303)
		expectCode(t, "no id", tom.conv(leanpb.OpType_add, &leanpb.ConvCommand{M: []string{"tom"}}), 4303)
		expect(t, "three are members", fmt.Sprint(eve.conv(leanpb.OpType_count, &leanpb.ConvCommand{Cid: &cid}).GetConvMessage().GetCount()), "3")
		in := tom.conv(leanpb.OpType_is_member, &leanpb.ConvCommand{Cids: []string{cid, none}}).GetConvMessage()
		expect(t, "Tom is in", sorted(in.GetResults().GetData()), `{"`+none+`":false,"`+cid+`":false}`)
		in = eve.conv(leanpb.OpType_is_member, &leanpb.ConvCommand{Cids: []string{cid}}).GetConvMessage()
		expect(t, "Eve is in", sorted(in.GetResults().GetData()), `{"`+cid+`":true}`)
	})
}

// TestLM046_Blacklists: a conversation keeps users out, and users keep themselves
// out of conversations.
func TestLM046_Blacklists(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		c.settings(`{"leanmessage.blacklist":"on"}`)
		tom, jerry, eve := c.session("tom", c.nodes[0]), c.session("jerry", c.nodes[1]), c.session("eve", c.nodes[2])
		cid := tom.start(&leanpb.ConvCommand{M: []string{"jerry", "eve"}}).GetCid()
		who := func(m ...string) *leanpb.ConvCommand { return &leanpb.ConvCommand{Cid: &cid, M: m} }
		whom := func(m ...string) *leanpb.BlacklistCommand { return &leanpb.BlacklistCommand{SrcCid: &cid, ToPids: m} }
		r := tom.black(leanpb.OpType_block, whom("eve", "carl", "dora"))
		if m := r.GetBlacklistMessage(); r.GetOp() != leanpb.OpType_blocked || m.GetSrcCid() != cid || fmt.Sprint(m.GetAllowedPids()) != "[eve carl dora]" {
			t.Errorf("blocked: %v", r)
		}
		expectCode(t, "Eve joins", eve.conv(leanpb.OpType_add, who("eve")), 4548)
		added := jerry.conv(leanpb.OpType_add, who("eve", "mary")).GetConvMessage()
		expect(t, "Jerry adds", fmt.Sprint(added.GetAllowedPids(), failures(added.GetFailedPids())), "[mary]4548 [eve]")
		added = jerry.conv(leanpb.OpType_add, who("eve")).GetConvMessage()
		expect(t, "Jerry adds one", fmt.Sprint(added.GetAllowedPids(), failures(added.GetFailedPids())), "[]4548 [eve]")

		page := jerry.black(leanpb.OpType_query, &leanpb.BlacklistCommand{SrcCid: &cid, Limit: proto.Int32(2)}).GetBlacklistMessage()
		expect(t, "the first page", fmt.Sprint(page.GetBlockedPids(), page.GetNext()), "[carl dora]2")
		page = jerry.black(leanpb.OpType_query, &leanpb.BlacklistCommand{SrcCid: &cid, Limit: proto.Int32(2), Next: page.Next}).GetBlacklistMessage()
		if page.Next != nil || fmt.Sprint(page.GetBlockedPids()) != "[eve]" || page.GetSrcCid() != cid {
			t.Errorf("the second page: %v", page)
		}
		check := jerry.black(leanpb.OpType_check_block, whom("tom", "eve"))
		expect(t, "blocked among two", fmt.Sprint(check.GetOp(), check.GetBlacklistMessage().GetBlockedPids()), "check_result [eve]")
		expectCode(t, "who is out asks", eve.black(leanpb.OpType_query, whom()), 4548)
		expectCode(t, "who is out unblocks", eve.black(leanpb.OpType_unblock, whom("eve")), 4320)
		expectCode(t, "unblock", jerry.black(leanpb.OpType_unblock, whom("eve")), 0)
		expectCode(t, "Eve joins again", eve.conv(leanpb.OpType_add, who("eve")), 0)

		expectCode(t, "Eve leaves for good", eve.conv(leanpb.OpType_remove, who("eve")), 0)
		r = eve.black(leanpb.OpType_block, &leanpb.BlacklistCommand{SrcPid: new("eve"), ToCids: []string{cid}})
		expect(t, "she blocks the conversation", fmt.Sprint(r.GetOp(), r.GetBlacklistMessage().GetBlockedCids()), "blocked ["+cid+"]")
		time.Sleep(2 * time.Second) // of the bubble's clock
		added = jerry.conv(leanpb.OpType_add, who("eve")).GetConvMessage()
		expect(t, "Jerry adds her", fmt.Sprint(added.GetAllowedPids(), failures(added.GetFailedPids())), "[]4548 [eve]")
		mine := eve.black(leanpb.OpType_query, &leanpb.BlacklistCommand{}).GetBlacklistMessage()
		expect(t, "what she blocks", fmt.Sprint(mine.GetBlockedCids()), "["+cid+"]")
		expectCode(t, "she may come by herself", eve.conv(leanpb.OpType_add, who("eve")), 0)
	})
}

// TestLM045_Silence: owner and managers keep members from speaking; everybody in
// the conversation may see whom.
func TestLM045_Silence(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		c.settings(`{"leanmessage.roles":"on"}`)
		tom, jerry, eve := c.session("tom", c.nodes[0]), c.session("jerry", c.nodes[1]), c.session("eve", c.nodes[2])
		names := []string{"jerry"}
		for i := range 12 {
			names = append(names, fmt.Sprintf("user%02d", i))
		}
		cid := tom.start(&leanpb.ConvCommand{M: names}).GetCid()
		who := func(m ...string) *leanpb.ConvCommand { return &leanpb.ConvCommand{Cid: &cid, M: m} }
		r := tom.conv(leanpb.OpType_add_shutup, who(append(slices.Clone(names), "eve")...))
		expect(t, "muted", fmt.Sprintf("%v %d; %s", r.GetOp(), len(r.GetConvMessage().GetAllowedPids()), failures(r.GetConvMessage().GetFailedPids())), "shutup_added 13; 4317 [eve]")
		refused := jerry.ask(&leanpb.GenericCommand{Cmd: leanpb.CommandType_direct.Enum(), DirectMessage: &leanpb.DirectCommand{Cid: &cid, Msg: new("x")}})
		if code := refused.GetAckMessage().GetCode() + refused.GetErrorMessage().GetCode(); code != 4563 {
			t.Errorf("a muted member speaks: %v", refused)
		}
		var all []string
		next, pages := "", 0
		for {
			m := &leanpb.ConvCommand{Cid: &cid}
			if next != "" {
				m.Next = &next
			}
			page := jerry.conv(leanpb.OpType_query_shutup, m)
			if page.GetOp() != leanpb.OpType_shutup_result {
				t.Fatalf("the list: %v", page)
			}
			all, pages = append(all, page.GetConvMessage().GetM()...), pages+1
			if next = page.GetConvMessage().GetNext(); next == "" {
				break
			}
		}
		expect(t, "the list in pages of ten", fmt.Sprint(all, pages), fmt.Sprint(names, 2))
		check := jerry.conv(leanpb.OpType_check_shutup, who("tom", "user03"))
		expect(t, "muted of two", fmt.Sprint(check.GetOp(), check.GetConvMessage().GetM()), "check_result [user03]")
		expectCode(t, "who is no member asks", eve.conv(leanpb.OpType_query_shutup, who()), 4317)
		expectCode(t, "a member unmutes", jerry.conv(leanpb.OpType_remove_shutup, who("jerry")), 4320)
		expectCode(t, "the owner unmutes", tom.conv(leanpb.OpType_remove_shutup, who("jerry")), 0)
		jerry.send(cid, "at last")
	})
}
