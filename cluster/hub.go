package cluster

import (
	"context"
	"sync"

	"github.com/quorate/quorate/wire"
)

// Hub is gossip in memory, for tests and simulations: who joins it sees the
// others at once.
type Hub struct {
	mu struct {
		sync.Mutex
		nodes map[wire.NodeID]*hubNode
		away  map[wire.NodeID]bool // cut off: neither sees nor is seen
	}
}

// NewHub makes a hub without nodes.
func NewHub() *Hub {
	h := new(Hub)
	h.mu.nodes = make(map[wire.NodeID]*hubNode)
	h.mu.away = make(map[wire.NodeID]bool)
	return h
}

// Join adds a node, or replaces it with its next life.
func (h *Hub) Join(self Presence) (Gossip, error) {
	if _, err := self.encode(); err != nil {
		return nil, err
	}
	n := &hubNode{hub: h, self: self, roster: newRoster()}
	n.roster.put(self)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.nodes[self.Node] = n
	if !h.mu.away[self.Node] {
		h.meetLocked(n)
	}
	return n, nil
}

// Cut makes a node seem dead to the others and them to it, or ends that.
func (h *Hub) Cut(id wire.NodeID, away bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.away[id] = away
	n := h.mu.nodes[id]
	switch {
	case n == nil:
	case away:
		h.partLocked(n)
	default:
		h.meetLocked(n)
	}
}

// meetLocked makes a node and all that are not cut off see each other.
func (h *Hub) meetLocked(n *hubNode) {
	for id, other := range h.mu.nodes {
		if other != n && !h.mu.away[id] {
			other.roster.put(n.self)
			n.roster.put(other.self)
		}
	}
}

// partLocked makes a node and all others stop seeing each other.
func (h *Hub) partLocked(n *hubNode) {
	for id, other := range h.mu.nodes {
		if other != n {
			other.roster.remove(n.self.Node)
			n.roster.remove(id)
		}
	}
}

// hubNode is one node's end of a hub. self is guarded by the hub's lock.
type hubNode struct {
	hub    *Hub
	self   Presence
	roster *roster
}

var _ Gossip = (*hubNode)(nil)

func (n *hubNode) Members() []Presence      { return n.roster.members() }
func (n *hubNode) Changed() <-chan struct{} { return n.roster.changed() }

func (n *hubNode) Announce(_ context.Context, facts []byte) error {
	n.hub.mu.Lock()
	defer n.hub.mu.Unlock()
	next := n.self
	next.Facts = append([]byte(nil), facts...)
	if _, err := next.encode(); err != nil {
		return err
	}
	n.self = next
	n.roster.put(next)
	if n.hub.mu.nodes[next.Node] == n && !n.hub.mu.away[next.Node] {
		n.hub.meetLocked(n)
	}
	return nil
}

func (n *hubNode) Close() error {
	n.hub.mu.Lock()
	defer n.hub.mu.Unlock()
	if n.hub.mu.nodes[n.self.Node] == n {
		n.hub.partLocked(n)
		delete(n.hub.mu.nodes, n.self.Node)
	}
	return nil
}
