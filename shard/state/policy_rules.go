package state

// Rules say who may do what to whom in a new conversation, beside its preset.
// The numbers are durable.
type Rules uint8

// The rules.
const (
	RulesPreset Rules = 0 // the preset's
	RulesOpen   Rules = 1 // all members are equal: each may add, remove and block any other; only the app mutes and gives roles
	RulesRoles  Rules = 2 // owner and managers add, remove, mute, block and give roles, to members of lower roles
	rulesEnd    Rules = 3
)

// ruled returns the policy under rules. They shape what users do to each other:
// of system and temporary conversations, where only the app does, they change only
// that messages are kept for ever, as under all rules but the preset's.
func (p Policy) ruled(r Rules) Policy {
	if r == RulesPreset {
		return p
	}
	p.RetentionMillis = 0
	if p.Preset != PresetBasic && p.Preset != PresetRoom {
		return p
	}
	who := WhoMember
	p.Change, p.Recall = WhoMember, WhoApp
	p.Manage, p.Ranked = WhoApp, false
	if r == RulesRoles {
		who, p.Manage, p.Ranked, p.OwnerStays = WhoManager, WhoManager, true, true
	}
	p.Block = who
	if p.Members {
		p.Invite, p.Remove = who, who
	}
	return p
}

// creatorOwns tells whether the creator is the owner whenever he is a member, when
// he comes back, too. So it is under all rules but the preset's.
func (p *Policy) creatorOwns() bool { return !p.Ranked || p.OwnerStays }
