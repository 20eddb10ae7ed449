package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// loadReport is what a load prints, of either system: the part of what
// "quorate bench ingest --json" prints that is compared.
type loadReport struct {
	Completed float64 `json:"completed_per_s"`
	Messages  int     `json:"messages"`
	Errors    int     `json:"errors"`
	Latency   latency `json:"latency_ms"`
	Seconds   float64 `json:"seconds"`
}

// latency is percentiles in milliseconds.
type latency struct {
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
	Max  float64 `json:"max"`
}

// drainTimeout bounds how long answers may take after the measured time.
const drainTimeout = 30 * time.Second

// natsLoadRun keeps messages in flight on a NATS cluster, as
// "quorate bench ingest" does on Quorate.
type natsLoadRun struct {
	servers     []string
	streams     int
	subjects    int // over all streams, as the conversations
	connections int
	inFlight    int // over all connections
	body        int
	warmup      time.Duration
	duration    time.Duration

	from, until time.Time // the measured time
}

// natsLane is one connection.
type natsLane struct {
	run    *natsLoadRun
	conn   *nats.Conn
	js     jetstream.JetStream
	places chan struct{} // one for each message in flight

	mu        sync.Mutex
	due       map[*nats.Msg]time.Time
	latencies []time.Duration // of what was due in the measured time
	completed int             // was answered in it, whenever it was due
	errors    int
	first     error
}

func natsLoad(ctx context.Context, args []string, out, progress io.Writer) error {
	var servers string
	r := &natsLoadRun{}
	flags := flag.NewFlagSet("nats-load", flag.ContinueOnError)
	flags.StringVar(&servers, "servers", "", "addresses of the servers, with commas")
	flags.IntVar(&r.streams, "streams", 8, "streams, as nats-load's caller has made them")
	flags.IntVar(&r.subjects, "subjects", 64, "subjects that the messages go round in")
	flags.IntVar(&r.connections, "connections", 8, "connections, spread over the servers")
	flags.IntVar(&r.inFlight, "in-flight", 64, "messages without an answer, over all connections")
	flags.IntVar(&r.body, "body", 256, "bytes of a message")
	flags.DurationVar(&r.warmup, "warmup", 2*time.Second, "not measured")
	flags.DurationVar(&r.duration, "duration", 8*time.Second, "measured")
	if err := parse(flags, args, progress); err != nil {
		return err
	}
	if r.streams < 1 || r.subjects < r.streams || r.connections < 1 || r.inFlight < r.connections || r.body < 1 {
		return fmt.Errorf("%w: want at least one of each, a subject for each stream and a message for each connection", errMisused)
	}
	r.servers = strings.Split(servers, ",")
	report, err := r.run(ctx, progress)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(report)
}

func (r *natsLoadRun) run(ctx context.Context, progress io.Writer) (loadReport, error) {
	lanes := make([]*natsLane, r.connections)
	for i := range lanes {
		l, err := r.open(i)
		if err != nil {
			return loadReport{}, fmt.Errorf("connection %d: %w", i, err)
		}
		defer l.conn.Close()
		lanes[i] = l
	}
	fmt.Fprintf(progress, "warming up for %v, measuring for %v\n", r.warmup, r.duration)
	r.from = time.Now().Add(r.warmup)
	r.until = r.from.Add(r.duration)
	running, cancel := context.WithDeadline(ctx, r.until)
	defer cancel()
	var all sync.WaitGroup
	for i, l := range lanes {
		all.Go(func() { l.saturate(running, i) })
	}
	all.Wait()
	for _, l := range lanes {
		l.drain()
	}
	return r.report(lanes, progress), ctx.Err()
}

func (r *natsLoadRun) open(i int) (*natsLane, error) {
	share := r.inFlight / r.connections
	if i < r.inFlight%r.connections {
		share++
	}
	l := &natsLane{run: r, places: make(chan struct{}, share), due: map[*nats.Msg]time.Time{}}
	var err error
	if l.conn, err = nats.Connect(r.servers[i%len(r.servers)], nats.DontRandomize()); err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	l.js, err = jetstream.New(l.conn,
		jetstream.WithPublishAsyncMaxPending(r.inFlight+r.connections),
		jetstream.WithPublishAsyncAckHandler(func(_ jetstream.JetStream, m *nats.Msg, _ *jetstream.PubAck) { l.answered(m, nil) }),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, m *nats.Msg, err error) { l.answered(m, err) }))
	if err != nil {
		l.conn.Close()
		return nil, fmt.Errorf("speak JetStream: %w", err)
	}
	return l, nil
}

// saturate keeps the connection's messages in flight.
func (l *natsLane) saturate(running context.Context, i int) {
	subjects := l.run.subjectsOf(i)
	body := make([]byte, l.run.body)
	_, _ = rand.Read(body) // it never fails
	for n := 0; ; n++ {
		select {
		case l.places <- struct{}{}:
		case <-running.Done():
			return
		}
		if running.Err() != nil {
			<-l.places
			return
		}
		m := &nats.Msg{Subject: subjects[n%len(subjects)], Data: body}
		l.mu.Lock()
		l.due[m] = time.Now()
		l.mu.Unlock()
		if _, err := l.js.PublishMsgAsync(m); err != nil {
			l.answered(m, err)
		}
	}
}

// subjectsOf returns where a connection sends to: subjects i, i + connections,
// i + 2 · connections and so on, as Quorate's load shares its conversations.
// The subjects of each connection are spread over all streams.
func (r *natsLoadRun) subjectsOf(connection int) []string {
	var subjects []string
	for s := connection; s < max(r.subjects, r.connections); s += r.connections {
		stream := (s/r.connections + connection) % r.streams
		subjects = append(subjects, fmt.Sprintf("bench.%d.%d", stream, s))
	}
	return subjects
}

func (r *natsLoadRun) measured(t time.Time) bool { return !t.Before(r.from) && t.Before(r.until) }

// answered counts an answer as Quorate's bench does.
func (l *natsLane) answered(m *nats.Msg, err error) {
	now := time.Now()
	l.mu.Lock()
	due := l.due[m]
	delete(l.due, m)
	if err == nil && l.run.measured(now) {
		l.completed++
	}
	switch {
	case !l.run.measured(due):
	case err != nil:
		l.errors++
		if l.first == nil {
			l.first = err
		}
	default:
		l.latencies = append(l.latencies, now.Sub(due))
	}
	l.mu.Unlock()
	<-l.places
}

// drain waits for the answers that are still out; those that never come are
// errors.
func (l *natsLane) drain() {
	timeout := time.NewTimer(drainTimeout)
	defer timeout.Stop()
	for range cap(l.places) {
		select {
		case l.places <- struct{}{}:
		case <-timeout.C:
			l.mu.Lock()
			l.errors += len(l.due)
			l.first = errors.Join(l.first, context.DeadlineExceeded)
			l.mu.Unlock()
			return
		}
	}
}

func (r *natsLoadRun) report(lanes []*natsLane, progress io.Writer) loadReport {
	rep := loadReport{Seconds: r.duration.Seconds()}
	var all []time.Duration
	completed := 0
	for _, l := range lanes {
		l.mu.Lock()
		completed += l.completed
		all = append(all, l.latencies...)
		rep.Errors += l.errors
		if l.first != nil {
			fmt.Fprintf(progress, "%d messages failed, the first: %v\n", l.errors, l.first)
		}
		l.mu.Unlock()
	}
	slices.Sort(all)
	rep.Messages = len(all)
	rep.Completed = float64(completed) / rep.Seconds
	rep.Latency = latency{P50: at(all, 0.5), P99: at(all, 0.99), P999: at(all, 0.999), Max: at(all, 1)}
	return rep
}

// at returns a percentile of sorted latencies, in milliseconds, by the same
// rule as Quorate's bench.
func at(sorted []time.Duration, part float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	i := min(int(part*float64(len(sorted))), len(sorted)-1)
	return float64(sorted[i].Microseconds()) / 1000
}
