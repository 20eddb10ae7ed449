package raftlog

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"
)

// TestVoteCutBetweenItsValues cuts the power between the two values of a vote.
// Without the guard the node comes back with the old candidate in the new term,
// for which raft grants a second vote without a look at the log.
func TestVoteCutBetweenItsValues(t *testing.T) {
	for _, guarded := range []bool{true, false} {
		t.Run(fmt.Sprintf("guarded=%v", guarded), func(t *testing.T) {
			disk := vfs.NewCrashableMem()
			s := openStores(t, disk, Options{})
			defer closeStores(t, s)
			open := func(s *Stores) raft.StableStore {
				if guarded {
					g, err := s.Group(1)
					if err != nil {
						t.Fatal(err)
					}
					return g
				}
				return &stable{stores: s, shard: 1}
			}
			err := errors.Join(vote(open(s), 7, "n1"), open(s).SetUint64([]byte(voteTermName), 8))
			if err != nil {
				t.Fatal(err)
			}
			left := openStores(t, disk.CrashClone(vfs.CrashCloneCfg{}), Options{})
			defer closeStores(t, left)
			term, candidate := lastVote(t, open(left))
			if torn := term != 7 || candidate != "n1"; torn == guarded {
				t.Errorf("after the cut the vote is for %s in term %d", candidate, term)
			}
		})
	}
}

// TestGuardVotes guards a store that says "not found", as raft-boltdb does.
func TestGuardVotes(t *testing.T) {
	inner := raft.NewInmemStore()
	v := GuardVotes(inner)
	if term, candidate := lastVote(t, v); term != 0 || candidate != "" {
		t.Errorf("the vote of an empty store is for %q in term %d", candidate, term)
	}
	if err := v.Set([]byte(voteCandidateName), []byte("n1")); err == nil {
		t.Error("a candidate was taken without its term")
	}
	if err := vote(v, 5, "n2"); err != nil {
		t.Fatal(err)
	}
	if err := v.SetUint64([]byte(voteTermName), 6); err != nil {
		t.Fatal(err)
	}
	if term, candidate := lastVote(t, v); term != 5 || candidate != "n2" {
		t.Errorf("with half a vote written, the last is for %q in term %d, want n2 in 5", candidate, term)
	}
	if term, candidate := lastVote(t, GuardVotes(inner)); term != 5 || candidate != "n2" {
		t.Errorf("opened again, the last vote is for %q in term %d, want n2 in 5", candidate, term)
	}
	if err := errors.Join(v.SetUint64([]byte("CurrentTerm"), 9), v.Set([]byte("k"), []byte("v"))); err != nil {
		t.Fatal(err)
	}
	if n, err := inner.GetUint64([]byte("CurrentTerm")); n != 9 || err != nil {
		t.Errorf("CurrentTerm = %d, %v, want 9", n, err)
	}
	if err := inner.Set([]byte(voteName), []byte{1, 2}); err != nil {
		t.Fatal(err)
	}
	if _, err := v.GetUint64([]byte(voteTermName)); !errors.Is(err, errVote) {
		t.Errorf("GetUint64 of a damaged vote = %v, want %v", err, errVote)
	}
}

func vote(s raft.StableStore, term uint64, candidate string) error {
	return errors.Join(s.SetUint64([]byte(voteTermName), term), s.Set([]byte(voteCandidateName), []byte(candidate)))
}

func lastVote(t *testing.T, s raft.StableStore) (uint64, string) {
	t.Helper()
	term, err := s.GetUint64([]byte(voteTermName))
	if err != nil {
		t.Fatal(err)
	}
	candidate, err := s.Get([]byte(voteCandidateName))
	if err != nil {
		t.Fatal(err)
	}
	return term, string(candidate)
}
