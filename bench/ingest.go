package bench

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/wire"
)

// Target is the cluster that the load is for.
type Target struct {
	Servers []string // each connection begins at another one
	App     wire.AppID
	Key     string
	TLS     *tls.Config
}

// Ingest sends messages that are acknowledged once they are on the disks of a
// majority. Zero fields have defaults.
type Ingest struct {
	Connections   int           // default 8
	Conversations int           // default 64
	InFlight      int           // messages without an answer, over all connections; default 64
	Rate          float64       // messages a second; 0: as many as InFlight allows
	BodyBytes     int           // default 256
	Warmup        time.Duration // default 2s
	Duration      time.Duration // default 10s
}

// Limits of what may be asked for.
const (
	maxConnections   = 10_000
	maxConversations = 1_000_000
	setupTimeout     = 60 * time.Second
	drainTimeout     = 30 * time.Second
)

func (b Ingest) withDefaults() Ingest {
	b.Connections = cmp.Or(b.Connections, 8)
	b.Conversations = max(cmp.Or(b.Conversations, 64), b.Connections)
	b.InFlight = cmp.Or(b.InFlight, 64)
	b.BodyBytes = cmp.Or(b.BodyBytes, 256)
	b.Warmup = cmp.Or(b.Warmup, 2*time.Second)
	b.Duration = cmp.Or(b.Duration, 10*time.Second)
	return b
}

func (b Ingest) validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(b.Connections >= 1 && b.Connections <= maxConnections, "%d connections, want 1 to %d", b.Connections, maxConnections)
	check(b.Conversations <= maxConversations, "%d conversations, want at most %d", b.Conversations, maxConversations)
	check(b.InFlight >= b.Connections, "%d messages in flight, want at least one for each of %d connections", b.InFlight, b.Connections)
	check(b.BodyBytes >= 1 && b.BodyBytes <= wire.MaxBodyBytes, "bodies of %d bytes, want 1 to %d", b.BodyBytes, wire.MaxBodyBytes)
	check(b.Rate >= 0, "a rate of %v, want 0 or more", b.Rate)
	check(b.Warmup >= 0 && b.Duration > 0, "a warm-up of %v and a duration of %v", b.Warmup, b.Duration)
	return errors.Join(errs...)
}

// IngestReport is what an ingest measured, after its warm-up.
type IngestReport struct {
	Offered   float64 `json:"offered_per_s"` // 0: as many as were in flight
	Completed float64 `json:"completed_per_s"`
	Messages  int     `json:"messages"`
	Errors    int     `json:"errors"`
	Latency   Latency `json:"latency_ms"`
	Seconds   float64 `json:"seconds"`
}

// Latency is percentiles in milliseconds, from when a message was due to its
// acknowledgement.
type Latency struct {
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
	Max  float64 `json:"max"`
}

// Run sets up, warms up, measures, and says what came of it. progress is told
// sentences for people; nil: nobody is.
func (b Ingest) Run(ctx context.Context, t Target, progress func(string)) (IngestReport, error) {
	b = b.withDefaults()
	if err := b.validate(); err != nil {
		return IngestReport{}, err
	}
	if progress == nil {
		progress = func(string) {}
	}
	r := &ingestRun{Ingest: b, target: t}
	defer r.close()
	progress(fmt.Sprintf("opening %d connections and %d conversations", b.Connections, b.Conversations))
	if err := r.setup(ctx); err != nil {
		return IngestReport{}, fmt.Errorf("set up: %w", err)
	}
	progress(fmt.Sprintf("warming up for %v, measuring for %v", b.Warmup, b.Duration))
	return r.measure(ctx)
}

// ingestRun is one run's connections and what they have seen.
type ingestRun struct {
	Ingest

	target Target
	lanes  []*lane
	from   time.Time // the measured time
	until  time.Time
}

// lane is one connection with its conversations.
type lane struct {
	client *client.Client
	convs  []*client.Conversation
	body   []byte
	next   int

	mu        sync.Mutex
	latencies []time.Duration
	errors    int
}

func (r *ingestRun) close() {
	var all sync.WaitGroup
	for _, l := range r.lanes {
		if l.client != nil {
			all.Go(func() { _ = l.client.Close() })
		}
	}
	all.Wait()
}

// setup opens connections, spread over the servers, and conversations.
func (r *ingestRun) setup(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	r.lanes = make([]*lane, r.Connections)
	errs := make([]error, r.Connections)
	var all sync.WaitGroup
	for i := range r.lanes {
		r.lanes[i] = &lane{body: slices.Repeat([]byte{'x'}, r.BodyBytes)}
		all.Go(func() { errs[i] = r.openLane(ctx, i) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func (r *ingestRun) openLane(ctx context.Context, i int) (err error) {
	l := r.lanes[i]
	first := i % len(r.target.Servers)
	servers := slices.Concat(r.target.Servers[first:], r.target.Servers[:first])
	l.client, err = client.Dial(ctx, client.Options{
		Servers: servers, App: r.target.App, Key: r.target.Key, TLS: r.target.TLS,
		User: wire.UserID(fmt.Sprintf("bench-%d", i)), MaxPending: r.InFlight + r.Connections,
	})
	if err != nil {
		return fmt.Errorf("connection %d: %w", i, err)
	}
	for c := i; c < r.Conversations; c += r.Connections {
		info, err := l.client.Create(ctx, client.NewConversation{Name: "bench"})
		if err != nil {
			return fmt.Errorf("conversation %d: %w", c, err)
		}
		l.convs = append(l.convs, l.client.Conversation(info.ID))
	}
	return nil
}

// measure runs the load, and waits for the answers.
func (r *ingestRun) measure(ctx context.Context) (IngestReport, error) {
	start := time.Now()
	r.from = start.Add(r.Warmup)
	r.until = r.from.Add(r.Duration)
	running, cancel := context.WithDeadline(ctx, r.until)
	defer cancel()
	answers, stop := context.WithDeadline(ctx, r.until.Add(drainTimeout))
	defer stop()

	var all sync.WaitGroup
	for i, l := range r.lanes {
		all.Go(func() {
			if r.Rate > 0 {
				r.offer(running, answers, l, i, start)
			} else {
				r.saturate(running, answers, l, r.share(i))
			}
		})
	}
	all.Wait()
	for _, l := range r.lanes {
		_ = l.client.Flush(answers) // what has no answer by then is an error already
	}
	return r.report(), ctx.Err()
}

// share is how many messages connection i keeps in flight.
func (r *ingestRun) share(i int) int {
	n := r.InFlight / r.Connections
	if i < r.InFlight%r.Connections {
		n++
	}
	return n
}

// saturate keeps n messages in flight.
func (r *ingestRun) saturate(running, answers context.Context, l *lane, n int) {
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
		r.send(answers, l, time.Now(), func() { <-places })
	}
}

// offer sends the connection's part of the rate: message k of connection i is
// due at start + (k · connections + i) / rate.
func (r *ingestRun) offer(running, answers context.Context, l *lane, i int, start time.Time) {
	gap := time.Duration(float64(time.Second) / r.Rate)
	due := start.Add(gap * time.Duration(i))
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ; due.Before(r.until); due = due.Add(gap * time.Duration(r.Connections)) {
		if wait := time.Until(due); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-running.Done():
				return
			}
		}
		r.send(answers, l, due, func() {})
	}
}

func (r *ingestRun) send(ctx context.Context, l *lane, due time.Time, answered func()) {
	conv := l.convs[l.next%len(l.convs)]
	l.next++
	conv.SendAsync(ctx, client.Draft{Body: l.body}, func(_ client.Sent, err error) {
		now := time.Now()
		l.mu.Lock()
		switch {
		case due.Before(r.from):
		case err != nil:
			l.errors++
		default:
			l.latencies = append(l.latencies, now.Sub(due))
		}
		l.mu.Unlock()
		answered()
	})
}

func (r *ingestRun) report() IngestReport {
	rep := IngestReport{Offered: r.Rate, Seconds: r.Duration.Seconds()}
	var all []time.Duration
	for _, l := range r.lanes {
		l.mu.Lock()
		all = append(all, l.latencies...)
		rep.Errors += l.errors
		l.mu.Unlock()
	}
	slices.Sort(all)
	rep.Messages = len(all)
	rep.Completed = float64(len(all)) / rep.Seconds
	rep.Latency = Latency{P50: at(all, 0.5), P99: at(all, 0.99), P999: at(all, 0.999), Max: at(all, 1)}
	return rep
}

// at returns a percentile of sorted latencies, in milliseconds.
func at(sorted []time.Duration, part float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	i := min(int(part*float64(len(sorted))), len(sorted)-1)
	return float64(sorted[i].Microseconds()) / 1000
}
