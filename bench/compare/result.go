package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// result is all that was measured.
type result struct {
	At       string  `json:"at"`
	Commit   string  `json:"commit"`
	Machine  string  `json:"machine"`
	Go       string  `json:"go"`
	NATS     string  `json:"nats_server"`
	Seconds  float64 `json:"seconds"` // of each measurement
	Body     int     `json:"body_bytes"`
	Conns    int     `json:"connections"`
	Convs    int     `json:"conversations"`
	Cells    []*cell `json:"cells"`
	setups   []setup
	inFlight []int
}

// cell is one line of the table.
type cell struct {
	setup

	InFlight int       `json:"in_flight"`
	Median   sample    `json:"median"`
	Rounds   []*sample `json:"rounds"`
}

func newResult(c *comparison, setups []setup) *result {
	r := &result{
		At: time.Now().UTC().Format(time.RFC3339), Machine: machine(), Go: runtime.Version(),
		Seconds: c.base.duration.Seconds(), Body: c.base.body, Conns: c.base.connections, Convs: c.base.conversations,
		setups: setups, inFlight: c.inFlight,
	}
	for _, n := range c.inFlight {
		for _, s := range setups {
			if !s.record || c.records > 0 {
				r.Cells = append(r.Cells, &cell{setup: s, InFlight: n})
			}
		}
	}
	return r
}

// add adds a measurement to its cell.
func (r *result) add(which, inFlight int, s *sample) {
	c := r.find(r.setups[which], inFlight)
	c.Rounds = append(c.Rounds, s)
	c.Median = medianOf(c.Rounds)
}

// find returns a cell, or nil.
func (r *result) find(s setup, inFlight int) *cell {
	for _, c := range r.Cells {
		if c.System == s.System && c.Sync == s.Sync && c.Groups == s.Groups && c.InFlight == inFlight {
			return c
		}
	}
	return nil
}

// medianOf takes the median of each figure by itself.
func medianOf(all []*sample) sample {
	of := func(figure func(*sample) float64) float64 {
		values := make([]float64, len(all))
		for i, s := range all {
			values[i] = figure(s)
		}
		return median(values)
	}
	var m sample
	m.Completed = of(func(s *sample) float64 { return s.Completed })
	m.Messages = int(of(func(s *sample) float64 { return float64(s.Messages) }))
	m.Seconds = of(func(s *sample) float64 { return s.Seconds })
	m.Latency = latency{
		P50:  of(func(s *sample) float64 { return s.Latency.P50 }),
		P99:  of(func(s *sample) float64 { return s.Latency.P99 }),
		P999: of(func(s *sample) float64 { return s.Latency.P999 }),
		Max:  of(func(s *sample) float64 { return s.Latency.Max }),
	}
	m.ServerCPU = of(func(s *sample) float64 { return s.ServerCPU })
	m.ClientCPU = of(func(s *sample) float64 { return s.ClientCPU })
	m.Others = of(func(s *sample) float64 { return s.Others })
	m.SyncMS = latency{
		P50: of(func(s *sample) float64 { return s.SyncMS.P50 }),
		P99: of(func(s *sample) float64 { return s.SyncMS.P99 }),
	}
	return m
}

// median is the value in the middle, or between the two in the middle.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

// table writes the medians for people.
func (r *result) table(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(out, "%s, commit %s, nats-server %s, %s\n%d B, %d connections, %d conversations or subjects, %.0f s a round, medians\n\n",
		r.Machine, r.Commit, r.NATS, r.At, r.Body, r.Conns, r.Convs, r.Seconds)
	fmt.Fprintln(w, "IN FLIGHT\tSYSTEM\tMESSAGES/S\tLOWEST–HIGHEST\tP50 MS\tP99 MS\tSERVER CPU µS\tLOAD CPU µS\tOTHERS\tDISK SYNC P50–P99 MS\tROUNDS")
	for _, c := range r.Cells {
		m := &c.Median
		low, high := c.spread()
		fmt.Fprintf(w, "%d\t%v\t%.0f\t%.0f–%.0f\t%.2f\t%.2f\t%.1f\t%.1f\t%.2f\t%.2f–%.2f\t%d\n", c.InFlight, c.setup, m.Completed, low, high,
			m.Latency.P50, m.Latency.P99, m.ServerCPU, m.ClientCPU, m.Others, m.SyncMS.P50, m.SyncMS.P99, len(c.Rounds))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\nCPU is per message; OTHERS is how many cores the rest of the machine took.\nBy the processor time of a message, servers and load: %.2f at 64 in flight, %.2f at 512.\n",
		r.cpuRatio(64), r.cpuRatio(512))
	return err
}

// spread is the slowest and the fastest round.
func (c *cell) spread() (low, high float64) {
	for i, s := range c.Rounds {
		if i == 0 {
			low = s.Completed
		}
		low, high = min(low, s.Completed), max(high, s.Completed)
	}
	return low, high
}

// ratios is the last line: how many times as many messages Quorate takes, with
// 8 shards, as NATS does with 8 streams and sync_interval always.
type ratios struct {
	Ratio64  float64 `json:"ratio_64"`
	Ratio512 float64 `json:"ratio_512"`
}

func (r *result) ratios() ratios {
	return ratios{Ratio64: r.ratio(64), Ratio512: r.ratio(512)}
}

// ratio is 0 as long as one of the two is not measured.
func (r *result) ratio(inFlight int) float64 {
	ours, theirs := r.compared(inFlight)
	if ours == nil || theirs == nil || theirs.Completed == 0 {
		return 0
	}
	const digits = 100 // two
	return float64(int(ours.Completed/theirs.Completed*digits+0.5)) / digits
}

// cpuRatio is how many times as much processor time NATS takes for a message.
// On a machine that others use too it says more than the rates do.
func (r *result) cpuRatio(inFlight int) float64 {
	ours, theirs := r.compared(inFlight)
	if ours == nil || theirs == nil || ours.ServerCPU+ours.ClientCPU == 0 {
		return 0
	}
	return (theirs.ServerCPU + theirs.ClientCPU) / (ours.ServerCPU + ours.ClientCPU)
}

// compared are the medians that the ratios are made of.
func (r *result) compared(inFlight int) (ours, theirs *sample) {
	if c := r.find(setup{System: quorateName, Sync: syncAlways, Groups: 8}, inFlight); c != nil {
		ours = &c.Median
	}
	if c := r.find(setup{System: natsName, Sync: syncAlways, Groups: 8}, inFlight); c != nil {
		theirs = &c.Median
	}
	return ours, theirs
}

func (r *result) ratioLine(out io.Writer) error {
	text, err := json.Marshal(r.ratios())
	if err != nil {
		return fmt.Errorf("encode the ratios: %w", err)
	}
	_, err = fmt.Fprintf(out, "%s\n", text)
	return err
}

// commit is what is measured, or "unknown" outside of a repository.
func commit(ctx context.Context) string {
	text, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--abbrev=10").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(text))
}

// machine is what it is measured on.
func machine() string {
	model := "unknown processor"
	text, _ := os.ReadFile("/proc/cpuinfo") // only a name
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return fmt.Sprintf("%s, %d cores, Linux %s", model, runtime.NumCPU(), strings.TrimSpace(string(kernel)))
}

// natsVersion is what the server says of itself.
func natsVersion(ctx context.Context, exe string) string {
	text, err := exec.CommandContext(ctx, exe, "--version").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(strings.TrimPrefix(string(text), "nats-server:"))
}
