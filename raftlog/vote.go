package raftlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/mutant"
)

// The names under which raft keeps a vote, and ours.
const (
	voteTermName      = "LastVoteTerm"
	voteCandidateName = "LastVoteCand"
	voteName          = "LastVote"

	voteForm      = 1
	voteHeadBytes = 1 + 8
)

// errVote is the cause when a vote on the disk cannot be read.
var errVote = errors.New("raftlog: malformed vote")

// Votes is a raft.StableStore in which a vote is one write.
//
// Raft writes a vote as two values, the term first. A crash between them leaves
// "in the new term, voted for the candidate of the old one", and when that
// candidate asks, raft grants the vote again without a look at its log: a node
// that lacks committed entries can win. So the term is held back until the
// candidate comes, and both go under one key:
//
//	+------+----------+-----------+
//	| form | term u64 | candidate |
//	+------+----------+-----------+
type Votes struct {
	inner raft.StableStore

	mu struct {
		sync.Mutex
		held uint64 // the term that waits for its candidate; 0: none
	}
}

var _ raft.StableStore = (*Votes)(nil)

// GuardVotes returns a stable store that keeps its values in inner and writes
// each vote at once.
func GuardVotes(inner raft.StableStore) *Votes { return &Votes{inner: inner} }

// Set implements raft.StableStore.
func (v *Votes) Set(key, value []byte) error {
	if !isVote(key, voteCandidateName) {
		return v.inner.Set(key, value)
	}
	term := v.take()
	if term == 0 {
		return errors.New("raftlog: a vote's candidate without its term")
	}
	vote := make([]byte, 0, voteHeadBytes+len(value))
	vote = append(vote, voteForm)
	vote = binary.BigEndian.AppendUint64(vote, term)
	return v.inner.Set([]byte(voteName), append(vote, value...))
}

// Get implements raft.StableStore.
func (v *Votes) Get(key []byte) ([]byte, error) {
	if !isVote(key, voteCandidateName) {
		return v.inner.Get(key)
	}
	_, candidate, err := v.vote()
	return candidate, err
}

// SetUint64 implements raft.StableStore.
func (v *Votes) SetUint64(key []byte, value uint64) error {
	if !isVote(key, voteTermName) {
		return v.inner.SetUint64(key, value)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.mu.held = value
	return nil
}

// GetUint64 implements raft.StableStore.
func (v *Votes) GetUint64(key []byte) (uint64, error) {
	if !isVote(key, voteTermName) {
		return v.inner.GetUint64(key)
	}
	term, _, err := v.vote()
	return term, err
}

// isVote tells whether a key is that part of a vote.
func isVote(key []byte, part string) bool {
	return string(key) == part && !mutant.On(mutant.TwoWriteVote) // a planted bug, see package mutant
}

func (v *Votes) take() uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	term := v.mu.held
	v.mu.held = 0
	return term
}

// vote reads the last vote. A store without one answers with nothing, or with
// the error "not found", which is the one that raft knows.
func (v *Votes) vote() (uint64, []byte, error) {
	b, err := v.inner.Get([]byte(voteName))
	switch {
	case err != nil && err.Error() == "not found":
		return 0, nil, nil
	case err != nil:
		return 0, nil, err
	case len(b) == 0:
		return 0, nil, nil
	case len(b) < voteHeadBytes || b[0] != voteForm:
		return 0, nil, fmt.Errorf("%w: %d bytes, form %d", errVote, len(b), b[0])
	}
	return binary.BigEndian.Uint64(b[1:voteHeadBytes]), b[voteHeadBytes:], nil
}
