package shard_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/raftnet"
	"github.com/quorate/quorate/shard"
	"github.com/quorate/quorate/wire"
)

// frames is a network that takes 0.5 ms, holds heartbeats for 15 ms and loses
// one frame of a hundred.
type frames struct {
	mu      sync.Mutex
	rng     *rand.Rand
	receive map[wire.NodeID]func(from wire.NodeID, frame []byte)
	away    wire.NodeID // cut off
}

// socket is one node's end of it.
type socket struct {
	*frames
	self wire.NodeID
}

func (s socket) Send(to wire.NodeID, _ wire.ShardID, frame []byte, u raftnet.Urgency) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away == s.self || s.away == to {
		return errors.New("cut")
	}
	if s.rng.IntN(100) == 0 {
		return nil
	}
	delay := 500 * time.Microsecond
	if u == raftnet.Soon {
		delay += 15 * time.Millisecond
	}
	time.AfterFunc(delay, func() {
		s.mu.Lock()
		deliver := s.receive[to]
		s.mu.Unlock()
		if deliver != nil {
			deliver(s.self, frame)
		}
	})
	return nil
}

func (s socket) Receive(_ wire.ShardID, deliver func(from wire.NodeID, frame []byte)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.receive[s.self] = deliver
}

// TestOverRaftnet runs replicas as a node does: over our transport, on our
// stores and our state.
func TestOverRaftnet(t *testing.T) {
	network := &frames{rng: rand.New(rand.NewPCG(1, 1)), receive: make(map[wire.NodeID]func(wire.NodeID, []byte))}
	over := func(n *realNode) raft.Transport {
		return raftnet.New(n.id, 7, socket{network, n.id}, raftnet.Options{Applied: func() uint64 { return n.state.Record().Applied }})
	}
	cut := func(away wire.NodeID) {
		network.mu.Lock()
		defer network.mu.Unlock()
		network.away = away
	}
	opts := shard.Options{SnapshotBytes: 32 << 10, TrailingBytes: 8 << 10, TrailingEntries: 8}
	inRealBubbleOver(t, opts, over, func(t *testing.T, g *realGroup) {
		g.create()
		leader := g.leader()
		away := g.nodes[0]
		if away == leader {
			away = g.nodes[1]
		}
		cut(away.id)
		for i := range uint64(100) {
			g.send(strings.Repeat("x", 1000), 2+i)
		}
		cut("")
		time.Sleep(10 * time.Second)
		g.settle()
		if m := away.stores.Metrics(); m.Installs == 0 {
			t.Error("nothing was installed: this test shows nothing")
		}
		quick := 0
		for range 20 {
			began := time.Now()
			if _, err := g.leader().replica.StrongRead(t.Context()); err != nil {
				t.Fatal(err)
			}
			if time.Since(began) < 10*time.Millisecond {
				quick++
			}
			time.Sleep(33 * time.Millisecond)
		}
		if quick < 15 { // some frames are lost
			t.Errorf("%d of 20 strong reads took less than heartbeats are held", quick)
		}
		var err error
		for range 5 { // what asks for it is one frame, and some are lost, as some answers are
			if g.leader() == away {
				break
			}
			err = g.leader().replica.TransferLeadership(t.Context(), away.id)
		}
		if g.leader() != away {
			t.Fatalf("%s does not lead: %v", away.id, err)
		}
		if seq := g.send("after", 1000); seq != 101 {
			t.Errorf("the next message has the sequence %d", seq)
		}
		g.settle()
	})
}
