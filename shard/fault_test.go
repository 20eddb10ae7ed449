package shard_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/shard"
	"github.com/quorate/quorate/wire"
)

// history is what clients were answered.
type history struct {
	mu    sync.Mutex
	acked map[string]wire.Seq
	last  wire.Seq // highest that was answered
	reads int
}

func (h *history) ack(token string, seq wire.Seq) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acked[token] = seq
	h.last = max(h.last, seq)
}

func (h *history) highest() wire.Seq {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

// TestFaults cuts nodes off, hands leadership over, restarts raft and closes
// replicas at random while clients retry until they are answered. In the end
// every answered command is in every list, once and at its place; and no strong
// read ever missed one.
func TestFaults(t *testing.T) {
	seeds := uint64(6)
	if testing.Short() {
		seeds = 2
	}
	for seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			opts := shard.Options{SnapshotBytes: 8 << 10, TrailingBytes: 4 << 10, TrailingEntries: 8, PackCommands: 3}
			inBubble(t, opts, func(t *testing.T, g *group) { runFaults(t, g, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func runFaults(t *testing.T, g *group, rng *rand.Rand) {
	h := &history{acked: make(map[string]wire.Seq)}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	// Replicas are replaced while clients run, so they are found under a lock.
	var mu sync.Mutex
	replica := func(i int) (*shard.Replica, *list) {
		mu.Lock()
		defer mu.Unlock()
		return g.nodes[i].replica, g.nodes[i].list
	}
	for c := range 4 {
		rng := rand.New(rand.NewPCG(rng.Uint64(), 2))
		wg.Go(func() { faultClient(stop, h, rng, c, replica) })
	}
	for range 2 {
		rng := rand.New(rand.NewPCG(rng.Uint64(), 3))
		wg.Go(func() { faultReader(t, stop, h, rng, replica) })
	}
	for range 40 {
		time.Sleep(time.Duration(rng.IntN(2000)) * time.Millisecond)
		n := g.nodes[rng.IntN(3)]
		switch rng.IntN(5) {
		case 0:
			g.cut(n)
		case 1:
			g.heal(n)
		case 2:
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_ = n.replica.TransferLeadership(ctx, g.nodes[rng.IntN(3)].id)
			cancel()
		case 3:
			shard.RestartRaft(n.replica)
		case 4:
			reopen(t, g, n, &mu)
		}
	}
	for _, n := range g.nodes {
		g.heal(n)
	}
	time.Sleep(20 * time.Second)
	close(stop)
	wg.Wait()
	time.Sleep(2 * time.Second)
	checkHistory(t, g, h)
}

// reopen closes a replica and opens it again on what it stored.
func reopen(t *testing.T, g *group, n *node, mu *sync.Mutex) {
	if err := n.replica.Close(); err != nil {
		t.Error(err)
	}
	_, transport := raft.NewInmemTransport(raft.ServerAddress(n.id))
	fresh := &link{InmemTransport: transport}
	for _, other := range g.nodes {
		if other != n {
			other.link.Disconnect(raft.ServerAddress(n.id))
		}
	}
	_ = n.link.Close()
	n.link = fresh
	g.heal(n)
	old := n.replica
	mu.Lock()
	defer mu.Unlock()
	n.open(t, nil)
	if n.replica == old {
		t.Error("not opened again")
	}
}

func faultClient(stop chan struct{}, h *history, rng *rand.Rand, c int, replica func(int) (*shard.Replica, *list)) {
	for i := 0; ; i++ {
		token := fmt.Sprintf("c%d-%d", c, i)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(rng.IntN(20)) * time.Millisecond):
			}
			r, _ := replica(rng.IntN(3))
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			result, err := r.Propose(ctx, uint64(c), []byte(token+" "+strings.Repeat("x", rng.IntN(100))))
			cancel()
			if err == nil {
				h.ack(token, result.Seq)
				break
			}
		}
	}
}

func faultReader(t *testing.T, stop chan struct{}, h *history, rng *rand.Rand, replica func(int) (*shard.Replica, *list)) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(rng.IntN(10)) * time.Millisecond):
		}
		before := h.highest()
		r, l := replica(rng.IntN(3))
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_, err := r.StrongRead(ctx)
		cancel()
		if err != nil {
			continue
		}
		if have := len(l.all()); have < int(before) {
			t.Errorf("a strong read saw %d items after %d were answered", have, before)
		}
		h.mu.Lock()
		h.reads++
		h.mu.Unlock()
	}
}

func checkHistory(t *testing.T, g *group, h *history) {
	items := g.settle()
	places := make(map[string]int)
	for i, item := range items {
		token, _, _ := strings.Cut(item, " ")
		if _, twice := places[token]; twice {
			t.Errorf("%s is in the list twice", token)
		}
		places[token] = i + 1
	}
	for token, seq := range h.acked {
		if places[token] != int(seq) {
			t.Errorf("%s was answered with %d and is at %d", token, seq, places[token])
		}
	}
	for _, n := range g.nodes {
		if failures := n.failures(); len(failures) > 0 {
			t.Errorf("%s: %v", n.id, failures)
		}
		if got := shard.Compare(g.nodes[0].replica.Checkpoints(), n.replica.Checkpoints()); got.Forked != 0 {
			t.Errorf("%s: %+v", n.id, got)
		}
	}
	t.Logf("%d answered, %d reads, %d installs", len(h.acked), h.reads, g.nodes[0].snapshots.installs+g.nodes[1].snapshots.installs+g.nodes[2].snapshots.installs)
	if len(h.acked) < 100 || h.reads < 100 {
		t.Errorf("only %d answered and %d reads", len(h.acked), h.reads)
	}
	synctest.Wait()
}
