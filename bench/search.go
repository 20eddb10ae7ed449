package bench

import (
	"context"
	"fmt"
	"io"
	"math"
	"text/tabwriter"
	"time"
)

// Search looks for the highest rate that is sustained: it raises the rate by half
// until a step fails, and then halves what is between, until the two are within
// a twentieth. A step fails when its p99 is above the limit, when less than 98 %
// of what was offered was completed in time, or when anything failed.
type Search struct {
	From     float64       // the first rate, a second
	P99      time.Duration // the limit
	Limit    int           // as many may have no answer
	Warmup   time.Duration // of each step
	Duration time.Duration // of each step
}

// What a step must do, and how the search goes.
const (
	searchCompleted = 0.98
	searchRaise     = 1.5
	searchNear      = 1.05
	searchSteps     = 30
)

func (s *Search) check(c *checks) {
	s.load(s.From).check(c)
	c.that(s.From >= 1, "a search from %v a second, want 1 or more", s.From)
	c.that(s.P99 > 0, "a limit of %v for the p99, want more than 0", s.P99)
}

func (s *Search) load(rate float64) Load {
	return Load{Rate: rate, Limit: s.Limit, Warmup: s.Warmup, Duration: s.Duration}
}

// Step is one step of a search.
type Step struct {
	Offered   float64     `json:"offered_per_s"`
	Completed float64     `json:"completed_per_s"`
	Latency   Percentiles `json:"latency_ms"`
	Why       string      `json:"failed,omitempty"` // empty: it was sustained
}

// run searches, and returns the figures of the best step.
func (s *Search) run(ctx context.Context, t Target, measure func(context.Context, Load) Figures) (best Figures, steps []Step, err error) {
	good, bad := 0.0, math.Inf(1)
	for rate := s.From; len(steps) < searchSteps && rate >= 1; {
		f := measure(ctx, s.load(rate))
		if ctx.Err() != nil {
			return best, steps, ctx.Err()
		}
		step := Step{Offered: rate, Completed: f.Completed, Latency: f.Latency, Why: s.judge(&f)}
		steps = append(steps, step)
		t.say("%6.0f/s offered, %6.0f/s completed, p99 %.1f ms  %s", rate, f.Completed, f.Latency.P99, step.Why)
		if step.Why == "" {
			good, best = rate, f
		} else {
			bad = rate
		}
		switch {
		case math.IsInf(bad, 1):
			rate *= searchRaise
		case good == 0:
			rate /= searchRaise * searchRaise
		case bad/good <= searchNear:
			return best, steps, nil
		default:
			rate = (good + bad) / 2
		}
	}
	return best, steps, nil
}

// judge says why a step is not sustained, or nothing.
func (s *Search) judge(f *Figures) string {
	switch {
	case f.Errors > 0:
		return fmt.Sprintf("%d errors: %s", f.Errors, f.FirstError)
	case f.OverLimit > 0:
		return fmt.Sprintf("%d over the limit", f.OverLimit)
	case f.Completed < searchCompleted*f.Offered:
		return fmt.Sprintf("completed %.1f %%", 100*f.Completed/max(f.Offered, 1))
	case f.Latency.P99 > millis(s.P99):
		return fmt.Sprintf("p99 above %v", s.P99)
	}
	return ""
}

func printSteps(w io.Writer, steps []Step, best float64) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "OFFERED/S\tCOMPLETED/S\tP50 MS\tP99 MS\tMAX MS\t")
	for _, s := range steps {
		why := "sustained"
		if s.Why != "" {
			why = s.Why
		}
		fmt.Fprintf(t, "%.0f\t%.0f\t%.2f\t%.2f\t%.2f\t  %s\n", s.Offered, s.Completed, s.Latency.P50, s.Latency.P99, s.Latency.Max, why)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nsustained: %.0f/s. At that rate:\n\n", best)
	return err
}
