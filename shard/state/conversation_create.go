package state

import (
	"slices"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// CreateConversation makes a conversation of a preset. The creator, if it is a
// user, becomes its owner where members are stored. An id is used once: a
// conversation that is gone stays gone.
//
// With Unique, an existing conversation of exactly these members is the answer
// (Result.Existed); one whose members have changed is refused with Exists, and
// the caller goes on to the next candidate. It is made with all of the members
// or, when one of them blocks it, refused with Blocked.
type CreateConversation struct {
	ID         wire.ConversationID
	Preset     Preset
	Unique     bool
	Name       string
	Members    []wire.UserID // at most 500
	Properties []Property
	TTLMillis  int64 // temporary: 0 is a day; at most 30 days

	Rules       Rules
	MemberLimit uint32 // 0: the preset's
}

func (*CreateConversation) kind() Kind { return kindCreateConversation }

func (c *CreateConversation) subject() Subject { return Subject{Conversation: c.ID} }

func (c *CreateConversation) append(b []byte) []byte {
	b = bin.AppendString(b, c.ID)
	b = append(b, byte(c.Preset))
	b = bin.AppendBool(b, c.Unique)
	b = bin.AppendString(b, c.Name)
	b = appendIDs(b, c.Members)
	b = appendProperties(b, c.Properties)
	b = bin.AppendUvarint(b, uint64(c.TTLMillis))
	if c.Rules == RulesPreset && c.MemberLimit == 0 {
		return b // as before there were rules
	}
	return bin.AppendUvarint(append(b, byte(c.Rules)), uint64(c.MemberLimit))
}

func (c *CreateConversation) decode(in *bin.Reader) {
	c.ID = readID[wire.ConversationID](in)
	c.Preset = Preset(in.Byte())
	c.Unique = in.Bool()
	c.Name = in.String()
	c.Members = readIDs[wire.UserID](in, maxListed)
	c.Properties = readProperties(in)
	c.TTLMillis = int64(in.Uvarint())
	if in.Len() > 0 {
		c.Rules, c.MemberLimit = Rules(in.Byte()), readUint32(in)
	}
}

func (c *CreateConversation) apply(t *txn, h *Header) Result {
	users := c.Members
	policy, ok := NewPolicy(c.Preset)
	if c.ID == "" {
		return refuse(Invalid, "the id is empty")
	}
	if !ok || c.Rules >= rulesEnd {
		return refuse(Invalid, "no such kind of conversation, or no such rules")
	}
	policy = policy.ruled(c.Rules)
	if policy.Members && h.Actor != "" && c.Preset != PresetSystem {
		users = append([]wire.UserID{h.Actor}, users...)
	}
	users = distinct(users)
	s := conversationScope(h.App, c.ID)
	if old := t.conversation(s); old != nil {
		return c.existing(t, old, users)
	}
	if r := c.check(h, &policy, users); r.Refusal != None {
		return r
	}
	if c.Unique && slices.ContainsFunc(users, func(u wire.UserID) bool { return u != h.Actor && blockedBy(t, s, u) }) {
		return refuse(Blocked, "without all of its members it would not be the one that is asked for")
	}
	if c.Unique && c.Rules == RulesPreset {
		policy.Join = WhoApp // who its members are is what it is
	}
	conv := &conversation{scope: s, info: Info{
		Policy: policy, Name: c.Name, Creator: h.Actor, Created: t.stamp, Updated: t.stamp, Unique: c.Unique,
		Properties: sortedProperties(c.Properties),
	}}
	if outboxFull(t, conv, users) {
		return refuse(Backlogged, "too much waits to be told to the members")
	}
	return c.make(t, h, conv, users)
}

// existing answers a create of an id that is taken.
func (c *CreateConversation) existing(t *txn, old *conversation, users []wire.UserID) Result {
	if r := old.live(t.stamp); r != None {
		return refuse(r, "the id was used before")
	}
	// One whose maker has left is not theirs: its name, and what was said in it
	// before, came from somebody who is not one of them.
	if !c.Unique || !old.info.Unique || !hasExactly(t, old, users) || old.info.Creator != "" && !slices.Contains(users, old.info.Creator) {
		return refuse(Exists, "there is a conversation with this id")
	}
	return Result{Existed: true, Conversation: c.ID, Offset: old.head.offset, Seq: old.head.seq, Timestamp: old.info.Created}
}

func (c *CreateConversation) check(h *Header, policy *Policy, users []wire.UserID) Result {
	switch {
	case c.Preset.ofApp() && h.Actor != "":
		return refuse(Forbidden, "only the app makes system conversations")
	case !c.Preset.fits(c.ID):
		return refuse(Invalid, "the id is that of another kind of conversation")
	case !policy.Members && len(users) > 0:
		return refuse(Invalid, "this kind of conversation stores no members")
	case len(c.Members) > wire.MaxMembersAdded:
		return refuse(Limit, "too many members in one command")
	case c.Unique && len(users) == 0:
		return refuse(Invalid, "a unique conversation needs members")
	case slices.Contains(users, ""):
		return refuse(Invalid, "a member's id is empty")
	}
	if r := c.bound(policy); r.Refusal != None {
		return r
	}
	if len(users) > int(policy.MemberLimit) {
		return refuse(Limit, "more members than this conversation may have")
	}
	return checkInfo(c.Name, c.Properties)
}

// maxMemberLimit bounds how many members a conversation may be made for.
const maxMemberLimit = 1_000_000

// bound gives the policy the limits that the command chose.
func (c *CreateConversation) bound(policy *Policy) Result {
	switch {
	case c.MemberLimit > maxMemberLimit:
		return refuse(Limit, "the limit of members is too high")
	case c.TTLMillis > maxTTLMillis || c.TTLMillis < 0:
		return refuse(Limit, "the time to live is too long")
	case c.TTLMillis != 0 && policy.TTLMillis == 0:
		return refuse(Invalid, "this kind of conversation has no time to live")
	}
	if c.MemberLimit != 0 && policy.Members {
		policy.MemberLimit = c.MemberLimit
	}
	if c.TTLMillis != 0 {
		policy.TTLMillis = c.TTLMillis
	}
	return Result{}
}

// make writes the new conversation.
func (c *CreateConversation) make(t *txn, h *Header, conv *conversation, users []wire.UserID) Result {
	t.s.conversations.put(conv.scope.key(nil, tableHead), conv)
	if ttl := conv.info.Policy.TTLMillis; ttl != 0 {
		conv.info.Expires = t.stamp + ttl
		setTimer(t, conv.info.Expires, timerExpire, conv.scope.key(nil, tableHead))
	}
	conv.writeInfo(t)
	conv.append(t, &Entry{Kind: EntryCreated})
	result := Result{Conversation: c.ID, Timestamp: t.stamp}
	members := roster{conv, t}
	added, skipped := members.addable(users)
	result.Users = skipped
	members.add(added, func(u wire.UserID) Role {
		if u == h.Actor {
			return RoleOwner
		}
		return RoleMember
	})
	result.Offset = conv.head.offset
	return result
}

// hasExactly tells whether the conversation's members are these users.
func hasExactly(t *txn, c *conversation, users []wire.UserID) bool {
	if int(c.head.members) != len(users) {
		return false
	}
	for _, u := range users {
		if t.member(c.scope, u).User == "" {
			return false
		}
	}
	return true
}

// distinct returns the ids without repetitions, in their order.
func distinct[S ~string](ids []S) []S {
	if len(ids) < 2 {
		return ids
	}
	seen := make(map[S]bool, len(ids))
	out := make([]S, 0, len(ids))
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			out = append(out, id)
		}
	}
	return out
}
