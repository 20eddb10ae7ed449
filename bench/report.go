package bench

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/quorate/quorate/histogram"
)

// Report is what a scenario measured. It is also what --json prints.
type Report interface {
	// Print writes a table for people.
	Print(w io.Writer) error
	// Failure returns why the measurement is not good, or nil.
	Failure() error
}

// Percentiles of durations, in milliseconds.
type Percentiles struct {
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
	Max  float64 `json:"max"`
}

func percentiles(c histogram.Counts) Percentiles {
	return Percentiles{P50: millis(c.At(0.5)), P99: millis(c.At(0.99)), P999: millis(c.At(0.999)), Max: millis(c.At(1))}
}

// millis are milliseconds to the microsecond.
func millis(d time.Duration) float64 { return float64((d + 500*time.Nanosecond).Microseconds()) / 1000 }

// String returns them as a table has them.
func (p Percentiles) String() string {
	return fmt.Sprintf("p50 %.2f  p99 %.2f  p99.9 %.2f  max %.2f", p.P50, p.P99, p.P999, p.Max)
}

// Figures are what came of one load.
type Figures struct {
	Offered    float64     `json:"offered_per_s"`   // that were due; without a rate, that were begun
	Completed  float64     `json:"completed_per_s"` // that were answered within the measured time
	Messages   uint64      `json:"messages"`        // that were due in it, and answered then or later
	Errors     uint64      `json:"errors"`
	FirstError string      `json:"first_error,omitempty"`
	OverLimit  uint64      `json:"over_limit"`   // not sent, since too many had no answer
	Latency    Percentiles `json:"latency_ms"`   // from when it was due to its answer
	SentLate   Percentiles `json:"sent_late_ms"` // of it, how late the bench itself began
	Seconds    float64     `json:"seconds"`      // measured
	Cost
}

// figures sums up an outcome and what it cost.
func (o *outcome) figures(cost Cost) Figures {
	seconds := max(o.end.Sub(o.from).Seconds(), 1e-3)
	latency := o.latency.Counts()
	f := Figures{
		Offered: float64(o.offered.Load()) / seconds, Completed: float64(o.completed.Load()) / seconds,
		Messages: latency.Total(), Errors: o.errors.Load(), OverLimit: o.overLimit.Load(),
		Latency: percentiles(latency), SentLate: percentiles(o.late.Counts()), Seconds: seconds, Cost: cost,
	}
	if err := o.first.Load(); err != nil {
		f.FirstError = (*err).Error()
	}
	return f
}

// Failure returns an error if anything failed.
func (f *Figures) Failure() error {
	switch {
	case f.Errors > 0:
		return fmt.Errorf("%d failed, the first: %s", f.Errors, f.FirstError)
	case f.OverLimit > 0:
		return fmt.Errorf("%d were not sent, since too many had no answer", f.OverLimit)
	case f.Messages == 0:
		return errors.New("nothing was answered")
	}
	return nil
}

// rows are the figures as a table has them; noun is what is counted.
func (f *Figures) rows(noun string) [][2]string {
	rows := [][2]string{
		{noun, fmt.Sprintf("%.0f/s completed, %.0f/s offered, for %.0f s", f.Completed, f.Offered, f.Seconds)},
		{"latency ms", f.Latency.String()},
	}
	if f.SentLate.P99 >= 0.1*f.Latency.P99 && f.SentLate.P99 > 1 {
		rows = append(rows, [2]string{"of it, sent late", f.SentLate.String()})
	}
	rows = append(rows, [2]string{"not answered", fmt.Sprintf("%d failed, %d over the limit", f.Errors, f.OverLimit)})
	return append(rows, f.Cost.rows()...)
}

// printRows writes rows with two columns, under a title.
func printRows(w io.Writer, title string, rows [][2]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, title)
	for _, r := range rows {
		fmt.Fprintf(t, "  %s\t%s\n", r[0], r[1])
	}
	return t.Flush()
}

// checks gathers everything that is wrong with what was asked for.
type checks struct{ errs []error }

func (c *checks) that(ok bool, format string, args ...any) {
	if !ok {
		c.errs = append(c.errs, fmt.Errorf(format, args...))
	}
}

func (c *checks) err() error { return errors.Join(c.errs...) }
