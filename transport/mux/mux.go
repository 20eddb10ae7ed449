package mux

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/raftnet"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
)

// Mux is a node's connections to all other nodes. It is a raftnet.Network.
type Mux struct {
	self     wire.NodeID
	cluster  string
	listener Listener
	dialer   Dialer
	resolver Resolver
	handler  Handler
	opts     Options
	began    time.Time
	counters counters

	receivers atomic.Pointer[map[wire.ShardID]func(wire.NodeID, []byte)] // replaced, never changed

	mu struct {
		sync.RWMutex
		peers  map[wire.NodeID]*peer
		starts []func(context.Context) // goroutines that Run is to start
		closed bool
	}
	started chan struct{} // starts is not empty; one hint is enough
}

var _ raftnet.Network = (*Mux)(nil)

// New returns the mux of a node, which does nothing until Run.
//
//nolint:revive // collaborators are positional parameters, and there are five of them
func New(self wire.NodeID, cluster string, listener Listener, dialer Dialer, resolver Resolver, handler Handler,
	opts Options,
) (*Mux, error) {
	if err := wire.ValidID(string(self)); err != nil {
		return nil, fmt.Errorf("node id %q %w", string(self), err)
	}
	m := &Mux{
		self: self, cluster: cluster, listener: listener, dialer: dialer, resolver: resolver, handler: handler,
		opts: opts.withDefaults(), began: time.Now(), started: make(chan struct{}, 1),
	}
	m.mu.peers = map[wire.NodeID]*peer{}
	m.receivers.Store(&map[wire.ShardID]func(wire.NodeID, []byte){})
	return m, nil
}

// Run connects to other nodes and is connected to, until ctx is done. Then all
// calls and streams fail, and it returns when all its goroutines have.
func (m *Mux) Run(ctx context.Context) error {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tasks.Go(func() { m.accept(ctx) })
	for ctx.Err() == nil {
		for _, f := range m.takeStarts() {
			tasks.Go(func() { f(ctx) })
		}
		select {
		case <-m.started:
		case <-ctx.Done():
		}
	}
	m.close()
	for _, f := range m.takeStarts() {
		tasks.Go(func() { f(ctx) }) // it sees that ctx is done, and frees what it has
	}
	return nil
}

// departure is when a frame that is sent Soon leaves. It is the same time for all
// peers, so that an idle node wakes up seldom.
func (m *Mux) departure(now time.Time) time.Time {
	return now.Add(m.opts.Hold - now.Sub(m.began)%m.opts.Hold)
}

func (m *Mux) takeStarts() []func(context.Context) {
	m.mu.Lock()
	defer m.mu.Unlock()
	starts := m.mu.starts
	m.mu.starts = nil
	return starts
}

// start lets Run start f in a goroutine that it waits for; false after close.
func (m *Mux) start(f func(context.Context)) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.closed {
		return false
	}
	m.startLocked(f)
	return true
}

func (m *Mux) startLocked(f func(context.Context)) {
	m.mu.starts = append(m.mu.starts, f)
	hint(m.started)
}

func (m *Mux) close() {
	m.mu.Lock()
	m.mu.closed = true
	peers := slices.Collect(maps.Values(m.mu.peers))
	m.mu.Unlock()
	for _, p := range peers {
		p.close()
	}
}

// hint wakes a goroutine that looks after each hint, and later if it is busy.
func hint(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// peer returns the peer of a node, or nil after close.
func (m *Mux) peer(id wire.NodeID) *peer {
	m.mu.RLock()
	p, closed := m.mu.peers[id], m.mu.closed
	m.mu.RUnlock()
	if closed {
		return nil
	}
	if p != nil {
		return p
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.mu.peers[id]; p != nil || m.mu.closed {
		return p
	}
	p = newPeer(m, id)
	m.mu.peers[id] = p
	m.startLocked(p.run)
	return p
}

// accept takes the connections of other nodes.
func (m *Mux) accept(ctx context.Context) {
	greeting := make(chan struct{}, maxGreetings)
	for {
		conn, err := m.listener.Accept(ctx)
		switch {
		case ctx.Err() != nil || errors.Is(err, transport.ErrClosed):
			if err == nil {
				_ = conn.Close(transport.CloseGoingAway, "node stops")
			}
			return
		case err != nil:
			m.opts.Logger.Warn("node connection not accepted", "error", err)
			pause(ctx, m.opts.FirstRetry)
			continue
		}
		select {
		case greeting <- struct{}{}:
		default:
			_ = conn.Close(transport.CloseOverloaded, "too many nodes connect at once")
			continue
		}
		if !m.start(func(ctx context.Context) {
			defer func() { <-greeting }()
			m.welcome(ctx, conn)
		}) {
			_ = conn.Close(transport.CloseGoingAway, "node stops")
		}
	}
}

const (
	// maxGreetings bounds the accepted connections that have not said hello.
	maxGreetings = 64

	// helloTimeout bounds a dial and each side's wait for the other's hello.
	helloTimeout = 5 * time.Second
)

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// welcome says hello on an accepted connection and makes it the peer's.
func (m *Mux) welcome(ctx context.Context, conn transport.NodeConn) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close(transport.CloseGoingAway, "node stops") })
	defer stop()
	theirs, err := m.readHello(conn)
	if err == nil && theirs.node != conn.Peer() {
		err = fmt.Errorf("%w: hello of %s on a connection of %s", errMessage, theirs.node, conn.Peer())
	}
	if err == nil {
		err = conn.WriteFrames([][]byte{m.hello()})
	}
	if err != nil {
		m.opts.Logger.Warn("node connection refused", "node", string(conn.Peer()), "error", err)
		_ = conn.Close(transport.CloseProtocol, "hello refused")
		return
	}
	m.install(conn, theirs, false)
}

func (m *Mux) hello() []byte {
	return hello{cluster: m.cluster, node: m.self, minLevel: m.opts.MinLevel, maxLevel: m.opts.MaxLevel}.encode()
}

// readHello waits for the other side's hello and checks it.
func (m *Mux) readHello(conn transport.Conn) (hello, error) {
	conn.SetReadLimit(wire.MaxHelloBytes)
	now := time.Now()
	_ = conn.SetReadDeadline(now.Add(helloTimeout))
	_ = conn.SetWriteDeadline(now.Add(helloTimeout))
	frame, err := conn.ReadFrame()
	if err != nil {
		return hello{}, fmt.Errorf("wait for hello: %w", err)
	}
	theirs, err := decodeHello(frame)
	switch {
	case err != nil:
		return hello{}, err
	case theirs.cluster != m.cluster:
		return hello{}, fmt.Errorf("%w: node %s is of cluster %q, want %q", errMessage, theirs.node, theirs.cluster, m.cluster)
	case theirs.node == m.self:
		return hello{}, fmt.Errorf("%w: another node says that it is %s", errMessage, m.self)
	}
	conn.SetReadLimit(2 * chunkBytes)
	return theirs, nil
}

// install makes a connection the peer's link and starts its goroutines.
func (m *Mux) install(conn transport.Conn, theirs hello, dialed bool) {
	p := m.peer(theirs.node)
	if p == nil {
		_ = conn.Close(transport.CloseGoingAway, "node stops")
		return
	}
	l := &link{p: p, conn: conn, dialed: dialed, dead: make(chan struct{})}
	if !p.install(l, theirs) {
		_ = conn.Close(transport.CloseReplaced, "there is another connection")
		return
	}
	m.counters.connects.Add(1)
	m.opts.Logger.Info("node connected", "node", string(theirs.node), "dialed", dialed)
	if !m.start(func(context.Context) { l.read() }) || !m.start(func(context.Context) { l.write() }) {
		l.fail(ErrClosed)
	}
}

// Send sends a raft frame, or returns why it is lost.
func (m *Mux) Send(to wire.NodeID, shard wire.ShardID, frame []byte, u raftnet.Urgency) error {
	p := m.peer(to)
	if p == nil || to == m.self {
		return ErrClosed
	}
	err := p.raft(shard, frame, u)
	if err != nil {
		m.counters.raftDropped.Add(1)
	}
	return err
}

// Receive sets where a shard's raft frames go; nil takes that back.
func (m *Mux) Receive(shard wire.ShardID, deliver func(from wire.NodeID, frame []byte)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	receivers := maps.Clone(*m.receivers.Load())
	if deliver == nil {
		delete(receivers, shard)
	} else {
		receivers[shard] = deliver
	}
	m.receivers.Store(&receivers)
}

// Metrics returns what the mux has done.
func (m *Mux) Metrics() Metrics {
	c := &m.counters
	return Metrics{
		Writes: c.writes.Load(), Messages: c.messages.Load(), Bytes: c.bytes.Load(), RaftDropped: c.raftDropped.Load(),
		Refused: c.refused.Load(), Connects: c.connects.Load(), Losses: c.losses.Load(),
	}
}

// Peer is what the mux knows of another node.
type Peer struct {
	Node               wire.NodeID
	Connected          bool
	Since              time.Time // of the present state
	MinLevel, MaxLevel uint32    // format levels it said it can read; 0 before it was connected
}

// Peers returns what is known of all nodes that were asked for or connected.
func (m *Mux) Peers() []Peer {
	m.mu.RLock()
	peers := slices.Collect(maps.Values(m.mu.peers))
	m.mu.RUnlock()
	known := make([]Peer, 0, len(peers))
	for _, p := range peers {
		known = append(known, p.status())
	}
	slices.SortFunc(known, func(a, b Peer) int {
		if a.Node < b.Node {
			return -1
		}
		return 1
	})
	return known
}
