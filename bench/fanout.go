package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/bench/lean"
	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/histogram"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/leanpb"
)

// Fanout sends messages into groups of which some members are online, and measures
// how long each takes to each of them. This process sends and receives, so there
// is one clock.
type Fanout struct {
	Load

	Dialect     Dialect // of all who send and receive
	Groups      int     // that the messages go round in, each with members of its own
	Members     int     // of each group, with the one that sends
	Online      float64 // the share of the others that have a session; at least one
	Connections int     // that send
	BodyBytes   int
}

// stampBytes is what a message carries: when it was due.
const stampBytes = 8

// maxSessions bounds how many sessions a run may have.
const maxSessions = 20_000

// Validate implements Scenario.
func (b Fanout) Validate() error {
	var c checks
	b.check(&c)
	c.that(b.Groups >= 1 && b.Groups <= maxConversations, "%d groups, want 1 to %d", b.Groups, maxConversations)
	c.that(b.Members >= 2 && b.Members <= maxMembers, "%d members, want 2 to %d", b.Members, maxMembers)
	c.that(b.Online > 0 && b.Online <= 1, "a share of %v online, want more than 0 and at most 1", b.Online)
	c.that(b.Groups*b.sessions() <= maxSessions, "%d sessions, want at most %d", b.Groups*b.sessions(), maxSessions)
	c.that(b.Connections >= 1 && b.Connections <= min(b.Groups, maxConnections), "%d connections that send, want 1 to one for each of %d groups", b.Connections, b.Groups)
	checkBody(&c, b.BodyBytes)
	b.Dialect.check(&c)
	c.that(b.BodyBytes >= stampBytes, "bodies of %d bytes, want at least %d, for the time that it was sent", b.BodyBytes, stampBytes)
	return c.err()
}

// sessions is how many members of a group are online.
func (b Fanout) sessions() int {
	return max(1, int(math.Round(b.Online*float64(b.Members-1))))
}

// FanoutReport is what a fan-out measured: the figures are those of the sends.
type FanoutReport struct {
	Setting
	Figures

	Members     int         `json:"members"`
	Groups      int         `json:"groups"`
	Sessions    int         `json:"sessions"` // of all groups
	Deliveries  float64     `json:"deliveries_per_s"`
	Delivery    Percentiles `json:"delivery_ms"` // from when a message was due until a session had it
	Missing     uint64      `json:"missing"`     // acknowledged, and not delivered to a session
	DeliveryCPU float64     `json:"server_cpu_us_per_delivery"`
}

// Print implements Report.
func (r *FanoutReport) Print(w io.Writer) error {
	rows := [][2]string{
		{"deliveries", fmt.Sprintf("%.0f/s to %d sessions in %d groups of %d members; %d are missing", r.Deliveries, r.Sessions, r.Groups, r.Members, r.Missing)},
		{"to delivery ms", r.Delivery.String()},
	}
	if r.Known {
		rows = append(rows, [2]string{"server CPU", fmt.Sprintf("%.2f µs for each delivery", r.DeliveryCPU)})
	}
	return printRows(w, "fan-out", append(append(rows, r.Figures.rows("sends")...), r.Setting.rows()...))
}

// Failure implements Report.
func (r *FanoutReport) Failure() error {
	if r.Missing > 0 {
		return fmt.Errorf("%d deliveries of acknowledged messages are missing", r.Missing)
	}
	return r.Figures.Failure()
}

// Run implements Scenario.
func (b Fanout) Run(ctx context.Context, t Target) (Report, error) {
	set, err := setting("fanout", t.ProbeDir)
	if err != nil {
		return nil, err
	}
	r := &fanoutRun{Fanout: b, target: t, name: newName(), base: time.Now()}
	defer r.close()
	t.say("making %d groups of %d members", b.Groups, b.Members)
	if err := r.setup(ctx); err != nil {
		return nil, fmt.Errorf("set up: %w", err)
	}
	t.say("warming up for %v, measuring for %v", b.Warmup, b.Duration)
	f := r.measure(ctx)
	missing := r.awaitRest(ctx)
	rep := &FanoutReport{
		Setting: set, Figures: f, Members: b.Members, Groups: b.Groups, Sessions: b.Groups * b.sessions(),
		Deliveries: float64(r.received.Load()) / f.Seconds, Delivery: percentiles(r.delivery.Counts()), Missing: missing,
	}
	rep.DeliveryCPU = 1e6 * f.ServerCores / max(rep.Deliveries, 1)
	return rep, ctx.Err()
}

// fanoutRun is one run's groups and sessions.
type fanoutRun struct {
	Fanout

	target   Target
	name     string
	base     time.Time // what is sent is stamped with the time since then
	senders  []*client.Client
	lanes    []sendLane
	sessions []*client.Client
	leans    []*lean.Conn // with that dialect, the senders and then the sessions
	readers  sync.WaitGroup

	from, until time.Duration // the measured time, since base
	acked       atomic.Uint64 // deliveries that are owed
	all         atomic.Uint64 // deliveries, whenever
	received    atomic.Uint64 // in the measured time
	delivery    histogram.Histogram
	failed      atomic.Pointer[error] // the first error of a session
}

func (r *fanoutRun) close() {
	closeAll(r.senders)
	closeAll(r.sessions)
	closeLeans(r.leans)
	r.readers.Wait()
}

// setup makes the groups, and has a share of their members follow them.
func (r *fanoutRun) setup(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	if r.senders, err = r.target.openSenders(ctx, r.name+"-sender", r.Connections, r.Members); err != nil {
		return err
	}
	groups, err := r.target.makeGroups(ctx, r.senders, r.Groups, func(g int) client.NewConversation { return newGroup(r.group(g), r.Members) })
	if err != nil {
		return err
	}
	r.lanes = deal(groups, r.Connections)
	online := r.Fanout.sessions()
	r.target.say("opening %d sessions", len(groups)*online)
	if r.Dialect == LeanMessage {
		return r.followLean(ctx, len(groups)*online)
	}
	r.sessions = make([]*client.Client, len(groups)*online)
	return each(ctx, len(r.sessions), 64, func(ctx context.Context, i int) error {
		return r.follow(ctx, i, userOf(r.group(i/online)+"-m", i%online), groups[i/online].ID())
	})
}

func (r *fanoutRun) group(g int) string { return fmt.Sprintf("%s-%d", r.name, g) }

// follow opens a session that follows a group and counts what it is given.
func (r *fanoutRun) follow(ctx context.Context, i int, user wire.UserID, group wire.ConversationID) error {
	c, err := r.target.dial(ctx, i, user)
	if err != nil {
		return fmt.Errorf("session %d: %w", i, err)
	}
	r.sessions[i] = c
	sub, err := c.Conversation(group).Subscribe(ctx, client.FromEnd)
	if err != nil {
		return fmt.Errorf("session %d: %w", i, err)
	}
	r.readers.Go(func() {
		for e, err := range sub.Entries(context.Background()) { // until the session is closed
			if err != nil {
				if !errors.Is(err, client.ErrClosed) {
					r.failed.CompareAndSwap(nil, &err)
				}
				return
			}
			if e.Message != nil {
				r.deliver(e.Message.Body)
			}
		}
	})
	return nil
}

// followLean opens the sessions of the dialect, which follow all of their groups,
// and has the senders speak it too.
func (r *fanoutRun) followLean(ctx context.Context, sessions int) (err error) {
	if r.leans, err = r.target.openLeans(ctx, r.senders, r.lanes); err != nil {
		return err
	}
	online, senders := r.Fanout.sessions(), len(r.leans)
	r.leans = append(r.leans, make([]*lean.Conn, sessions)...)
	heard := make([]atomic.Bool, sessions)
	err = each(ctx, sessions, 64, func(ctx context.Context, i int) (err error) {
		r.leans[senders+i], err = r.target.dialLean(ctx, i, userOf(r.group(i/online)+"-m", i%online), func(m *leanpb.DirectCommand) {
			heard[i].Store(true)
			r.deliver([]byte(m.GetMsg()))
		})
		if err != nil {
			return fmt.Errorf("session %d: %w", i, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return r.awaitHearing(ctx, heard)
}

// awaitHearing says something in the groups, too short to count, until each
// session has heard something: a session of the dialect is open before it
// follows, and what is said in between it learns only as a count.
func (r *fanoutRun) awaitHearing(ctx context.Context, heard []atomic.Bool) error {
	for {
		deaf := 0
		for i := range heard {
			if !heard[i].Load() {
				deaf++
			}
		}
		if deaf == 0 {
			return nil
		}
		for i := range r.lanes {
			for _, group := range r.lanes[i].convs {
				group.send(ctx, []byte("hi"), func(client.Sent, error) {})
			}
		}
		if err := clock.Sleep(ctx, 200*time.Millisecond); err != nil {
			return fmt.Errorf("%d sessions hear nothing: %w", deaf, err)
		}
	}
}

// deliver counts a delivery.
func (r *fanoutRun) deliver(body []byte) {
	if len(body) < stampBytes {
		return
	}
	now, due := time.Since(r.base), time.Duration(binary.BigEndian.Uint64(body))
	r.all.Add(1)
	if now >= r.from && now < r.until {
		r.received.Add(1)
	}
	if due >= r.from && due < r.until {
		r.delivery.Record(now - due)
	}
}

// measure offers the load. A message is stamped with when it was due.
func (r *fanoutRun) measure(ctx context.Context) Figures {
	r.from = time.Since(r.base) + r.Warmup
	r.until = r.from + r.Duration
	owed := uint64(r.Fanout.sessions())
	return r.target.measure(ctx, r.Load, r.BodyBytes, r.Connections, func(ctx context.Context, lane int, due time.Time, done func(error)) {
		body := make([]byte, r.BodyBytes)
		binary.BigEndian.PutUint64(body, uint64(due.Sub(r.base)))
		r.lanes[lane].take().send(ctx, body, func(_ client.Sent, err error) {
			if err == nil {
				r.acked.Add(owed)
			}
			done(err)
		})
	})
}

// deliveryPatience is how long nothing may be delivered before what is still owed
// counts as missing.
const deliveryPatience = 5 * time.Second

// awaitRest waits for what is owed, and returns how much of it does not come.
func (r *fanoutRun) awaitRest(ctx context.Context) uint64 {
	for before, waited := uint64(0), time.Duration(0); waited < deliveryPatience; {
		got, owed := r.all.Load(), r.acked.Load()
		if got >= owed {
			return 0
		}
		if got > before {
			before, waited = got, 0
		}
		const look = 20 * time.Millisecond
		if clock.Sleep(ctx, look) != nil {
			break
		}
		waited += look
	}
	if err := r.failed.Load(); err != nil {
		r.target.say("a session failed: %v", *err)
	}
	return r.acked.Load() - min(r.all.Load(), r.acked.Load())
}
