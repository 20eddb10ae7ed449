package state

import "fmt"

// Kind is a command's number in the raft log: never renumbered or used again.
type Kind uint64

// The kinds of commands. The zero Kind is none.
const (
	// Of conversations.
	kindCreateConversation  Kind = 1
	kindUpdateConversation  Kind = 2
	kindDestroyConversation Kind = 3
	kindAddMembers          Kind = 4
	kindRemoveMembers       Kind = 5
	kindSetRole             Kind = 6
	kindMute                Kind = 7
	kindSendMessage         Kind = 8
	kindEditMessage         Kind = 9
	kindRecallMessage       Kind = 10
	kindTrim                Kind = 11
	kindScrub               Kind = 12
	kindBlockMembers        Kind = 13
	kindQuiet               Kind = 14
	kindDeleteMessage       Kind = 15
	kindMoveDeviceCursor    Kind = 16
	kindReplaceMessage      Kind = 17
	kindEndIdle             Kind = 18

	// Of users and of what passes between slots.
	kindMoveCursors       Kind = 32
	kindBlockConversation Kind = 33
	kindLogin             Kind = 34
	kindLogout            Kind = 35
	kindSetWill           Kind = 36
	kindEnterRoom         Kind = 37
	kindLeaveRoom         Kind = 38
	kindSessionsLost      Kind = 39
	kindKick              Kind = 40
	kindPutUserSettings   Kind = 41
	kindBanUser           Kind = 42
	kindPlaceBroadcasts   Kind = 43
	kindResolveUnique     Kind = 48
	kindOfferUnique       Kind = 49
	kindDeliverOutbox     Kind = 50
	kindAckOutbox         Kind = 51
	kindSweep             Kind = 52
	kindTrimUser          Kind = 53
)

func (k Kind) String() string { return fmt.Sprintf("command kind %d", uint64(k)) }

// newCommand returns an empty command to decode into, or nil for a kind that
// is not known. It is the one registration of kinds.
//
//nolint:gocyclo // a flat table
func newCommand(k Kind) Command {
	switch k {
	case kindCreateConversation:
		return new(CreateConversation)
	case kindUpdateConversation:
		return new(UpdateConversation)
	case kindDestroyConversation:
		return new(DestroyConversation)
	case kindAddMembers:
		return new(AddMembers)
	case kindRemoveMembers:
		return new(RemoveMembers)
	case kindSetRole:
		return new(SetRole)
	case kindMute:
		return new(Mute)
	case kindSendMessage:
		return new(SendMessage)
	case kindEditMessage:
		return new(EditMessage)
	case kindRecallMessage:
		return new(RecallMessage)
	case kindTrim:
		return new(Trim)
	case kindScrub:
		return new(Scrub)
	case kindBlockMembers:
		return new(BlockMembers)
	case kindQuiet:
		return new(Quiet)
	case kindDeleteMessage:
		return new(DeleteMessage)
	case kindMoveDeviceCursor:
		return new(MoveDeviceCursor)
	case kindReplaceMessage:
		return new(ReplaceMessage)
	case kindEndIdle:
		return new(EndIdle)
	default:
		return newUserCommand(k)
	}
}

// ofSlots tells whether commands of the kind are about slots: they name neither
// a conversation nor a user as their subject, and have no token.
func (k Kind) ofSlots() bool {
	switch k {
	case kindScrub, kindMoveCursors, kindSessionsLost, kindResolveUnique, kindDeliverOutbox, kindAckOutbox, kindSweep:
		return true
	default:
		return false
	}
}
