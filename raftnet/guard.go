package raftnet

import (
	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/mutant"
)

// cutCommit cuts the leader's commit index to the last entry that the append
// names, as the raft paper has it. raft v1.8.0 compares it with the last entry the
// follower has instead: entries of a deposed leader that lie beyond what
// this append compared would be committed. It happens when an append without entries is
// repeated late, or was made while the leader's commit index moved.
func cutCommit(m *raft.AppendEntriesRequest) {
	if mutant.On(mutant.CommitUnmatched) { // a planted bug, see package mutant
		return
	}
	m.LeaderCommitIndex = min(m.LeaderCommitIndex, m.PrevLogEntry+uint64(len(m.Entries)))
}

// skipApplied removes from an append what this replica has applied, and tells
// whether it changed anything.
//
//	leader's:  prev | entries ............... |
//	ours:      ........ applied |
//	passed on:                  | entries ... |   with previous index 0: raft compares nothing
//
// What is applied is committed, and every leader that raft accepts (it looks at
// the term itself) has what is committed; so it matches and need not be compared. It
// could not be: the entries may have been compacted, then raft refuses the
// append, the leader walks back to a snapshot older than our state, and
// installing that would make the state go back.
func skipApplied(m *raft.AppendEntriesRequest, applied uint64) bool {
	if mutant.On(mutant.AcceptOldSnapshot) { // a planted bug, see package mutant
		return false
	}
	if m.PrevLogEntry > applied || m.PrevLogEntry == 0 && (applied == 0 || len(m.Entries) == 0) {
		return false
	}
	known := min(applied-m.PrevLogEntry, uint64(len(m.Entries)))
	m.PrevLogEntry, m.PrevLogTerm = 0, 0
	m.Entries = m.Entries[known:]
	return true
}

// isOld tells whether a snapshot holds nothing that this replica has not applied.
func isOld(m *raft.InstallSnapshotRequest, applied uint64) bool {
	return m.LastLogIndex <= applied && !mutant.On(mutant.AcceptOldSnapshot) // a planted bug, see package mutant
}

// asContact is the request that makes raft do with an old snapshot's leader
// what it does with any leader: compare terms, follow, note the contact. It installs nothing.
func asContact(m *raft.InstallSnapshotRequest) *raft.AppendEntriesRequest {
	return &raft.AppendEntriesRequest{RPCHeader: m.RPCHeader, Term: m.Term}
}
