package main

import (
	"context"
	"time"

	"github.com/quorate/quorate/bench"
)

type benchIngestCmd struct {
	benchFlags
	loadFlags
	dialectFlag
	Connections   int           `help:"Connections, each a user of its own." default:"8"`
	Conversations int           `help:"Conversations that the messages go round in." default:"64"`
	Members       int           `help:"Members of each conversation." default:"1"`
	Body          int           `help:"Bytes of a message." default:"256"`
	Search        bool          `help:"Look for the highest rate that is sustained: --warmup and --duration are of each step."`
	SearchFrom    float64       `help:"With --search: the first rate." default:"1000"`
	SearchP99     time.Duration `name:"search-p99" help:"With --search: a step whose p99 is above it is not sustained." default:"100ms"`
}

// Help is what --help adds.
func (benchIngestCmd) Help() string {
	return `A message counts when it is on the disks of a majority. It exits with 1 if any failed.

Examples:
  quorate bench ingest --in-flight 512 --duration 30s
  quorate bench ingest --rate 5000 --body 1024 --transport quic
  quorate bench ingest --search --duration 5s
  quorate bench ingest --dialect leanmessage --in-flight 512`
}

// Run measures.
func (c *benchIngestCmd) Run(ctx context.Context, e *env) error {
	b := bench.Ingest{
		Load: c.load(), Dialect: bench.Dialect(c.Dialect), Connections: c.Connections, Conversations: max(c.Conversations, c.Connections), Members: c.Members, BodyBytes: c.Body,
	}
	if c.Search {
		if c.Rate != 0 {
			return misused("--search looks for the rate: leave --rate out")
		}
		b.Search = &bench.Search{From: c.SearchFrom, P99: c.SearchP99, Limit: c.Limit, Warmup: c.Warmup, Duration: c.Duration}
	}
	return c.measure(ctx, e, b)
}
