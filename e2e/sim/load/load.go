package load

import (
	"context"
	"time"

	"github.com/quorate/quorate/client"
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
	Conversations int           // made at the start, default 4
	Operations    int           // of all clients together, default 2500
	Pause         time.Duration // between two operations of a client, on average; default 160ms
	Timeout       time.Duration // of a call, at most; default 8s
	Settle        time.Duration // for subscriptions to converge at the end; default 15s
}

func (o Options) withDefaults() Options {
	o.Users = orDefault(o.Users, 6)
	o.Devices = orDefault(o.Devices, 2)
	o.Conversations = orDefault(o.Conversations, 4)
	o.Operations = orDefault(o.Operations, 2500)
	o.Pause = orDefault(o.Pause, 160*time.Millisecond)
	o.Timeout = orDefault(o.Timeout, 8*time.Second)
	o.Settle = orDefault(o.Settle, 15*time.Second)
	return o
}

func orDefault[T int | time.Duration](v, usual T) T {
	if v <= 0 {
		return usual
	}
	return v
}
