package bench

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/wire"
)

// Connections opens sessions that do nothing but follow logs, and measures what
// they cost the nodes. Zero fields have defaults, but for Conversations.
type Connections struct {
	Sessions      int           // each a user of its own, spread over the servers; default 2000
	Conversations int           // that each follows, beside its user log; 0: none
	Members       int           // of each conversation; default 10
	Opening       int           // sessions that are being opened at once; default 64
	Settle        time.Duration // in which the nodes must have applied nothing before they are measured; default 5s
	Idle          time.Duration // for which their processor time is measured; default 10s
}

// Observer asks every node of the cluster what its process takes, after a
// collection.
type Observer func(ctx context.Context) ([]node.Memory, error)

const (
	// observeTimeout bounds one question to all nodes.
	observeTimeout = 30 * time.Second
	// quietTimeout bounds how long the nodes are waited for until they have
	// done what was asked of them before.
	quietTimeout = 2 * time.Minute
)

func (b Connections) withDefaults() Connections {
	b.Sessions = cmp.Or(b.Sessions, 2000)
	b.Members = cmp.Or(b.Members, 10)
	b.Opening = cmp.Or(b.Opening, 64)
	b.Settle = cmp.Or(b.Settle, 5*time.Second)
	b.Idle = cmp.Or(b.Idle, 10*time.Second)
	return b
}

func (b Connections) validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(b.Sessions >= 1 && b.Sessions <= maxConnections, "%d sessions, want 1 to %d", b.Sessions, maxConnections)
	check(b.Conversations >= 0 && b.Conversations <= 1000, "%d conversations for each, want 0 to 1000", b.Conversations)
	check(b.Members >= 1 && b.Members <= 100, "%d members, want 1 to 100", b.Members)
	check(b.Opening >= 1 && b.Opening <= maxConnections, "%d sessions opening at once, want 1 to %d", b.Opening, maxConnections)
	return errors.Join(errs...)
}

// ConnectionsReport is what idle sessions cost all nodes together.
type ConnectionsReport struct {
	Sessions    int           `json:"sessions"`
	Errors      int           `json:"errors"`
	FirstError  string        `json:"first_error,omitempty"`
	OpenSeconds float64       `json:"open_s"`
	PerSession  SessionCost   `json:"per_session"`
	BeforeCores float64       `json:"before_cores"` // of all nodes, before the sessions
	IdleCores   float64       `json:"idle_cores"`   // with them
	Before      []node.Memory `json:"before"`
	After       []node.Memory `json:"after"`
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

// Run makes the conversations, looks at the nodes, opens the sessions and looks
// again. progress is told sentences for people; nil: nobody is.
func (b Connections) Run(ctx context.Context, t Target, observe Observer, progress func(string)) (ConnectionsReport, error) {
	b = b.withDefaults()
	if err := b.validate(); err != nil {
		return ConnectionsReport{}, err
	}
	if progress == nil {
		progress = func(string) {}
	}
	r := &connectionsRun{Connections: b, target: t, observe: observe, name: strings.ToLower(rand.Text()[:8])}
	defer r.close()
	r.draw()
	progress(fmt.Sprintf("making %d conversations", len(r.members)))
	if err := r.setup(ctx); err != nil {
		return ConnectionsReport{}, fmt.Errorf("set up: %w", err)
	}
	progress(fmt.Sprintf("waiting until the nodes are quiet, and measuring without sessions for %v", b.Idle))
	before, beforeCores, err := r.look(ctx)
	if err != nil {
		return ConnectionsReport{}, err
	}
	progress(fmt.Sprintf("opening %d sessions, each following %d logs", b.Sessions, b.Conversations+1))
	start := time.Now()
	r.openAll(ctx)
	opened := time.Since(start)
	progress(fmt.Sprintf("opened in %.1f s with %d errors, measuring for %v", opened.Seconds(), r.failures.Load(), b.Idle))
	after, afterCores, err := r.look(ctx)
	if err != nil {
		return ConnectionsReport{}, err
	}
	rep := ConnectionsReport{OpenSeconds: opened.Seconds(), BeforeCores: beforeCores, IdleCores: afterCores, Before: before, After: after}
	r.count(&rep)
	return rep, ctx.Err()
}

// connectionsRun is one run's sessions.
type connectionsRun struct {
	Connections

	target  Target
	observe Observer
	name    string // makes the run's users new ones

	members  [][]int               // of each conversation, as sessions
	follows  [][]int               // of each session, as conversations
	ids      []wire.ConversationID // of the conversations
	sessions []*client.Client      // nil: not opened
	failed   atomic.Pointer[error] // the first error
	failures atomic.Int64
}

func (r *connectionsRun) user(i int) wire.UserID {
	return wire.UserID(fmt.Sprintf("bench-%s-%d", r.name, i))
}

// draw decides who is in which conversation: in each round all sessions are
// shuffled and cut into conversations.
func (r *connectionsRun) draw() {
	r.follows = make([][]int, r.Sessions)
	for round := range r.Conversations {
		order := mathrand.New(mathrand.NewPCG(1, uint64(round))).Perm(r.Sessions)
		for first := 0; first < len(order); first += r.Members {
			members := order[first:min(first+r.Members, len(order))]
			for _, i := range members {
				r.follows[i] = append(r.follows[i], len(r.members))
			}
			r.members = append(r.members, members)
		}
	}
	r.ids = make([]wire.ConversationID, len(r.members))
	r.sessions = make([]*client.Client, r.Sessions)
}

// dial signs in at one of the servers.
func (r *connectionsRun) dial(ctx context.Context, server int, user wire.UserID) (*client.Client, error) {
	return client.Dial(ctx, client.Options{
		Servers: []string{r.target.Servers[server%len(r.target.Servers)]},
		App:     r.target.App, Key: r.target.Key, TLS: r.target.TLS, User: user,
	})
}

// setup makes the conversations, over a few sessions at each server. These
// follow a log too, so that what a node loads for its first session is there
// before it is looked at.
func (r *connectionsRun) setup(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	var next atomic.Int64
	errs := make([]error, max(8, 2*len(r.target.Servers)))
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() { errs[i] = r.create(ctx, i, &next) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func (r *connectionsRun) create(ctx context.Context, i int, next *atomic.Int64) error {
	c, err := r.dial(ctx, i, wire.UserID(fmt.Sprintf("bench-%s-setup-%d", r.name, i)))
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Subscribe(ctx, client.FromEnd); err != nil {
		return fmt.Errorf("follow a user log: %w", err)
	}
	const atOnce = 8
	errs := make([]error, atOnce)
	var all sync.WaitGroup
	for k := range errs {
		all.Go(func() {
			for n := next.Add(1) - 1; n < int64(len(r.ids)) && errs[k] == nil; n = next.Add(1) - 1 {
				errs[k] = r.createOne(ctx, c, int(n))
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func (r *connectionsRun) createOne(ctx context.Context, c *client.Client, n int) error {
	users := make([]wire.UserID, len(r.members[n]))
	for k, i := range r.members[n] {
		users[k] = r.user(i)
	}
	info, err := c.Create(ctx, client.NewConversation{Name: "bench", Members: users})
	if err != nil {
		return fmt.Errorf("create a conversation: %w", err)
	}
	r.ids[n] = info.ID
	return nil
}

// look waits until the nodes are quiet, and measures them.
func (r *connectionsRun) look(ctx context.Context) (memory []node.Memory, cores float64, err error) {
	first, err := r.quiet(ctx)
	if err != nil {
		return nil, 0, err
	}
	start := time.Now()
	if err := pause(ctx, r.Idle); err != nil {
		return nil, 0, err
	}
	elapsed := time.Since(start).Seconds()
	last, err := r.ask(ctx)
	if err != nil {
		return nil, 0, err
	}
	return last, (sum(last, cpuSeconds) - sum(first, cpuSeconds)) / elapsed, nil
}

// quiet waits until the nodes have applied nothing for a while: what members
// are told of their conversations comes after the answers.
func (r *connectionsRun) quiet(ctx context.Context) ([]node.Memory, error) {
	ctx, cancel := context.WithTimeout(ctx, quietTimeout)
	defer cancel()
	applied := func(m node.Memory) float64 { return float64(m.Applied) }
	for before := -1.0; ; {
		memory, err := r.ask(ctx)
		if err != nil {
			return nil, err
		}
		now := sum(memory, applied)
		if now == before {
			return memory, nil
		}
		before = now
		if err := pause(ctx, r.Settle); err != nil {
			return nil, fmt.Errorf("wait until the nodes are quiet: %w", err)
		}
	}
}

func (r *connectionsRun) ask(ctx context.Context) ([]node.Memory, error) {
	ctx, cancel := context.WithTimeout(ctx, observeTimeout)
	defer cancel()
	memory, err := r.observe(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask the nodes what they take: %w", err)
	}
	return memory, nil
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// openAll opens the sessions, a bounded number at once.
func (r *connectionsRun) openAll(ctx context.Context) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(r.Opening, r.Sessions) {
		all.Go(func() {
			for i := int(next.Add(1) - 1); i < r.Sessions && ctx.Err() == nil; i = int(next.Add(1) - 1) {
				if err := r.open(ctx, i); err != nil {
					r.failures.Add(1)
					r.failed.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	all.Wait()
}

// open opens one session and has it follow its logs.
func (r *connectionsRun) open(ctx context.Context, i int) error {
	c, err := r.dial(ctx, i, r.user(i))
	if err != nil {
		return fmt.Errorf("open session %d: %w", i, err)
	}
	r.sessions[i] = c
	logs := []client.Position{{After: client.FromEnd}}
	for _, n := range r.follows[i] {
		logs = append(logs, client.Position{Conversation: r.ids[n], After: client.FromEnd})
	}
	if _, err := c.SubscribeAll(ctx, logs...); err != nil {
		return fmt.Errorf("follow the logs of session %d: %w", i, err)
	}
	return nil
}

func (r *connectionsRun) close() {
	var next atomic.Int64
	var all sync.WaitGroup
	for range r.Opening {
		all.Go(func() {
			for i := int(next.Add(1) - 1); i < len(r.sessions); i = int(next.Add(1) - 1) {
				if c := r.sessions[i]; c != nil {
					_ = c.Close()
				}
			}
		})
	}
	all.Wait()
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
