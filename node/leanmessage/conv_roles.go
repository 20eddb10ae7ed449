package leanmessage

import (
	"context"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/node/leandoc"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/leanpb"
)

// updateMemberInfo gives a member a role.
func updateMemberInfo(ctx context.Context, c convs, in *leanpb.GenericCommand) (*leanpb.GenericCommand, error) {
	m := in.GetConvMessage()
	settings := &c.tenant().settings
	if !settings.Allow.Roles {
		return nil, errorf(CodeMemberInfoDisabled, "the app has no roles: see the setting leanmessage.roles")
	}
	id, err := c.changeable(ctx, m.GetCid())
	if err != nil {
		return nil, err
	}
	target := m.GetInfo().GetPid()
	if target == "" {
		target = m.GetTargetClientId()
	}
	if err := wire.ValidID(target); err != nil {
		return nil, errorf(CodeMembershipRequired, "the client id %v", err)
	}
	role, ok := leandoc.RoleNamed(m.GetInfo().GetRole())
	switch {
	case !ok:
		return nil, errorf(CodeUnknownRole, "there is no role %q", m.GetInfo().GetRole())
	case role == state.RoleOwner:
		return nil, errorf(CodeOperationUnauth, "a conversation keeps its owner")
	case role == state.RoleManager:
		if err := c.roomForManager(ctx, id, settings.Limit.Managers); err != nil {
			return nil, err
		}
	}
	r, err := c.host().Change(ctx, c.header(ctx), &state.SetRole{Conversation: id, User: wire.UserID(target), Role: role})
	if err != nil {
		return nil, memberCodes.failed(err)
	}
	if r.Refusal == state.Limit {
		return nil, errorf(CodeMemberInRoleFull, "%s", r.Text)
	}
	if r.Refusal != state.None {
		return nil, memberCodes.refused(r.Refusal, r.Text)
	}
	info := &leanpb.ConvMemberInfo{Pid: new(target), Role: new(leandoc.RoleName(role))}
	info.InfoId = m.GetInfo().InfoId
	reply := &leanpb.ConvCommand{Cid: new(string(id)), Info: info}
	if r.Timestamp != 0 {
		reply.Udate = isoTime(r.Timestamp)
	}
	return convReply(leanpb.OpType_member_info_updated, reply), nil
}

// roomForManager refuses one manager more than a conversation may have.
func (c convs) roomForManager(ctx context.Context, id wire.ConversationID, most int) error {
	a, err := c.host().Ask(ctx, c.app, c.user, string(id), &ask.Request{Members: &ask.Members{Conversation: id, Limit: wire.MaxPageEntries}})
	if err != nil {
		return memberCodes.failed(err)
	}
	managers := 0
	for _, m := range a.Members.Members {
		if m.Role == state.RoleManager {
			managers++
		}
	}
	if managers >= most {
		return errorf(CodeMemberInRoleFull, "the conversation has %d managers", managers)
	}
	return nil
}
