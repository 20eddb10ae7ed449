package bench

import (
	"context"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/wire"
)

// History reads pages of messages: by sequence and by time, cold and warm.
//
// Cold means that the bench has not read the page before in this run: each page of
// all conversations once, in a random order. How much of that comes from the disk
// depends on what the nodes have in memory: give the set a name, restart the nodes,
// and run it again, and their caches are empty (those of the system are not).
// Warm means the same few pages again and again.
type History struct {
	Load

	Set           string // names the conversations, so that a later run finds them; empty: new ones
	Connections   int
	Conversations int
	Messages      int // in each conversation
	PageMessages  int
	BodyBytes     int
	Strong        bool // each page is true when it is read: the leader is asked
}

// Limits of what may be asked for.
const (
	maxMessages = 10_000_000
	// warmPages is how many pages are read again and again.
	warmPages = 64
)

// Validate implements Scenario.
func (b History) Validate() error {
	var c checks
	b.check(&c)
	c.that(b.Connections >= 1 && b.Connections <= maxConnections, "%d connections, want 1 to %d", b.Connections, maxConnections)
	c.that(b.Conversations >= b.Connections && b.Conversations <= maxConversations,
		"%d conversations, want at least one for each of %d connections, and at most %d", b.Conversations, b.Connections, maxConversations)
	c.that(b.Messages >= 1 && b.Messages*b.Conversations <= maxMessages, "%d messages in all, want 1 to %d", b.Messages*b.Conversations, maxMessages)
	c.that(b.PageMessages >= 1 && b.PageMessages <= wire.MaxPageEntries, "pages of %d messages, want 1 to %d", b.PageMessages, wire.MaxPageEntries)
	c.that(len(b.Set) <= 16, "a name of %d bytes for the set, want at most 16", len(b.Set))
	checkBody(&c, b.BodyBytes)
	return c.err()
}

// HistoryReport is what reading measured.
type HistoryReport struct {
	Setting

	Found     bool          `json:"found"`      // the set was there already
	DataBytes int64         `json:"data_bytes"` // bodies of all messages
	Strong    bool          `json:"strong"`
	Reads     []HistoryRead `json:"reads"`
}

// HistoryRead is one way of reading.
type HistoryRead struct {
	By    string `json:"by"`    // "seq" or "time"
	Cache string `json:"cache"` // "cold" or "warm"
	Figures

	Read float64 `json:"messages_per_s"` // messages that came in the pages
}

// Print implements Report.
func (r *HistoryReport) Print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "BY\tCACHE\tPAGES/S\tMESSAGES/S\tP50 MS\tP99 MS\tP99.9 MS\tMAX MS\tERRORS\tSERVER CPU µS/PAGE\t")
	for i := range r.Reads {
		f := &r.Reads[i]
		fmt.Fprintf(w, "%s\t%s\t%.0f\t%.0f\t%.2f\t%.2f\t%.2f\t%.2f\t%d\t%.1f\t\n", f.By, f.Cache, f.Completed, f.Read,
			f.Latency.P50, f.Latency.P99, f.Latency.P999, f.Latency.Max, f.Errors+f.OverLimit, f.ServerCPU)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	set := "written by this run"
	if r.Found {
		set = "of an earlier run"
	}
	return printRows(out, "", append([][2]string{{"messages", fmt.Sprintf("%.1f MiB of bodies, %s", float64(r.DataBytes)/(1<<20), set)}}, r.rows()...))
}

// Failure implements Report.
func (r *HistoryReport) Failure() error {
	for i := range r.Reads {
		if err := r.Reads[i].Failure(); err != nil {
			return fmt.Errorf("%s pages by %s: %w", r.Reads[i].Cache, r.Reads[i].By, err)
		}
	}
	return nil
}

// Run implements Scenario.
func (b History) Run(ctx context.Context, t Target) (Report, error) {
	set, err := setting("history", t.ProbeDir)
	if err != nil {
		return nil, err
	}
	r := &historyRun{History: b, target: t, bodies: newBodies(b.BodyBytes), name: "bench-set-" + b.Set, rng: newRNG(uint64(time.Now().UnixNano()))}
	if b.Set == "" {
		r.name = newName()
	}
	defer func() { closeAll(r.clients) }()
	if err := r.setup(ctx); err != nil {
		return nil, fmt.Errorf("set up: %w", err)
	}
	rep := &HistoryReport{Setting: set, Found: r.found.Load() > 0, Strong: b.Strong, DataBytes: int64(b.Conversations) * int64(b.Messages) * int64(b.BodyBytes)}
	pages := r.pages()
	cold := [2][]pageOf{pages[:len(pages)/2], pages[len(pages)/2:]}
	for i, by := range []string{"seq", "time"} {
		rep.Reads = append(rep.Reads, r.read(ctx, by, "cold", cold[i]), r.read(ctx, by, "warm", cold[i][:min(warmPages, len(cold[i]))]))
	}
	return rep, ctx.Err()
}

// historyRun is one run's conversations.
type historyRun struct {
	History

	target  Target
	name    string
	rng     *rand.Rand
	clients []*client.Client
	convs   []*client.Conversation
	times   [][]time.Time // of each conversation: of its first message and of its last
	bodies  *bodies
	found   atomic.Int64 // conversations that were there
}

func newRNG(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(1, seed)) }

// setup finds or makes the conversations, and fills them.
func (r *historyRun) setup(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	if r.clients, err = r.target.openAll(ctx, r.name, r.Connections, manyPending); err != nil {
		return err
	}
	r.convs, r.times = make([]*client.Conversation, r.Conversations), make([][]time.Time, r.Conversations)
	r.target.say("finding or writing %d messages in each of %d conversations", r.Messages, r.Conversations)
	return each(ctx, r.Conversations, 4*r.Connections, r.prepare)
}

// prepare finds or makes a conversation, and fills it.
func (r *historyRun) prepare(ctx context.Context, i int) error {
	c := r.clients[i%len(r.clients)]
	r.convs[i] = c.Conversation(conversationOf(r.name, i))
	info, err := r.convs[i].Get(ctx, 0)
	switch {
	case wire.CodeOf(err) == wire.CodeNotFound:
		if _, err := c.Create(ctx, client.NewConversation{ID: r.convs[i].ID(), Name: "bench"}); err != nil {
			return fmt.Errorf("create a conversation: %w", err)
		}
		info = &client.Info{}
	case err != nil:
		return fmt.Errorf("find a conversation: %w", err)
	default:
		r.found.Add(1)
	}
	if err := fill(ctx, r.convs[i], r.Messages-int(info.LastSeq), r.bodies); err != nil {
		return fmt.Errorf("fill a conversation: %w", err)
	}
	for _, seq := range []int{1, r.Messages} {
		page, err := r.convs[i].History(ctx, client.Range{FromSeq: wire.Seq(seq), OldestFirst: true, Limit: 1})
		if err != nil {
			return fmt.Errorf("read a conversation: %w", err)
		}
		if len(page.Messages) != 1 {
			return fmt.Errorf("conversation %s has no message %d", r.convs[i].ID(), seq)
		}
		r.times[i] = append(r.times[i], page.Messages[0].Time)
	}
	return nil
}

// conversationOf is the id of a conversation that a later run can find: 24 hex
// digits, as every other.
func conversationOf(name string, i int) wire.ConversationID {
	h := fnv.New128a()
	fmt.Fprintf(h, "%s %d", name, i)
	return wire.ConversationID(hex.EncodeToString(h.Sum(nil)[:12]))
}

// fill sends n messages, many at once.
func fill(ctx context.Context, conv *client.Conversation, n int, said *bodies) error {
	if n <= 0 {
		return nil
	}
	errs := make(chan error, n)
	for range n {
		conv.SendAsync(ctx, client.Draft{Body: said.take()}, func(_ client.Sent, err error) { errs <- err })
	}
	for range n {
		if err := <-errs; err != nil {
			return err
		}
	}
	return nil
}

// pageOf is a page to be read.
type pageOf struct {
	conv  int
	first int // message
}

// pages are all pages of all conversations, in a random order.
func (r *historyRun) pages() []pageOf {
	var all []pageOf
	for i := range r.convs {
		for first := 1; first <= r.Messages; first += r.PageMessages {
			all = append(all, pageOf{i, first})
		}
	}
	r.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// rangeOf is how a page is asked for. By time it begins where the message would
// be if all had come evenly.
func (r *historyRun) rangeOf(by string, p pageOf) client.Range {
	q := client.Range{OldestFirst: true, Limit: r.PageMessages, Strong: r.Strong}
	if by == "seq" {
		q.FromSeq = wire.Seq(p.first)
		return q
	}
	first, last := r.times[p.conv][0], r.times[p.conv][1]
	q.From = first.Add(time.Duration(float64(last.Sub(first)) * float64(p.first-1) / float64(r.Messages)))
	return q
}

// read reads pages, each in its turn. Of cold ones none is read twice: when there
// are no more the load ends.
func (r *historyRun) read(ctx context.Context, by, cache string, pages []pageOf) HistoryRead {
	load := r.Load
	if cache == "cold" {
		load.Warmup, load.pieces = 0, len(pages)
	}
	r.target.say("reading %s pages by %s for up to %v", cache, by, load.Duration)
	var next, answered, messages atomic.Int64
	read := HistoryRead{By: by, Cache: cache}
	read.Figures = r.target.measure(ctx, load, 0, r.Connections, func(ctx context.Context, _ int, _ time.Time, done func(error)) {
		p := pages[(next.Add(1)-1)%int64(len(pages))]
		go func() { // ends with the answer; Load waits for done
			page, err := r.convs[p.conv].History(ctx, r.rangeOf(by, p))
			if err == nil {
				answered.Add(1)
				messages.Add(int64(len(page.Messages)))
			}
			done(err)
		}()
	})
	read.Read = read.Completed * float64(messages.Load()) / float64(max(answered.Load(), 1))
	return read
}
