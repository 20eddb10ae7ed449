package mutant

import "strconv"

// Mutant is a planted bug. Its value is its number: mutant 1 is called M1.
type Mutant uint8

// The mutants.
const (
	None Mutant = 0

	NoLogSync             Mutant = 1  // appends and votes are not synced to the disk
	AckBeforeCommit       Mutant = 2  // the leader takes an append that was sent for one that is stored
	EarlySequence         Mutant = 3  // a sequence is given out before it is known whether the command takes effect
	SnapshotWithoutTokens Mutant = 4  // the rows that make retries harmless are left out of snapshots that are sent
	TokensExpireEarly     Mutant = 5  // they are removed after a second, not a day
	UnverifiedRead        Mutant = 6  // a strong read does not ask whether the leader still leads
	NoBarrier             Mutant = 7  // a new leader answers before it has applied what its predecessors committed
	TwoWriteVote          Mutant = 8  // a vote's term and candidate are written one after the other, as raft does
	AcceptOldSnapshot     Mutant = 9  // a snapshot older than the state is installed
	SeparateIndex         Mutant = 10 // the applied index is written in a batch of its own, with the next rows
	CursorGoesBack        Mutant = 11 // a cursor is stored as it comes, also below what it was
	CheckAtEdgeOnly       Mutant = 12 // the edge asks whether the sender is a member, apply does not
	RecallLeavesMessage   Mutant = 13 // a recall is told, but the copy that pages are read from is not replaced
	DropWithoutResync     Mutant = 14 // what a slow session has no room for is dropped, and nobody is told
	TruncateBeforeFlush   Mutant = 18 // raft's log is cut before the state that replaces it is on the disk
	CommitUnmatched       Mutant = 21 // a follower commits entries that the append did not compare
	StaleCaches           Mutant = 22 // an install leaves apply's caches as they were
	LateInterest          Mutant = 23 // a hub asks the state first and registers the interest then
	NoCatchUp             Mutant = 24 // an edge whose stream was lost does not look what it has missed
	AckBeforeDelivery     Mutant = 25 // the outbox forgets a row before the other slot has taken it
	EarlyFollower         Mutant = 26 // a follower answers a read for whose offset it is too far behind
	FreshRetry            Mutant = 27 // a client that repeats a command gives it a new number
	OwnUnique             Mutant = 28 // who creates a unique conversation does not ask whether there is one
)

// catalog says what each mutant is, for those who run them.
//
//nolint:gochecknoglobals // a table
var catalog = []struct {
	mutant Mutant
	name   string
	text   string
}{
	{NoLogSync, "NoLogSync", "appends and votes are not synced"},
	{AckBeforeCommit, "AckBeforeCommit", "a sent append counts as a stored one"},
	{EarlySequence, "EarlySequence", "a sequence is given out before the command is known to take effect"},
	{SnapshotWithoutTokens, "SnapshotWithoutTokens", "sent snapshots lack the rows of tokens"},
	{TokensExpireEarly, "TokensExpireEarly", "tokens are forgotten after a second"},
	{UnverifiedRead, "UnverifiedRead", "a strong read does not verify the leader"},
	{NoBarrier, "NoBarrier", "a new leader answers before its barrier"},
	{TwoWriteVote, "TwoWriteVote", "a vote is two writes"},
	{AcceptOldSnapshot, "AcceptOldSnapshot", "a snapshot older than the state is installed"},
	{SeparateIndex, "SeparateIndex", "the applied index has a batch of its own"},
	{CursorGoesBack, "CursorGoesBack", "a cursor is stored without the maximum"},
	{CheckAtEdgeOnly, "CheckAtEdgeOnly", "membership is checked at the edge only"},
	{RecallLeavesMessage, "RecallLeavesMessage", "a recall does not replace the message's row"},
	{DropWithoutResync, "DropWithoutResync", "a slow session's pushes are dropped unnoticed"},
	{TruncateBeforeFlush, "TruncateBeforeFlush", "raft's log is cut before the state is flushed"},
	{CommitUnmatched, "CommitUnmatched", "a follower commits what the append did not compare"},
	{StaleCaches, "StaleCaches", "an install leaves apply's caches"},
	{LateInterest, "LateInterest", "an interest is registered after the state was asked"},
	{NoCatchUp, "NoCatchUp", "an edge does not catch up after a lost stream"},
	{AckBeforeDelivery, "AckBeforeDelivery", "an outbox row is forgotten before it is delivered"},
	{EarlyFollower, "EarlyFollower", "a follower answers reads it is too far behind for"},
	{FreshRetry, "FreshRetry", "a retry has a new number"},
	{OwnUnique, "OwnUnique", "unique conversations are made without asking"},
}

// All returns every mutant, by number.
func All() []Mutant {
	all := make([]Mutant, len(catalog))
	for i := range catalog {
		all[i] = catalog[i].mutant
	}
	return all
}

// String returns the mutant's number, as "M1".
func (m Mutant) String() string { return "M" + strconv.Itoa(int(m)) }

// Name returns the mutant's name, as it is in the code.
func (m Mutant) Name() string {
	for i := range catalog {
		if catalog[i].mutant == m {
			return catalog[i].name
		}
	}
	return "None"
}

// Text says what the bug is.
func (m Mutant) Text() string {
	for i := range catalog {
		if catalog[i].mutant == m {
			return catalog[i].text
		}
	}
	return "no bug is planted"
}

// Parse finds a mutant by its number, as "M1", or its name.
func Parse(s string) (Mutant, bool) {
	for i := range catalog {
		if m := catalog[i].mutant; s == m.String() || s == catalog[i].name {
			return m, true
		}
	}
	return None, false
}

// Env names the variable that chooses a mutant, and Tag the build tag without
// which there is none to choose.
const (
	Env = "QUORATE_MUTANT"
	Tag = "mutants"
)
