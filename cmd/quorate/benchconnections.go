package main

import (
	"context"
	"time"

	"github.com/quorate/quorate/bench"
)

type benchConnectionsCmd struct {
	benchFlags
	Sessions      int           `help:"Sessions, each a user of its own, spread over the nodes." default:"2000"`
	Conversations int           `help:"Conversations that each session follows, beside its user log." default:"10"`
	Members       int           `help:"Members of each conversation." default:"10"`
	Opening       int           `help:"Sessions that are being opened at once." default:"64"`
	Settle        time.Duration `help:"How long the nodes must have had nothing to do before they are measured." default:"5s"`
	Idle          time.Duration `help:"How long processor time is measured." default:"10s"`
	Rate          float64       `help:"Then each session sends so many messages a second, for as long; 0: none." default:"0"`
	Body          int           `help:"Bytes of a message." default:"256"`
}

// Help is what --help adds.
func (benchConnectionsCmd) Help() string {
	return `Memory is what the processes of all nodes grew by, after a collection. It wants the app's master key. It exits with 1 if a session failed.

Examples:
  quorate bench connections --sessions 5000 --transport quic
  quorate bench connections --sessions 1000 --rate 0.2`
}

// Run measures.
func (c *benchConnectionsCmd) Run(ctx context.Context, e *env) error {
	return c.measure(ctx, e, bench.Connections{
		Sessions: c.Sessions, Conversations: c.Conversations, Members: c.Members, Opening: c.Opening, Settle: c.Settle, Idle: c.Idle,
		Rate: c.Rate, BodyBytes: c.Body,
	})
}
