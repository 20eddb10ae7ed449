package state

import (
	"fmt"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// Role is what a member may do. Its numbers are durable and are those of the
// protocol.
type Role uint8

// The roles.
const (
	RoleNone    Role = 0 // not a member
	RoleMember  Role = 1
	RoleManager Role = 2
	RoleOwner   Role = 3
)

// Member is a user in a conversation.
type Member struct {
	User         wire.UserID
	Role         Role
	Nickname     string
	Joined       int64       // milliseconds since 1970
	JoinedOffset wire.Offset // of the entry of his joining
	JoinedSeq    wire.Seq    // the conversation's last message then: where his cursors begin
	Muted        bool
	MutedUntil   int64 // with Muted: milliseconds since 1970; 0: for ever
	Quiet        bool  // he wants no push notifications of this conversation
}

// mutedAt tells whether the member may not speak at that time.
func (m *Member) mutedAt(now int64) bool {
	return m.Muted && (m.MutedUntil == 0 || now < m.MutedUntil)
}

// roster is a conversation's members, and those who are kept out or muted, while
// a command changes them.
type roster struct {
	*conversation
	t *txn
}

// mutedForEver tells whether the member may not speak until he is let again.
func (m *Member) mutedForEver() bool { return m.Muted && m.MutedUntil == 0 }

// member is a member's row, decoded and cached by apply, with the running sum
// of his unread exceptions once that was read. User is empty when the user is
// not a member: that is cached too.
type member struct {
	Member
	exceptions exceptions
}

const (
	memberVersion = 2

	memberMuted    = 1
	memberQuiet    = 2
	memberFlagsEnd = 4
)

// appendMember appends
//
//	| version, 1 | role, 1 | flags, 1 | nickname | joined | joined offset | joined seq | muted until |
//
// The first version, which a member has who is not quiet, knows only the flag
// of a mute.
func appendMember(b []byte, m *Member) []byte {
	version, flags := byte(1), byte(0)
	if m.Muted {
		flags |= memberMuted
	}
	if m.Quiet {
		version, flags = memberVersion, flags|memberQuiet
	}
	b = append(b, version, byte(m.Role), flags)
	b = bin.AppendString(b, m.Nickname)
	b = bin.AppendUvarint(b, uint64(m.Joined))
	b = bin.AppendUvarint(b, uint64(m.JoinedOffset))
	b = bin.AppendUvarint(b, uint64(m.JoinedSeq))
	return bin.AppendUvarint(b, uint64(m.MutedUntil))
}

func decodeMember(user wire.UserID, b []byte) (Member, error) {
	in := bin.NewReader(b)
	version := readVersion(in, memberVersion)
	role, flags := Role(in.Byte()), in.Byte()
	if flags >= memberFlagsEnd || version == 1 && flags&memberQuiet != 0 {
		in.Fail(fmt.Errorf("%w: member flags %x", bin.ErrRange, flags))
	}
	m := Member{
		User: user, Role: role, Muted: flags&memberMuted != 0, Quiet: flags&memberQuiet != 0, Nickname: in.String(), Joined: int64(in.Uvarint()),
		JoinedOffset: wire.Offset(in.Uvarint()), JoinedSeq: wire.Seq(in.Uvarint()), MutedUntil: int64(in.Uvarint()),
	}
	if m.Role == RoleNone || m.Role > RoleOwner {
		in.Fail(fmt.Errorf("%w: role %d", bin.ErrRange, m.Role))
	}
	if err := in.Close(); err != nil {
		return Member{}, fmt.Errorf("decode a member: %w", err)
	}
	return m, nil
}

// loadMember reads a member, and false when the user is none.
func loadMember(r reader, s scope, user wire.UserID) (Member, bool) {
	b := r.get(s.name(nil, tableMember, string(user)))
	if b == nil {
		return Member{}, false
	}
	m, err := decodeMember(user, b)
	if err != nil {
		r.fail(err)
		return Member{}, false
	}
	return m, true
}

// member returns a user's membership to read and change. Its User is empty when
// the user is not a member.
func (t *txn) member(s scope, user wire.UserID) *member {
	t.keyBuf = s.name(t.keyBuf[:0], tableMember, string(user))
	if m := t.s.members.get(t.keyBuf); m != nil {
		return m
	}
	m := new(member)
	m.Member, _ = loadMember(t, s, user)
	t.s.members.put(s.name(nil, tableMember, string(user)), m)
	return m
}

// writeMember writes a member's row.
func (t *txn) writeMember(s scope, m *member) {
	t.keyBuf = s.name(t.keyBuf[:0], tableMember, string(m.User))
	t.valBuf = appendMember(t.valBuf[:0], &m.Member)
	t.put(t.keyBuf, t.valBuf)
}
