package raftnet

import (
	"sync"

	"github.com/hashicorp/raft"
)

// Gate lets heartbeats be answered while raft's main goroutine is writing its
// log. A replica with a slow disk would else look for a new leader, or lose the
// followers that have one.
//
// raft 1.8.0 offers a handler for heartbeats that may be called at any time, and
// handles them with the same function as its main goroutine does, without a
// lock. While the main goroutine writes a term to its disk, as a candidate or
// because of a newer leader, the handler of an older heartbeat may do so too: the
// one that is done last wins, the term goes back, and the replica can lead in a
// term in which another one has led. So the handler is called only while the
// main goroutine is known to be inside of the log, where it changes nothing, and
// only for the term that it has accepted, which makes the handler write nothing.
type Gate struct {
	mu      sync.Mutex
	writing bool
}

// during calls f if the log is being written, and holds up its end until f has
// returned. It tells whether it did.
func (g *Gate) during(f func()) bool {
	if g == nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.writing {
		f()
	}
	return g.writing
}

func (g *Gate) set(writing bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.writing = writing
}

// Log returns a log store that opens the gate while it is written. It must be
// the one that raft is given.
func (g *Gate) Log(log raft.LogStore) raft.LogStore { return gatedLog{log, g} }

type gatedLog struct {
	raft.LogStore

	gate *Gate
}

// IsMonotonic implements raft.MonotonicLogStore.
func (l gatedLog) IsMonotonic() bool {
	m, ok := l.LogStore.(raft.MonotonicLogStore)
	return ok && m.IsMonotonic()
}

// StoreLogs implements raft.LogStore.
func (l gatedLog) StoreLogs(logs []*raft.Log) error {
	l.gate.set(true)
	defer l.gate.set(false)
	return l.LogStore.StoreLogs(logs)
}

// StoreLog implements raft.LogStore.
func (l gatedLog) StoreLog(log *raft.Log) error { return l.StoreLogs([]*raft.Log{log}) }
