package main

import (
	"context"
	"fmt"
	"time"

	"github.com/quorate/quorate/bench"
	"github.com/quorate/quorate/wire"
)

type benchCmd struct {
	Ingest benchIngestCmd `cmd:"" help:"Durable sends over many conversations."`
}

type benchIngestCmd struct {
	connection
	Connections   int           `help:"Connections, each a user of its own." default:"8"`
	Conversations int           `help:"Conversations that the sends go round in." default:"64"`
	InFlight      int           `help:"Messages without an answer, over all connections." default:"64"`
	Rate          float64       `help:"Messages a second, whatever the answers do; 0: as many as are in flight." default:"0"`
	Body          int           `help:"Bytes of a message." default:"256"`
	Warmup        time.Duration `help:"Not measured." default:"2s"`
	Duration      time.Duration `help:"Measured." default:"10s"`
	JSON          bool          `name:"json" help:"Print JSON."`
}

// Help is what --help adds.
func (benchIngestCmd) Help() string {
	return "A message counts when it is on the disks of a majority. It exits with 1 if any failed.\n\nExample: quorate bench ingest --in-flight 512 --duration 30s"
}

// Run measures.
func (c *benchIngestCmd) Run(ctx context.Context, e *env) error {
	p, err := c.resolve()
	if err != nil {
		return err
	}
	conf, err := p.tls()
	if err != nil {
		return err
	}
	key := p.Key
	if key == "" {
		key = p.MasterKey
	}
	b := bench.Ingest{
		Connections: c.Connections, Conversations: c.Conversations, InFlight: c.InFlight, Rate: c.Rate, BodyBytes: c.Body,
		Warmup: c.Warmup, Duration: c.Duration,
	}
	r, err := b.Run(ctx, bench.Target{Servers: p.Servers, App: wire.AppID(p.App), Key: key, TLS: conf}, func(s string) { e.say("%s", s) })
	if err != nil {
		return err
	}
	if c.JSON {
		err = e.printJSON(r)
	} else {
		_, err = fmt.Fprintf(e.stdout, "%.0f messages/s, %d in %.0f s, %d errors\nlatency ms: p50 %.2f  p99 %.2f  p99.9 %.2f  max %.2f\n",
			r.Completed, r.Messages, r.Seconds, r.Errors, r.Latency.P50, r.Latency.P99, r.Latency.P999, r.Latency.Max)
	}
	if err == nil && r.Errors > 0 {
		err = fmt.Errorf("%d messages failed", r.Errors)
	}
	return err
}
