package bench

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/virtual"
)

// TestDraw: every session follows as many conversations as it should, and each
// conversation has as many members, none twice.
func TestDraw(t *testing.T) {
	for _, b := range []Connections{
		{Sessions: 100, Conversations: 10, Members: 10},
		{Sessions: 7, Conversations: 3, Members: 3}, // the last conversation of a round has one member
		{Sessions: 5, Conversations: 0, Members: 10},
	} {
		r := &connectionsRun{Connections: b}
		r.draw()
		if want := b.Conversations * ((b.Sessions + b.Members - 1) / b.Members); len(r.members) != want || len(r.ids) != want {
			t.Errorf("%d conversations, want %d", len(r.members), want)
		}
		for n, members := range r.members {
			for _, i := range members {
				if !slices.Contains(r.follows[i], n) {
					t.Errorf("session %d is in conversation %d and does not follow it", i, n)
				}
			}
			if sorted := slices.Sorted(slices.Values(members)); len(slices.Compact(sorted)) != len(members) || len(members) > b.Members {
				t.Errorf("conversation %d has the members %v", n, members)
			}
		}
		for i, follows := range r.follows {
			if len(follows) != b.Conversations {
				t.Errorf("session %d follows %v, want %d", i, follows, b.Conversations)
			}
		}
	}
}

// TestQuiet: the nodes are measured only when they have applied nothing for a
// while, and processor time is what they used between two looks.
func TestQuiet(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		looks := 0
		r := &connectionsRun{Connections: Connections{Settle: 5 * time.Second, Idle: 10 * time.Second}}
		r.target.Memory = func(context.Context) ([]node.Memory, error) {
			looks++
			return []node.Memory{{Applied: uint64(min(looks, 4)), CPUSeconds: float64(looks)}, {CPUSeconds: float64(looks)}}, nil
		}
		_, cores, err := r.look(t.Context())
		if err != nil || looks != 6 || cores != 0.2 {
			t.Errorf("after %d looks: %v cores, %v; want 6 looks and 2 s in 10", looks, cores, err)
		}
		r.target.Memory = func(context.Context) ([]node.Memory, error) {
			looks++
			return []node.Memory{{Applied: uint64(looks)}}, nil
		}
		if _, _, err := r.look(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("nodes that never rest: %v", err)
		}
	})
}

// TestCount: what the nodes grew by is shared among the sessions.
func TestCount(t *testing.T) {
	r := &connectionsRun{}
	rep := ConnectionsReport{
		Before: []node.Memory{{RSS: 100, Goroutines: 3}, {RSS: 50}}, After: []node.Memory{{RSS: 140, Goroutines: 5}, {RSS: 70}},
		BeforeCores: 1, IdleCores: 3,
	}
	r.count(&rep)
	if c := rep.PerSession; c.RSS != 60 || c.Goroutines != 2 || c.Cores != 2 {
		t.Errorf("without a session everything is one's: %+v", c)
	}
}
