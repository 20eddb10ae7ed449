package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, args string
		want       []span
		refused    string
	}{
		{"one seed", "--seeds 7", []span{{7, 7}}, ""},
		{"a range", "--seeds 1-100", []span{{1, 100}}, ""},
		{"several", "--seeds 3,10-12", []span{{3, 3}, {10, 12}}, ""},
		{"backwards", "--seeds 5-3", nil, "the first is after the last"},
		{"no number", "--seeds x", nil, "invalid syntax"},
		{"negative", "--seeds -5", nil, "invalid syntax"},
		{"something else", "7", nil, "seeds are given with --seeds"},
		{"no jobs", "--jobs 0", nil, "--jobs is 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var said bytes.Buffer
			o, err := parse(strings.Fields(c.args), &said)
			switch {
			case c.refused == "" && (err != nil || !slices.Equal(o.seeds, c.want)):
				t.Errorf("got %v, %v, want %v", o.seeds, err, c.want)
			case c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused)):
				t.Errorf("got %v, want it to say %q", err, c.refused)
			}
		})
	}
}

func TestAgain(t *testing.T) {
	o := options{seeds: []span{{10, 12}, {1, 1}}, twice: 2}
	for seed, want := range map[uint64]bool{9: false, 10: true, 11: true, 12: false, 1: false} {
		if o.again(seed) != want {
			t.Errorf("seed %d runs twice: %v, want %v", seed, !want, want)
		}
	}
}

// TestReport: what is printed of a failure replays it, and the last line counts.
func TestReport(t *testing.T) {
	var out, progress bytes.Buffer
	r := &report{o: &options{mutant: "M1"}, out: &out, err: &progress, replayable: true, began: time.Now(), calls: map[string]int{}}
	r.add(outcome{Seed: 1, Virtual: time.Hour, Acks: 5, Calls: map[string]int{"send": 6}, judged: true})
	r.add(outcome{Seed: 2, Plan: "3 nodes", Dir: "/kept", Failures: []string{"A1: lost"}, judged: true})
	r.end()
	for _, want := range []string{
		"FAIL seed 2: 3 nodes\n", "  A1: lost\n", "trace in /kept\n", "replay: go run ./e2e/sim/run --seeds 2 --mutant M1\n",
		"2 seeds, 1 failed; 1.00 virtual hours", "2 histories judged", "6 calls", "5 sends acknowledged",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, out.String())
		}
	}
}
