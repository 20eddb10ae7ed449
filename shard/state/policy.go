package state

import (
	"fmt"

	"github.com/quorate/quorate/wire/bin"
)

// Preset names the kind of conversation that a policy was made for. Its numbers
// are durable and are those of the protocol.
type Preset uint8

// The presets. A new kind of conversation is a new preset, not new code.
const (
	PresetBasic     Preset = 1
	PresetRoom      Preset = 2 // chat room: users come and go with their sessions
	PresetSystem    Preset = 3 // service: users subscribe, the app speaks
	PresetTemporary Preset = 4 // few members and a time to live
)

// Who may do a thing: the lowest role that may. The app may do everything.
type Who uint8

// The answers to who may.
const (
	WhoApp     Who = 0 // the app alone
	WhoOwner   Who = 1
	WhoManager Who = 2 // and the owner
	WhoMember  Who = 3 // any member
	WhoAnyone  Who = 4 // any user of the app
)

// Policy says how one conversation behaves. It is stored with the conversation,
// so a preset that changes later changes only new ones.
type Policy struct {
	Preset  Preset
	Members bool // members are stored; else anyone is in, and sessions say who is present
	Store   bool // messages are stored
	Past    bool // newcomers may read what was before them
	Unread  bool // unread is counted
	Lowered bool // by a recall
	Notices bool // members are told who comes and goes
	Join    Who
	Invite  Who
	Remove  Who
	Speak   Who
	Change  Who // change name and properties, mute the conversation
	Manage  Who // set roles, mute members

	MemberLimit     uint32
	Receipts        uint32 // delivered cursors are kept while there are at most so many members
	RetentionMillis int64  // messages are kept so long; 0: for ever
	TTLMillis       int64  // the conversation lives so long; 0: for ever
}

const (
	dayMillis = 24 * 60 * 60 * 1000

	// defaultRetentionMillis is how long presets keep messages: half a year.
	defaultRetentionMillis = 180 * dayMillis
	// defaultTTLMillis and maxTTLMillis bound the life of a temporary conversation.
	defaultTTLMillis = dayMillis
	maxTTLMillis     = 30 * dayMillis
)

// NewPolicy returns the policy of a preset, and false if there is none. The
// time to live is the preset's default.
func NewPolicy(p Preset) (Policy, bool) {
	basic := Policy{
		Preset: PresetBasic, Members: true, Store: true, Past: true, Unread: true, Lowered: true, Notices: true,
		Join: WhoAnyone, Invite: WhoMember, Remove: WhoManager, Speak: WhoMember, Change: WhoMember, Manage: WhoManager,
		MemberLimit: 500, Receipts: 50, RetentionMillis: defaultRetentionMillis,
	}
	switch p {
	case PresetBasic:
		return basic, true
	case PresetRoom:
		return Policy{
			Preset: PresetRoom, Store: true, Past: true, Join: WhoAnyone, Speak: WhoAnyone, Change: WhoManager, Manage: WhoManager,
			RetentionMillis: defaultRetentionMillis,
		}, true
	case PresetSystem:
		return Policy{
			Preset: PresetSystem, Members: true, Store: true, Past: true, Unread: true, Lowered: true,
			Join: WhoAnyone, MemberLimit: 100_000, RetentionMillis: defaultRetentionMillis,
		}, true
	case PresetTemporary:
		temporary := basic
		temporary.Preset = PresetTemporary
		temporary.Join, temporary.Invite, temporary.Remove, temporary.Change = WhoApp, WhoApp, WhoApp, WhoApp
		temporary.MemberLimit, temporary.TTLMillis = 10, defaultTTLMillis
		return temporary, true
	default:
		return Policy{}, false
	}
}

const (
	policyMembers = 1 << iota
	policyStore
	policyPast
	policyUnread
	policyLowered
	policyNotices
	policyEnd
)

// appendPolicy appends
//
//	| preset, 1 | flags, 1 | who: join, invite, remove, speak, change, manage, 6 | member limit | receipts | retention | ttl |
func appendPolicy(b []byte, p *Policy) []byte {
	var flags byte
	for _, f := range [...]struct {
		bit byte
		set bool
	}{
		{policyMembers, p.Members},
		{policyStore, p.Store},
		{policyPast, p.Past},
		{policyUnread, p.Unread},
		{policyLowered, p.Lowered},
		{policyNotices, p.Notices},
	} {
		if f.set {
			flags |= f.bit
		}
	}
	b = append(b, byte(p.Preset), flags)
	b = append(b, byte(p.Join), byte(p.Invite), byte(p.Remove), byte(p.Speak), byte(p.Change), byte(p.Manage))
	b = bin.AppendUvarint(b, uint64(p.MemberLimit))
	b = bin.AppendUvarint(b, uint64(p.Receipts))
	b = bin.AppendUvarint(b, uint64(p.RetentionMillis))
	return bin.AppendUvarint(b, uint64(p.TTLMillis))
}

func readPolicy(in *bin.Reader) Policy {
	p := Policy{Preset: Preset(in.Byte())}
	flags := in.Byte()
	if flags >= policyEnd {
		in.Fail(fmt.Errorf("%w: policy flags %x", bin.ErrRange, flags))
	}
	p.Members, p.Store, p.Past = flags&policyMembers != 0, flags&policyStore != 0, flags&policyPast != 0
	p.Unread, p.Lowered, p.Notices = flags&policyUnread != 0, flags&policyLowered != 0, flags&policyNotices != 0
	for _, who := range []*Who{&p.Join, &p.Invite, &p.Remove, &p.Speak, &p.Change, &p.Manage} {
		if *who = Who(in.Byte()); *who > WhoAnyone {
			in.Fail(fmt.Errorf("%w: who %d", bin.ErrRange, *who))
		}
	}
	p.MemberLimit = readUint32(in)
	p.Receipts = readUint32(in)
	p.RetentionMillis = int64(in.Uvarint())
	p.TTLMillis = int64(in.Uvarint())
	return p
}
