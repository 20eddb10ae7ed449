package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/quorate/quorate/bench"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/wire"
)

type benchCmd struct {
	Ingest      benchIngestCmd      `cmd:"" help:"Durable sends over many conversations."`
	Connections benchConnectionsCmd `cmd:"" help:"What idle and lightly used sessions cost the nodes."`
	Fanout      benchFanoutCmd      `cmd:"" help:"Messages into groups, and how long each takes to each member."`
	History     benchHistoryCmd     `cmd:"" help:"Pages of messages, by sequence and by time, cold and warm."`
	Cost        benchCostCmd        `cmd:"" help:"Whether a send costs the same in a large world as in a small one."`
	Failover    benchFailoverCmd    `cmd:"" help:"Kill a node under load, and read everything back."`
	Login       benchLoginCmd       `cmd:"" help:"Sessions that open, with few and many conversations, alone and all at once."`
}

// benchFlags is what all measurements of a running cluster have.
type benchFlags struct {
	connection
	Transport string `help:"ws or quic; the servers' own if it is not given." enum:"ws,quic," default:""`
	ProbeDir  string `help:"A directory on the nodes' disk: what a sync takes there is tried before the load." placeholder:"DIR" type:"existingdir"`
	JSON      bool   `name:"json" help:"Print one JSON object."`
}

// loadFlags say how load is offered.
type loadFlags struct {
	Rate     float64       `help:"How many a second, whatever the answers do; 0: as many as --in-flight." default:"0"`
	InFlight int           `help:"Without --rate: how many have no answer, over all connections." default:"64"`
	Limit    int           `help:"With a rate: beyond so many without an answer, what is due is not sent and counts as over the limit." default:"20000"`
	Warmup   time.Duration `help:"Not measured." default:"2s"`
	Duration time.Duration `help:"Measured." default:"10s"`
}

// dialectFlag says what the clients of a measurement speak.
type dialectFlag struct {
	Dialect string `help:"native, or leanmessage over WebSocket: what the clients speak while it is measured." enum:"native,leanmessage" default:"native"`
}

func (f loadFlags) load() bench.Load {
	return bench.Load{Rate: f.Rate, InFlight: f.InFlight, Limit: f.Limit, Warmup: f.Warmup, Duration: f.Duration}
}

// measure runs a scenario against the cluster, and prints its report.
func (f *benchFlags) measure(ctx context.Context, e *env, s bench.Scenario) error {
	if err := s.Validate(); err != nil {
		return misused("%v", err)
	}
	target, err := f.target(ctx, e)
	if err != nil {
		return err
	}
	return e.measure(ctx, s, target, f.JSON)
}

// measure runs a scenario, and prints its report. It fails if anything in it did.
func (e *env) measure(ctx context.Context, s bench.Scenario, target bench.Target, asJSON bool) error {
	target.Progress = e.say
	r, err := s.Run(ctx, target)
	if err != nil {
		return err
	}
	if asJSON {
		err = e.printJSON(r)
	} else {
		err = r.Print(e.stdout)
	}
	if err == nil {
		err = r.Failure()
	}
	return err
}

// target is the cluster that the flags name. What only the master key shows is not
// measured without it.
func (f *benchFlags) target(ctx context.Context, e *env) (bench.Target, error) {
	p, err := f.profile()
	if err != nil {
		return bench.Target{}, err
	}
	if p.MasterKey == "" && f.Transport != "" {
		return bench.Target{}, misused("--transport wants to know the nodes, so the app's master key: set QUORATE_MASTER_KEY, or give the servers as the transport wants them")
	}
	if p.MasterKey == "" {
		e.say("without the app's master key (QUORATE_MASTER_KEY) it is not measured what the nodes use")
	}
	t, err := p.target(ctx, f.Transport)
	t.ProbeDir = f.ProbeDir
	return t, err
}

// target is the cluster that a profile is of. The transport is that of its
// servers if none is given.
func (p profile) target(ctx context.Context, transport string) (bench.Target, error) {
	conf, err := p.tls()
	if err != nil {
		return bench.Target{}, err
	}
	t := bench.Target{Servers: p.Servers, App: wire.AppID(p.App), Key: p.signingKey(), TLS: conf, MasterKey: p.MasterKey}
	if p.MasterKey == "" {
		return t, nil
	}
	var status node.Status
	if err := p.admin(ctx, http.MethodGet, "/v1/cluster/status", &status); err != nil {
		return t, err
	}
	if transport != "" {
		t.Servers = serversOf(p, &status, transport)
	}
	t.Usage = func(ctx context.Context) ([]node.Usage, error) {
		return askNodes[node.Usage](ctx, p, &status, http.MethodGet, "/v1/node/usage")
	}
	t.Memory = func(ctx context.Context) ([]node.Memory, error) {
		return askNodes[node.Memory](ctx, p, &status, http.MethodPost, "/v1/node/memory")
	}
	return t, nil
}

// serversOf are the nodes as the transport wants them.
func serversOf(p profile, s *node.Status, transport string) []string {
	scheme := nodeScheme(p)
	var servers []string
	for _, n := range s.Nodes {
		switch {
		case transport == "quic" && n.QUIC != "":
			servers = append(servers, "quic://"+n.QUIC)
		case transport == "ws" && n.HTTP != "":
			servers = append(servers, node.BaseURL(scheme, n.HTTP))
		}
	}
	return servers
}

// nodeScheme is how nodes speak HTTP: as the servers that are given do.
func nodeScheme(p profile) string {
	for _, server := range p.Servers {
		if base, ok := httpURL(server); ok && strings.HasPrefix(base, "https:") {
			return "https"
		}
	}
	return "http"
}

// askNodes asks every node the same.
func askNodes[T any](ctx context.Context, p profile, s *node.Status, method, path string) ([]T, error) {
	scheme := nodeScheme(p)
	all, errs := make([]T, len(s.Nodes)), make([]error, len(s.Nodes))
	var asking sync.WaitGroup
	for i, n := range s.Nodes {
		asking.Go(func() {
			one := p
			one.Servers = []string{node.BaseURL(scheme, n.HTTP)}
			errs[i] = one.admin(ctx, method, path, &all[i])
		})
	}
	asking.Wait()
	for i, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("node %s: %w", s.Nodes[i].ID, err)
		}
	}
	return all, nil
}
