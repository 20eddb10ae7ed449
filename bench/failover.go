package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/histogram"
	"github.com/quorate/quorate/wire"
)

// Failover kills a node under load, and measures how long conversations take no
// sends. At the end it reads everything back.
type Failover struct {
	Rate          float64       // messages a second, going round in the conversations
	Connections   int           // that send
	Conversations int           // all of which are sent to right after the kill
	Before        time.Duration // of load, before the kill
	After         time.Duration // of load, after it
	Within        time.Duration // after the kill each conversation is sent to once more, evenly spread over this time
	BodyBytes     int

	// Kill ends a node at once, and returns which.
	Kill func(ctx context.Context) (string, error)
}

// Validate implements Scenario.
func (b Failover) Validate() error {
	var c checks
	b.load(b.Before + b.After).check(&c)
	c.that(b.Rate > 0, "a rate of %v, want more than 0", b.Rate)
	c.that(b.Connections >= 1 && b.Connections <= maxConnections, "%d connections, want 1 to %d", b.Connections, maxConnections)
	c.that(b.Conversations >= b.Connections && b.Conversations <= maxConversations,
		"%d conversations, want at least one for each of %d connections, and at most %d", b.Conversations, b.Connections, maxConversations)
	c.that(b.Before > 0, "%v of load before the kill, want more than 0", b.Before)
	c.that(b.Within > 0 && b.After >= b.Within, "each conversation is sent to within %v after the kill, want more than 0 and no more than the load after it, %v", b.Within, b.After)
	checkBody(&c, b.BodyBytes)
	c.that(b.BodyBytes >= stampBytes, "bodies of %d bytes, want at least %d, to know messages again", b.BodyBytes, stampBytes)
	return c.err()
}

func (b Failover) load(d time.Duration) Load {
	return Load{Rate: b.Rate, Limit: maxInFlight, Duration: d}
}

// FailoverReport is what a failover measured. The figures are those of the load,
// before and after the kill.
type FailoverReport struct {
	Setting
	Figures

	Killed        string      `json:"killed"`
	Conversations int         `json:"conversations"`
	Longest       float64     `json:"longest_without_success_ms"` // that any message of any conversation waited
	Again         Percentiles `json:"again_ms"`                   // of all conversations, from the kill until one sent after it was acknowledged
	Silent        int         `json:"silent"`                     // conversations that took no send after the kill
	Acknowledged  int         `json:"acknowledged"`
	Lost          int         `json:"lost"`      // acknowledged, and not there with its sequence and its body
	Twice         int         `json:"twice"`     // there more than once
	Unordered     int         `json:"unordered"` // there before one of the same conversation that was sent before it: nobody promises otherwise while a leader changes
}

// Print implements Report.
func (r *FailoverReport) Print(w io.Writer) error {
	rows := [][2]string{
		{"killed", r.Killed},
		{"longest without success", fmt.Sprintf("%.0f ms, over %d conversations", r.Longest, r.Conversations)},
		{"sends again, ms after", fmt.Sprintf("%s; %d conversations never", r.Again, r.Silent)},
		{"read back", fmt.Sprintf("%d acknowledged: %d lost, %d twice, %d out of order", r.Acknowledged, r.Lost, r.Twice, r.Unordered)},
	}
	rows = append(rows, r.Figures.rows("messages")...)
	return printRows(w, "failover", append(rows, r.Setting.rows()...))
}

// Failure implements Report.
func (r *FailoverReport) Failure() error {
	if r.Lost+r.Twice+r.Silent > 0 {
		return fmt.Errorf("%d acknowledged messages lost, %d twice, %d conversations took no send after the kill", r.Lost, r.Twice, r.Silent)
	}
	return r.Figures.Failure()
}

// Run implements Scenario.
func (b Failover) Run(ctx context.Context, t Target) (Report, error) {
	set, err := setting("failover", t.ProbeDir)
	if err != nil {
		return nil, err
	}
	t.Usage = nil // a node that is gone tells nothing
	r := &failoverRun{Failover: b, target: t}
	defer func() { closeAll(r.clients) }()
	t.say("making %d conversations over %d connections", b.Conversations, b.Connections)
	if err := r.setup(ctx); err != nil {
		return nil, fmt.Errorf("set up: %w", err)
	}
	rep := &FailoverReport{Setting: set, Conversations: b.Conversations}
	if err := r.under(ctx, rep); err != nil {
		return nil, err
	}
	t.say("reading everything back")
	return rep, r.check(ctx, rep)
}

// failoverRun is one run's conversations.
type failoverRun struct {
	Failover

	target  Target
	clients []*client.Client
	convs   []*ledger
	tokens  atomic.Uint64
	killed  time.Time
}

// ledger is a conversation and what was acknowledged in it.
type ledger struct {
	*client.Conversation

	mu    sync.Mutex
	acked map[uint64]wire.Seq // by what the message carries
	again time.Time           // when a message that was due after the kill was first acknowledged
}

func (r *failoverRun) setup(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	if r.clients, err = r.target.openAll(ctx, newName(), r.Connections, manyPending); err != nil {
		return err
	}
	all, err := r.target.makeGroups(ctx, r.clients, r.Conversations, func(int) client.NewConversation { return client.NewConversation{} })
	for _, conv := range all {
		r.convs = append(r.convs, &ledger{Conversation: conv, acked: map[uint64]wire.Seq{}})
	}
	return err
}

// under offers the load and kills a node under it.
func (r *failoverRun) under(ctx context.Context, rep *FailoverReport) (err error) {
	r.target.say("%.0f messages a second for %v; then a node is killed, and it goes on for %v", r.Rate, r.Before, r.After)
	lanes := make([]int, r.Connections) // how many each has sent
	var load, probes *outcome
	var all sync.WaitGroup
	all.Go(func() {
		load = r.load(r.Before+r.After).run(ctx, r.Connections, func(ctx context.Context, lane int, _ time.Time, done func(error)) {
			n := lanes[lane] % share(len(r.convs), lane, r.Connections)
			lanes[lane]++
			r.send(ctx, r.convs[lane+n*r.Connections], false, done)
		}, nil)
	})
	if err = clock.Sleep(ctx, r.Before); err == nil {
		if rep.Killed, err = r.Kill(ctx); err == nil {
			r.killed = time.Now()
			probes = r.probe(ctx)
		}
	}
	all.Wait()
	if err != nil {
		return err
	}
	rep.Figures = load.figures(Cost{})
	rep.Errors += probes.errors.Load()
	rep.Longest = millis(max(load.latency.Counts().At(1), probes.latency.Counts().At(1)))
	var again histogram.Histogram
	for _, l := range r.convs {
		if l.again.IsZero() {
			rep.Silent++
			continue
		}
		again.Record(l.again.Sub(r.killed))
	}
	rep.Again = percentiles(again.Counts())
	return ctx.Err()
}

// probe sends to each conversation once.
func (r *failoverRun) probe(ctx context.Context) *outcome {
	l := Load{Rate: float64(len(r.convs)) / r.Within.Seconds(), Limit: maxInFlight, Duration: 2 * r.Within, pieces: len(r.convs)}
	next := 0
	return l.run(ctx, 1, func(ctx context.Context, _ int, _ time.Time, done func(error)) {
		conv := r.convs[next]
		next++
		r.send(ctx, conv, true, done)
	}, nil)
}

// probeBit marks the one message of a conversation that another goroutine sends,
// so that it has no order among the others.
const probeBit = 1

// send sends a message that is known again, and notes it when it is acknowledged.
func (r *failoverRun) send(ctx context.Context, l *ledger, probe bool, done func(error)) {
	token := r.tokens.Add(1) << 1
	if probe {
		token |= probeBit
	}
	body := make([]byte, r.BodyBytes)
	binary.BigEndian.PutUint64(body, token)
	l.SendAsync(ctx, client.Draft{Body: body}, func(s client.Sent, err error) {
		if err == nil {
			l.mu.Lock()
			l.acked[token] = s.Seq
			if probe && l.again.IsZero() {
				l.again = time.Now()
			}
			l.mu.Unlock()
		}
		done(err)
	})
}

// check reads everything back.
func (r *failoverRun) check(ctx context.Context, rep *FailoverReport) error {
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	var lost, twice, unordered, acked atomic.Int64
	err := each(ctx, len(r.convs), 4*r.Connections, func(ctx context.Context, i int) error {
		found, err := r.convs[i].read(ctx)
		if err != nil {
			return fmt.Errorf("read a conversation back: %w", err)
		}
		l, n, o := compare(r.convs[i].acked, found)
		acked.Add(int64(len(r.convs[i].acked)))
		lost.Add(l)
		twice.Add(n)
		unordered.Add(o)
		return nil
	})
	rep.Acknowledged, rep.Lost, rep.Twice, rep.Unordered = int(acked.Load()), int(lost.Load()), int(twice.Load()), int(unordered.Load())
	return err
}

// compare counts what of a conversation was acknowledged and is not there, what is
// there twice, and what stands before an earlier one.
func compare(acked map[uint64]wire.Seq, found []foundMessage) (lost, twice, unordered int64) {
	seen := map[uint64]wire.Seq{}
	before := uint64(0)
	for _, m := range found {
		if seen[m.token] > 0 {
			twice++
		}
		seen[m.token] = m.seq
		if m.token&probeBit != 0 {
			continue
		}
		if m.token < before {
			unordered++
		}
		before = m.token
	}
	for token, seq := range acked {
		if seen[token] != seq {
			lost++
		}
	}
	return lost, twice, unordered
}

type foundMessage struct {
	token uint64
	seq   wire.Seq
}

// read reads all messages of the conversation, as they are on a majority.
func (l *ledger) read(ctx context.Context) (found []foundMessage, err error) {
	q := client.Range{OldestFirst: true, Limit: wire.MaxPageEntries, Strong: true}
	for {
		page, err := l.History(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, m := range page.Messages {
			if len(m.Body) < stampBytes {
				return nil, errors.New("a message has lost its body")
			}
			found = append(found, foundMessage{binary.BigEndian.Uint64(m.Body), m.Seq})
		}
		if !page.More {
			return found, nil
		}
		q.FromSeq = page.Next
	}
}
