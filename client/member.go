package client

import (
	"context"
	"fmt"
	"time"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

// Role is what a member may do.
type Role int32

// The roles.
const (
	RoleMember  = Role(pb.Role_ROLE_MEMBER)
	RoleManager = Role(pb.Role_ROLE_MANAGER)
	RoleOwner   = Role(pb.Role_ROLE_OWNER)
)

// Member is a user in a conversation.
type Member struct {
	User     wire.UserID
	Role     Role
	Nickname string
	Joined   time.Time
	JoinedAt wire.Offset // of the conversation's log
	Muted    bool
	Until    time.Time // of a mute; zero: for ever
}

// Skipped is a user for whom a command over several was refused. The command
// was done for the others.
type Skipped struct {
	User wire.UserID
	Err  *wire.Error
}

// Add makes users members.
func (v *Conversation) Add(ctx context.Context, users ...wire.UserID) ([]Skipped, error) {
	return v.over(ctx, "member.add", &pb.Request{Op: &pb.Request_AddMembers{
		AddMembers: &pb.AddMembers{Conversation: string(v.id), Users: textsOf(users)},
	}})
}

// Remove ends the membership of users.
func (v *Conversation) Remove(ctx context.Context, users ...wire.UserID) ([]Skipped, error) {
	return v.over(ctx, "member.remove", &pb.Request{Op: &pb.Request_RemoveMembers{
		RemoveMembers: &pb.RemoveMembers{Conversation: string(v.id), Users: textsOf(users)},
	}})
}

// join makes the user who is signed in a member.
func (v *Conversation) join(ctx context.Context, user wire.UserID) error {
	return onlySkip(v.Add(ctx, user))
}

// Mute forbids members to speak, for a time or, with 0, until Unmute.
func (v *Conversation) Mute(ctx context.Context, d time.Duration, users ...wire.UserID) ([]Skipped, error) {
	return v.over(ctx, "member.mute", &pb.Request{Op: &pb.Request_Mute{
		Mute: &pb.Mute{Conversation: string(v.id), Users: textsOf(users), Seconds: uint32((d + time.Second - 1) / time.Second)},
	}})
}

// Unmute lets members speak again.
func (v *Conversation) Unmute(ctx context.Context, users ...wire.UserID) ([]Skipped, error) {
	return v.over(ctx, "member.unmute", &pb.Request{Op: &pb.Request_Mute{
		Mute: &pb.Mute{Conversation: string(v.id), Users: textsOf(users), Unmute: true},
	}})
}

// SetRole gives a member another role.
func (v *Conversation) SetRole(ctx context.Context, user wire.UserID, role Role) error {
	_, err := v.link.change(ctx, "member.role", v.id, &pb.Request{Op: &pb.Request_SetRole{
		SetRole: &pb.SetRole{Conversation: string(v.id), User: string(user), Role: pb.Role(role)},
	}})
	return err
}

// Members pages through the members, by user id. It begins with an empty
// after; next is the after of the next page, and empty at the end.
func (v *Conversation) Members(ctx context.Context, after string, limit int) (page []Member, next string, err error) {
	const op = "member.list"
	resp, err := v.link.ask(ctx, op, &pb.Request{Op: &pb.Request_ListMembers{
		ListMembers: &pb.ListMembers{Conversation: string(v.id), After: after, Limit: limitOf(limit)},
	}})
	if err != nil {
		return nil, "", err
	}
	p := resp.GetMembers()
	if p == nil {
		return nil, "", wrongAnswer(op, resp)
	}
	for _, m := range p.GetMembers() {
		page = append(page, Member{
			User: wire.UserID(m.GetUser()), Role: Role(m.GetRole()), Nickname: m.GetNickname(),
			Joined: timeOf(m.GetJoinedMillis()), JoinedAt: wire.Offset(m.GetJoinedOffset()),
			Muted: m.GetMutedUntilMillis() != 0, Until: untilOf(m.GetMutedUntilMillis()),
		})
	}
	return page, p.GetNext(), nil
}

// over sends a command over several users and returns for whom it was refused.
func (v *Conversation) over(ctx context.Context, op string, req *pb.Request) ([]Skipped, error) {
	resp, err := v.link.change(ctx, op, v.id, req)
	if err != nil {
		return nil, err
	}
	var skipped []Skipped
	for _, s := range resp.GetDone().GetSkipped() {
		skipped = append(skipped, Skipped{User: wire.UserID(s.GetSubject()), Err: errorOf(s.GetError())})
	}
	return skipped, nil
}

// onlySkip makes the refusal for the only user the command's.
func onlySkip(skipped []Skipped, err error) error {
	if err != nil || len(skipped) == 0 {
		return err
	}
	return fmt.Errorf("%s: %w", skipped[0].User, skipped[0].Err)
}
