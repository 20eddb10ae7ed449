package main

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
)

// report tells what happens, and adds up what happened.
type report struct {
	o          *options
	out, err   io.Writer
	replayable bool
	began      time.Time

	mu      sync.Mutex
	seeds   int
	failed  int
	judged  int
	virtual time.Duration
	cpu     time.Duration
	memory  int64
	events  int
	acks    int
	unknown int
	entries uint64
	calls   map[string]int
}

// add tells of one seed.
func (r *report) add(one outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seeds++
	r.virtual += one.Virtual
	r.cpu += one.CPU
	r.memory = max(r.memory, one.Memory)
	r.events += one.Events
	r.acks += one.Acks
	r.unknown += one.Unknown
	r.entries += one.Entries
	if one.judged {
		r.judged++
	}
	for op, n := range one.Calls {
		r.calls[op] += n
	}
	if len(one.Failures) > 0 {
		r.failed++
	}
	if r.o.json {
		_ = json.NewEncoder(r.out).Encode(one)
		return
	}
	if len(one.Failures) > 0 {
		r.tellFailure(&one)
	}
	if every := 10; r.seeds%every == 0 {
		_, _ = fmt.Fprintf(r.err, "%d seeds, %d failed, %.1f s of one processor each\n", r.seeds, r.failed, r.cpu.Seconds()/float64(r.seeds))
	}
}

// shown is how many failures of one seed are printed.
const shown = 8

func (r *report) tellFailure(one *outcome) {
	_, _ = fmt.Fprintf(r.out, "FAIL seed %d: %s\n", one.Seed, one.Plan)
	for i, f := range one.Failures {
		if i == shown {
			_, _ = fmt.Fprintf(r.out, "  and %d others\n", len(one.Failures)-i)
			break
		}
		_, _ = fmt.Fprintf(r.out, "  %s\n", f)
	}
	_, _ = fmt.Fprintf(r.out, "  trace in %s\n", one.Dir)
	if r.replayable {
		_, _ = fmt.Fprintf(r.out, "  replay: %s\n", r.replay(one.Seed))
	}
}

// replay is the line that runs a seed again.
func (r *report) replay(seed uint64) string {
	line := fmt.Sprintf("go run ./e2e/sim/run --seeds %d", seed)
	if r.o.mutant != "" {
		line += " --mutant " + r.o.mutant
	}
	return line
}

// ledger is what all seeds came to.
type ledger struct {
	Seeds        int            `json:"seeds"`
	Failed       int            `json:"failed"`
	Replayable   bool           `json:"replayable"`
	Histories    int            `json:"histories"` // judged
	VirtualHours float64        `json:"virtual_hours"`
	Took         float64        `json:"took_seconds"`
	CPUPerSeed   float64        `json:"cpu_seconds_per_seed"`
	MemoryMiB    int64          `json:"memory_mib"` // of the largest
	Events       int            `json:"events"`
	Acks         int            `json:"acks"`
	Unknown      int            `json:"unknown"`
	Entries      uint64         `json:"entries"` // of raft logs, of one replica of each shard
	Calls        map[string]int `json:"calls"`
	Mutant       string         `json:"mutant,omitempty"`
}

// end tells what all of it came to.
func (r *report) end() {
	l := ledger{
		Seeds: r.seeds, Failed: r.failed, Replayable: r.replayable, Histories: r.judged,
		VirtualHours: r.virtual.Hours(), Took: time.Since(r.began).Seconds(), CPUPerSeed: r.cpu.Seconds() / float64(max(r.seeds, 1)),
		MemoryMiB: r.memory >> 10, Events: r.events, Acks: r.acks, Unknown: r.unknown, Entries: r.entries, Calls: r.calls, Mutant: r.o.mutant,
	}
	if r.o.json {
		_ = json.NewEncoder(r.out).Encode(l)
		return
	}
	total := 0
	for _, n := range l.Calls {
		total += n
	}
	_, _ = fmt.Fprintf(r.out, "%d seeds, %d failed; %.2f virtual hours in %.0f s, %.1f s of one processor and up to %d MiB a seed; %d histories judged: %d events, %d calls (%d unknown), %d sends acknowledged, %d raft entries\n",
		l.Seeds, l.Failed, l.VirtualHours, l.Took, l.CPUPerSeed, l.MemoryMiB, l.Histories, l.Events, total, l.Unknown, l.Acks, l.Entries)
}
