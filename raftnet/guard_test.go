package raftnet

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/virtual"
	"github.com/quorate/quorate/wire"
)

// script plays the leader of one real follower, frame by frame.
type script struct {
	t        *testing.T
	g        *group
	leader   *Transport
	follower *replica
	term     uint64
}

func newScript(t *testing.T, applied func(*history) func() uint64) *script {
	g := newGroup(t, 1)
	g.trailing = 1
	s := &script{t: t, g: g, term: 1, leader: New("n1", 1, end{g.net, "n1"}, Options{})}
	h := &history{}
	r := &replica{id: "n2", store: raft.NewInmemStore(), snaps: raft.NewInmemSnapshotStore(), history: h}
	r.trans = New("n2", 1, end{g.net, "n2"}, Options{Applied: applied(h)})
	if err := raft.BootstrapCluster(g.config("n2"), r.store, r.store, r.snaps, r.trans, g.servers()); err != nil {
		t.Fatal(err)
	}
	g.run(r)
	s.follower = r
	return s
}

func (s *script) close() {
	_ = s.leader.Close()
	s.g.stopAll()
}

func (s *script) header() raft.RPCHeader {
	return raft.RPCHeader{ProtocolVersion: 3, ID: []byte("n1"), Addr: []byte("n1")}
}

// append sends the entries from..to of this term after prev.
func (s *script) append(prev, prevTerm, to, commit uint64) *raft.AppendEntriesResponse {
	s.t.Helper()
	m := &raft.AppendEntriesRequest{
		RPCHeader: s.header(), Term: s.term,
		PrevLogEntry: prev, PrevLogTerm: prevTerm, LeaderCommitIndex: commit,
	}
	for i := prev + 1; i <= to; i++ {
		m.Entries = append(m.Entries, &raft.Log{Index: i, Term: s.term, Data: fmt.Appendf(nil, "t%d-%d", s.term, i)})
	}
	var resp raft.AppendEntriesResponse
	if err := s.leader.AppendEntries("n2", "n2", m, &resp); err != nil {
		s.t.Fatalf("append after %d: %v", prev, err)
	}
	return &resp
}

func (s *script) install(index, term uint64, commands int) *raft.InstallSnapshotResponse {
	s.t.Helper()
	h := &history{}
	for i := range commands {
		h.commands = append(h.commands, fmt.Appendf(nil, "t1-%d", i+2))
	}
	h.applied.Store(index)
	snapshot, _ := h.Snapshot()
	m := &raft.InstallSnapshotRequest{
		RPCHeader: s.header(), SnapshotVersion: 1, Term: s.term, LastLogIndex: index, LastLogTerm: term,
		Configuration: raft.EncodeConfiguration(s.g.servers()), ConfigurationIndex: 1,
	}
	var resp raft.InstallSnapshotResponse
	if err := s.leader.InstallSnapshot("n2", "n2", m, &resp, bytes.NewReader(snapshot.(image))); err != nil {
		s.t.Fatalf("install at %d: %v", index, err)
	}
	return &resp
}

// TestFollowerNeverGoesBack: answers were lost, the follower took a snapshot
// and compacted past what the leader believes of it, and the leader walks back
// to its own older snapshot. Without the guard the state goes back.
func TestFollowerNeverGoesBack(t *testing.T) {
	for _, guarded := range []bool{true, false} {
		t.Run(fmt.Sprintf("guarded=%v", guarded), func(t *testing.T) {
			virtual.Test(t, func(t *testing.T) {
				s := newScript(t, func(h *history) func() uint64 {
					if guarded {
						return h.applied.Load
					}
					return nil
				})
				defer s.close()
				s.append(1, 1, 100, 100) // index 1 is the configuration
				synctest.Wait()
				if err := s.follower.raft.Snapshot().Error(); err != nil {
					t.Fatal(err)
				}
				if first, _ := s.follower.store.FirstIndex(); first < 90 {
					t.Fatalf("follower's log begins at %d: not compacted", first)
				}

				probe := s.append(49, 1, 60, 60).Success
				installed := s.install(40, 1, 39).Success
				after := s.append(40, 1, 101, 101).Success
				synctest.Wait()
				h := s.follower.history
				if guarded {
					if !probe || !installed || !after || h.restores.Load() != 0 || h.applied.Load() != 101 || len(h.all()) != 100 {
						t.Errorf("probe %v, install %v, append %v, %d restores, applied %d with %d commands; want all true, 0, 101, 100",
							probe, installed, after, h.restores.Load(), h.applied.Load(), len(h.all()))
					}
					return
				}
				if probe || !h.back.Load() {
					t.Errorf("without the guard the state did not go back: this test would not notice that it is missing")
				}
			})
		})
	}
}

// TestOldSnapshotOfDeposedLeader: the guard's answer must not tell a leader of
// an old term that it still is one.
func TestOldSnapshotOfDeposedLeader(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		s := newScript(t, func(h *history) func() uint64 { return h.applied.Load })
		defer s.close()
		s.append(1, 1, 10, 10)
		s.term = 5
		s.append(10, 1, 11, 11)
		s.term = 1
		if resp := s.install(4, 1, 3); resp.Success || resp.Term != 5 {
			t.Errorf("answer %v in term %d, want false in term 5", resp.Success, resp.Term)
		}
	})
}

// TestCommitsOnlyWhatMatched: a follower has entries of a deposed leader, and
// the new leader's append names none beyond them but a commit index that is.
// raft alone would apply the deposed leader's entries.
func TestCommitsOnlyWhatMatched(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		s := newScript(t, func(h *history) func() uint64 { return h.applied.Load })
		defer s.close()
		s.append(1, 1, 10, 5) // 6 to 10 are not committed
		s.term = 2
		if !s.append(7, 1, 7, 9).Success { // the new leader has its own 8 and 9, and they are committed
			t.Fatal("append refused")
		}
		synctest.Wait()
		if got := s.follower.history.applied.Load(); got != 7 {
			t.Fatalf("applied %d, want 7", got)
		}
		s.append(7, 1, 9, 9)
		synctest.Wait()
		all := s.follower.history.all()
		if got := string(all[len(all)-1]); got != "t2-9" || s.follower.history.applied.Load() != 9 {
			t.Errorf("last command %s at %d, want t2-9 at 9", got, s.follower.history.applied.Load())
		}
	})
}

func TestSkipApplied(t *testing.T) {
	tests := []struct {
		name                string
		prev, count         uint64
		applied             uint64
		wantPrev, wantFirst uint64
		want                bool
	}{
		{name: "beyond", prev: 10, count: 3, applied: 9, wantPrev: 10, wantFirst: 11},
		{name: "at applied", prev: 10, count: 3, applied: 10, wantFirst: 11, want: true},
		{name: "overlap", prev: 10, count: 3, applied: 12, wantFirst: 13, want: true},
		{name: "all known", prev: 10, count: 3, applied: 50, want: true},
		{name: "empty", prev: 10, applied: 50, want: true},
		{name: "from the start", count: 3, applied: 2, wantFirst: 3, want: true},
		{name: "new follower", count: 3, wantFirst: 1},
		{name: "heartbeat", applied: 50},
	}
	for _, tt := range tests {
		m := &raft.AppendEntriesRequest{PrevLogEntry: tt.prev, PrevLogTerm: 7}
		for i := range tt.count {
			m.Entries = append(m.Entries, &raft.Log{Index: tt.prev + i + 1})
		}
		got := skipApplied(m, tt.applied)
		first := uint64(0)
		if len(m.Entries) > 0 {
			first = m.Entries[0].Index
		}
		if got != tt.want || m.PrevLogEntry != tt.wantPrev || first != tt.wantFirst || (m.PrevLogTerm == 0) != tt.want {
			t.Errorf("%s: skipApplied = %v, previous %d, first %d; want %v, %d, %d", tt.name, got, m.PrevLogEntry, first, tt.want, tt.wantPrev, tt.wantFirst)
		}
	}
}

// TestAnswersOfOthersDoNotCount: an answer is taken only from the node that
// was asked, of the kind that was asked for, with the id of this life.
func TestAnswersOfOthersDoNotCount(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		n := newNetwork(1)
		a := New("n1", 1, end{n, "n1"}, Options{})
		defer func() { _ = a.Close() }()
		var ids []uint64
		n.mu.receive["n2"] = func(_ wire.NodeID, frame []byte) {
			_, id, err := head(frame)
			if err != nil {
				t.Error(err)
			}
			ids = append(ids, id)
			yes := appendYesNo(appendHead(nil, kindVoteAnswer, id), 3, true)
			_ = end{n, "n3"}.Send("n1", 1, bytes.Clone(yes), Now) // not asked
			yes[1] = byte(kindPreVoteAnswer)
			_ = end{n, "n2"}.Send("n1", 1, bytes.Clone(yes), Now) // to another question
			yes = appendYesNo(appendHead(nil, kindVoteAnswer, 1), 3, true)
			_ = end{n, "n2"}.Send("n1", 1, yes, Now) // of another life
		}
		var resp raft.RequestVoteResponse
		err := a.RequestVote("n2", "n2", &raft.RequestVoteRequest{RPCHeader: raft.RPCHeader{Addr: []byte("n1")}, Term: 3}, &resp)
		if err == nil {
			t.Errorf("vote counted: %+v", resp)
		}
		b := New("n1", 1, end{n, "n1"}, Options{})
		defer func() { _ = b.Close() }()
		_ = b.RequestVote("n2", "n2", &raft.RequestVoteRequest{RPCHeader: raft.RPCHeader{Addr: []byte("n1")}, Term: 3}, &resp)
		if len(ids) < 4 || ids[0] == ids[len(ids)-1] {
			t.Errorf("ids of two lives: %v", ids)
		}
	})
}
