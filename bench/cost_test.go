package bench

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/quorate/quorate/histogram"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/virtual"
)

// TestCost: what all nodes have used between the two looks is shared among the
// messages.
func TestCost(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		looks := 0.0
		target := Target{Usage: func(context.Context) ([]node.Usage, error) {
			looks++
			n := uint64(looks)
			return []node.Usage{
				{CPUSeconds: 10 + looks, DiskWritten: 1000 * n, Appends: 10 * n, Entries: 30 * n, Syncs: histogram.Counts{5: 7 * n}, RSS: 100},
				{CPUSeconds: 20 + looks, DiskWritten: 2000 * n, Appends: 10 * n, Entries: 30 * n, Syncs: histogram.Counts{5: 1}, RSS: 50},
			}, nil
		}}
		f := target.measure(t.Context(), Load{Rate: 100, Limit: 1, Duration: 4 * time.Second}, 3, 1, answerAfter(0))
		if looks != 2 {
			t.Fatalf("%v looks", looks)
		}
		if !f.Known || f.ServerCPU != 2e6/400 || f.ServerCores != 0.5 || f.DiskBytes != 2.5 || f.Syncs != 7 || f.SyncEntries != 3 || f.RSS != 150 {
			t.Errorf("cost %+v", f.Cost)
		}
		target.Usage = func(context.Context) ([]node.Usage, error) { return nil, errors.New("no") }
		if f := target.measure(t.Context(), Load{Rate: 100, Limit: 1, Duration: time.Second}, 3, 1, answerAfter(0)); f.Known || f.Messages != 100 {
			t.Errorf("of nodes that do not answer: %+v", f)
		}
	})
}

// TestMedian of few values.
func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{5, 1}, 3}, {[]float64{9, 1, 2}, 2}} {
		if got := median(c.values); got != c.want {
			t.Errorf("of %v: %v, want %v", c.values, got, c.want)
		}
	}
}

// TestProbe: a disk is tried, and nothing is left there.
func TestProbe(t *testing.T) {
	dir := t.TempDir()
	s, err := setting("test", dir)
	if err != nil || s.Probe == nil || s.Probe.Max <= 0 || s.Machine.Cores < 1 || s.Commit == "" {
		t.Errorf("setting %+v, %v", s, err)
	}
	if _, err := setting("test", dir+"/none"); err == nil {
		t.Error("a directory that is not there was tried")
	}
}
