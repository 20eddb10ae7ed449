package shard

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/virtual"
	"github.com/quorate/quorate/wire"
)

// fakeRaft keeps entries until the test answers them.
type fakeRaft struct {
	mu      sync.Mutex
	entries []*fakeFuture
}

type fakeFuture struct {
	entry    []byte
	answered chan struct{}
	err      error
	response any
}

func (f *fakeFuture) Error() error  { <-f.answered; return f.err }
func (f *fakeFuture) Response() any { return f.response }
func (f *fakeFuture) Index() uint64 { return 1 }

func (r *fakeRaft) Apply(entry []byte, _ time.Duration) raft.ApplyFuture {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := &fakeFuture{entry: entry, answered: make(chan struct{})}
	r.entries = append(r.entries, f)
	return f
}

// proposed returns the sizes of the entries so far.
func (r *fakeRaft) proposed() []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	var sizes []int
	for _, f := range r.entries {
		_, cmds, _ := state.DecodeEntry(f.entry)
		sizes = append(sizes, len(cmds))
	}
	return sizes
}

// answer lets entry i succeed, or fail with err.
func (r *fakeRaft) answer(i int, err error) {
	r.mu.Lock()
	f := r.entries[i]
	r.mu.Unlock()
	_, cmds, _ := state.DecodeEntry(f.entry)
	results := make([]state.Result, len(cmds))
	for j := range results {
		results[j].Seq = wire.Seq(100*i + j)
	}
	f.err, f.response = err, results
	close(f.answered)
}

// finish answers what is left.
func (r *fakeRaft) finish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.entries {
		select {
		case <-f.answered:
		default:
			close(f.answered)
		}
	}
}

// bench is a proposer on a fake raft.
type bench struct {
	proposer
	raft      *fakeRaft
	notLeader error
	now       time.Time
	applied   int64
	stuckAt   int
	mu        sync.Mutex
	outcomes  []Outcome
	told      map[int]int // how often each call was told
}

func withProposer(t *testing.T, opts Options, run func(t *testing.T, b *bench)) {
	t.Helper()
	virtual.Test(t, func(t *testing.T) {
		b := &bench{raft: &fakeRaft{}, told: make(map[int]int), now: time.UnixMilli(1000)}
		opts.Clock = func() time.Time { return b.now }
		b.init(opts.withDefaults())
		b.enter = func() (raftApplier, bool) { return b.raft, true }
		b.leave = func() {}
		b.refuse = func() error {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.notLeader
		}
		b.last = func() int64 { return b.applied }
		b.stuck = func() { b.stuckAt++ }
		var wg sync.WaitGroup
		wg.Go(b.run)
		wg.Go(b.answer)
		defer wg.Wait()
		defer b.raft.finish()
		defer b.close()
		run(t, b)
	})
}

// lead sets what refuse says: nil at the leader.
func (b *bench) lead(refusal error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.notLeader = refusal
}

// send submits calls numbered from..to-1 and waits until nothing moves.
func (b *bench) send(t *testing.T, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		err := b.submit(call{key: uint64(i), cmd: fmt.Appendf(nil, "%d", i), done: func(o Outcome) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.outcomes = append(b.outcomes, o)
			b.told[i]++
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	synctest.Wait()
}

func TestProposerPacksWhatWaits(t *testing.T) {
	withProposer(t, Options{PackCommands: 10}, func(t *testing.T, b *bench) {
		b.send(t, 0, 1)
		b.send(t, 1, 6)
		if got := b.raft.proposed(); !slices.Equal(got, []int{1}) {
			t.Fatalf("entries of %v: the first goes alone and at once, five wait for it", got)
		}
		b.send(t, 6, 12)
		if got := b.raft.proposed(); !slices.Equal(got, []int{1, 10}) {
			t.Fatalf("entries of %v: a second may be in flight when it is full", got)
		}
		b.send(t, 12, 40)
		if got := b.raft.proposed(); !slices.Equal(got, []int{1, 10}) {
			t.Fatalf("entries of %v: never a third", got)
		}
		b.raft.answer(0, nil)
		synctest.Wait()
		if got := b.raft.proposed(); !slices.Equal(got, []int{1, 10, 10}) {
			t.Fatalf("entries of %v", got)
		}
		for i := 1; i < 4; i++ {
			if got := b.raft.proposed(); len(got) != min(i+2, 4) {
				t.Fatalf("entries of %v: nine waited for entry %d", got, 3)
			}
			b.raft.answer(i, nil)
			synctest.Wait()
		}
		if got := b.raft.proposed(); !slices.Equal(got, []int{1, 10, 10, 10, 9}) {
			t.Fatalf("entries of %v", got)
		}
		b.raft.answer(4, nil)
		synctest.Wait()
		for i := range 40 {
			if b.told[i] != 1 {
				t.Errorf("call %d was told %d times", i, b.told[i])
			}
		}
		if !slices.IsSortedFunc(b.outcomes, func(a, b Outcome) int { return int(a.Result.Seq) - int(b.Result.Seq) }) {
			t.Error("answers came out of order")
		}
	})
}

// TestProposerAnswersInOrder: the second entry's answer comes first.
func TestProposerAnswersInOrder(t *testing.T) {
	withProposer(t, Options{PackCommands: 1}, func(t *testing.T, b *bench) {
		b.send(t, 0, 2)
		b.raft.answer(1, nil)
		synctest.Wait()
		if len(b.outcomes) != 0 {
			t.Fatal("the second call was told before the first")
		}
		b.raft.answer(0, nil)
		synctest.Wait()
		if len(b.outcomes) != 2 || b.outcomes[0].Result.Seq != 0 || b.outcomes[1].Result.Seq != 100 {
			t.Errorf("got %+v", b.outcomes)
		}
	})
}

func TestProposerTakesNoErrorForNotApplied(t *testing.T) {
	notLeader := &NotLeaderError{Shard: 7, Leader: "n2"}
	tests := []struct {
		raft   error
		leader error // what refuse says by then
		want   error
	}{
		{raft.ErrLeadershipLost, notLeader, ErrUncertain},
		{raft.ErrRaftShutdown, notLeader, ErrUncertain},
		{raft.ErrAbortedByRestore, nil, ErrUncertain},
		{errors.New("disk"), nil, ErrUncertain},
		{raft.ErrNotLeader, notLeader, notLeader},
		{raft.ErrNotLeader, nil, ErrOverloaded},
		{raft.ErrLeadershipTransferInProgress, nil, ErrOverloaded},
	}
	for _, test := range tests {
		t.Run(test.raft.Error(), func(t *testing.T) {
			withProposer(t, Options{}, func(t *testing.T, b *bench) {
				b.send(t, 0, 1)
				b.lead(test.leader)
				b.raft.answer(0, test.raft)
				synctest.Wait()
				if got := b.outcomes[0].Err; !errors.Is(got, test.want) {
					t.Errorf("got %v, want %v", got, test.want)
				}
			})
		})
	}
}

// TestProposerWithoutAnswers: the entry was applied before this process
// started, or the state machine has stopped.
func TestProposerWithoutAnswers(t *testing.T) {
	for _, response := range []any{nil, []state.Result(nil), errStopped, make([]state.Result, 2)} {
		withProposer(t, Options{}, func(t *testing.T, b *bench) {
			b.send(t, 0, 1)
			b.raft.entries[0].response = response
			close(b.raft.entries[0].answered)
			synctest.Wait()
			if got := b.outcomes[0].Err; !errors.Is(got, ErrUncertain) {
				t.Errorf("response %v: got %v", response, got)
			}
		})
	}
}

func TestProposerRefusesWhatWaitsWhenNotLeader(t *testing.T) {
	withProposer(t, Options{PackCommands: 10}, func(t *testing.T, b *bench) {
		b.send(t, 0, 1)
		b.send(t, 1, 35)
		b.lead(&NotLeaderError{Shard: 7, Leader: "n2"})
		b.raft.answer(0, raft.ErrLeadershipLost)
		b.raft.answer(1, raft.ErrLeadershipLost)
		synctest.Wait()
		for i, o := range b.outcomes {
			want := ErrUncertain
			if i >= 11 {
				want = b.notLeader
			}
			if !errors.Is(o.Err, want) {
				t.Errorf("call %d: got %v, want %v", i, o.Err, want)
			}
		}
		if len(b.outcomes) != 35 || len(b.raft.proposed()) != 2 {
			t.Errorf("%d calls told, %d entries", len(b.outcomes), len(b.raft.proposed()))
		}
	})
}

func TestProposerHolds(t *testing.T) {
	withProposer(t, Options{}, func(t *testing.T, b *bench) {
		b.hold()
		b.lead(&NotLeaderError{Shard: 7})
		b.send(t, 0, 5)
		if len(b.outcomes) != 0 || len(b.raft.proposed()) != 0 {
			t.Fatal("a call moved while held")
		}
		b.lead(nil)
		b.release()
		synctest.Wait()
		if got := b.raft.proposed(); !slices.Equal(got, []int{5}) {
			t.Fatalf("entries of %v", got)
		}
		b.raft.answer(0, nil)
	})
}

// TestStampsNeverGoBack: the clock jumps, and another leader was ahead.
func TestStampsNeverGoBack(t *testing.T) {
	withProposer(t, Options{}, func(t *testing.T, b *bench) {
		var stamps []int64
		for i, step := range []struct{ now, applied int64 }{{1000, 0}, {500, 0}, {1200, 0}, {1300, 5000}, {1400, 5000}, {6000, 5000}} {
			b.now, b.applied = time.UnixMilli(step.now), step.applied
			b.send(t, i, i+1)
			b.raft.answer(i, nil)
			synctest.Wait()
			stamp, _, err := state.DecodeEntry(b.raft.entries[i].entry)
			if err != nil {
				t.Fatal(err)
			}
			stamps = append(stamps, stamp)
		}
		if want := []int64{1000, 1000, 1200, 5000, 5000, 6000}; !slices.Equal(stamps, want) {
			t.Errorf("got stamps %v, want %v", stamps, want)
		}
	})
}

func TestStuckTransferIsNoticed(t *testing.T) {
	withProposer(t, Options{}, func(t *testing.T, b *bench) {
		for i := range 40 {
			b.send(t, i, i+1)
			b.raft.answer(i, raft.ErrLeadershipTransferInProgress)
			time.Sleep(100 * time.Millisecond)
			if i == 15 && b.stuckAt != 0 {
				t.Error("a transfer that takes 1.5s counts as stuck")
			}
			if i == 30 && b.stuckAt != 1 {
				t.Errorf("after 3s: noticed %d times", b.stuckAt)
			}
		}
		// Each success starts the count again.
		before := b.stuckAt
		for i := range 40 {
			b.send(t, 40+i, 41+i)
			err := raft.ErrLeadershipTransferInProgress
			if i%10 == 0 {
				err = nil
			}
			b.raft.answer(40+i, err)
			time.Sleep(100 * time.Millisecond)
		}
		if b.stuckAt != before {
			t.Error("transfers that end were taken for one that does not")
		}
	})
}
