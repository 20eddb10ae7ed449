package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/e2e/sim/check"
	"github.com/quorate/quorate/e2e/sim/history"
	"github.com/quorate/quorate/e2e/sim/load"
	"github.com/quorate/quorate/virtual"
)

// What the runner tells a run, in its environment.
const (
	seedVariable = "SIM_SEED" // the seed; without it there is nothing to run
	dirVariable  = "SIM_DIR"  // where the run leaves its log, and if it fails its history
	fineVariable = "SIM_FINE" // not empty: every message is logged, to find where two runs of a seed part
	keepVariable = "SIM_KEEP" // not empty: its history in any case
)

// result is what a run says of itself at its end, as one line on its standard
// output.
type result struct {
	Seed     uint64         `json:"seed"`
	Trace    string         `json:"trace"` // a hash over all that was logged and recorded
	Plan     string         `json:"plan"`
	Virtual  time.Duration  `json:"virtual"`
	Events   int            `json:"events"`
	Calls    map[string]int `json:"calls"` // by operation
	Acks     int            `json:"acks"`  // sends that were acknowledged
	Unknown  int            `json:"unknown"`
	Refused  int            `json:"refused"`
	Logged   int            `json:"logged"` // lines
	Entries  uint64         `json:"entries"`
	Failures []string       `json:"failures,omitempty"`
}

// resultPrefix begins the line.
const resultPrefix = "SIM RESULT "

// TestSeed is one run.
func TestSeed(t *testing.T) {
	text := os.Getenv(seedVariable)
	if text == "" {
		t.Skip("./e2e/sim/run starts it, one process for each seed")
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", seedVariable, err)
	}
	dir := os.Getenv(dirVariable)
	path := ""
	if dir != "" {
		path = filepath.Join(dir, "log")
	}
	lines, err := newRing(path)
	if err != nil {
		t.Fatalf("make the log: %v", err)
	}
	cryptotest.SetGlobalRandom(t, seed)
	// Nodes that ended themselves stay in the middle of it for ever, so the bubble
	// has no end: the process ends while it waits. Judging is done outside of it,
	// where time-outs are real.
	ended := make(chan *story)
	go func() { os.Exit(judge(<-ended, dir)) }() //nolint:forbidigo // the process is the run
	virtual.Test(t, func(t *testing.T) {
		ended <- run(t, seed, lines)
		ended <- nil
	})
}

// story is a run that is over.
type story struct {
	history *history.History
	result  result
}

// judge judges a run, prints what came of it, and returns the exit code.
func judge(s *story, dir string) int {
	r := &s.result
	for _, v := range check.All(s.history) {
		r.Failures = append(r.Failures, v.String())
	}
	if (len(r.Failures) > 0 || os.Getenv(keepVariable) != "") && dir != "" {
		if err := keep(filepath.Join(dir, "history.jsonl"), s.history); err != nil {
			r.Failures = append(r.Failures, err.Error())
		}
	}
	out, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	_, _ = fmt.Fprintf(os.Stdout, "%s%s\n", resultPrefix, out)
	if len(r.Failures) > 0 {
		return 1
	}
	return 0
}

func keep(path string, h *history.History) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := h.Write(f); err != nil {
		return err
	}
	return f.Close()
}

// run is the life of a cluster, from its founding to the judgement.
func run(t *testing.T, seed uint64, lines *ring) *story {
	p := drawPlan(seed)
	rec := history.NewRecorder()
	began := time.Now()
	logger := slog.New(&handler{ring: lines, start: began})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w := newWorld(ctx, p, seed, rec, logger)
	for _, m := range w.nodes {
		m.start()
	}
	rec.Note("", "plan: %s", p)
	var around sync.WaitGroup
	around.Go(func() { w.sample(ctx) })

	crew := w.live(ctx, seed)
	w.awaitAgreement()
	rec.Phase(history.PhaseFinal)
	if crew != nil {
		if err := crew.Finish(ctx); err != nil {
			w.problem("A14: read everything at the end: %v", err)
		}
		crew.Close()
	}
	w.awaitAgreement()
	w.readAll()
	cancel()
	around.Wait()
	w.shutDown()

	h := rec.History()
	r := summary(h)
	r.Seed, r.Plan, r.Virtual, r.Failures = seed, p.String(), time.Since(began), w.mu.problems
	r.Trace, r.Logged = trace(lines, h)
	return &story{history: h, result: r}
}

// live lets clients and nemesis work, then ends the faults and lets the clients go
// on for a while.
func (w *world) live(ctx context.Context, seed uint64) *load.Crew {
	working, rest := context.WithCancel(ctx)
	defer rest()
	var around sync.WaitGroup
	around.Go(func() {
		if clock.Sleep(ctx, 2*time.Second) != nil {
			return
		}
		w.rec.Phase(history.PhaseFaults)
		trouble, cancel := context.WithTimeout(ctx, w.plan.trouble)
		defer cancel()
		(&nemesis{w: w, dice: newDice(seed, 3)}).run(trouble)
		w.heal()
		w.rec.Phase(history.PhaseHealed)
		_ = clock.Sleep(ctx, calmFor)
		rest()
	})
	crew, err := load.Run(working, w, w.plan.load, w.rec)
	if err != nil {
		w.problem("the clients did nothing: %v", err)
	}
	around.Wait()
	_ = clock.Sleep(ctx, quietFor)
	return crew
}

const (
	// calmFor is how long the clients go on after all faults have ended.
	calmFor = 10 * time.Second
	// quietFor is how long they are quiet before everything is read.
	quietFor = 8 * time.Second
)

// shutDown stops all nodes in order, and waits for everything that was started.
func (w *world) shutDown() {
	var all sync.WaitGroup
	for _, m := range w.nodes {
		if l := m.alive(); l != nil {
			all.Go(l.retire)
		}
	}
	all.Wait()
	w.behind.Wait()
}

// summary counts what is in a history.
func summary(h *history.History) result {
	r := result{Events: len(h.Events), Calls: map[string]int{}}
	for i := range h.Events {
		e := &h.Events[i]
		if e.Outcome == "" {
			continue
		}
		r.Calls[string(e.Op)]++
		switch e.Outcome {
		case history.OK:
			if e.Op == history.OpSend {
				r.Acks++
			}
		case history.Unknown:
			r.Unknown++
		case history.Refused:
			r.Refused++
		}
	}
	applied := map[string]uint64{}
	for _, one := range h.Replicas {
		applied[fmt.Sprint(one.Shard)] = one.Applied
	}
	for _, n := range applied {
		r.Entries += n
	}
	return r
}

// trace returns a hash over the log and the history.
func trace(lines *ring, h *history.History) (string, int) {
	var d xxhash.Digest
	d.Reset()
	if err := h.Write(&d); err != nil {
		return err.Error(), 0
	}
	logged, n := lines.sum()
	return fmt.Sprintf("%016x-%016x", logged, d.Sum64()), n
}

// String says what the plan is, in one line.
func (p plan) String() string {
	kinds := make([]string, len(p.kinds))
	for i, k := range p.kinds {
		kinds[i] = string(k)
	}
	return fmt.Sprintf("%d nodes, %d shards, %v of trouble (%s), snapshots each %d bytes, %d entries stay, %d commands an entry, messages take %v to %v, half a sync %v to %v, memory tables of %d",
		p.nodes, p.shards, p.trouble.Round(time.Second), strings.Join(kinds, ", "), p.replicas.SnapshotBytes, p.replicas.TrailingEntries, p.replicas.PackCommands,
		p.near, p.far, p.syncNear, p.syncFar, p.stores.MemTableBytes)
}
