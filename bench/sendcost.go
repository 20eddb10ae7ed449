package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/wire"
)

// SendCost compares what a send costs the nodes in a small world and in a large
// one: in groups of few members and of many; where few conversations are stored
// and many, as many of which are sent to; and where of many that are stored few are
// sent to and all. Rounds in the one and in the other take turns, so that what
// happens to the machine meanwhile happens to both.
type SendCost struct {
	Load // of each round

	Rounds      int // in each world, of those that count
	Connections int
	BodyBytes   int
	Groups      int    // of each size
	Members     [2]int // of a group, few and many; 0 and 0: that is not compared
	Stored      [2]int // conversations, few and many; 0 and 0: that is not compared

	// Large is a cluster for the many conversations; the few are in the target.
	Large Target
}

// costTolerance is how far from 1 the quotient of both costs may be.
const costTolerance = 0.2

// costSettle is how long the nodes must have had nothing to do before a comparison.
const costSettle = 3 * time.Second

// Validate implements Scenario.
func (b SendCost) Validate() error {
	var c checks
	b.check(&c)
	c.that(b.Rounds >= 1 && b.Rounds <= 1000, "%d rounds, want 1 to 1000", b.Rounds)
	c.that(b.Connections >= 1 && b.Connections <= maxConnections, "%d connections, want 1 to %d", b.Connections, maxConnections)
	c.that(b.Groups >= b.Connections && b.Groups <= 1000, "%d groups, want at least one for each of %d connections, and at most 1000", b.Groups, b.Connections)
	c.that(b.comparesMembers() || b.comparesStored(), "nothing to compare")
	if b.comparesMembers() {
		c.that(b.Members[0] >= 1 && b.Members[1] <= maxMembers, "%d and %d members, want 1 to %d", b.Members[0], b.Members[1], maxMembers)
	}
	if b.comparesStored() {
		c.that(b.Stored[0] >= b.Connections && b.Stored[1] <= maxConversations,
			"%d and %d conversations, want at least one for each of %d connections, and at most %d", b.Stored[0], b.Stored[1], b.Connections, maxConversations)
	}
	checkBody(&c, b.BodyBytes)
	return c.err()
}

func (b SendCost) comparesMembers() bool { return b.Members != [2]int{} }
func (b SendCost) comparesStored() bool  { return b.Stored != [2]int{} }

// SendCostReport is what the comparisons measured.
type SendCostReport struct {
	Setting

	Comparisons []Comparison `json:"comparisons"`
}

// Comparison is a small world and a large one.
type Comparison struct {
	Of    string  `json:"of"` // "members", "stored conversations" or "conversations sent to"
	Small World   `json:"small"`
	Large World   `json:"large"`
	Out   int     `json:"rounds_left_out"` // pairs, since in one of them not everything was done in time
	Told  bool    `json:"only_told"`       // a difference is no failure: what nobody has sent to for long is in no cache
	Ratio float64 `json:"ratio"`           // of what a send costs in the large one to what it costs in the small one
}

// World is what rounds in one world measured: medians of the rounds that count.
type World struct {
	Size      int       `json:"size"`
	Idle      float64   `json:"idle_cores"` // of all nodes, before the rounds
	ServerCPU float64   `json:"server_cpu_us_per_message"`
	AboveIdle float64   `json:"server_cpu_us_per_message_above_idle"` // what the send adds to that: this is compared
	Rounds    []float64 `json:"rounds_server_cpu_us_per_message_above_idle"`
	Completed float64   `json:"completed_per_s"`
	P50       float64   `json:"p50_ms"`
	P99       float64   `json:"p99_ms"`
	DiskBytes float64   `json:"disk_bytes_per_payload_byte"`
}

// Print implements Report.
func (r *SendCostReport) Print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "OF\tSIZE\tROUNDS\tSERVER CPU µS\tABOVE IDLE\tLEAST\tMOST\tIDLE CORES\tCOMPLETED/S\tP50 MS\tP99 MS\tDISK BYTES/BYTE\t")
	for _, c := range r.Comparisons {
		for _, side := range []World{c.Small, c.Large} {
			fmt.Fprintf(w, "%s\t%d\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t%.3f\t%.0f\t%.2f\t%.2f\t%.1f\t\n", c.Of, side.Size, len(side.Rounds), side.ServerCPU,
				side.AboveIdle, slices.Min(side.Rounds), slices.Max(side.Rounds), side.Idle, side.Completed, side.P50, side.P99, side.DiskBytes)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	rows := make([][2]string, 0, len(r.Comparisons)+2)
	for _, c := range r.Comparisons {
		rows = append(rows, [2]string{c.Of, fmt.Sprintf("with %d a send costs %.2f times what it costs with %d; %d rounds left out", c.Large.Size, c.Ratio, c.Small.Size, 2*c.Out)})
	}
	fmt.Fprintln(out)
	return printRows(out, "cost of a send", append(rows, r.rows()...))
}

// Failure implements Report.
func (r *SendCostReport) Failure() error {
	var errs []error
	for _, c := range r.Comparisons {
		if !c.Told && math.Abs(c.Ratio-1) > costTolerance {
			errs = append(errs, fmt.Errorf("%s: with %d a send costs %.2f times what it costs with %d", c.Of, c.Large.Size, c.Ratio, c.Small.Size))
		}
	}
	return errors.Join(errs...)
}

// Run implements Scenario.
func (b SendCost) Run(ctx context.Context, t Target) (Report, error) {
	if t.Usage == nil || t.Memory == nil {
		return nil, errors.New("what a send costs is told by the nodes: give the app's master key")
	}
	set, err := setting("cost", t.ProbeDir)
	if err != nil {
		return nil, err
	}
	rep := &SendCostReport{Setting: set}
	if b.comparesMembers() {
		if err := b.runMembers(ctx, t, rep); err != nil {
			return nil, fmt.Errorf("members: %w", err)
		}
	}
	if b.comparesStored() {
		if err := b.runStored(ctx, t, rep); err != nil {
			return nil, fmt.Errorf("stored conversations: %w", err)
		}
	}
	return rep, nil
}

func (b SendCost) runMembers(ctx context.Context, t Target, rep *SendCostReport) error {
	small, large, err := b.openMembers(ctx, t)
	defer small.close()
	defer large.close()
	if err != nil {
		return err
	}
	return b.compare(ctx, rep, Comparison{Of: "members"}, [2]*world{small, large})
}

func (b SendCost) runStored(ctx context.Context, t Target, rep *SendCostReport) error {
	small, all, err := b.openStored(ctx, t)
	defer small.close()
	defer all.close()
	if err != nil {
		return err
	}
	some := all.part(small.size)
	if err := b.compare(ctx, rep, Comparison{Of: "stored conversations"}, [2]*world{small, some}); err != nil {
		return err
	}
	some = all.part(small.size)
	some.size = small.size
	return b.compare(ctx, rep, Comparison{Of: "conversations sent to", Told: true}, [2]*world{some, all})
}

// part is the world with sends to some of its conversations only.
func (w *world) part(n int) *world {
	p := *w
	p.lanes, p.rounds = make([]sendLane, len(w.lanes)), nil
	for i, l := range w.lanes {
		p.lanes[i].convs = l.convs[:share(n, i, len(w.lanes))]
	}
	return &p
}

// world is where rounds are sent.
type world struct {
	target  Target
	size    int
	clients []*client.Client
	lanes   []sendLane
	idle    float64 // cores of all nodes, without sends
	rounds  []Figures
}

func (w *world) close() { closeAll(w.clients) }

// openMembers makes groups of both sizes, in pairs that the same connection sends
// to and the same shard holds.
func (b SendCost) openMembers(ctx context.Context, t Target) (small, large *world, err error) {
	run := newName()
	small, large = &world{target: t, size: b.Members[0]}, &world{target: t, size: b.Members[1]}
	largest := max(b.Members[0], b.Members[1])
	t.say("making %d groups of %d members and as many of %d", b.Groups, small.size, large.size)
	var twins []wire.ConversationID
	for _, w := range []*world{small, large} {
		if w.clients, err = t.openSenders(ctx, run+"-sender", b.Connections, largest); err != nil {
			return small, large, err
		}
		groups, err := t.makeGroups(ctx, w.clients, b.Groups, func(g int) client.NewConversation {
			n := newGroup(fmt.Sprintf("%s-%d-%d", run, w.size, g), w.size)
			n.Kind = kindOf(largest)
			if twins != nil {
				n.ID = besides(t.App, twins[g])
			}
			return n
		})
		if err != nil {
			return small, large, err
		}
		for _, g := range groups {
			twins = append(twins, g.ID())
		}
		w.lanes = deal(groups, b.Connections)
	}
	return small, large, nil
}

// besides returns a new id whose slot is near that of another, so that one shard
// has both.
func besides(app wire.AppID, twin wire.ConversationID) wire.ConversationID {
	const near = 1024 // places that shards may begin at
	place := func(id wire.ConversationID) int { return int(wire.SlotOf(app, string(id))) / (wire.Slots / near) }
	for {
		if id := wire.NewConversationID(time.Now().Unix(), rand.Uint64()); place(id) == place(twin) {
			return id
		}
	}
}

// openStored makes few conversations in the one cluster and many in the other.
func (b SendCost) openStored(ctx context.Context, t Target) (small, large *world, err error) {
	small, large = &world{target: t, size: b.Stored[0]}, &world{target: b.Large, size: b.Stored[1]}
	for _, w := range []*world{small, large} {
		t.say("making %d conversations", w.size)
		if w.clients, err = w.target.openAll(ctx, newName(), b.Connections, manyPending); err != nil {
			return small, large, err
		}
		convs, err := w.target.makeGroups(ctx, w.clients, w.size, func(int) client.NewConversation { return client.NewConversation{} })
		if err != nil {
			return small, large, err
		}
		w.lanes = deal(convs, b.Connections)
	}
	return small, large, nil
}

// costTries is how many rounds may be left out for each that counts.
const costTries = 3

// compare has rounds in both worlds take turns. When not everything was done in
// time in one of them, the pair is left out: something else happened.
func (b SendCost) compare(ctx context.Context, rep *SendCostReport, c Comparison, worlds [2]*world) (err error) {
	for _, w := range worlds {
		if _, err := w.target.quiet(ctx, costSettle); err != nil {
			return err
		}
		if w.idle, err = w.target.idle(ctx, b.Duration); err != nil {
			return err
		}
	}
	said := newBodies(b.BodyBytes)
	for pair := 0; len(worlds[0].rounds) < b.Rounds; pair++ {
		if c.Out > costTries*b.Rounds {
			return fmt.Errorf("in %d of %d pairs of rounds not everything was done in time: the machine is too busy, or the load too high", c.Out, pair)
		}
		turns := slices.Clone(worlds[:])
		if pair%2 == 1 { // neither is always the first
			slices.Reverse(turns)
		}
		var both []Figures
		for _, w := range turns {
			f, err := b.round(ctx, w, said)
			if err != nil {
				return err
			}
			both = append(both, f)
		}
		if slices.ContainsFunc(both, func(f Figures) bool { return !undisturbed(&f) }) {
			c.Out++
			continue
		}
		for i, w := range turns {
			w.rounds = append(w.rounds, both[i])
		}
	}
	c.Small, c.Large = worlds[0].sum(), worlds[1].sum()
	c.Ratio = c.Large.AboveIdle / c.Small.AboveIdle
	rep.Comparisons = append(rep.Comparisons, c)
	return nil
}

// undisturbed tells whether everything that was due in a round was done in it, and
// nothing else.
func undisturbed(f *Figures) bool {
	const near = 0.05
	return f.Failure() == nil && math.Abs(f.Completed-f.Offered) <= near*f.Offered
}

// round is one round in one world.
func (b SendCost) round(ctx context.Context, w *world, said *bodies) (Figures, error) {
	f := w.target.measure(ctx, b.Load, b.BodyBytes, b.Connections, func(ctx context.Context, lane int, _ time.Time, done func(error)) {
		w.lanes[lane].take().send(ctx, said.take(), func(_ client.Sent, err error) { done(err) })
	})
	switch {
	case ctx.Err() != nil:
		return f, ctx.Err()
	case !f.Known:
		return f, errors.New("the nodes could not be asked what they use")
	}
	w.target.say("%6d: %.1f µs of server CPU for each of %.0f messages a second", w.size, f.ServerCPU, f.Completed)
	return f, nil
}

// aboveIdle is what a send of a round added to what idle nodes take.
func (w *world) aboveIdle(f *Figures) float64 { return f.ServerCPU - 1e6*w.idle/f.Completed }

// sum takes the medians.
func (w *world) sum() World {
	of := func(f func(*Figures) float64) float64 {
		values := make([]float64, len(w.rounds))
		for i := range w.rounds {
			values[i] = f(&w.rounds[i])
		}
		return median(values)
	}
	sum := World{
		Size: w.size, Idle: w.idle,
		ServerCPU: of(func(f *Figures) float64 { return f.ServerCPU }),
		AboveIdle: of(w.aboveIdle),
		Completed: of(func(f *Figures) float64 { return f.Completed }),
		P50:       of(func(f *Figures) float64 { return f.Latency.P50 }),
		P99:       of(func(f *Figures) float64 { return f.Latency.P99 }),
		DiskBytes: of(func(f *Figures) float64 { return f.DiskBytes }),
	}
	for i := range w.rounds {
		sum.Rounds = append(sum.Rounds, w.aboveIdle(&w.rounds[i]))
	}
	return sum
}

// median of values; of an even number, the mean of the two in the middle.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
