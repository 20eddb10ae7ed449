package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/quorate/quorate/virtual"
)

// TestSwarm cuts, heals, stops and starts nodes at random while settings are
// put: what was acknowledged is there at the end, on all nodes the same.
func TestSwarm(t *testing.T) {
	seeds := uint64(20)
	if testing.Short() {
		seeds = 5
	}
	for seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			virtual.Test(t, func(t *testing.T) { swarm(t, rand.New(rand.NewPCG(seed, 2))) })
		})
	}
}

func swarm(t *testing.T, rng *rand.Rand) {
	w := newWorld(t, testBootstrap(3), Options{
		TrailingLogs:  []uint64{minTrailingLogs, 10_240}[rng.IntN(2)],
		SnapshotDelay: time.Duration(1+rng.IntN(2000)) * time.Millisecond,
	})
	w.startAll()
	w.ready()
	acked := make(map[string]string)
	for range 60 {
		id := w.boot.Nodes[rng.IntN(3)].ID
		switch m := w.nodes[id]; {
		case m == nil:
			w.start(id)
		case rng.IntN(4) == 0:
			w.cut(id)
		case rng.IntN(4) == 0:
			w.heal(id)
		case rng.IntN(8) == 0:
			w.stop(id)
		default:
			for range 1 + rng.IntN(40) {
				putSome(t, rng, m.meta, acked)
			}
		}
		time.Sleep(time.Duration(rng.IntN(700)) * time.Millisecond)
	}
	for _, n := range w.boot.Nodes {
		if w.nodes[n.ID] == nil {
			w.start(n.ID)
		}
		w.heal(n.ID)
	}
	w.agree(w.propose(w.leader(), setting("last", "x")).Index)
	for key, value := range acked {
		if got := w.nodes["n2"].meta.Table().Setting(key); got != value {
			t.Errorf("setting %s = %q, want the acknowledged %q", key, got, value)
		}
	}
}

// putSome puts a random setting and notes it if it is acknowledged.
func putSome(t *testing.T, rng *rand.Rand, m *Meta, acked map[string]string) {
	key, value := fmt.Sprint(rng.IntN(5)), fmt.Sprint(rng.Uint64())
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	res, err := m.Propose(ctx, setting(key, value))
	switch {
	case err == nil && res.Err() == nil:
		acked[key] = value
	case errors.Is(err, ErrUncertain):
		delete(acked, key) // it may yet be done
	}
}
