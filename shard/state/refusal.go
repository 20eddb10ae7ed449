package state

import "fmt"

// Refusal is the state machine's deterministic "no". It is part of the durable
// encoding of results: add at the end, never renumber.
type Refusal uint8

// The refusals. None is the zero value: the command was done.
const (
	None          Refusal = iota
	NotFound              // no such conversation, message or user
	NotMember             // the actor, or the user named, is not a member
	Forbidden             // the actor's role or the policy does not allow it
	Exists                // there is one already
	Gone                  // it was destroyed, expired or recalled
	Limit                 // more than the policy or the house allows
	TooOld                // a retry older than the token window: whether it was done is not known any more
	Conflict              // another device or session holds it
	Muted                 // the user or the conversation may not speak now
	Invalid               // can never succeed as it stands
	StartOver             // the position is not in the log any more, or never was
	Moved                 // the slot is not this shard's
	Blocked               // the user does not want to be added
	Backlogged            // too much waits to be told to another slot: ask again later
	SignedOut             // the session token was issued before the user was signed out everywhere
	NeedOwner             // he is the owner, and the conversation must keep one
	Banned                // the conversation does not let the user in
	BlockListFull         // the conversation blocks as many users as it may
	MuteListFull          // the conversation mutes as many users as it may
	MutedForNow           // the user may not speak until some time; Muted is for ever
	BannedUser            // the app does not let the user sign in
	refusalEnd
)

func (r Refusal) String() string {
	names := [refusalEnd]string{
		"done", "not found", "not a member", "forbidden", "exists", "gone", "limit", "too old", "conflict", "muted",
		"invalid", "start over", "moved", "blocked", "backlogged", "signed out",
		"needs an owner", "banned", "block list full", "mute list full", "muted for now", "banned from the app",
	}
	if r < refusalEnd {
		return names[r]
	}
	return fmt.Sprintf("refusal %d", uint8(r))
}

// RefusedError is how a query says no. The rules are the same as for commands.
type RefusedError struct {
	Refusal Refusal
	Text    string // for people
}

func (e *RefusedError) Error() string {
	if e.Text == "" {
		return e.Refusal.String()
	}
	return e.Refusal.String() + ": " + e.Text
}
