package bench

import (
	"context"
	"testing"
	"time"
)

// TestSearch: the highest rate that is sustained is found, from below and from
// above, whatever ends it.
func TestSearch(t *testing.T) {
	const capacity = 7300.0
	slow := func(f *Figures) { f.Latency.P99 = 101 }
	for name, over := range map[string]func(*Figures){
		"late":        slow,
		"not in time": func(f *Figures) { f.Completed = 0.97 * f.Offered },
		"errors":      func(f *Figures) { f.Errors = 1 },
		"limit":       func(f *Figures) { f.OverLimit = 1 },
	} {
		for _, from := range []float64{1, 1000, 7299, 100_000} {
			s := Search{From: from, P99: 100 * time.Millisecond}
			best, steps, err := s.run(t.Context(), Target{}, func(_ context.Context, l Load) Figures {
				f := Figures{Offered: l.Rate, Completed: l.Rate, Latency: Percentiles{P99: 5}}
				if l.Rate > capacity {
					over(&f)
				}
				return f
			})
			if err != nil || best.Offered > capacity || best.Offered < capacity/searchNear || len(steps) > searchSteps {
				t.Errorf("%s, from %v: %v after %d steps, %v", name, from, best.Offered, len(steps), err)
			}
		}
	}

	s := Search{From: 1000, P99: 100 * time.Millisecond}
	_, steps, err := s.run(t.Context(), Target{}, func(_ context.Context, l Load) Figures {
		f := Figures{Offered: l.Rate}
		slow(&f)
		return f
	})
	r := IngestReport{Steps: steps}
	if err != nil || len(steps) == 0 || r.Failure() == nil {
		t.Errorf("of a cluster that sustains nothing: %d steps, %v, %v", len(steps), err, r.Failure())
	}
}
