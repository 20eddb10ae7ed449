package raftnet

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/quorate/quorate/wire"
)

// link is what the two sides of a Transport share, the one that asks and the one
// that is asked: the way to the network, the term, and the end.
type link struct {
	self     wire.NodeID
	shard    wire.ShardID
	net      Network
	opts     Options
	term     atomic.Uint64 // the highest term in which this node knows of a leader or a vote
	counters counters

	closing struct {
		sync.Mutex
		closed bool
	}
	closed chan struct{}
	tasks  sync.WaitGroup
}

func newLink(self wire.NodeID, shard wire.ShardID, network Network, opts Options) *link {
	return &link{self: self, shard: shard, net: network, opts: opts, closed: make(chan struct{})}
}

// shut stops receiving and wakes who waits; it returns false if that was done
// before.
func (l *link) shut() bool {
	l.closing.Lock()
	first := !l.closing.closed
	l.closing.closed = true
	l.closing.Unlock()
	if first {
		l.net.Receive(l.shard, nil)
		close(l.closed)
	}
	return first
}

// send hands a frame to the network.
func (l *link) send(to wire.NodeID, frame []byte, u Urgency) error {
	err := l.net.Send(to, l.shard, frame, u)
	if err != nil {
		l.counters.unsent.Add(1)
		return fmt.Errorf("send to %s: %w", to, err)
	}
	l.counters.sent.Add(1)
	return nil
}

// sawTerm notes a term in which this node acts or knows of a leader. A
// pre-vote's is none yet.
func (l *link) sawTerm(term uint64) {
	for {
		seen := l.term.Load()
		if term <= seen || l.term.CompareAndSwap(seen, term) {
			return
		}
	}
}
