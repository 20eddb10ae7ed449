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
	Change  Who // change name and properties
	Manage  Who // set roles, mute members and the conversation
	Block   Who // keep users out
	Recall  Who // take back what others said

	Ranked     bool // who removes, mutes or blocks a member needs a higher role than his
	OwnerStays bool // once roles were given, the owner neither leaves nor is removed, and nobody else becomes it

	Limits
}

// Limits are a policy's numbers.
type Limits struct {
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
		Block: WhoManager, Recall: WhoManager, Ranked: true, Limits: Limits{MemberLimit: 500, Receipts: 50, RetentionMillis: defaultRetentionMillis},
	}
	switch p {
	case PresetBasic:
		return basic, true
	case PresetRoom:
		return Policy{
			Preset: PresetRoom, Store: true, Past: true, Join: WhoAnyone, Speak: WhoAnyone, Change: WhoManager, Manage: WhoManager,
			Block: WhoManager, Recall: WhoManager, Ranked: true, Limits: Limits{RetentionMillis: defaultRetentionMillis},
		}, true
	case PresetSystem:
		return Policy{
			Preset: PresetSystem, Members: true, Store: true, Past: true, Unread: true, Lowered: true,
			Join: WhoAnyone, Ranked: true, Limits: Limits{MemberLimit: 100_000, RetentionMillis: defaultRetentionMillis},
		}, true
	case PresetTemporary:
		temporary := basic
		temporary.Preset = PresetTemporary
		temporary.Join, temporary.Invite, temporary.Remove, temporary.Change = WhoApp, WhoApp, WhoApp, WhoApp
		temporary.MemberLimit, temporary.TTLMillis = 10, defaultTTLMillis
		return temporary, true
	default:
		return appPolicy(p)
	}
}

const (
	policyMembers = 1 << iota
	policyStore
	policyPast
	policyUnread
	policyLowered
	policyNotices
	policyRanked
	policyOwnerStays
	policyEnd

	policyEnd1 = policyRanked // of the first version
)

// flags are the policy's switches, by their bits.
func (p *Policy) flags() []struct {
	bit uint64
	set *bool
} {
	return []struct {
		bit uint64
		set *bool
	}{
		{policyMembers, &p.Members},
		{policyStore, &p.Store},
		{policyPast, &p.Past},
		{policyUnread, &p.Unread},
		{policyLowered, &p.Lowered},
		{policyNotices, &p.Notices},
		{policyRanked, &p.Ranked},
		{policyOwnerStays, &p.OwnerStays},
	}
}

// who is who may do what, in the order of the durable form. The first version
// has the first policyWho1 of them.
func (p *Policy) who() []*Who {
	return []*Who{&p.Join, &p.Invite, &p.Remove, &p.Speak, &p.Change, &p.Manage, &p.Block, &p.Recall}
}

const policyWho1 = 6

// appendPolicy appends
//
//	| preset, 1 | flags | who: join, invite, remove, speak, change, manage, block, recall, 8 | member limit | receipts | retention | ttl |
//
// In the info's first version, block and recall are not there: who may manage
// may; nor are the flags of roles: they count, and the owner may leave.
func appendPolicy(b []byte, p *Policy, version byte) []byte {
	var flags uint64
	for _, f := range p.flags() {
		if *f.set {
			flags |= f.bit
		}
	}
	who := p.who()
	if version == 1 {
		who, flags = who[:policyWho1], flags&(policyEnd1-1)
	}
	b = bin.AppendUvarint(append(b, byte(p.Preset)), flags)
	for _, one := range who {
		b = append(b, byte(*one))
	}
	b = bin.AppendUvarint(b, uint64(p.MemberLimit))
	b = bin.AppendUvarint(b, uint64(p.Receipts))
	b = bin.AppendUvarint(b, uint64(p.RetentionMillis))
	return bin.AppendUvarint(b, uint64(p.TTLMillis))
}

// isFirst tells whether the first version says everything of the policy.
func (p *Policy) isFirst() bool {
	return p.Block == p.Manage && p.Recall == p.Manage && p.Ranked && !p.OwnerStays
}

// readPolicy reads the policy of an info of a version.
func readPolicy(in *bin.Reader, version byte) Policy {
	p := Policy{Preset: Preset(in.Byte())}
	who, end, flags := p.who(), uint64(policyEnd), in.Uvarint()
	if version == 1 {
		who, end = who[:policyWho1], policyEnd1
	}
	if flags >= end {
		in.Fail(fmt.Errorf("%w: policy flags %x", bin.ErrRange, flags))
	}
	for _, f := range p.flags() {
		*f.set = flags&f.bit != 0
	}
	for _, one := range who {
		if *one = Who(in.Byte()); *one > WhoAnyone {
			in.Fail(fmt.Errorf("%w: who %d", bin.ErrRange, *one))
		}
	}
	if version == 1 {
		p.Block, p.Recall, p.Ranked = p.Manage, p.Manage, true
	}
	p.MemberLimit = readUint32(in)
	p.Receipts = readUint32(in)
	p.RetentionMillis = int64(in.Uvarint())
	p.TTLMillis = int64(in.Uvarint())
	return p
}
