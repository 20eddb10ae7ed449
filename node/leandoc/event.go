package leandoc

import (
	"slices"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// Op names what an event tells.
type Op string

// The events of a conversation. Those that begin with "members" name who it is
// about; the others are about their receiver.
const (
	OpJoined           Op = "joined"
	OpLeft             Op = "left"
	OpMembersJoined    Op = "members_joined"
	OpMembersLeft      Op = "members_left"
	OpUpdated          Op = "updated"
	OpMemberInfo       Op = "member_info_changed"
	OpBlocked          Op = "blocked"
	OpUnblocked        Op = "unblocked"
	OpMembersBlocked   Op = "members_blocked"
	OpMembersUnblocked Op = "members_unblocked"
	OpMuted            Op = "shutuped"
	OpUnmuted          Op = "unshutuped"
	OpMembersMuted     Op = "members_shutuped"
	OpMembersUnmuted   Op = "members_unshutuped"
)

// Event is one thing that a client is told of a conversation.
type Event struct {
	Op           Op
	Conversation wire.ConversationID
	Offset       wire.Offset // in the conversation's log, of what is told
	By           wire.UserID
	Members      []wire.UserID // with the ops that name them
	Millis       int64         // when it was: the conversation's time of update
	Stamp        int64         // when the log told it that it was read from

	Sent, Changed []byte      // of OpUpdated: JSON, what was asked for and what it came to
	Member        wire.UserID // of OpMemberInfo
	Role          state.Role
}

// OfConversation returns what a user is told of an entry of a conversation's log.
// Of his own coming and going his own log tells him, but for the list of all who
// came with him.
func OfConversation(id wire.ConversationID, preset state.Preset, e *state.Entry, user wire.UserID) []Event {
	event := Event{Conversation: id, Offset: e.Offset, By: e.Actor, Members: e.Users, Millis: e.Stamp, Stamp: e.Stamp}
	concerned := slices.Contains(e.Users, user)
	people := preset == state.PresetBasic || preset == state.PresetTemporary
	switch e.Kind {
	case state.EntryMembersAdded:
		return event.when(people, OpMembersJoined)
	case state.EntryMembersRemoved:
		return event.when(people && !concerned, OpMembersLeft)
	case state.EntryUpdated, state.EntryRoleChanged:
		return event.ofInfo(preset, e)
	case state.EntryBanned:
		return event.both(people, concerned, OpBlocked, OpMembersBlocked)
	case state.EntryUnbanned:
		return event.both(people, concerned, OpUnblocked, OpMembersUnblocked)
	case state.EntryMuted:
		return event.both(people && e.Until == 0 && len(e.Users) > 0, concerned, OpMuted, OpMembersMuted)
	case state.EntryUnmuted:
		return event.both(people && len(e.Users) > 0, concerned, OpUnmuted, OpMembersUnmuted)
	default:
		return nil
	}
}

// ofInfo returns what is told of a change of the conversation or of a member.
func (e Event) ofInfo(preset state.Preset, entry *state.Entry) []Event {
	e.Members = nil
	if entry.Kind == state.EntryRoleChanged {
		if len(entry.Users) == 0 {
			return nil
		}
		e.Member, e.Role = entry.Users[0], entry.Role
		return e.when(preset == state.PresetBasic, OpMemberInfo)
	}
	if len(entry.Changed) == 0 {
		return nil // of another dialect, or nothing that a client stores
	}
	e.Sent, e.Changed = Resolved(entry.Sent, entry.Changed), entry.Changed
	return e.when(preset != state.PresetSystem, OpUpdated)
}

func (e Event) when(told bool, op Op) []Event {
	if !told {
		return nil
	}
	e.Op = op
	return []Event{e}
}

// both tells who is concerned that it is he, and everybody who it was. Who is
// blocked is told the first alone: he is none of them.
func (e Event) both(told, concerned bool, own, all Op) []Event {
	if !told {
		return nil
	}
	events := e.when(true, all)
	if !concerned {
		return events
	}
	e.Members = nil
	if own == OpBlocked || own == OpUnblocked {
		return e.when(true, own)
	}
	return append(e.when(true, own), events...)
}

// OfUser returns what a user is told of an entry of his own log.
func OfUser(preset state.Preset, e *state.Entry) []Event {
	event := Event{Conversation: e.Conversation, Offset: e.ConversationOffset, By: e.Actor, Millis: e.Stamp, Stamp: e.Stamp}
	if e.Until != 0 {
		event.Millis = e.Until // the user's log has it from the conversation, a little later
	}
	people := preset == state.PresetBasic || preset == state.PresetTemporary
	switch e.Kind {
	case state.EntryJoined:
		return event.when(people, OpJoined)
	case state.EntryLeft:
		return event.when(people && !e.Expired, OpLeft)
	case state.EntryShutOut:
		return event.when(people, OpBlocked)
	case state.EntryLetIn:
		return event.when(people, OpUnblocked)
	default:
		return nil
	}
}
