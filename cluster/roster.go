package cluster

import (
	"maps"
	"slices"
	"sync"

	"github.com/quorate/quorate/wire"
)

// roster is who is there, with a signal when that changes.
type roster struct {
	mu struct {
		sync.Mutex
		nodes   map[wire.NodeID]Presence
		changed chan struct{}
	}
}

func newRoster() *roster {
	r := new(roster)
	r.mu.nodes = make(map[wire.NodeID]Presence)
	r.mu.changed = make(chan struct{})
	return r
}

func (r *roster) put(p Presence) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.nodes[p.Node] = p
	r.signalLocked()
}

func (r *roster) remove(id wire.NodeID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.mu.nodes[id]; ok {
		delete(r.mu.nodes, id)
		r.signalLocked()
	}
}

func (r *roster) signalLocked() {
	close(r.mu.changed)
	r.mu.changed = make(chan struct{})
}

func (r *roster) members() []Presence {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Presence
	for _, id := range slices.Sorted(maps.Keys(r.mu.nodes)) {
		out = append(out, r.mu.nodes[id])
	}
	return out
}

func (r *roster) changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.changed
}
