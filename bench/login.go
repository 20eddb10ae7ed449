package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/histogram"
	"github.com/quorate/quorate/wire"
)

// Login opens sessions of users with few and with many conversations, one after
// the other, and then all sessions of a crowd at once, while some conversations
// have changed since they were closed.
type Login struct {
	Counts []int // conversations of the users that open alone; ascending
	Rounds int   // how often each opens

	Sessions      int     // of the crowd; 0: there is none
	Conversations int     // that each of the crowd follows
	Members       int     // of each of those
	Changed       float64 // share of them that have a new message
	Opening       int     // sessions that are being opened at once; 0: all
}

// followed is how many conversations a session follows at most: a node lets it
// follow 2,000 logs, the user's own among them.
const followed = 1999

// askedUnread is how many conversations one question about what is unread may name.
const askedUnread = 50

// Validate implements Scenario.
func (b Login) Validate() error {
	var c checks
	for _, n := range b.Counts {
		c.that(n >= 1 && n <= 100_000, "a user with %d conversations, want 1 to 100,000", n)
	}
	c.that(slices.IsSorted(b.Counts), "counts of conversations that are not ascending")
	c.that(b.Rounds >= 1 && b.Rounds <= 10_000, "%d rounds, want 1 to 10,000", b.Rounds)
	c.that(b.Sessions >= 0 && b.Sessions <= maxConnections, "%d sessions at once, want 0 to %d", b.Sessions, maxConnections)
	c.that(len(b.Counts) > 0 || b.Sessions > 0, "nothing to open")
	c.that(b.Conversations >= 1 && b.Conversations <= 1000, "%d conversations for each, want 1 to 1000", b.Conversations)
	c.that(b.Members >= 1 && b.Members <= 100, "%d members, want 1 to 100", b.Members)
	c.that(b.Changed >= 0 && b.Changed <= 1, "a share of %v changed, want 0 to 1", b.Changed)
	c.that(b.Opening >= 0, "%d opening at once, want 0 or more", b.Opening)
	return c.err()
}

// LoginReport is what opening sessions measured.
type LoginReport struct {
	Setting

	Alone []LoginAlone `json:"alone"`
	Crowd *LoginCrowd  `json:"crowd,omitempty"`
}

// LoginAlone is a user who opens a session while nobody else does.
type LoginAlone struct {
	Conversations int         `json:"conversations"`
	Followed      int         `json:"followed"` // of them, the newest
	SignIn        Percentiles `json:"sign_in_ms"`
	Latency       Percentiles `json:"latency_ms"` // until it has its list, follows, and knows what is unread
	ServerCPU     float64     `json:"server_cpu_us_per_login"`
}

// LoginCrowd is all sessions at once. The figures are those of the sessions; a
// session is there when it has signed in, follows, and has every message that it
// had missed.
type LoginCrowd struct {
	Figures

	Sessions      int     `json:"sessions"`
	Conversations int     `json:"conversations"` // of each
	Changed       int     `json:"changed"`       // of all conversations
	Missed        int     `json:"missed"`        // messages, over all sessions
	Took          float64 `json:"took_s"`        // until the last one was there
}

// Print implements Report.
func (r *LoginReport) Print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "CONVERSATIONS\tFOLLOWED\tSIGN-IN P50 MS\tP99 MS\tREADY P50 MS\tP99 MS\tMAX MS\tSERVER CPU MS\t")
	for _, a := range r.Alone {
		fmt.Fprintf(w, "%d\t%d\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t\n", a.Conversations, a.Followed, a.SignIn.P50, a.SignIn.P99,
			a.Latency.P50, a.Latency.P99, a.Latency.Max, a.ServerCPU/1000)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	rows := r.rows()
	if c := r.Crowd; c != nil {
		rows = append([][2]string{
			{"all were there after", fmt.Sprintf("%.2f s; %d sessions with %d conversations each, %d messages missed in %d that had changed", c.Took, c.Sessions, c.Conversations, c.Missed, c.Changed)},
		}, append(c.rows("sessions"), rows...)...)
	}
	fmt.Fprintln(out)
	return printRows(out, "all at once", rows)
}

// Failure implements Report.
func (r *LoginReport) Failure() error {
	c := r.Crowd
	if c == nil {
		return nil
	}
	if err := c.Failure(); err != nil {
		return err
	}
	if int(c.Messages) < c.Sessions {
		return fmt.Errorf("%d of %d sessions were not begun within %v", c.Sessions-int(c.Messages), c.Sessions, crowdTimeout)
	}
	return nil
}

// Run implements Scenario.
func (b Login) Run(ctx context.Context, t Target) (Report, error) {
	set, err := setting("login", t.ProbeDir)
	if err != nil {
		return nil, err
	}
	rep := &LoginReport{Setting: set}
	if len(b.Counts) > 0 {
		if rep.Alone, err = b.alone(ctx, t); err != nil {
			return nil, err
		}
	}
	if b.Sessions > 0 {
		if rep.Crowd, err = b.crowd(ctx, t); err != nil {
			return nil, err
		}
	}
	return rep, nil
}

// alone opens sessions one after the other.
func (b Login) alone(ctx context.Context, t Target) ([]LoginAlone, error) {
	run := newName()
	most := b.Counts[len(b.Counts)-1]
	t.say("making %d conversations", most)
	makers, err := t.openAll(ctx, run+"-maker", 8, manyPending)
	defer closeAll(makers)
	if err != nil {
		return nil, err
	}
	ids := make([]wire.ConversationID, most)
	convs, err := t.makeGroups(ctx, makers, most, func(i int) client.NewConversation {
		var users []wire.UserID
		for k, n := range b.Counts {
			if i < n {
				users = append(users, userOf(run, k))
			}
		}
		return client.NewConversation{Members: users}
	})
	if err != nil {
		return nil, err
	}
	for i, conv := range convs {
		ids[i] = conv.ID()
	}
	if err := b.await(ctx, t, run); err != nil {
		return nil, err
	}
	all := make([]LoginAlone, len(b.Counts))
	for k, n := range b.Counts {
		t.say("opening a session with %d conversations, %d times", n, b.Rounds)
		if all[k], err = b.open(ctx, t, userOf(run, k), n); err != nil {
			return nil, fmt.Errorf("open a session with %d conversations: %w", n, err)
		}
	}
	return all, nil
}

// await waits until the users know all their conversations: they are told of them
// a little after they are made.
func (b Login) await(ctx context.Context, t Target, run string) error {
	ctx, cancel := context.WithTimeout(ctx, quietTimeout)
	defer cancel()
	for k, n := range b.Counts {
		c, err := t.dial(ctx, k, userOf(run, k))
		if err != nil {
			return err
		}
		for err == nil {
			var all []wire.ConversationID
			if all, err = listAll(ctx, c); len(all) >= n {
				break
			}
			if err == nil {
				err = clock.Sleep(ctx, 50*time.Millisecond)
			}
		}
		_ = c.Close()
		if err != nil {
			return fmt.Errorf("wait until a user has %d conversations: %w", n, err)
		}
	}
	return nil
}

// listAll lists all conversations of a user, the newest first.
func listAll(ctx context.Context, c *client.Client) (all []wire.ConversationID, err error) {
	for after := ""; ; {
		page, next, err := c.Conversations(ctx, after, wire.MaxPageEntries)
		if err != nil {
			return nil, err
		}
		for _, m := range page {
			all = append(all, m.Conversation)
		}
		if next == "" {
			return all, nil
		}
		after = next
	}
}

// open opens a user's session again and again.
func (b Login) open(ctx context.Context, t Target, user wire.UserID, conversations int) (LoginAlone, error) {
	var signIn, ready histogram.Histogram
	m := meter{target: t}
	m.look(ctx, true)
	for round := range b.Rounds {
		began := time.Now()
		c, err := t.dial(ctx, round, user)
		if err != nil {
			return LoginAlone{}, err
		}
		signIn.Record(time.Since(began))
		err = openingOf(ctx, c, conversations)
		ready.Record(time.Since(began))
		_ = c.Close()
		if err != nil {
			return LoginAlone{}, err
		}
	}
	m.look(ctx, false)
	return LoginAlone{
		Conversations: conversations, Followed: min(conversations, followed), SignIn: percentiles(signIn.Counts()),
		Latency: percentiles(ready.Counts()), ServerCPU: m.cost(uint64(b.Rounds), 0).ServerCPU,
	}, nil
}

// openingOf does what a program does that begins: it lists the user's
// conversations, follows the user's log and the newest of them, and asks what is
// unread in those that a screen shows.
func openingOf(ctx context.Context, c *client.Client, want int) error {
	ids, err := listAll(ctx, c)
	if err != nil {
		return fmt.Errorf("list conversations: %w", err)
	}
	if len(ids) != want {
		return fmt.Errorf("%d conversations are listed, want %d", len(ids), want)
	}
	positions := []client.Position{{After: client.FromEnd}}
	for _, id := range ids[:min(len(ids), followed)] {
		positions = append(positions, client.Position{Conversation: id, After: client.FromEnd})
	}
	if _, err := c.SubscribeAll(ctx, positions...); err != nil {
		return fmt.Errorf("follow conversations: %w", err)
	}
	if _, err := c.Unread(ctx, ids[:min(len(ids), askedUnread)]...); err != nil {
		return fmt.Errorf("ask what is unread: %w", err)
	}
	return nil
}

// crowd opens all sessions at once.
func (b Login) crowd(ctx context.Context, t Target) (*LoginCrowd, error) {
	r := &crowdRun{connectionsRun: connectionsRun{
		Connections: Connections{Sessions: b.Sessions, Conversations: b.Conversations, Members: b.Members, Opening: 64}, target: t, name: newName(),
	}}
	defer func() { closeAll(r.sessions) }()
	r.draw()
	t.say("making %d conversations for %d sessions", len(r.members), b.Sessions)
	if err := r.setup(ctx); err != nil {
		return nil, fmt.Errorf("set up: %w", err)
	}
	if err := r.leave(ctx, b.Changed); err != nil {
		return nil, fmt.Errorf("set up: %w", err)
	}
	opening := b.Opening
	if opening == 0 {
		opening = b.Sessions
	}
	t.say("opening %d sessions, %d at once, after %d of %d conversations have changed", b.Sessions, opening, len(r.changed), len(r.members))
	load := Load{InFlight: opening, Duration: crowdTimeout, pieces: b.Sessions}
	began := time.Now()
	f := t.measure(ctx, load, 0, 1, func(ctx context.Context, _ int, _ time.Time, done func(error)) {
		i := r.next
		r.next++
		go func() { done(r.back(ctx, i)) }() // ends with the session's opening; Load waits for done
	})
	crowd := &LoginCrowd{
		Figures: f, Sessions: b.Sessions, Conversations: b.Conversations, Changed: len(r.changed), Took: time.Since(began).Seconds(),
	}
	for i := range r.follows {
		crowd.Missed += r.missed(i)
	}
	return crowd, ctx.Err()
}

// crowdTimeout bounds how long a crowd may take.
const crowdTimeout = 2 * time.Minute

// crowdRun is the sessions of a crowd: they have been there before.
type crowdRun struct {
	connectionsRun

	positions [][]client.Position // of each session, when it left: its own log, and then its conversations
	changed   map[int]wire.Offset // of conversations, where the new message is
	next      int                 // session to open
}

// leave opens all sessions, remembers how far each has read, has some
// conversations change, and closes the sessions.
func (r *crowdRun) leave(ctx context.Context, share float64) error {
	r.positions = make([][]client.Position, r.Sessions)
	if r.openAll(ctx); r.failures.Load() > 0 {
		return *r.failed.Load()
	}
	for i, subs := range r.subs {
		for _, s := range subs {
			r.positions[i] = append(r.positions[i], client.Position{After: s.Position()})
		}
		for k, n := range r.follows[i] {
			r.positions[i][1+k].Conversation = r.ids[n]
		}
	}
	changes := int(share*float64(len(r.ids)) + 0.5)
	offsets := make([]wire.Offset, changes)
	step := len(r.ids) / max(changes, 1)
	err := each(ctx, changes, 64, func(ctx context.Context, k int) error {
		n := k * step
		sent, err := r.sessions[r.members[n][0]].Conversation(r.ids[n]).Send(ctx, client.Text("changed"))
		offsets[k] = sent.Offset
		return err
	})
	r.changed = map[int]wire.Offset{}
	for k, at := range offsets {
		r.changed[k*step] = at
	}
	closeAll(r.sessions)
	clear(r.sessions)
	return err
}

// missed is how many messages a session has missed.
func (r *crowdRun) missed(i int) (n int) {
	for _, conv := range r.follows[i] {
		if r.changed[conv] > 0 {
			n++
		}
	}
	return n
}

// back opens a session again, and waits until it has what it had missed.
func (r *crowdRun) back(ctx context.Context, i int) error {
	c, err := r.target.dial(ctx, i, userOf(r.name, i))
	if err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	r.sessions[i] = c
	subs, err := c.SubscribeAll(ctx, r.positions[i]...)
	if err != nil {
		return fmt.Errorf("follow conversations: %w", err)
	}
	for k, conv := range r.follows[i] {
		for at := r.changed[conv]; subs[1+k].Position() < at; {
			if _, err := subs[1+k].Next(ctx); err != nil {
				return errors.Join(errors.New("read what was missed"), err)
			}
		}
	}
	return nil
}
