package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// sample is one measurement.
type sample struct {
	loadReport

	ServerCPU float64 `json:"server_cpu_us_per_message"`
	ClientCPU float64 `json:"client_cpu_us_per_message"`
	Others    float64 `json:"other_cores"` // what the rest of the machine was busy with
	SyncMS    latency `json:"sync_ms"`     // of the disk, before the cluster was started
}

// String is for the progress.
func (s *sample) String() string {
	return fmt.Sprintf("%.0f/s, p50 %.2f ms, p99 %.2f ms, CPU µs %.0f servers %.0f load, others %.2f cores",
		s.Completed, s.Latency.P50, s.Latency.P99, s.ServerCPU, s.ClientCPU, s.Others)
}

// measuring is in the line that a load writes to stderr when its warm-up
// begins.
const measuring = "warming up for"

// observe runs a load on a cluster, and measures processor time from outside.
func observe(ctx context.Context, cluster running, l load) (*sample, error) {
	p, err := cluster.load(ctx, l)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	p.cmd.Stdout = &out
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	p.cmd.Stderr = write
	err = p.start()
	_ = write.Close() // the process has it
	if err != nil {
		_ = read.Close()
		return nil, err
	}
	w := window{pids: cluster.servers(), load: p.pid(), warmup: l.warmup, duration: l.duration}
	said := make(chan error, 1)
	go func() { said <- w.watch(ctx, read, p.log) }()
	<-p.ended
	watched := <-said
	_ = read.Close()
	if p.err != nil {
		return nil, p.gone()
	}
	if watched != nil {
		return nil, fmt.Errorf("measure processor time: %w", watched)
	}
	return w.sample(out.Bytes())
}

// window is the measured time, or most of it, seen from outside.
type window struct {
	pids             []int
	load             int
	warmup, duration time.Duration

	servers, client, machine time.Duration // what each has taken
	took                     time.Duration
}

// watch copies what the load says to its log, and takes the time. It returns
// when the load closes its end.
func (w *window) watch(ctx context.Context, r io.Reader, log io.Writer) error {
	lines := bufio.NewScanner(r)
	timed, cancel := context.WithCancel(ctx)
	var timing chan error
	for lines.Scan() {
		fmt.Fprintln(log, lines.Text())
		if timing == nil && strings.Contains(lines.Text(), measuring) {
			timing = make(chan error, 1)
			go func() { timing <- w.take(timed) }()
		}
	}
	defer cancel()
	if timing == nil {
		return fmt.Errorf("the load has not said %q: is it another version?", measuring)
	}
	select {
	case err := <-timing:
		return err
	default:
		cancel() // it has ended early
		return <-timing
	}
}

// take waits for the warm-up, and measures.
func (w *window) take(ctx context.Context) error {
	var before, after [3]time.Duration
	if err := wait(ctx, w.warmup); err != nil {
		return err
	}
	if err := w.read(&before); err != nil {
		return err
	}
	begin := time.Now()
	// Not to the end: the load ends right after its time, and on a busy machine
	// this program may be late.
	if err := wait(ctx, w.duration*9/10); err != nil {
		return err
	}
	if err := w.read(&after); err != nil {
		return err
	}
	w.took = time.Since(begin)
	w.servers, w.client, w.machine = after[0]-before[0], after[1]-before[1], after[2]-before[2]
	return nil
}

func (w *window) read(to *[3]time.Duration) (err error) {
	if to[0], err = cpuOf(w.pids); err != nil {
		return err
	}
	if to[1], err = cpuOf([]int{w.load}); err != nil {
		return err
	}
	to[2], err = busy()
	return err
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sample puts together what the load says and what was seen.
func (w *window) sample(out []byte) (*sample, error) {
	s := &sample{}
	if err := json.Unmarshal(out, &s.loadReport); err != nil {
		return nil, fmt.Errorf("read what the load reports: %w", err)
	}
	if s.Errors > 0 || s.Messages == 0 {
		return nil, fmt.Errorf("%d of %d: %w", s.Errors, s.Errors+s.Messages, errFailedMessages)
	}
	messages := s.Completed * w.took.Seconds()
	s.ServerCPU = float64(w.servers.Microseconds()) / messages
	s.ClientCPU = float64(w.client.Microseconds()) / messages
	s.Others = max(0, (w.machine-w.servers-w.client).Seconds()/w.took.Seconds())
	return s, nil
}

// probeDisk says how long the disk takes to sync a small write.
func probeDisk(dir string) (latency, error) {
	const (
		writes = 200
		size   = 4096
	)
	f, err := os.Create(filepath.Join(dir, "probe"))
	if err != nil {
		return latency{}, fmt.Errorf("probe the disk: %w", err)
	}
	defer func() { _ = f.Close() }()
	block := make([]byte, size)
	var took []time.Duration
	for range writes {
		begin := time.Now()
		if _, err := f.Write(block); err != nil {
			return latency{}, fmt.Errorf("probe the disk: %w", err)
		}
		if err := f.Sync(); err != nil {
			return latency{}, fmt.Errorf("probe the disk: %w", err)
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	return latency{P50: at(took, 0.5), P99: at(took, 0.99), P999: at(took, 0.999), Max: at(took, 1)}, nil
}
