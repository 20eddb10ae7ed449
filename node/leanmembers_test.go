package node

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/wire/leanpb"
)

// conv does a command about conversations.
func (u *leanUser) conv(o leanpb.OpType, m *leanpb.ConvCommand) *leanpb.GenericCommand {
	u.t.Helper()
	return u.ask(&leanpb.GenericCommand{Cmd: leanpb.CommandType_conv.Enum(), Op: o.Enum(), ConvMessage: m})
}

// black does a command about blacklists.
func (u *leanUser) black(o leanpb.OpType, m *leanpb.BlacklistCommand) *leanpb.GenericCommand {
	u.t.Helper()
	return u.ask(&leanpb.GenericCommand{Cmd: leanpb.CommandType_blacklist.Enum(), Op: o.Enum(), BlacklistMessage: m})
}

// start starts a conversation.
func (u *leanUser) start(m *leanpb.ConvCommand) *leanpb.ConvCommand {
	u.t.Helper()
	r := u.conv(leanpb.OpType_start, m)
	if r.GetOp() != leanpb.OpType_started {
		u.t.Fatalf("%s starts a conversation: %v", u.name, r)
	}
	return r.GetConvMessage()
}

// told returns, sorted, what the session was pushed about conversations since it
// was looked last: "op(members) by whom".
func (u *leanUser) told() string {
	u.t.Helper()
	var all []string
	for _, m := range u.quiet(2*time.Second, leanpb.CommandType_conv) {
		c := m.GetConvMessage()
		if m.GetService() != 2 || m.GetPeerId() != u.name || m.GetServerTs() == 0 || m.GetNotificationType() != 1 || c.GetUdate() == "" || c.GetCid() == "" {
			u.t.Errorf("%s: a push lacks something: %v", u.name, m)
		}
		one := m.GetOp().String()
		if c.M != nil {
			one += fmt.Sprintf("(%s)", strings.Join(slices.Sorted(slices.Values(c.GetM())), ","))
		}
		if c.Info != nil {
			one += fmt.Sprintf("(%s %s)", c.GetInfo().GetPid(), c.GetInfo().GetRole())
		}
		all = append(all, one+" by "+c.GetInitBy())
	}
	slices.Sort(all)
	return strings.Join(all, "; ")
}

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}

// expectCode expects an error, or none with 0.
func expectCode(t *testing.T, what string, r *leanpb.GenericCommand, code int32) {
	t.Helper()
	if (r.GetCmd() == leanpb.CommandType_error) != (code != 0) || r.GetErrorMessage().GetCode() != code {
		t.Errorf("%s: %v, want error %d", what, r, code)
	}
}

// failures writes who was refused in a list, and why.
func failures(list []*leanpb.ErrorCommand) string {
	var all []string
	for _, e := range list {
		all = append(all, fmt.Sprintf("%d %v", e.GetCode(), e.GetPids()))
	}
	return strings.Join(all, "; ")
}

func jsonObject(text string) *leanpb.JsonObjectMessage { return &leanpb.JsonObjectMessage{Data: &text} }

// memberInfo gives a member a role.
func memberInfo(cid, pid, role string) *leanpb.ConvCommand {
	return &leanpb.ConvCommand{Cid: &cid, TargetClientId: &pid, Info: &leanpb.ConvMemberInfo{Pid: &pid, Role: &role}}
}

// TestLM041_MemberEvents plays the table of who is told what, with each client at
// another node.
func TestLM041_MemberEvents(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		c.settings(`{"leanmessage.roles":"on","leanmessage.blacklist":"on"}`)
		tom, jerry, mary := c.session("tom", c.nodes[0]), c.session("jerry", c.nodes[1]), c.session("mary", c.nodes[2])
		cid := tom.start(&leanpb.ConvCommand{M: []string{"jerry"}, Attr: jsonObject(`{"name":"tea"}`)}).GetCid()
		about := &leanpb.ConvCommand{Cid: &cid}
		who := func(m ...string) *leanpb.ConvCommand { return &leanpb.ConvCommand{Cid: &cid, M: m} }
		whom := &leanpb.BlacklistCommand{SrcCid: &cid, ToPids: []string{"mary"}}
		for _, step := range []struct {
			name             string
			by               *leanUser
			op               leanpb.OpType
			m                *leanpb.ConvCommand // nil: it is about the blacklist
			tom, jerry, mary string
		}{
			{name: "Tom has created it with Jerry", tom: "joined by tom; members_joined(jerry,tom) by tom", jerry: "joined by tom; members_joined(jerry,tom) by tom"},
			{
				name: "Tom adds Mary", by: tom, op: leanpb.OpType_add, m: who("mary"),
				tom: "members_joined(mary) by tom", jerry: "members_joined(mary) by tom", mary: "joined by tom; members_joined(mary) by tom",
			},
			{name: "Tom adds Mary again", by: tom, op: leanpb.OpType_add, m: who("mary")},
			{
				name: "Tom removes Mary", by: tom, op: leanpb.OpType_remove, m: who("mary"),
				tom: "members_left(mary) by tom", jerry: "members_left(mary) by tom", mary: "left by tom",
			},
			{name: "Tom removes Mary again", by: tom, op: leanpb.OpType_remove, m: who("mary")},
			{
				name: "Mary joins", by: mary, op: leanpb.OpType_add, m: who("mary"),
				tom: "members_joined(mary) by mary", jerry: "members_joined(mary) by mary", mary: "joined by mary; members_joined(mary) by mary",
			},
			{name: "Mary joins again", by: mary, op: leanpb.OpType_add, m: who("mary")},
			{
				name: "Tom makes Jerry a manager", by: tom, op: leanpb.OpType_member_info_update, m: memberInfo(cid, "jerry", "Manager"),
				tom: "member_info_changed(jerry Manager) by tom", jerry: "member_info_changed(jerry Manager) by tom", mary: "member_info_changed(jerry Manager) by tom",
			},
			{
				name: "Tom mutes Mary", by: tom, op: leanpb.OpType_add_shutup, m: who("mary"),
				tom: "members_shutuped(mary) by tom", jerry: "members_shutuped(mary) by tom", mary: "members_shutuped(mary) by tom; shutuped by tom",
			},
			{
				name: "Tom unmutes Mary", by: tom, op: leanpb.OpType_remove_shutup, m: who("mary"),
				tom: "members_unshutuped(mary) by tom", jerry: "members_unshutuped(mary) by tom", mary: "members_unshutuped(mary) by tom; unshutuped by tom",
			},
			{
				name: "Tom changes the name", by: tom, op: leanpb.OpType_update, m: &leanpb.ConvCommand{Cid: &cid, Attr: jsonObject(`{"name":"milk"}`)},
				jerry: "updated by tom", mary: "updated by tom",
			},
			{name: "Jerry wants no pushes", by: jerry, op: leanpb.OpType_mute, m: about},
			{
				name: "Tom blocks Mary", by: tom, op: leanpb.OpType_block,
				tom:   "members_blocked(mary) by tom; members_left(mary) by tom",
				jerry: "members_blocked(mary) by tom; members_left(mary) by tom", mary: "blocked by tom; left by tom",
			},
			{
				name: "Tom unblocks Mary", by: tom, op: leanpb.OpType_unblock,
				tom: "members_unblocked(mary) by tom", jerry: "members_unblocked(mary) by tom", mary: "unblocked by tom",
			},
			{
				name: "Tom blocks Mary, who is no member", by: tom, op: leanpb.OpType_block,
				tom: "members_blocked(mary) by tom", jerry: "members_blocked(mary) by tom", mary: "blocked by tom",
			},
			{
				name: "Jerry leaves", by: jerry, op: leanpb.OpType_remove, m: who("jerry"),
				tom: "members_left(jerry) by jerry", jerry: "left by jerry",
			},
		} {
			switch {
			case step.by == nil:
			case step.m == nil:
				expectCode(t, step.name, step.by.black(step.op, proto.CloneOf(whom)), 0)
			default:
				expectCode(t, step.name, step.by.conv(step.op, step.m), 0)
			}
			expect(t, step.name+": Tom", tom.told(), step.tom)
			expect(t, step.name+": Jerry", jerry.told(), step.jerry)
			expect(t, step.name+": Mary", mary.told(), step.mary)
		}
	})
}
