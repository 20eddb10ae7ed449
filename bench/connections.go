package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/wire"
)

// Connections opens sessions that follow logs and do nothing else, and measures
// what they cost the nodes. With a rate it then has each of them send now and then,
// and measures once more.
type Connections struct {
	Sessions      int           // each a user of its own, spread over the servers
	Conversations int           // that each follows, beside its user log; 0: none
	Members       int           // of each conversation
	Opening       int           // sessions that are being opened at once
	Settle        time.Duration // in which the nodes must have applied nothing before they are measured
	Idle          time.Duration // for which their processor time is measured
	Rate          float64       // messages a second that each session sends while they are lightly used; 0: that is left out
	BodyBytes     int
}

// Validate implements Scenario.
func (b Connections) Validate() error {
	var c checks
	c.that(b.Sessions >= 1 && b.Sessions <= maxConnections, "%d sessions, want 1 to %d", b.Sessions, maxConnections)
	c.that(b.Conversations >= 0 && b.Conversations <= 1000, "%d conversations for each, want 0 to 1000", b.Conversations)
	c.that(b.Members >= 1 && b.Members <= 100, "%d members, want 1 to 100", b.Members)
	c.that(b.Opening >= 1 && b.Opening <= maxConnections, "%d sessions opening at once, want 1 to %d", b.Opening, maxConnections)
	c.that(b.Settle > 0 && b.Idle > 0, "settling for %v and idle for %v, want more than 0", b.Settle, b.Idle)
	c.that(b.Rate >= 0 && b.Rate <= 1000, "%v messages a second of each session, want 0 to 1000", b.Rate)
	c.that(b.Rate == 0 || b.Conversations > 0, "sessions without conversations cannot send")
	checkBody(&c, b.BodyBytes)
	return c.err()
}

// ConnectionsReport is what idle sessions cost all nodes together.
type ConnectionsReport struct {
	Setting

	Sessions    int           `json:"sessions"`
	Errors      int           `json:"errors"`
	FirstError  string        `json:"first_error,omitempty"`
	OpenSeconds float64       `json:"open_s"`
	PerSession  SessionCost   `json:"per_session"`
	BeforeCores float64       `json:"before_cores"` // of all nodes, before the sessions
	IdleCores   float64       `json:"idle_cores"`   // with them
	Before      []node.Memory `json:"before"`
	After       []node.Memory `json:"after"`
	Light       *Figures      `json:"light,omitempty"` // while each session sends now and then; absent: that was left out
}

// SessionCost is what one session more takes.
type SessionCost struct {
	RSS        float64 `json:"rss_bytes"`
	Anonymous  float64 `json:"anon_bytes"`
	Heap       float64 `json:"heap_bytes"`
	Stacks     float64 `json:"stack_bytes"`
	Goroutines float64 `json:"goroutines"`
	Cores      float64 `json:"cores"`
}

// Run implements Scenario: it makes the conversations, looks at the nodes, opens
// the sessions and looks again.
func (b Connections) Run(ctx context.Context, t Target) (Report, error) {
	if t.Memory == nil {
		return nil, errors.New("what sessions cost is told by the nodes: give the app's master key")
	}
	set, err := setting("connections", t.ProbeDir)
	if err != nil {
		return nil, err
	}
	r := &connectionsRun{Connections: b, target: t, name: newName()}
	defer func() { closeAll(r.sessions) }()
	r.draw()
	t.say("making %d conversations", len(r.members))
	if err := r.setup(ctx); err != nil {
		return nil, fmt.Errorf("set up: %w", err)
	}
	t.say("waiting until the nodes are quiet, and measuring without sessions for %v", b.Idle)
	before, beforeCores, err := r.look(ctx)
	if err != nil {
		return nil, err
	}
	t.say("opening %d sessions, each following %d logs", b.Sessions, b.Conversations+1)
	start := time.Now()
	r.openAll(ctx)
	opened := time.Since(start)
	t.say("opened in %.1f s with %d errors, measuring for %v", opened.Seconds(), r.failures.Load(), b.Idle)
	after, afterCores, err := r.look(ctx)
	if err != nil {
		return nil, err
	}
	rep := &ConnectionsReport{Setting: set, OpenSeconds: opened.Seconds(), BeforeCores: beforeCores, IdleCores: afterCores, Before: before, After: after}
	r.count(rep)
	if b.Rate > 0 && rep.Errors == 0 {
		t.say("sending %.0f messages a second over all sessions for %v", b.Rate*float64(b.Sessions), b.Idle)
		light := r.light(ctx)
		rep.Light = &light
	}
	return rep, ctx.Err()
}

// lightWarmup is not measured.
const lightWarmup = 2 * time.Second

// light has each session send now and then, into the first of its conversations.
func (r *connectionsRun) light(ctx context.Context) Figures {
	said := newBodies(r.BodyBytes)
	lanes := min(len(r.sessions), 64)
	next := make([]int, lanes)
	load := Load{Rate: r.Rate * float64(r.Sessions), Limit: maxInFlight, Warmup: lightWarmup, Duration: r.Idle}
	return r.target.measure(ctx, load, r.BodyBytes, lanes, func(ctx context.Context, lane int, _ time.Time, done func(error)) {
		i := (lane + next[lane]*lanes) % len(r.sessions)
		next[lane]++
		conv := r.sessions[i].Conversation(r.ids[r.follows[i][0]])
		conv.SendAsync(ctx, client.Draft{Body: said.take()}, func(_ client.Sent, err error) { done(err) })
	})
}

// connectionsRun is one run's sessions.
type connectionsRun struct {
	Connections

	target Target
	name   string // makes the run's users new ones

	members  [][]int                  // of each conversation, as sessions
	follows  [][]int                  // of each session, as conversations
	ids      []wire.ConversationID    // of the conversations
	sessions []*client.Client         // nil: not opened
	subs     [][]*client.Subscription // of each session: its own log's, and then its conversations'
	failed   atomic.Pointer[error]    // the first error
	failures atomic.Int64
}

// draw decides who is in which conversation: in each round all sessions are
// shuffled and cut into conversations.
func (r *connectionsRun) draw() {
	r.follows = make([][]int, r.Sessions)
	for round := range r.Conversations {
		order := rand.New(rand.NewPCG(1, uint64(round))).Perm(r.Sessions)
		for first := 0; first < len(order); first += r.Members {
			members := order[first:min(first+r.Members, len(order))]
			for _, i := range members {
				r.follows[i] = append(r.follows[i], len(r.members))
			}
			r.members = append(r.members, members)
		}
	}
	r.ids = make([]wire.ConversationID, len(r.members))
	r.sessions, r.subs = make([]*client.Client, r.Sessions), make([][]*client.Subscription, r.Sessions)
}

// setup makes the conversations, over a few sessions at each server. These
// follow a log too, so that what a node loads for its first session is there
// before it is looked at.
func (r *connectionsRun) setup(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	makers, err := r.target.openAll(ctx, r.name+"-setup", max(8, 2*len(r.target.Servers)))
	defer closeAll(makers)
	if err != nil {
		return err
	}
	for _, c := range makers {
		if _, err := c.Subscribe(ctx, client.FromEnd); err != nil {
			return fmt.Errorf("follow a user log: %w", err)
		}
	}
	convs, err := r.target.makeGroups(ctx, makers, len(r.members), func(n int) client.NewConversation {
		users := make([]wire.UserID, len(r.members[n]))
		for k, i := range r.members[n] {
			users[k] = userOf(r.name, i)
		}
		return client.NewConversation{Members: users}
	})
	if err != nil {
		return err
	}
	for n, conv := range convs {
		r.ids[n] = conv.ID()
	}
	return nil
}

// look waits until the nodes are quiet, and measures them.
func (r *connectionsRun) look(ctx context.Context) (memory []node.Memory, cores float64, err error) {
	first, err := r.target.quiet(ctx, r.Settle)
	if err != nil {
		return nil, 0, err
	}
	start := time.Now()
	if err := clock.Sleep(ctx, r.Idle); err != nil {
		return nil, 0, err
	}
	elapsed := time.Since(start).Seconds()
	last, err := r.target.memory(ctx)
	if err != nil {
		return nil, 0, err
	}
	return last, (sum(last, cpuSeconds) - sum(first, cpuSeconds)) / elapsed, nil
}

// openAll opens the sessions, a bounded number at once. That one fails does not
// keep the others from it.
func (r *connectionsRun) openAll(ctx context.Context) {
	_ = each(ctx, r.Sessions, r.Opening, func(ctx context.Context, i int) error {
		if err := r.open(ctx, i); err != nil {
			r.failures.Add(1)
			r.failed.CompareAndSwap(nil, &err)
		}
		return nil
	})
}

// open opens one session and has it follow its logs.
func (r *connectionsRun) open(ctx context.Context, i int) error {
	c, err := r.target.dial(ctx, i, userOf(r.name, i))
	if err != nil {
		return fmt.Errorf("open session %d: %w", i, err)
	}
	r.sessions[i] = c
	logs := []client.Position{{After: client.FromEnd}}
	for _, n := range r.follows[i] {
		logs = append(logs, client.Position{Conversation: r.ids[n], After: client.FromEnd})
	}
	if r.subs[i], err = c.SubscribeAll(ctx, logs...); err != nil {
		return fmt.Errorf("follow the logs of session %d: %w", i, err)
	}
	return nil
}

// count fills in what the sessions cost.
func (r *connectionsRun) count(rep *ConnectionsReport) {
	for _, c := range r.sessions {
		if c != nil && c.Err() == nil {
			rep.Sessions++
		}
	}
	rep.Errors = int(r.failures.Load())
	if err := r.failed.Load(); err != nil {
		rep.FirstError = (*err).Error()
	}
	each := func(f func(node.Memory) float64) float64 {
		return (sum(rep.After, f) - sum(rep.Before, f)) / float64(max(rep.Sessions, 1))
	}
	rep.PerSession = SessionCost{
		RSS:        each(func(m node.Memory) float64 { return float64(m.RSS) }),
		Anonymous:  each(func(m node.Memory) float64 { return float64(m.Anonymous) }),
		Heap:       each(func(m node.Memory) float64 { return float64(m.Heap) }),
		Stacks:     each(func(m node.Memory) float64 { return float64(m.Stacks) }),
		Goroutines: each(func(m node.Memory) float64 { return float64(m.Goroutines) }),
		Cores:      (rep.IdleCores - rep.BeforeCores) / float64(max(rep.Sessions, 1)),
	}
}

func cpuSeconds(m node.Memory) float64 { return m.CPUSeconds }

func sum(all []node.Memory, f func(node.Memory) float64) float64 {
	total := 0.0
	for _, m := range all {
		total += f(m)
	}
	return total
}

// Print implements Report.
func (r *ConnectionsReport) Print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%d sessions opened in %.1f s, %d errors\n\n", r.Sessions, r.OpenSeconds, r.Errors)
	fmt.Fprintln(w, "NODE\tSESSIONS\tRSS BEFORE\tAFTER\tHEAP BEFORE\tAFTER\tSTACKS AFTER\tGOROUTINES AFTER")
	for i, after := range r.After {
		before := r.Before[i]
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t%d\n", after.Node, after.Sessions, mib(before.RSS), mib(after.RSS),
			mib(before.Heap), mib(after.Heap), mib(after.Stacks), after.Goroutines)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	s := r.PerSession
	rows := [][2]string{
		{"memory", fmt.Sprintf("%.1f KiB of RSS (%.1f anonymous; heap %.1f, stacks %.1f)", s.RSS/1024, s.Anonymous/1024, s.Heap/1024, s.Stacks/1024)},
		{"goroutines", fmt.Sprintf("%.2f", s.Goroutines)},
		{"processor", fmt.Sprintf("%.1f millionths of a core; all nodes %.3f cores without sessions, %.3f with them", s.Cores*1e6, r.BeforeCores, r.IdleCores)},
	}
	fmt.Fprintln(out)
	if err := printRows(out, "an idle session", append(rows, r.rows()...)); err != nil || r.Light == nil {
		return err
	}
	fmt.Fprintln(out)
	return printRows(out, "lightly used", r.Light.rows("messages"))
}

// Failure implements Report.
func (r *ConnectionsReport) Failure() error {
	switch {
	case r.Errors > 0:
		return fmt.Errorf("%d sessions failed, the first: %s", r.Errors, r.FirstError)
	case r.Light != nil:
		return r.Light.Failure()
	}
	return nil
}

func mib(n uint64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
