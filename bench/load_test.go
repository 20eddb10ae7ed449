package bench

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quorate/quorate/histogram"
	"github.com/quorate/quorate/virtual"
)

// near tells whether a percentile is a duration, as exactly as buckets tell it.
func near(c histogram.Counts, share float64, want time.Duration) bool {
	got := c.At(share)
	return got >= want && got <= want+want/64+1
}

// answerAfter is work that is answered after a while.
func answerAfter(d time.Duration) work {
	return func(_ context.Context, _ int, _ time.Time, done func(error)) {
		time.AfterFunc(d, func() { done(nil) })
	}
}

// TestOpenLoad: work is due at its times whatever the answers do, over all lanes
// together, and only what is due in the measured time is measured.
func TestOpenLoad(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		start := time.Now()
		var all atomic.Int64
		l := Load{Rate: 100, Limit: 1000, Warmup: time.Second, Duration: 2 * time.Second}
		o := l.run(t.Context(), 3, func(ctx context.Context, lane int, due time.Time, done func(error)) {
			all.Add(1)
			if at := due.Sub(start); at%(10*time.Millisecond) != 0 || at/(10*time.Millisecond)%3 != time.Duration(lane) || due != time.Now() {
				t.Errorf("lane %d has work due after %v, begun after %v", lane, at, time.Since(start))
			}
			answerAfter(700*time.Millisecond)(ctx, lane, due, done)
		}, nil)
		f := o.figures(Cost{})
		if all.Load() != 300 || f.Offered != 100 || f.Messages != 200 || f.Completed != 100 {
			t.Errorf("%d pieces, figures %+v; want 300 in all, 200 of them measured", all.Load(), f)
		}
		if c := o.latency.Counts(); !near(c, 0, 700*time.Millisecond) || !near(c, 1, 700*time.Millisecond) {
			t.Errorf("latency %v", f.Latency)
		}
	})
}

// TestStandstill: while nothing is answered work goes on being due, and each piece
// has waited since then.
func TestStandstill(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		start := time.Now()
		l := Load{Rate: 100, Limit: 1000, Duration: time.Second}
		o := l.run(t.Context(), 1, answerAtOnceBut(start, 200*time.Millisecond, 700*time.Millisecond), nil)
		c := o.latency.Counts()
		// Half of the work was due in the standstill, evenly: it waited 0 to 500 ms.
		if c.Total() != 100 || !near(c, 0.75, 250*time.Millisecond) || !near(c, 1, 500*time.Millisecond) || c.At(0.5) > time.Millisecond {
			t.Errorf("%d pieces: half below %v, three quarters below %v, all below %v", c.Total(), c.At(0.5), c.At(0.75), c.At(1))
		}
	})
}

// answerAtOnceBut is work that is answered at once, but for a standstill.
func answerAtOnceBut(start time.Time, from, until time.Duration) work {
	return func(_ context.Context, _ int, _ time.Time, done func(error)) {
		if at := time.Since(start); at >= from && at < until {
			time.AfterFunc(until-at, func() { done(nil) })
			return
		}
		done(nil)
	}
}

// TestBlockedLane: when the lane itself is held up, what was due meanwhile is begun
// as soon as it can be, counts from when it was due, and is told as late.
func TestBlockedLane(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		n := 0
		l := Load{Rate: 100, Limit: 1000, Duration: time.Second}
		o := l.run(t.Context(), 1, func(_ context.Context, _ int, _ time.Time, done func(error)) {
			if n++; n == 1 {
				time.Sleep(300 * time.Millisecond)
			}
			done(nil)
		}, nil)
		if c := o.latency.Counts(); c.Total() != 100 || !near(c, 1, 300*time.Millisecond) {
			t.Errorf("%d pieces, the longest took %v", c.Total(), c.At(1))
		}
		if late := o.late.Counts(); !near(late, 1, 290*time.Millisecond) {
			t.Errorf("the latest was begun %v late", late.At(1))
		}
	})
}

// TestLimit: what is due while too much has no answer is not begun, and is counted.
func TestLimit(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		var waiting, most atomic.Int64
		l := Load{Rate: 100, Limit: 10, Duration: time.Second}
		o := l.run(t.Context(), 1, func(_ context.Context, _ int, _ time.Time, done func(error)) {
			most.Store(max(most.Load(), waiting.Add(1)))
			time.AfterFunc(500*time.Millisecond+time.Microsecond, func() {
				waiting.Add(-1)
				done(nil)
			})
		}, nil)
		f := o.figures(Cost{})
		if most.Load() != 10 || f.Offered != 100 || f.Messages != 20 || f.OverLimit != 80 || f.Failure() == nil {
			t.Errorf("%d at once, figures %+v; want 10, and 20 of 100 begun", most.Load(), f)
		}
	})
}

// TestInFlight: without a rate so many are in flight, all of the time.
func TestInFlight(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		var waiting, most atomic.Int64
		l := Load{InFlight: 7, Warmup: time.Second, Duration: time.Second}
		o := l.run(t.Context(), 3, func(_ context.Context, _ int, _ time.Time, done func(error)) {
			most.Store(max(most.Load(), waiting.Add(1)))
			time.AfterFunc(100*time.Millisecond, func() {
				waiting.Add(-1)
				done(nil)
			})
		}, nil)
		if f := o.figures(Cost{}); most.Load() != 7 || f.Messages != 70 || f.Completed != 70 || !near(o.latency.Counts(), 1, 100*time.Millisecond) {
			t.Errorf("%d at once, figures %+v; want 7, and 70 in a second", most.Load(), f)
		}
	})
}

// TestGrowingQueue: what is answered after the measured time is no throughput.
func TestGrowingQueue(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		free := time.Now()
		l := Load{Rate: 100, Limit: 1000, Duration: 10 * time.Second}
		o := l.run(t.Context(), 1, func(_ context.Context, _ int, _ time.Time, done func(error)) {
			if free.Before(time.Now()) {
				free = time.Now()
			}
			free = free.Add(20 * time.Millisecond) // 50 a second
			time.AfterFunc(time.Until(free), func() { done(nil) })
		}, nil)
		if f := o.figures(Cost{}); f.Messages != 1000 || f.Completed > 50 || f.Completed < 49 || f.Latency.Max < 9900 {
			t.Errorf("figures %+v; want 50 a second, and a wait of 10 s at the end", f)
		}
	})
}

// TestErrors: what fails, and what has no answer long after the end, is counted
// and has no latency.
func TestErrors(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		n, began := 0, time.Now()
		l := Load{Rate: 100, Limit: 1000, Duration: time.Second}
		o := l.run(t.Context(), 1, func(ctx context.Context, _ int, _ time.Time, done func(error)) {
			n++
			switch n % 4 {
			case 0:
				done(errors.New("no"))
			case 1:
				context.AfterFunc(ctx, func() { done(context.Cause(ctx)) })
			default:
				done(nil)
			}
		}, nil)
		f := o.figures(Cost{})
		if f.Errors != 50 || f.Messages != 50 || f.FirstError != "no" || f.Failure() == nil {
			t.Errorf("figures %+v", f)
		}
		if took := time.Since(began); took != time.Second+drainTimeout {
			t.Errorf("waited %v for answers", took)
		}
	})
}

// TestPieces: a load ends with its pieces, and its rate is that of the time it took.
func TestPieces(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		looks := 0
		l := Load{InFlight: 2, Duration: time.Hour, pieces: 10}
		o := l.run(t.Context(), 2, answerAfter(100*time.Millisecond), func(begins bool) {
			if looks++; begins != (looks == 1) {
				t.Errorf("look %d: begins %v", looks, begins)
			}
		})
		if f := o.figures(Cost{}); f.Messages != 10 || f.Seconds != 0.5 || f.Completed != 20 || looks != 2 {
			t.Errorf("after %d looks, figures %+v", looks, f)
		}
	})
}

// TestLoads: loads that make no sense are refused.
func TestLoads(t *testing.T) {
	good := Load{Rate: 1, Limit: 1, Duration: 1}
	for name, change := range map[string]func(*Load){
		"a negative rate":          func(l *Load) { l.Rate = -1 },
		"no limit":                 func(l *Load) { l.Limit = 0 },
		"nothing in flight":        func(l *Load) { l.Rate = 0 },
		"no duration":              func(l *Load) { l.Duration = 0 },
		"a warm-up before its end": func(l *Load) { l.Warmup = -1 },
	} {
		bad := good
		change(&bad)
		var c, fine checks
		bad.check(&c)
		good.check(&fine)
		if c.err() == nil || fine.err() != nil {
			t.Errorf("%s: %v; without it %v", name, c.err(), fine.err())
		}
	}
}
