package tail

import (
	"errors"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// Grant is what the state says of a user and a log.
type Grant struct {
	Refusal state.Refusal
	Last    wire.Offset // the log's last offset
	Floor   wire.Offset // entries up to it are not kept
	From    wire.Offset // the user sees entries past it
	Read    wire.Seq    // the last message that the user has read
	Notices bool        // members are told who comes and goes
	Present bool        // who follows is counted
}

// Access asks the state of a hub's replica whether a user may follow a log.
type Access func(log state.LogKey, user wire.UserID) (Grant, error)

// GrantOf asks a state whether a user may follow a log, and from where. Nobody but
// its user follows a user log; the empty user is the app.
func GrantOf(st *state.Queries, log state.LogKey, user wire.UserID) (Grant, error) {
	if log.Conversation == "" {
		if user != log.User {
			return Grant{Refusal: state.Forbidden}, nil
		}
		at, err := st.Last(log)
		return Grant{Last: at.Last, Floor: at.Floor, Notices: true}, err
	}
	a, read, err := st.CanFollow(log.App, log.Conversation, user)
	if refused, ok := errors.AsType[*state.RefusedError](err); ok {
		return Grant{Refusal: refused.Refusal}, nil
	}
	if err != nil {
		return Grant{}, err
	}
	return Grant{
		Last: a.Last, Floor: a.Floor, From: max(a.First, 1) - 1, Read: read,
		Notices: a.Policy.Notices, Present: a.Policy.Preset == state.PresetRoom,
	}, nil
}
