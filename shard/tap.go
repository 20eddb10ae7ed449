package shard

import (
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// tap stands between raft and its transport and notes which nodes confirmed
// this leader's term, in answer to a request sent after a given moment.
//
// It is needed because raft's VerifyLeader counts any success that arrives
// after it was called, also the answer to a request sent long before: after a
// pause of this process, or during a transfer, such answers may be from before
// a new leader's election, and the read they allow would be stale.
//
// It also hides the transport's Close from raft, which would otherwise close
// what the replica was only lent.
type tap struct {
	raft.Transport
	raft.WithPreVote

	round atomic.Uint64 // of the reads that are under way; requests carry it in their heads
	mu    struct {
		sync.Mutex
		term  uint64
		acked map[raft.ServerID]uint64 // the newest round that a node confirmed in this term
		moved chan struct{}            // closed at the next confirmation; nil while nobody waits
	}
}

func newTap(t raft.Transport, preVote raft.WithPreVote) *tap {
	return &tap{Transport: t, WithPreVote: preVote}
}

// AppendEntries implements raft.Transport. Heartbeats come through here; what
// is pipelined does not, and is not needed.
func (t *tap) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	round := t.round.Load() // before it is sent
	if err := t.Transport.AppendEntries(id, target, args, resp); err != nil {
		return err
	}
	// A node that answers with our term had voted for nobody newer when it did.
	if resp.Term == args.Term {
		t.confirm(args.Term, id, round)
	}
	return nil
}

func (t *tap) confirm(term uint64, id raft.ServerID, round uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if term < t.mu.term {
		return
	}
	if term > t.mu.term || t.mu.acked == nil {
		t.mu.term, t.mu.acked = term, make(map[raft.ServerID]uint64)
	}
	t.mu.acked[id] = max(t.mu.acked[id], round)
	if t.mu.moved != nil {
		close(t.mu.moved)
		t.mu.moved = nil
	}
}

// begin starts a round: only what is sent from now on confirms it.
func (t *tap) begin() uint64 { return t.round.Add(1) }

// confirmed tells whether a majority of the voters, self among them, confirmed
// the term in the round or a later one. If not, the channel is closed at the
// next confirmation.
func (t *tap) confirmed(term, round uint64, voters []raft.ServerID, self raft.ServerID) (bool, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	votes := 0
	for _, id := range voters {
		if id == self || t.mu.term == term && t.mu.acked[id] >= round {
			votes++
		}
	}
	if votes >= len(voters)/2+1 {
		return true, nil
	}
	if t.mu.moved == nil {
		t.mu.moved = make(chan struct{})
	}
	return false, t.mu.moved
}
