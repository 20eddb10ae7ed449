package state

import "github.com/quorate/quorate/wire/bin"

// newUserCommand is newCommand for the kinds of users and of what passes
// between slots.
//
//nolint:gocyclo // a flat table
func newUserCommand(k Kind) Command {
	switch k {
	case kindMoveCursors:
		return new(MoveCursors)
	case kindBlockConversation:
		return new(BlockConversation)
	case kindLogin:
		return new(Login)
	case kindLogout:
		return new(Logout)
	case kindSetWill:
		return new(SetWill)
	case kindEnterRoom:
		return new(EnterRoom)
	case kindLeaveRoom:
		return new(LeaveRoom)
	case kindSessionsLost:
		return new(SessionsLost)
	case kindKick:
		return new(Kick)
	case kindBanUser:
		return new(BanUser)
	case kindPlaceBroadcasts:
		return new(PlaceBroadcasts)
	case kindResolveUnique:
		return new(ResolveUnique)
	case kindDeliverOutbox:
		return new(DeliverOutbox)
	case kindAckOutbox:
		return new(AckOutbox)
	case kindSweep:
		return new(Sweep)
	default:
		return nil
	}
}

// maxPacked is how many rows one packed command may name. Packed commands are
// the cluster's own: their rows may lie in several slots, which must all be the
// shard's, or the command is refused whole.
const maxPacked = 1000

// readMany reads the rows of a packed command, at most maxPacked.
func readMany[T any](in *bin.Reader, one func(*bin.Reader) T) []T {
	n := in.Count(maxPacked)
	rows := make([]T, 0, min(n, 64)) // the count is only a claim as yet
	for i := 0; i < n && in.Err() == nil; i++ {
		rows = append(rows, one(in))
	}
	return rows
}
