package transport

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/quorate/quorate/wire"
)

// Network is a network in memory, for tests and the simulator: it connects the
// nodes and clients of one process through pipes. It waits only on channels
// and timers, so a synctest bubble moves its time.
//
// A link is the way from one address to another; faults are set for each
// direction of it. The address of a node is its id, that of a client is what
// it chose.
type Network struct {
	mu struct {
		sync.Mutex
		listeners map[string]*memoryListener
		links     map[link]*linkState
		delay     func(from, to string) time.Duration
	}
}

type link struct{ from, to string }

// linkState is what one way carries and suffers.
type linkState struct {
	cut   bool
	conns []*pipeConn // dialed by from, oldest first: faults reach them in the same order in every run
}

// NewNetwork returns a network without faults. delay, when it is not nil, says
// how long what is sent now is under way; the order of a connection stays. It
// must not wait.
func NewNetwork(delay func(from, to string) time.Duration) *Network {
	n := &Network{}
	n.mu.listeners = make(map[string]*memoryListener)
	n.mu.links = make(map[link]*linkState)
	n.mu.delay = delay
	return n
}

// acceptQueue bounds the connections that wait for an Accept; more are refused.
const acceptQueue = 128

// Listen accepts connections to the address, which is free to choose.
func (n *Network) Listen(addr string) (NodeListener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.mu.listeners[addr] != nil {
		return nil, fmt.Errorf("listen in memory: %s is taken", addr)
	}
	l := &memoryListener{
		network: n, addr: addr, stop: make(chan struct{}),
		ready: make(chan *memoryConn, acceptQueue), // capacity: a listener's backlog
	}
	n.mu.listeners[addr] = l
	return l, nil
}

// Dial connects from one address to a listener's. The other side's Peer is
// from. It does not wait: what is delayed is what is sent.
func (n *Network) Dial(_ context.Context, from, to string) (Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.mu.listeners[to]
	if l == nil || n.cutLocked(from, to) || n.cutLocked(to, from) {
		return nil, fmt.Errorf("dial %s from %s: %w", to, from, ErrRefused)
	}
	dialed, accepted := newPipe(from, to, n.mu.delay)
	select {
	case l.ready <- &memoryConn{pipeConn: accepted, peer: wire.NodeID(from)}:
	default:
		return nil, fmt.Errorf("dial %s from %s: %w: %d wait for it", to, from, ErrRefused, acceptQueue)
	}
	n.rememberLocked(from, to, dialed)
	return dialed, nil
}

func (n *Network) cutLocked(from, to string) bool {
	state := n.mu.links[link{from, to}]
	return state != nil && state.cut
}

func (n *Network) stateLocked(from, to string) *linkState {
	key := link{from, to}
	state := n.mu.links[key]
	if state == nil {
		state = &linkState{}
		n.mu.links[key] = state
	}
	return state
}

// rememberLocked keeps the connection for later faults, and forgets those that
// have ended.
func (n *Network) rememberLocked(from, to string, conn *pipeConn) {
	state := n.stateLocked(from, to)
	state.conns = append(slices.DeleteFunc(state.conns, (*pipeConn).ended), conn)
}

// Dialer returns what the node with that id dials others with. It takes the
// address for the other's, and does not look at its id.
func (n *Network) Dialer(from wire.NodeID) *MemoryDialer {
	return &MemoryDialer{network: n, from: string(from)}
}

// MemoryDialer dials through a Network.
type MemoryDialer struct {
	network *Network
	from    string
}

// Dial connects to the node listening at the address.
func (d *MemoryDialer) Dial(ctx context.Context, _ wire.NodeID, addr string) (Conn, error) {
	return d.network.Dial(ctx, d.from, addr)
}

// Cut makes everything sent on the way from one address to the other stay
// under way, and dials in either direction fail, until Heal: as when a cable
// is pulled, neither side is told. The other direction goes on.
func (n *Network) Cut(from, to string) { n.setCut(from, to, true) }

// Heal undoes Cut: what was sent meanwhile arrives.
func (n *Network) Heal(from, to string) { n.setCut(from, to, false) }

func (n *Network) setCut(from, to string, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stateLocked(from, to).cut = cut
	for _, conn := range n.stateLocked(from, to).conns {
		conn.out.hold(cut)
	}
	for _, conn := range n.stateLocked(to, from).conns {
		conn.in.hold(cut)
	}
}

// Break ends all connections between the two addresses, whoever dialed, with
// an error on both sides; what is under way is lost. New ones can be made.
func (n *Network) Break(a, b string) {
	for _, conn := range n.takeConns(a, b) {
		conn.lose(fmt.Errorf("connection between %s and %s: %w", a, b, ErrLost))
	}
}

func (n *Network) takeConns(a, b string) []*pipeConn {
	n.mu.Lock()
	defer n.mu.Unlock()
	var conns []*pipeConn
	for _, state := range []*linkState{n.stateLocked(a, b), n.stateLocked(b, a)} {
		conns = append(conns, state.conns...)
		state.conns = nil
	}
	return conns
}

// memoryConn is the accepting end of a connection.
type memoryConn struct {
	*pipeConn
	peer wire.NodeID
}

func (c *memoryConn) Peer() wire.NodeID { return c.peer }

// memoryListener is a listener of a Network.
type memoryListener struct {
	network *Network
	addr    string
	ready   chan *memoryConn
	stop    chan struct{}
	closing sync.Once
}

func (l *memoryListener) Accept(ctx context.Context) (NodeConn, error) {
	select {
	case <-l.stop:
		return nil, ErrClosed
	default:
	}
	select {
	case conn := <-l.ready:
		return conn, nil
	case <-l.stop:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *memoryListener) Addr() string { return l.addr }

func (l *memoryListener) Close() error {
	l.closing.Do(func() {
		l.forget()
		close(l.stop)
		for {
			select {
			case conn := <-l.ready:
				conn.lose(ErrRefused)
			default:
				return
			}
		}
	})
	return nil
}

// forget makes the address free. After it no Dial reaches the listener.
func (l *memoryListener) forget() {
	l.network.mu.Lock()
	defer l.network.mu.Unlock()
	delete(l.network.mu.listeners, l.addr)
}
