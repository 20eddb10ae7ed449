package raftnet

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/virtual"
	"github.com/quorate/quorate/wire"
)

func TestGroupElectsAndReplicates(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		g := newGroup(t, 1)
		g.net.set(func() { g.net.mu.minDelay, g.net.mu.fifo = g.net.mu.maxDelay, true })
		g.startAll()
		defer g.stopAll()
		l := g.leader()
		g.write(l, 1, 500)
		g.agree(500)
		for id, r := range g.nodes {
			if m := r.trans.Metrics(); m.Repeated+m.Late+m.Dropped+m.Invalid+m.Unsent > 0 {
				t.Errorf("%s on a perfect network: %+v", id, m)
			}
		}
		term := l.raft.CurrentTerm()
		time.Sleep(5 * time.Minute)
		if l.raft.State() != raft.Leader || l.raft.CurrentTerm() != term {
			t.Errorf("leadership did not last on a perfect network")
		}
		// Heartbeats come every 100 to 200 ms, to two followers.
		if n := g.net.count(kindHeartbeat); n < 3000 || n > 6100 {
			t.Errorf("%d heartbeats in 5 minutes, want some 4000", n)
		}
	})
}

func TestLeaderDiesAndAnotherFollows(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		g := newGroup(t, 2)
		g.startAll()
		defer g.stopAll()
		l := g.leader()
		g.write(l, 1, 10)
		g.stop(l.id)
		start := time.Now()
		g.write(g.leader(), 11, 20)
		if took := time.Since(start); took > 4*time.Second {
			t.Errorf("writes after %v, want less than 4s", took)
		}
		g.agree(20)
	})
}

func TestPreVote(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		g := newGroup(t, 3)
		g.startAll()
		defer g.stopAll()
		l := g.leader()
		g.write(l, 1, 10)
		term := l.raft.CurrentTerm()
		lonely := g.others(l.id)[0]
		g.net.isolate(lonely, g.others(lonely)...)
		time.Sleep(time.Minute)
		if got := g.nodes[lonely].raft.CurrentTerm(); got != term {
			t.Errorf("isolated node's term went from %d to %d: it did not ask before voting", term, got)
		}
		g.net.heal()
		g.write(l, 11, 20)
		g.agree(20)
		if l.raft.CurrentTerm() != term {
			t.Errorf("the node that came back disturbed the leader")
		}
		if g.net.count(kindPreVote) == 0 {
			t.Errorf("no pre-vote was asked for")
		}
	})
}

func TestLeadershipTransfer(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		g := newGroup(t, 4)
		g.startAll()
		defer g.stopAll()
		for i := range 5 {
			l := g.leader()
			g.write(l, i*10+1, i*10+10)
			to := g.others(l.id)[i%2]
			start := time.Now()
			if err := l.raft.LeadershipTransferToServer(raft.ServerID(to), raft.ServerAddress(to)).Error(); err != nil {
				t.Fatalf("transfer %d: %v", i, err)
			}
			if got := g.leader().id; got != to {
				t.Fatalf("transfer %d: leader is %s, want %s", i, got, to)
			}
			if took := time.Since(start); took > 500*time.Millisecond {
				t.Errorf("transfer %d took %v", i, took)
			}
		}
		g.agree(50)
	})
}

// TestSnapshotInChunks sends a snapshot of 5 MiB over a network that loses and
// reorders.
func TestSnapshotInChunks(t *testing.T) {
	for _, loss := range []float64{0, 0.1, 0.3} {
		t.Run(fmt.Sprintf("loss=%v", loss), func(t *testing.T) {
			virtual.Test(t, func(t *testing.T) {
				g := newGroup(t, 5)
				g.trailing, g.pad = 1, 5<<20+123
				g.startAll()
				defer g.stopAll()
				l := g.leader()
				g.write(l, 1, 100)
				g.agree(100)
				gone := g.others(l.id)[1]
				g.stop(gone)
				g.write(l, 101, 200)
				g.agree(200)
				for _, r := range g.nodes {
					if err := r.raft.Snapshot().Error(); err != nil {
						t.Fatal(err)
					}
				}
				g.net.set(func() { g.net.mu.loss, g.net.mu.maxDelay = loss, 5*time.Millisecond })
				back := g.start(gone)
				g.agree(200)
				if back.history.restores.Load() == 0 {
					t.Errorf("no snapshot was installed")
				}
				if n := g.net.count(kindChunk); n < 80 {
					t.Errorf("%d chunks, want at least 80", n)
				}
			})
		})
	}
}

// TestSnapshotEndsWithItsSender lets the leader die in the middle of a snapshot:
// the follower must get free and take one from the next leader.
func TestSnapshotEndsWithItsSender(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		g := newGroup(t, 6)
		g.trailing, g.pad = 1, 5<<20
		g.startAll()
		defer g.stopAll()
		first := g.leader()
		other, gone := g.others(first.id)[0], g.others(first.id)[1]
		g.stop(gone)
		g.write(first, 1, 100)
		g.agree(100)
		for _, r := range g.nodes {
			if err := r.raft.Snapshot().Error(); err != nil {
				t.Fatal(err)
			}
		}
		chunks := 0
		g.net.set(func() {
			g.net.mu.lose = func(from, _ wire.NodeID, k kind) bool {
				if from == first.id && k == kindChunk {
					chunks++
				}
				return from == first.id && chunks > 20
			}
		})
		back := g.start(gone)
		for range 100 {
			if g.nodes[other].raft.State() == raft.Leader {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		g.stop(first.id)
		time.Sleep(10 * time.Second)
		g.write(g.leader(), 101, 110)
		g.agree(110)
		if back.history.restores.Load() == 0 {
			t.Errorf("no snapshot was installed")
		}
	})
}

// TestLossAndReordering writes while frames are lost, delayed, and nodes cut
// off, with a log so short that followers compact past what the leader
// believes of them. What was acknowledged is in every history, in one order.
func TestLossAndReordering(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			virtual.Test(t, func(t *testing.T) { lossAndReordering(t, seed) })
		})
	}
}

func lossAndReordering(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 2))
	g := newGroup(t, seed)
	g.trailing = 4
	g.startAll()
	defer g.stopAll()
	g.leader()
	g.net.set(func() { g.net.mu.loss, g.net.mu.maxDelay = 0.2*rng.Float64(), 20*time.Millisecond })

	acknowledged := map[string]bool{}
	for i := range 300 {
		if !g.hasLeader() {
			g.net.heal()
		}
		l := g.leader()
		c := fmt.Sprintf("c%d", i)
		if l.raft.Apply([]byte(c), time.Second).Error() == nil {
			acknowledged[c] = true
		}
		switch rng.IntN(20) {
		case 0:
			id := g.ids[rng.IntN(3)]
			g.net.isolate(id, g.others(id)[rng.IntN(2):]...)
		case 1, 2, 3:
			g.net.heal()
		case 4, 5:
			_ = g.nodes[g.ids[rng.IntN(3)]].raft.Snapshot().Error()
		}
	}
	g.net.heal()
	g.net.set(func() { g.net.mu.loss = 0 })
	g.leader()
	g.agree(0)
	for id, r := range g.nodes {
		if r.history.back.Load() {
			t.Errorf("%s went back", id)
		}
		seen := map[string]bool{}
		for _, c := range r.history.all() {
			seen[string(c)] = true
		}
		for c := range acknowledged {
			if !seen[c] {
				t.Errorf("%s has not %s, which was acknowledged", id, c)
			}
		}
	}
	if len(acknowledged) < 100 {
		t.Errorf("only %d of 300 writes were acknowledged", len(acknowledged))
	}
}

func TestStrongReadHurriesHeartbeats(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		g := newGroup(t, 7)
		g.startAll()
		defer g.stopAll()
		l := g.leader()
		g.write(l, 1, 1)
		time.Sleep(time.Second)
		var slow, fast time.Duration
		for range 50 {
			time.Sleep(137 * time.Millisecond)
			start := time.Now()
			if err := l.raft.VerifyLeader().Error(); err != nil {
				t.Fatal(err)
			}
			slow = max(slow, time.Since(start))

			time.Sleep(137 * time.Millisecond)
			start = time.Now()
			l.trans.Hurry(1)
			if err := l.raft.VerifyLeader().Error(); err != nil {
				t.Fatal(err)
			}
			l.trans.Hurry(-1)
			fast = max(fast, time.Since(start))
		}
		if slow < 30*time.Millisecond {
			t.Errorf("unhurried reads took at most %v: the test's network does not hold heartbeats", slow)
		}
		if fast > 5*time.Millisecond {
			t.Errorf("hurried reads took up to %v, want at most 5ms", fast)
		}
	})
}

// TestShutdownDoesNotWaitForAnswers closes the transport while raft asks a
// node that is gone.
func TestShutdownDoesNotWaitForAnswers(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		g := newGroup(t, 8)
		g.startAll()
		l := g.leader()
		gone := g.others(l.id)[0]
		g.stop(gone)
		g.write(l, 1, 10)
		time.Sleep(time.Minute)
		start := time.Now()
		g.stopAll()
		if took := time.Since(start); took > time.Second {
			t.Errorf("shutdown took %v", took)
		}
	})
}

// TestFollowerComesBackSoon: raft waits up to 10 s between attempts at a
// follower that failed often; the transport's patience must hide that.
func TestFollowerComesBackSoon(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		g := newGroup(t, 9)
		g.startAll()
		defer g.stopAll()
		l := g.leader()
		g.write(l, 1, 10)
		gone := g.others(l.id)[0]
		g.net.isolate(gone, g.others(gone)...)
		g.write(l, 11, 20)
		time.Sleep(100 * time.Second)
		g.net.heal()
		start := time.Now()
		g.agree(20)
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("follower caught up after %v", took)
		}
	})
}

// TestLostAppendIsRepeated loses one append of each pipeline: the write waits
// for a third to half of a round, not for raft to notice.
func TestLostAppendIsRepeated(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		g := newGroup(t, 10)
		g.net.set(func() { g.net.mu.minDelay, g.net.mu.fifo = g.net.mu.maxDelay, true })
		g.startAll()
		defer g.stopAll()
		l := g.leader()
		g.write(l, 1, 10)
		for i := range 10 {
			time.Sleep(time.Second)
			lost := map[wire.NodeID]bool{}
			g.net.set(func() {
				g.net.mu.lose = func(from, to wire.NodeID, k kind) bool {
					first := from == l.id && k == kindAppend && !lost[to]
					lost[to] = lost[to] || first
					return first
				}
			})
			start := time.Now()
			g.write(l, 11+i, 11+i)
			took, losses := time.Since(start), 0
			g.net.set(func() { losses, g.net.mu.lose = len(lost), nil })
			if losses < 2 || took < 100*time.Millisecond || took > 460*time.Millisecond {
				t.Errorf("write %d took %v with %d lost appends, want 300 to 450ms", i, took, losses)
			}
		}
	})
}

// TestHeartbeatsWaitForRaft: a heartbeat takes raft's main way, so that the
// handler never changes a term beside the main goroutine. It goes past it only
// while the log is being written, and only in the term that raft has accepted.
func TestHeartbeatsWaitForRaft(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		gate := &Gate{}
		a := New("n1", 1, end{newNetwork(1), "n1"}, Options{Gate: gate})
		beside, main := 0, 0
		a.SetHeartbeatHandler(func(rpc raft.RPC) {
			beside++
			rpc.Respond(&raft.AppendEntriesResponse{Term: rpc.Command.(*raft.AppendEntriesRequest).Term, Success: true}, nil)
		})
		beat := func(term uint64) {
			h := &raft.AppendEntriesRequest{RPCHeader: raft.RPCHeader{Addr: []byte("n2")}, Term: term}
			a.deliver("n2", appendHeartbeat(appendHead(nil, kindHeartbeat, term), h, false))
		}
		serve := func() {
			rpc := <-a.Consumer()
			main++
			rpc.Respond(&raft.AppendEntriesResponse{Term: rpc.Command.(*raft.AppendEntriesRequest).Term, Success: true}, nil)
			synctest.Wait()
		}
		expect := func(when string, wantBeside, wantMain int) {
			t.Helper()
			if beside != wantBeside || main != wantMain {
				t.Errorf("%s: %d went past raft and %d through it, want %d and %d", when, beside, main, wantBeside, wantMain)
			}
		}
		beat(5)
		serve()
		expect("the first of a term", 0, 1)
		beat(5)
		serve()
		expect("while nothing is written", 0, 2)
		gate.set(true)
		beat(5)
		expect("while the log is written", 1, 2)
		beat(6)
		expect("a newer term while the log is written", 1, 2)
		gate.set(false)
		serve()
		expect("when it is written", 1, 3)
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestInstallsAreLimited sends snapshots to two replicas of one node at once:
// the node takes one after the other. The first answer of each is lost.
func TestInstallsAreLimited(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		n := newNetwork(1)
		leader := New("n1", 1, end{n, "n1"}, Options{})
		defer func() { _ = leader.Close() }()
		limit := NewLimiter(1)
		var active, most atomic.Int64
		results := make(chan error, 2)
		answers := map[wire.NodeID]int{}
		n.mu.lose = func(from, _ wire.NodeID, k kind) bool {
			if k == kindInstallAnswer {
				answers[from]++
			}
			return k == kindInstallAnswer && answers[from] == 1
		}
		for _, id := range []wire.NodeID{"n2", "n3"} {
			follower := New(id, 1, end{n, id}, Options{Installs: limit})
			defer func() { _ = follower.Close() }()
			go func() {
				rpc := <-follower.Consumer()
				most.Store(max(most.Load(), active.Add(1)))
				if b, err := io.ReadAll(rpc.Reader); err != nil || len(b) != 1<<20 {
					t.Errorf("%d bytes, %v", len(b), err)
				}
				time.Sleep(3 * time.Second)
				active.Add(-1)
				rpc.Respond(&raft.InstallSnapshotResponse{Term: 1, Success: true}, nil)
			}()
			go func() {
				m := &raft.InstallSnapshotRequest{
					RPCHeader: raft.RPCHeader{Addr: []byte("n1")}, SnapshotVersion: 1, Term: 1, LastLogIndex: 9,
					Configuration: raft.EncodeConfiguration(raft.Configuration{}),
				}
				var resp raft.InstallSnapshotResponse
				err := leader.InstallSnapshot("", raft.ServerAddress(id), m, &resp, bytes.NewReader(make([]byte, 1<<20)))
				if err == nil && !resp.Success {
					err = ErrNoAnswer
				}
				results <- err
			}()
		}
		for range 2 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if most.Load() != 1 {
			t.Errorf("%d snapshots were installed at once", most.Load())
		}
	})
}

// TestInstallIsAnnouncedAgain: the announcement of a snapshot that finds the
// queue full, as while a replica starts, is dropped like every request. The
// same leader announces it again, or another one another snapshot.
func TestInstallIsAnnouncedAgain(t *testing.T) {
	for _, second := range []wire.NodeID{"n1", "n3"} {
		virtual.Test(t, func(t *testing.T) {
			n := newNetwork(1)
			limit := NewLimiter(1)
			follower := New("n2", 1, end{n, "n2"}, Options{Installs: limit})
			defer func() { _ = follower.Close() }()
			leaders := map[wire.NodeID]*Transport{}
			for _, id := range []wire.NodeID{"n1", "n3"} {
				leaders[id] = New(id, 1, end{n, id}, Options{})
				defer func() { _ = leaders[id].Close() }()
			}
			install := func(id wire.NodeID) error {
				m := &raft.InstallSnapshotRequest{
					RPCHeader: raft.RPCHeader{Addr: []byte(id)}, SnapshotVersion: 1, Term: 1, LastLogIndex: 9,
					Configuration: raft.EncodeConfiguration(raft.Configuration{}),
				}
				time.AfterFunc(time.Minute, func() { _ = leaders[id].Close() }) // or it could go on for ever
				return leaders[id].InstallSnapshot("", "n2", m, &raft.InstallSnapshotResponse{}, bytes.NewReader(make([]byte, 1<<20)))
			}
			for i := range uint64(200) { // the queue, one that waits for raft, and more
				synctest.Wait()
				h := &raft.AppendEntriesRequest{RPCHeader: raft.RPCHeader{Addr: []byte("n1")}, Term: 1}
				follower.deliver("n1", appendHeartbeat(appendHead(nil, kindHeartbeat, i), h, false))
			}
			if second == "n1" {
				time.AfterFunc(time.Second, func() { go serveInstalls(follower) })
			} else {
				if err := install("n1"); err == nil {
					t.Error("raft took nothing, and the snapshot is installed")
				}
				go serveInstalls(follower)
			}
			if err := install(second); err != nil {
				t.Errorf("once raft takes requests, from %s: %v", second, err)
			}
			if !limit.take() {
				t.Error("the place is not given back")
			}
		})
	}
}

// serveInstalls answers what raft would, for as long as the transport lives.
func serveInstalls(trans *Transport) {
	for {
		select {
		case <-trans.closed:
			return
		case rpc := <-trans.Consumer():
			if rpc.Reader == nil {
				rpc.Respond(&raft.AppendEntriesResponse{Term: 1, Success: true}, nil)
				continue
			}
			_, err := io.Copy(io.Discard, struct{ io.Reader }{rpc.Reader})
			rpc.Respond(&raft.InstallSnapshotResponse{Term: 1, Success: err == nil}, err)
		}
	}
}
