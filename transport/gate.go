package transport

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
)

// gate bounds the connections of those who have not signed in: in all, and
// from each address prefix, so that one network can not take all places.
type gate struct {
	max, maxPerPrefix int
	mu                struct {
		sync.Mutex
		total    int
		byPrefix map[netip.Prefix]int
	}
}

func newGate(most, mostPerPrefix int) *gate {
	g := &gate{max: most, maxPerPrefix: mostPerPrefix}
	g.mu.byPrefix = make(map[netip.Prefix]int)
	return g
}

// ticket is a place behind the gate. It is given back once, by the sign-in or
// by the end of the connection.
type ticket struct {
	gate   *gate
	prefix netip.Prefix
	gone   atomic.Bool
}

// enter takes a place for a connection from the address, or says that there is
// none, which is ErrRefused.
func (g *gate) enter(remote string) (*ticket, error) {
	prefix := prefixOf(remote)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.mu.total >= g.max:
		return nil, fmt.Errorf("%w: %d connections have not signed in", ErrRefused, g.mu.total)
	case g.mu.byPrefix[prefix] >= g.maxPerPrefix:
		return nil, fmt.Errorf("%w: %d connections from %s have not signed in", ErrRefused, g.maxPerPrefix, prefix)
	}
	g.mu.total++
	g.mu.byPrefix[prefix]++
	return &ticket{gate: g, prefix: prefix}, nil
}

// leave gives the place back.
func (t *ticket) leave() {
	if t.gone.Swap(true) {
		return
	}
	g := t.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mu.total--
	if g.mu.byPrefix[t.prefix]--; g.mu.byPrefix[t.prefix] == 0 {
		delete(g.mu.byPrefix, t.prefix)
	}
}

// pending returns how many places are taken.
func (g *gate) pending() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mu.total
}

// busy tells that more than half of the places are taken.
func (g *gate) busy() bool { return g.pending() > g.max/2 }

// prefixOf returns the network that an address is counted with: itself for
// IPv4, its /64 for IPv6, and nothing, which is one network too, for what is no
// IP address.
func prefixOf(remote string) netip.Prefix {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	addr, bits := ap.Addr().Unmap().WithZone(""), 64
	if addr.Is4() {
		bits = 32
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}
