package load

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/e2e/sim/history"
	"github.com/quorate/quorate/virtual"
	"github.com/quorate/quorate/wire"
)

// deaf is a world in which nobody answers. The real one is e2e/sim.
type deaf struct{ dials int }

func (w *deaf) Dial(ctx context.Context, _ int, change func(*client.Options)) (*client.Client, error) {
	w.dials++
	o := client.Options{}
	change(&o)
	if o.User == "" {
		return nil, errors.New("no user is set")
	}
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

func (w *deaf) Alive(wire.NodeID) bool { return true }
func (w *deaf) Nodes() int             { return 3 }

// TestNobodyAnswers: a run that can not begin ends with its context, says so, and
// leaves nothing behind: the bubble would not end.
func TestNobodyAnswers(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		w, rec := &deaf{}, history.NewRecorder()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		if _, err := Run(ctx, w, Options{Seed: 1}, rec); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Run = %v, want deadline exceeded", err)
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("it took %v, want a minute at most", took)
		}
		events := rec.History().Events
		if len(events) != w.dials || w.dials < 5 {
			t.Errorf("%d events tell of %d sign-ins, want all of them, and 5 at least", len(events), w.dials)
		}
		for _, e := range events {
			if e.Op != history.OpSignIn || e.Outcome != history.Unknown {
				t.Errorf("%+v, want a sign-in of unknown outcome", e)
			}
		}
	})
}

// TestMixFollowsTheSeed: a seed draws one mix of operations, and each operation
// is drawn.
func TestMixFollowsTheSeed(t *testing.T) {
	draw := func(seed uint64) []int {
		d := newDevice(&Crew{opts: Options{Seed: seed}}, "ann", 0, nil)
		return drawMix(d.rng).upto
	}
	a, again, other := draw(1), draw(1), draw(2)
	same, differs := true, false
	for i := range a {
		same = same && a[i] == again[i]
		differs = differs || a[i] != other[i]
		if i > 0 && a[i] <= a[i-1] {
			t.Errorf("operation %d has no weight", i)
		}
	}
	if !same || !differs {
		t.Errorf("seed 1 draws %v and %v, seed 2 %v", a, again, other)
	}
}
