package main

import (
	"context"

	"github.com/quorate/quorate/bench"
)

type benchFanoutCmd struct {
	benchFlags
	loadFlags
	dialectFlag
	Groups      int     `help:"Groups that the messages go round in, each with members of its own." default:"1"`
	Members     int     `help:"Members of each group." default:"1000"`
	Online      float64 `help:"Share of them that are online; at least one is." default:"0.5"`
	Connections int     `help:"Connections that send." default:"8"`
	Body        int     `help:"Bytes of a message." default:"256"`
}

// Help is what --help adds.
func (benchFanoutCmd) Help() string {
	return `A delivery is a message that a session of a member has; its latency counts from when the message should have been sent. It exits with 1 if any failed, or was acknowledged and not delivered.

Examples:
  quorate bench fanout --members 1000 --online 0.5 --rate 400 --transport ws
  quorate bench fanout --groups 500 --members 2 --online 1 --in-flight 256
  quorate bench fanout --dialect leanmessage --members 500 --online 1 --in-flight 16`
}

// Run measures.
func (c *benchFanoutCmd) Run(ctx context.Context, e *env) error {
	return c.measure(ctx, e, bench.Fanout{
		Load: c.load(), Dialect: bench.Dialect(c.Dialect), Groups: c.Groups, Members: c.Members, Online: c.Online, Connections: min(c.Connections, c.Groups), BodyBytes: c.Body,
	})
}
