package raftnet

import (
	"log/slog"
	"sync/atomic"
	"time"
)

// Options tune a Transport. The zero value is ready to use, but without the
// guard against going back: a production replica sets Applied.
type Options struct {
	// Applied returns the index of the last entry that this replica has
	// applied, never below its last snapshot and never falling. It is called
	// for each request from a leader, so it must be cheap. Nil: no guard
	// against going back.
	Applied func() uint64

	// Gate lets heartbeats past a replica that waits for its disk. Nil: they wait.
	Gate *Gate

	// Installs bounds how many snapshots this node receives at once; its
	// transports share it. Default: one of its own, of 1.
	Installs *Limiter

	// Round is how long an answer counts after its request was first sent. It must be
	// below raft's HeartbeatTimeout and ElectionTimeout. Heartbeats, votes and
	// TimeoutNow fail after one round; appends begin a new one. Default 900 ms.
	Round time.Duration

	// Timeout is how long an append is repeated before raft is told that it
	// failed. Long, because raft waits up to 10 s after a row of failures.
	// Default 30 s.
	Timeout time.Duration

	// MaxInFlight is how many appends a pipeline has under way; beyond it
	// raft waits. Default 8.
	MaxInFlight int

	// MaxAppendBytes bounds the entries of one append; the rest goes with
	// the next one. A larger entry travels alone. Default 1 MiB.
	MaxAppendBytes int

	// MaxQueued and MaxQueuedBytes bound the requests that wait for raft;
	// beyond them requests are lost, to be sent again. Default 128 and 16 MiB.
	MaxQueued      int
	MaxQueuedBytes int64

	// InstallIdle is how long either side of a snapshot's transfer waits for
	// a sign of life from the other. Default 5 s.
	InstallIdle time.Duration

	// Logger takes the transport's log. Default: nothing is logged.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Applied == nil {
		o.Applied = func() uint64 { return 0 }
	}
	if o.Installs == nil {
		o.Installs = NewLimiter(1)
	}
	if o.Round == 0 {
		o.Round = 900 * time.Millisecond
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.MaxInFlight == 0 {
		o.MaxInFlight = 8
	}
	if o.MaxAppendBytes == 0 {
		o.MaxAppendBytes = 1 << 20
	}
	if o.MaxQueued == 0 {
		o.MaxQueued = 128
	}
	if o.MaxQueuedBytes == 0 {
		o.MaxQueuedBytes = 16 << 20
	}
	if o.InstallIdle == 0 {
		o.InstallIdle = 5 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Limiter bounds how many snapshots a node receives at once.
type Limiter struct {
	free atomic.Int64
}

// NewLimiter returns a Limiter of n.
func NewLimiter(n int) *Limiter {
	l := &Limiter{}
	l.free.Store(int64(n))
	return l
}

// take takes one of the places, if there is one.
func (l *Limiter) take() bool {
	if l.free.Add(-1) >= 0 {
		return true
	}
	l.free.Add(1)
	return false
}

func (l *Limiter) give() { l.free.Add(1) }

// Metrics counts what a Transport did since it was made.
type Metrics struct {
	Sent     uint64 // frames handed to the network
	Unsent   uint64 // frames the network refused
	Received uint64 // frames from other nodes
	Repeated uint64 // requests sent again for want of an answer
	Late     uint64 // answers that nobody waited for any more
	Dropped  uint64 // requests lost because the queue was full
	Invalid  uint64 // frames that could not be decoded
	Skipped  uint64 // snapshots and appends that the guard against going back changed
}

type counters struct {
	sent, unsent, received, repeated, late, dropped, invalid, skipped atomic.Uint64
}

func (c *counters) metrics() Metrics {
	return Metrics{
		Sent: c.sent.Load(), Unsent: c.unsent.Load(), Received: c.received.Load(), Repeated: c.repeated.Load(),
		Late: c.late.Load(), Dropped: c.dropped.Load(), Invalid: c.invalid.Load(), Skipped: c.skipped.Load(),
	}
}
