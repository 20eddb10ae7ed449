package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/quorate/quorate/node"
)

type clusterCmd struct {
	Status clusterStatusCmd `cmd:"" help:"Show nodes, shards, leaders, lag and whether replicas agree."`
	Scrub  clusterScrubCmd  `cmd:"" help:"Read every slot back from the disk of every replica, and compare."`
}

type clusterStatusCmd struct {
	connection
	JSON bool `name:"json" help:"Print JSON."`
}

// Help is what --help adds.
func (clusterStatusCmd) Help() string {
	return "It exits with 1 if the cluster is not healthy. It wants the app's master key (QUORATE_MASTER_KEY, or the profile)."
}

// errUnhealthy makes the exit code of a status that is not good.
var errUnhealthy = errors.New("the cluster is not healthy")

// Run prints the status.
func (c *clusterStatusCmd) Run(ctx context.Context, e *env) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var s node.Status
	if err := c.admin(ctx, http.MethodGet, "/v1/cluster/status", &s); err != nil {
		return err
	}
	if c.JSON {
		if err := e.printJSON(s); err != nil {
			return err
		}
	} else if err := e.printStatus(&s); err != nil {
		return err
	}
	if !s.Healthy {
		return errUnhealthy
	}
	return nil
}

func (e *env) printStatus(s *node.Status) error {
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "cluster %s, meta leader %s\n\n", s.Cluster, orDash(string(s.Meta.Leader)))
	fmt.Fprintln(w, "NODE\tSTATE\tLEADS\tSESSIONS\tDISK FREE\tUP\tHTTP\tQUIC")
	for _, n := range s.Nodes {
		state := "up"
		switch {
		case !n.Up:
			fmt.Fprintf(w, "%s\tdown\t-\t-\t-\t-\t%s\t%s\n", n.ID, n.HTTP, n.QUIC)
			continue
		case n.StorageFull:
			state = "storage full"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%s\t%s\t%s\n", n.ID, state, n.Leads, n.Sessions, bytesText(n.DiskFree),
			(time.Duration(n.UptimeMS) * time.Millisecond).Round(time.Second), n.HTTP, n.QUIC)
	}
	fmt.Fprintln(w, "\nSHARD\tSLOTS\tLEADER\tTERM\tAPPLIED\tLAG\tREPLICAS\tCHAINS")
	for i := range s.Shards {
		sh := &s.Shards[i]
		var applied, lag uint64
		for _, r := range sh.Replicas {
			applied, lag = max(applied, r.Applied), max(lag, r.Lag)
		}
		fmt.Fprintf(w, "%d\t%d-%d\t%s\t%d\t%d\t%d\t%d\t%s\n", sh.ID, sh.First, sh.Last, orDash(string(sh.Leader)), sh.Term, applied, lag, len(sh.Replicas), sh.Chains)
	}
	return w.Flush()
}

type clusterScrubCmd struct {
	connection
	JSON bool `name:"json" help:"Print JSON."`
}

// errRot makes the exit code of a scrub that found a difference.
var errRot = errors.New("replicas differ")

// Run scrubs.
func (c *clusterScrubCmd) Run(ctx context.Context, e *env) error {
	e.say("scrubbing all slots of all replicas…")
	var r node.ScrubReport
	if err := c.admin(ctx, http.MethodPost, "/v1/cluster/scrub", &r); err != nil {
		return err
	}
	if c.JSON {
		if err := e.printJSON(r); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(e.stdout, "%d slots on %d nodes: %d ranges agree, %d differ, %d were not answered by all\n",
			r.Slots, r.Nodes, r.Agree, len(r.Differ), len(r.Missing))
		for _, d := range r.Differ {
			fmt.Fprintf(e.stdout, "slots %d-%d of shard %d differ: %v\n", d.First, d.Last, d.Shard, d.Hashes)
		}
	}
	switch {
	case len(r.Differ) > 0:
		return errRot
	case len(r.Missing) > 0:
		return fmt.Errorf("%d ranges were not answered by all replicas", len(r.Missing))
	}
	return nil
}

// admin asks a node over HTTP with the app's master key, the first of the
// servers that answers.
func (c connection) admin(ctx context.Context, method, path string, into any) error {
	p, err := c.profile()
	if err != nil {
		return err
	}
	return p.admin(ctx, method, path, into)
}

func (p profile) admin(ctx context.Context, method, path string, into any) error {
	return p.ask(ctx, question{method: method, path: path}, into)
}

// question is what an operator asks a node for.
type question struct {
	method, path string
	body         any // sent as JSON; nil: nothing is
}

func (p profile) ask(ctx context.Context, q question, into any) error {
	if p.MasterKey == "" {
		return misused("it wants the app's master key: set QUORATE_MASTER_KEY")
	}
	conf, err := p.tls()
	if err != nil {
		return err
	}
	hc := &http.Client{Transport: &http.Transport{TLSClientConfig: conf}}
	defer hc.CloseIdleConnections()
	var errs error
	for _, server := range p.Servers {
		base, ok := httpURL(server)
		if !ok {
			continue
		}
		answer, err := p.call(ctx, hc, base, q)
		if err == nil {
			if err = json.Unmarshal(answer, into); err == nil {
				return nil
			}
			err = fmt.Errorf("decode the answer of %s: %w", base, err)
		}
		if errors.As(err, new(*misuseError)) {
			return err // others would say the same
		}
		if errs == nil || errs.Error() != err.Error() {
			errs = errors.Join(errs, err)
		}
	}
	if errs == nil {
		return misused("none of the servers speaks HTTP: give one as http://host:port")
	}
	return errs
}

func httpURL(server string) (string, bool) {
	u, err := url.Parse(server)
	if err != nil {
		return "", false
	}
	switch u.Scheme {
	case "http", "ws":
		return "http://" + u.Host, true
	case "https", "wss":
		return "https://" + u.Host, true
	default:
		return "", false
	}
}

// maxAnswer bounds what a node may answer.
const maxAnswer = 64 << 20

// call asks one node.
func (p profile) call(ctx context.Context, hc *http.Client, base string, q question) ([]byte, error) {
	body := []byte(nil)
	if q.body != nil {
		var err error
		if body, err = json.Marshal(q.body); err != nil {
			return nil, fmt.Errorf("encode what is asked: %w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, q.method, base+q.path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", base, err)
	}
	req.Header.Set("X-Quorate-App", p.App)
	req.Header.Set("Authorization", "Bearer "+p.MasterKey)
	req.Header.Set("Content-Type", "application/json")
	resp, err := hc.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask a node: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the answer of %s: %w", base, err)
	case resp.StatusCode == http.StatusBadRequest:
		return nil, misused("%s", reason(answer))
	case resp.StatusCode == http.StatusUnauthorized:
		return nil, fmt.Errorf("the nodes know no app %s with this master key", p.App)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("ask %s: %s: %s", base+q.path, resp.Status, reason(answer))
	}
	return answer, nil
}

// reason returns the text of a node's refusal.
func reason(answer []byte) string {
	var refusal struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(answer, &refusal) != nil || refusal.Error == "" {
		return fmt.Sprintf("%.200s", answer)
	}
	return refusal.Error
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func bytesText(n uint64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, i := float64(n)/unit, 0
	for value >= unit && i < 4 {
		value, i = value/unit, i+1
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTP"[i])
}
