package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/quorate/quorate/bench"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/wire"
)

type benchCmd struct {
	Ingest      benchIngestCmd      `cmd:"" help:"Durable sends over many conversations."`
	Connections benchConnectionsCmd `cmd:"" help:"What idle sessions cost the nodes."`
}

// target is the cluster that load is for, and the profile it is made of.
func (c connection) target() (profile, bench.Target, error) {
	p, conf, err := c.resolve()
	if err != nil {
		return profile{}, bench.Target{}, err
	}
	return p, bench.Target{Servers: p.Servers, App: wire.AppID(p.App), Key: p.signingKey(), TLS: conf}, nil
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
	_, target, err := c.target()
	if err != nil {
		return err
	}
	b := bench.Ingest{
		Connections: c.Connections, Conversations: c.Conversations, InFlight: c.InFlight, Rate: c.Rate, BodyBytes: c.Body,
		Warmup: c.Warmup, Duration: c.Duration,
	}
	r, err := b.Run(ctx, target, func(s string) { e.say("%s", s) })
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

type benchConnectionsCmd struct {
	connection
	Sessions      int           `help:"Sessions, each a user of its own, spread over the nodes." default:"2000"`
	Transport     string        `help:"ws or quic; the servers' own if it is not given." enum:"ws,quic," default:""`
	Conversations int           `help:"Conversations that each session follows, beside its user log." default:"10"`
	Members       int           `help:"Members of each conversation." default:"10"`
	Opening       int           `help:"Sessions that are being opened at once." default:"64"`
	Settle        time.Duration `help:"How long the nodes must have had nothing to do before they are measured." default:"5s"`
	Idle          time.Duration `help:"How long processor time is measured." default:"10s"`
	JSON          bool          `name:"json" help:"Print JSON."`
}

// Help is what --help adds.
func (benchConnectionsCmd) Help() string {
	return "Memory is what the processes of all nodes grew by, after a collection. It wants the app's master key. It exits with 1 if a session failed.\n\nExample: quorate bench connections --sessions 5000 --transport quic"
}

// Run measures.
func (c *benchConnectionsCmd) Run(ctx context.Context, e *env) error {
	p, target, err := c.target()
	if err != nil {
		return err
	}
	var status node.Status
	if err := c.admin(ctx, http.MethodGet, "/v1/cluster/status", &status); err != nil {
		return err
	}
	target.Servers = c.servers(p, &status)
	b := bench.Connections{
		Sessions: c.Sessions, Conversations: c.Conversations, Members: c.Members, Opening: c.Opening, Settle: c.Settle, Idle: c.Idle,
	}
	r, err := b.Run(ctx, target, c.observer(p, &status), func(s string) { e.say("%s", s) })
	if err != nil {
		return err
	}
	if c.JSON {
		err = e.printJSON(r)
	} else {
		err = e.printConnections(&r)
	}
	if err == nil && r.Errors > 0 {
		err = fmt.Errorf("%d sessions failed, the first: %s", r.Errors, r.FirstError)
	}
	return err
}

// servers are the nodes as the transport wants them.
func (c *benchConnectionsCmd) servers(p profile, s *node.Status) []string {
	scheme := nodeScheme(p)
	var servers []string
	for _, n := range s.Nodes {
		switch {
		case c.Transport == "quic" && n.QUIC != "":
			servers = append(servers, "quic://"+n.QUIC)
		case c.Transport == "ws" && n.HTTP != "":
			servers = append(servers, scheme+n.HTTP)
		}
	}
	if c.Transport == "" {
		return p.Servers
	}
	return servers
}

// nodeScheme is how nodes speak HTTP: as the servers that are given do.
func nodeScheme(p profile) string {
	for _, server := range p.Servers {
		if base, ok := httpURL(server); ok && strings.HasPrefix(base, "https:") {
			return "https://"
		}
	}
	return "http://"
}

// observer asks every node what it takes.
func (c *benchConnectionsCmd) observer(p profile, s *node.Status) bench.Observer {
	scheme := nodeScheme(p)
	return func(ctx context.Context) ([]node.Memory, error) {
		all := make([]node.Memory, len(s.Nodes))
		for i, n := range s.Nodes {
			one := c.connection
			one.Server = []string{scheme + n.HTTP}
			if err := one.admin(ctx, http.MethodPost, "/v1/node/memory", &all[i]); err != nil {
				return nil, err
			}
		}
		return all, nil
	}
}

func (e *env) printConnections(r *bench.ConnectionsReport) error {
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%d sessions opened in %.1f s, %d errors\n\n", r.Sessions, r.OpenSeconds, r.Errors)
	fmt.Fprintln(w, "NODE\tSESSIONS\tRSS BEFORE\tAFTER\tHEAP BEFORE\tAFTER\tSTACKS AFTER\tGOROUTINES AFTER")
	for i, after := range r.After {
		before := r.Before[i]
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t%d\n", after.Node, after.Sessions, bytesText(before.RSS), bytesText(after.RSS),
			bytesText(before.Heap), bytesText(after.Heap), bytesText(after.Stacks), after.Goroutines)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	s := r.PerSession
	_, err := fmt.Fprintf(e.stdout, "\na session: %.1f KiB of RSS (%.1f anonymous; heap %.1f, stacks %.1f), %.2f goroutines, %.1f millionths of a core\nidle: %.3f cores without sessions, %.3f with them\n",
		s.RSS/1024, s.Anonymous/1024, s.Heap/1024, s.Stacks/1024, s.Goroutines, s.Cores*1e6, r.BeforeCores, r.IdleCores)
	return err
}
