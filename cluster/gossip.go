package cluster

import (
	"context"
	"fmt"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// Gossip tells which nodes are alive and where. It is a hint: it may be late,
// and one node that holds its key may say anything in another's name. It helps
// to find nodes and to look sooner; what a node may do is decided by its
// certificate and by the meta group.
type Gossip interface {
	// Members returns the nodes thought to be alive, this one too, by id.
	Members() []Presence
	// Changed returns a channel that is closed when Members changes. Take it
	// first, then look.
	Changed() <-chan struct{}
	// Announce replaces the facts that this node spreads about itself.
	Announce(ctx context.Context, facts []byte) error
	// Close leaves and stops.
	Close() error
}

// Presence is what a node says about itself.
type Presence struct {
	Node      wire.NodeID
	Addresses Addresses
	Facts     []byte // free, up to MaxFactsBytes with the addresses
}

// maxPresenceBytes bounds an encoded presence: memberlist carries no more.
const maxPresenceBytes = 512

// presenceVersion is the version of the presence's form.
const presenceVersion = 1

// encode writes a presence as gossip carries it, without the node's id, which
// travels beside it. Each text is its length as a uvarint and its bytes:
//
//	| 1 | peer | http | quic | gossip | facts |
func (p *Presence) encode() ([]byte, error) {
	b := []byte{presenceVersion}
	for _, address := range []string{p.Addresses.Peer, p.Addresses.HTTP, p.Addresses.QUIC, p.Addresses.Gossip} {
		b = bin.AppendString(b, address)
	}
	b = bin.AppendString(b, p.Facts)
	if len(b) > maxPresenceBytes {
		return nil, fmt.Errorf("announce node %q: addresses and facts have %d bytes, want at most %d", p.Node, len(b), maxPresenceBytes)
	}
	return b, nil
}

// decodePresence reads what encode wrote. What a newer version adds at the end
// is left unread, so that nodes of two versions see each other.
func decodePresence(node wire.NodeID, data []byte) (Presence, error) {
	p := Presence{Node: node}
	if err := wire.ValidID(string(node)); err != nil {
		return p, fmt.Errorf("presence of a node whose id %w", err)
	}
	if len(data) > maxPresenceBytes {
		return p, fmt.Errorf("presence of node %q has %d bytes, want at most %d", node, len(data), maxPresenceBytes)
	}
	r := bin.NewReader(data)
	if version := r.Byte(); r.Err() == nil && version < presenceVersion {
		return p, fmt.Errorf("presence of node %q has version %d", node, version)
	}
	p.Addresses = Addresses{Peer: r.String(), HTTP: r.String(), QUIC: r.String(), Gossip: r.String()}
	p.Facts = append([]byte(nil), r.Bytes()...)
	if err := r.Err(); err != nil {
		return p, fmt.Errorf("presence of node %q: %w", node, err)
	}
	return p, nil
}
