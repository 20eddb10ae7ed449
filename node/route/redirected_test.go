package route

import (
	"errors"
	"testing"

	"github.com/quorate/quorate/wire"
)

// TestRedirected: who was asked and does not lead is not asked for ever.
func TestRedirected(t *testing.T) {
	r := &Router{}
	r.hints.Store(wire.ShardID(1), wire.NodeID("n2"))
	hint := func() wire.NodeID {
		h, _ := r.hints.Load(wire.ShardID(1))
		node, _ := h.(wire.NodeID)
		return node
	}
	for _, step := range []struct {
		err  error
		to   wire.NodeID
		hint wire.NodeID
	}{
		{nil, "", "n2"},
		{errors.New("lost"), "", "n2"},
		{wire.Errorf(wire.CodeUnavailable, "", "later"), "", "n2"},
		{&wire.Error{Code: wire.CodeNotLeader, Leader: "n3"}, "n3", "n3"},
		{&wire.Error{Code: wire.CodeNotLeader, Leader: "n2"}, "", ""}, // the one that was asked
		{&wire.Error{Code: wire.CodeNotLeader}, "", ""},
	} {
		to, ok := r.Redirected(1, "n2", step.err)
		if to != step.to || ok != (step.to != "") || hint() != step.hint {
			t.Errorf("after %v: ask %q (%v), hint %q, want %q and %q", step.err, to, ok, hint(), step.to, step.hint)
		}
	}
}
