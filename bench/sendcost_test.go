package bench

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/virtual"
)

// TestUndisturbed: only rounds in which all was done in time count.
func TestUndisturbed(t *testing.T) {
	good := Figures{Offered: 1000, Completed: 990, Messages: 1000}
	for name, change := range map[string]func(*Figures){
		"all in time":         func(*Figures) {},
		"an error":            func(f *Figures) { f.Errors = 1 },
		"not all in time":     func(f *Figures) { f.Completed = 900 },
		"of the round before": func(f *Figures) { f.Completed = 1100 },
		"over the limit":      func(f *Figures) { f.OverLimit = 1 },
	} {
		f := good
		if change(&f); undisturbed(&f) != (name == "all in time") {
			t.Errorf("%s: %v", name, undisturbed(&f))
		}
	}
}

// TestCompareGivesUp: of a cluster that does nothing in time there is nothing to say.
func TestCompareGivesUp(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		target := Target{
			Usage:  func(context.Context) ([]node.Usage, error) { return []node.Usage{{}}, nil },
			Memory: func(context.Context) ([]node.Memory, error) { return []node.Memory{{}}, nil },
		}
		b := SendCost{Load: Load{Rate: 10, Limit: 100, Duration: time.Second}, Rounds: 2, Connections: 1}
		full := &outbox{}
		full.waiting.Store(windowOf)
		w := func() *world { return &world{target: target, lanes: []sendLane{{convs: []*outbox{full}}}} }
		rep := &SendCostReport{}
		if err := b.compare(t.Context(), rep, Comparison{}, [2]*world{w(), w()}); err == nil || len(rep.Comparisons) != 0 {
			t.Errorf("%+v, %v", rep.Comparisons, err)
		}
	})
}

// TestAboveIdle: what idle nodes take is no cost of a send.
func TestAboveIdle(t *testing.T) {
	w := world{size: 7, idle: 0.1, rounds: []Figures{
		{Completed: 1000, Cost: Cost{ServerCPU: 300}}, {Completed: 500, Cost: Cost{ServerCPU: 390}}, {Completed: 1000, Cost: Cost{ServerCPU: 310}},
	}}
	if sum := w.sum(); sum.AboveIdle != 200 || sum.ServerCPU != 310 || sum.Size != 7 || len(sum.Rounds) != 3 || sum.Rounds[1] != 190 {
		t.Errorf("%+v", sum)
	}
}

// TestPart: as many conversations are sent to as were asked for, over all lanes.
func TestPart(t *testing.T) {
	w := world{lanes: make([]sendLane, 3), rounds: make([]Figures, 1)}
	for i := range 100 {
		l := &w.lanes[i%3]
		l.convs = append(l.convs, &outbox{})
	}
	p := w.part(10)
	got := []int{len(p.lanes[0].convs), len(p.lanes[1].convs), len(p.lanes[2].convs)}
	if !slices.Equal(got, []int{4, 3, 3}) || len(w.lanes[0].convs) != 34 || p.rounds != nil {
		t.Errorf("lanes with %v conversations", got)
	}
}
