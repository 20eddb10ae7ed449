package bench

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/histogram"
)

// Load is how work is offered.
type Load struct {
	Rate     float64       // pieces of work a second, whatever the answers do; 0: InFlight are kept in flight
	InFlight int           // without a rate: pieces of work without an answer, over all lanes
	Limit    int           // with a rate: as many may have no answer; what is due beyond it is counted and not sent
	Warmup   time.Duration // not measured
	Duration time.Duration // measured

	pieces int // as many there are: the load ends with them; 0: no end but the time's
}

// drainTimeout bounds how long answers are waited for after the measured time.
// What has none by then is an error.
const drainTimeout = 30 * time.Second

// maxInFlight bounds what may be asked for.
const maxInFlight = 1_000_000

func (l Load) check(c *checks) {
	c.that(l.Rate >= 0 && l.Rate <= 10_000_000, "a rate of %v a second, want 0 to 10,000,000", l.Rate)
	c.that(l.Rate > 0 || l.InFlight >= 1 && l.InFlight <= maxInFlight, "%d in flight, want 1 to %d", l.InFlight, maxInFlight)
	c.that(l.Rate == 0 || l.Limit >= 1 && l.Limit <= maxInFlight, "a limit of %d without an answer, want 1 to %d", l.Limit, maxInFlight)
	c.that(l.Warmup >= 0 && l.Warmup <= time.Hour, "a warm-up of %v, want 0 to 1h", l.Warmup)
	c.that(l.Duration > 0 && l.Duration <= 24*time.Hour, "a duration of %v, want more than 0 and at most 24h", l.Duration)
}

// errOverLimit is the outcome of work that is not begun because too much has no
// answer yet.
var errOverLimit = errors.New("too much without an answer: not sent")

// work begins a piece of work in a lane and calls done once, from any goroutine.
// It should not wait. Each lane has one goroutine.
type work func(ctx context.Context, lane int, due time.Time, done func(error))

// outcome is what came of a load.
type outcome struct {
	from, until time.Time // the measured time
	end         time.Time // of the load, when its pieces ended before

	latency   histogram.Histogram // of what was due in it and was answered, from when it was due
	late      histogram.Histogram // of what was due in it, how late the bench itself began it
	offered   atomic.Uint64       // was due in it
	completed atomic.Uint64       // was answered in it, whenever it was due
	overLimit atomic.Uint64       // was due in it and not sent
	errors    atomic.Uint64       // was due in it and failed
	first     atomic.Pointer[error]
	waiting   atomic.Int64 // has no answer, whenever it was due
	begun     atomic.Int64 // pieces, whenever they were due
}

// run offers the load over so many lanes and waits for the answers. The measured
// time begins and ends with measure, which is told whether it begins, on a
// goroutine of its own; nil: nobody is.
func (l Load) run(ctx context.Context, lanes int, do work, measure func(begins bool)) *outcome {
	start := time.Now()
	o := &outcome{from: start.Add(l.Warmup)}
	o.until = o.from.Add(l.Duration)
	running, cancel := context.WithDeadline(ctx, o.until)
	defer cancel()
	answers, stop := context.WithDeadline(ctx, o.until.Add(drainTimeout))
	defer stop()

	var all, pieces sync.WaitGroup
	begin := func(lane int, due time.Time, answered func()) {
		if n := o.begun.Add(1); l.pieces > 0 && n > int64(l.pieces) {
			cancel()
			return
		}
		o.began(due)
		pieces.Add(1)
		do(answers, lane, due, func(err error) {
			o.ended(due, err)
			answered()
			pieces.Done()
		})
	}
	if measure != nil {
		all.Go(func() {
			if clock.Sleep(running, time.Until(o.from)) == nil {
				measure(true)
				<-running.Done()
				measure(false)
			}
		})
	}
	for lane := range lanes {
		all.Go(func() {
			if l.Rate > 0 {
				l.offer(running, o, paceOf(start, l.Rate, lane, lanes), func(due time.Time) { begin(lane, due, func() {}) })
			} else {
				saturate(running, share(l.InFlight, lane, lanes), func(answered func()) { begin(lane, time.Now(), answered) })
			}
		})
	}
	all.Wait()
	pieces.Wait() // no longer than answers lives
	if o.end = o.until; time.Now().Before(o.until) {
		o.end = time.Now()
	}
	return o
}

// share is how much of a whole one of several lanes has.
func share(whole, lane, lanes int) int {
	n := whole / lanes
	if lane < whole%lanes {
		n++
	}
	return n
}

// saturate keeps n pieces in flight.
func saturate(running context.Context, n int, begin func(answered func())) {
	places := make(chan struct{}, n)
	for {
		select {
		case places <- struct{}{}:
		case <-running.Done():
			return
		}
		if running.Err() != nil {
			return
		}
		begin(func() { <-places })
	}
}

// pace says when the work of one lane is due: piece k of lane i of n at
// start + (k·n + i) / rate.
type pace struct {
	start time.Time
	gap   float64 // nanoseconds between two pieces of all lanes
	next  int     // number of the lane's next piece, among all
	step  int
}

func paceOf(start time.Time, rate float64, lane, lanes int) *pace {
	return &pace{start: start, gap: float64(time.Second) / rate, next: lane, step: lanes}
}

func (p *pace) due() time.Time {
	at := p.start.Add(time.Duration(p.gap * float64(p.next)))
	p.next += p.step
	return at
}

// offer begins each piece when it is due, or at once when that has passed.
func (l Load) offer(running context.Context, o *outcome, p *pace, begin func(due time.Time)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for due := p.due(); due.Before(o.until); due = p.due() {
		if wait := time.Until(due); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-running.Done():
				return
			}
		}
		if o.waiting.Load() >= int64(l.Limit) {
			o.refused(due)
			continue
		}
		begin(due)
	}
}

func (o *outcome) measured(t time.Time) bool { return !t.Before(o.from) && t.Before(o.until) }

func (o *outcome) began(due time.Time) {
	o.waiting.Add(1)
	if o.measured(due) {
		o.offered.Add(1)
		o.late.Record(time.Since(due))
	}
}

// refused counts what was due and is not sent.
func (o *outcome) refused(due time.Time) {
	if o.measured(due) {
		o.offered.Add(1)
		o.overLimit.Add(1)
	}
}

func (o *outcome) ended(due time.Time, err error) {
	now := time.Now()
	o.waiting.Add(-1)
	if err == nil && o.measured(now) {
		o.completed.Add(1)
	}
	switch {
	case !o.measured(due):
	case errors.Is(err, errOverLimit):
		o.overLimit.Add(1)
	case err != nil:
		o.errors.Add(1)
		o.first.CompareAndSwap(nil, &err)
	default:
		o.latency.Record(now.Sub(due))
	}
}
