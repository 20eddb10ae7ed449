package bench

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/bench/lean"
	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/histogram"
	"github.com/quorate/quorate/wire"
)

// Ingest sends messages that are acknowledged once they are on the disks of a
// majority. With a Search it looks for the highest rate that the cluster sustains.
type Ingest struct {
	Load

	Dialect       Dialect // of those who send
	Connections   int
	Conversations int // that the messages go round in
	Members       int // of each
	BodyBytes     int
	Search        *Search
}

// Limits of what may be asked for.
const (
	maxConnections   = 10_000
	maxConversations = 1_000_000
	maxMembers       = 100_000
)

// Validate implements Scenario.
func (b Ingest) Validate() error {
	var c checks
	b.check(&c)
	return c.err()
}

func (b Ingest) check(c *checks) {
	if b.Search == nil {
		b.Load.check(c)
	} else {
		b.Search.check(c)
	}
	c.that(b.Connections >= 1 && b.Connections <= maxConnections, "%d connections, want 1 to %d", b.Connections, maxConnections)
	c.that(b.Conversations >= b.Connections && b.Conversations <= maxConversations,
		"%d conversations, want at least one for each of %d connections, and at most %d", b.Conversations, b.Connections, maxConversations)
	c.that(b.Rate > 0 || b.Search != nil || b.InFlight >= b.Connections, "%d messages in flight, want at least one for each of %d connections", b.InFlight, b.Connections)
	c.that(b.Members >= 1 && b.Members <= maxMembers, "%d members, want 1 to %d", b.Members, maxMembers)
	checkBody(c, b.BodyBytes)
	b.Dialect.check(c)
}

func checkBody(c *checks, bytesEach int) {
	c.that(bytesEach >= 1 && bytesEach <= wire.MaxBodyBytes, "bodies of %d bytes, want 1 to %d", bytesEach, wire.MaxBodyBytes)
}

// IngestReport is what an ingest measured.
type IngestReport struct {
	Setting
	Figures

	Refusals   uint64      `json:"refusals"`                   // "not now", from the cluster to the client, which asks again; in the warm-up too
	Refusal    Percentiles `json:"refusal_ms"`                 // how long the cluster took to say so
	Saturation float64     `json:"saturation_per_s,omitempty"` // of a search: the highest rate that was sustained; the figures are those of it
	Steps      []Step      `json:"steps,omitempty"`            // of a search
}

// Print implements Report.
func (r *IngestReport) Print(w io.Writer) error {
	if r.Steps != nil {
		if err := printSteps(w, r.Steps, r.Saturation); err != nil {
			return err
		}
	}
	rows := r.Figures.rows("messages")
	if r.Refusals > 0 {
		rows = append(rows, [2]string{"refusals ms", fmt.Sprintf("%s; %d, and asked again", r.Refusal, r.Refusals)})
	}
	return printRows(w, "durable sends", append(rows, r.Setting.rows()...))
}

// Failure implements Report. That a search went too far is what it is for.
func (r *IngestReport) Failure() error {
	if r.Steps != nil && r.Saturation == 0 {
		return fmt.Errorf("not even %.0f messages a second were sustained", r.Steps[0].Offered)
	}
	return r.Figures.Failure()
}

// Run implements Scenario.
func (b Ingest) Run(ctx context.Context, t Target) (Report, error) {
	set, err := setting("ingest", t.ProbeDir)
	if err != nil {
		return nil, err
	}
	r := &ingestRun{Ingest: b, target: t}
	defer r.close()
	t.say("opening %d connections and %d conversations with %d members", b.Connections, b.Conversations, b.Members)
	if err := r.setup(ctx); err != nil {
		return nil, fmt.Errorf("set up: %w", err)
	}
	rep := &IngestReport{Setting: set}
	if b.Search != nil {
		rep.Figures, rep.Steps, err = b.Search.run(ctx, t, r.measure)
		if len(rep.Steps) > 0 {
			rep.Saturation = rep.Offered
		}
		return rep, err
	}
	t.say("warming up for %v, measuring for %v", b.Warmup, b.Duration)
	before := r.refusals.Counts()
	rep.Figures = r.measure(ctx, b.Load)
	refusals := r.refusals.Counts().Since(before)
	rep.Refusals, rep.Refusal = refusals.Total(), percentiles(refusals)
	return rep, ctx.Err()
}

// ingestRun is one run's connections.
type ingestRun struct {
	Ingest

	target   Target
	clients  []*client.Client
	leans    []*lean.Conn // with that dialect, who sends; for the same users as clients
	lanes    []sendLane   // one for each connection
	bodies   *bodies
	refusals histogram.Histogram
}

// sendLane is a connection's conversations, which its messages go round in.
type sendLane struct {
	convs []*outbox
	next  int
}

// outbox is a conversation and how many of its messages have no answer. The
// client makes who sends more than windowOf wait, which an open load must not.
type outbox struct {
	*client.Conversation

	via     *lean.Conn // not nil: sends, instead of the conversation's own client
	waiting atomic.Int64
}

const windowOf = wire.TokenWindow - 2

// send sends a message, or says that too many have no answer.
func (o *outbox) send(ctx context.Context, body []byte, done func(client.Sent, error)) {
	if o.waiting.Add(1) > windowOf {
		o.waiting.Add(-1)
		done(client.Sent{}, errOverLimit)
		return
	}
	if o.via != nil {
		o.via.Send(string(o.ID()), string(body), rand.Text(), func(err error) {
			o.waiting.Add(-1)
			done(client.Sent{}, err)
		})
		return
	}
	o.SendAsync(ctx, client.Draft{Body: body}, func(s client.Sent, err error) {
		o.waiting.Add(-1)
		done(s, err)
	})
}

func (l *sendLane) take() *outbox {
	o := l.convs[l.next%len(l.convs)]
	l.next++
	return o
}

func (r *ingestRun) close() {
	closeAll(r.clients)
	closeLeans(r.leans)
}

// setup opens connections, spread over the servers, and conversations.
func (r *ingestRun) setup(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	r.bodies = newBodies(r.BodyBytes)
	run := newName()
	if r.clients, err = r.target.openSenders(ctx, run, r.Connections, r.Members, r.hearRefusals); err != nil {
		return err
	}
	all, err := r.target.makeGroups(ctx, r.clients, r.Conversations, func(int) client.NewConversation { return newGroup(run, r.Members) })
	if err != nil {
		return err
	}
	r.lanes = deal(all, r.Connections)
	if r.Dialect == LeanMessage {
		r.leans, err = r.target.openLeans(ctx, r.clients, r.lanes)
	}
	return err
}

// manyPending lets a client have as many calls without an answer as a load may.
func manyPending(o *client.Options) { o.MaxPending = maxInFlight }

// hearRefusals counts what the cluster refuses for now.
func (r *ingestRun) hearRefusals(o *client.Options) {
	o.Handlers.Refused = func(_ *wire.Error, after time.Duration) { r.refusals.Record(after) }
}

// deal gives each lane its conversations.
func deal(all []*client.Conversation, lanes int) []sendLane {
	dealt := make([]sendLane, lanes)
	for i, conv := range all {
		l := &dealt[i%lanes]
		l.convs = append(l.convs, &outbox{Conversation: conv})
	}
	return dealt
}

// measure offers a load and says what came of it.
func (r *ingestRun) measure(ctx context.Context, l Load) Figures {
	return r.target.measure(ctx, l, r.BodyBytes, r.Connections, func(ctx context.Context, lane int, _ time.Time, done func(error)) {
		r.lanes[lane].take().send(ctx, r.bodies.take(), func(_ client.Sent, err error) { done(err) })
	})
}

// measure offers a load, each piece of which has so much payload.
func (t Target) measure(ctx context.Context, l Load, payload, lanes int, do work) Figures {
	m := meter{target: t}
	o := l.run(ctx, lanes, do, func(begins bool) { m.look(ctx, begins) })
	if m.err != nil {
		t.say("%v", m.err)
	}
	completed := o.completed.Load()
	return o.figures(m.cost(completed, float64(payload)*float64(completed)))
}
