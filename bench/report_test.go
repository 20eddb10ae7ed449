package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/quorate/quorate/golden"
	"github.com/quorate/quorate/node"
)

// TestReports: scripts read the JSON and people the tables.
func TestReports(t *testing.T) {
	var text bytes.Buffer
	for _, r := range reports() {
		b, err := json.MarshalIndent(r, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&text, "# %T\n\n", r)
		if err := r.Print(&text); err != nil {
			t.Fatal(err)
		}
		failure := "none"
		if err := r.Failure(); err != nil {
			failure = err.Error()
		}
		fmt.Fprintf(&text, "\nfailure: %s\n\n%s\n\n", failure, b)
	}
	golden.Check(t, "reports", text.String())
}

// reports are one of each kind, with figures that are different everywhere.
func reports() []Report {
	set := Setting{
		Scenario: "a scenario", Commit: "0123456789ab+", Began: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Machine: Machine{Cores: 2, CPU: "a processor", Kernel: "linux 6.1", Go: "go1.26"}, Probe: &Percentiles{0.1, 0.2, 0.3, 0.4},
	}
	cost := Cost{
		Known: true, ServerCPU: 101.5, ServerCores: 1.25, BenchCores: 0.5, DiskBytes: 9.75, Syncs: 1234, SyncEntries: 1.5,
		Sync: Percentiles{1, 2, 3, 4}, RSS: 300 << 20,
	}
	good := Figures{
		Offered: 2000, Completed: 1990.5, Messages: 20000, Latency: Percentiles{5, 6, 7, 8}, SentLate: Percentiles{0.01, 0.02, 0.03, 0.04},
		Seconds: 10, Cost: cost,
	}
	bad := good
	bad.Errors, bad.FirstError, bad.OverLimit, bad.SentLate.P99, bad.Cost = 3, "no such thing", 4, 5, Cost{}
	memory := []node.Memory{{Node: "n1", Sessions: 100, RSS: 100 << 20, Heap: 50 << 20, Stacks: 5 << 20, Goroutines: 300}}
	world := World{Size: 2, Idle: 0.125, ServerCPU: 110, AboveIdle: 100, Rounds: []float64{90, 100, 120}, Completed: 1999, P50: 2, P99: 9, DiskBytes: 8}
	large := world
	large.Size, large.AboveIdle = 10000, 130
	return []Report{
		&IngestReport{Setting: set, Figures: good},
		&IngestReport{Setting: set, Figures: bad, Refusals: 77, Refusal: Percentiles{21, 22, 23, 24}},
		&IngestReport{Setting: set, Figures: good, Saturation: 2000, Steps: []Step{
			{Offered: 2000, Completed: 1990.5, Latency: good.Latency}, {Offered: 3000, Completed: 2500, Latency: good.Latency, Why: "completed 83.3 %"},
		}},
		&FanoutReport{Setting: set, Figures: good, Members: 1000, Groups: 1, Sessions: 500, Deliveries: 200_000, Delivery: Percentiles{11, 12, 13, 14}, Missing: 1, DeliveryCPU: 6.25},
		&ConnectionsReport{
			Setting: set, Sessions: 100, OpenSeconds: 1.5, PerSession: SessionCost{RSS: 12 << 10, Anonymous: 11 << 10, Heap: 9 << 10, Stacks: 2 << 10, Goroutines: 1, Cores: 1e-5},
			BeforeCores: 0.1, IdleCores: 0.2, Before: memory, After: memory, Light: &good,
		},
		&HistoryReport{Setting: set, DataBytes: 100 << 20, Reads: []HistoryRead{{By: "seq", Cache: "cold", Figures: good, Read: 99_000}}},
		&LoginReport{
			Setting: set, Alone: []LoginAlone{{Conversations: 5000, Followed: 1999, SignIn: Percentiles{1, 2, 3, 4}, Latency: Percentiles{5, 6, 7, 8}, ServerCPU: 9000}},
			Crowd: &LoginCrowd{Figures: good, Sessions: 500, Conversations: 50, Changed: 50, Missed: 499, Took: 2.5},
		},
		&FailoverReport{Setting: set, Figures: good, Killed: "n2", Conversations: 10000, Longest: 2100, Again: Percentiles{1, 2, 3, 4}, Acknowledged: 20000, Lost: 1},
		&SendCostReport{Setting: set, Comparisons: []Comparison{{Of: "members", Small: world, Large: large, Ratio: 1.3}}},
	}
}
