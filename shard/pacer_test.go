package shard

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/virtual"
)

// TestPacerTurns: a calm time is caught up with a few turns at once, and then
// turns come at the rate, to whoever asks in the order of asking.
func TestPacerTurns(t *testing.T) {
	p := NewPacer(500)
	now := time.Unix(1000, 0)
	for i := range pacerBurst + 1 {
		if at := p.turn(now); at != now {
			t.Fatalf("turn %d of a calm node is %v later, want at once", i, at.Sub(now))
		}
	}
	for i := range 5 {
		if at, want := p.turn(now), now.Add(time.Duration(i+1)*2*time.Millisecond); at != want {
			t.Errorf("turn %d after the burst is at %v, want %v", i, at.Sub(now), want.Sub(now))
		}
	}
	now = now.Add(12 * time.Millisecond) // the five turns are over
	if at := p.turn(now); at != now {
		t.Errorf("the next turn is %v later, want at once", at.Sub(now))
	}
}

// instant is raft for a proposer: it applies at once, and notes when and how
// much.
type instant struct {
	mu    sync.Mutex
	at    []time.Time
	sizes []int
}

// last returns how many entries there are, and when the last came with how much.
func (r *instant) last() (n int, at time.Time, size int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n = len(r.at)
	return n, r.at[n-1], r.sizes[n-1]
}

func (r *instant) Apply(entry []byte, _ time.Duration) raft.ApplyFuture {
	_, commands, err := state.DecodeEntry(entry)
	if err != nil {
		panic(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at = append(r.at, time.Now())
	r.sizes = append(r.sizes, len(commands))
	return done{make([]state.Result, len(commands))}
}

type done struct{ results []state.Result }

func (done) Error() error    { return nil }
func (d done) Response() any { return d.results }
func (done) Index() uint64   { return 0 }

// TestProposerWaitsForItsTurn: what comes in while a proposer waits goes in one
// entry; it does not wait when an entry's worth is there, nor to be closed.
func TestProposerWaitsForItsTurn(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		r := &instant{}
		o := Options{Pacer: NewPacer(100), PackCommands: 8, Clock: clock.System}.withDefaults()
		p := &proposer{
			enter: func() (raftApplier, bool) { return r, true }, leave: func() {},
			refuse: func() error { return nil }, last: func() int64 { return 0 },
		}
		p.init(o)
		go p.run()
		go p.answer()
		defer synctest.Wait()
		defer p.close()
		submit := func(n int) {
			t.Helper()
			for range n {
				if err := p.submit(call{cmd: []byte("x"), done: func(Outcome) {}}); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
		}
		began := time.Now()
		for range pacerBurst + 1 {
			submit(1)
		}
		if n, _, _ := r.last(); n != pacerBurst+1 {
			t.Fatalf("%d rounds of a calm node did not wait, want %d", n, pacerBurst+1)
		}
		submit(3)
		time.Sleep(5 * time.Millisecond)
		submit(2)
		if n, _, _ := r.last(); n != pacerBurst+1 {
			t.Error("a round did not wait for its turn")
		}
		time.Sleep(6 * time.Millisecond)
		synctest.Wait()
		if _, at, size := r.last(); size != 5 || at.Sub(began) != 10*time.Millisecond {
			t.Errorf("the round has %d commands after %v, want 5 after 10 ms", size, at.Sub(began))
		}
		submit(1)
		submit(7)
		if _, _, size := r.last(); size != 8 {
			t.Errorf("a full entry waits for its turn; the last one has %d commands", size)
		}
	})
}
