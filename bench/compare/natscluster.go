package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// natsSystem is how NATS is set up for a measurement.
type natsSystem struct {
	exe     string // nats-server
	self    string // this program, for the load
	streams int
	always  bool // sync_interval: always
}

// natsConfig is a node's configuration: defaults, but for what is compared.
const natsConfig = `server_name: n{{.Node}}
listen: 127.0.0.1:{{.Client}}
jetstream: {
  store_dir: "{{.Dir}}"
  max_memory_store: 1GB
  max_file_store: 40GB
{{- if .Always}}
  sync_interval: always
{{- end}}
}
cluster: {
  name: compare
  listen: 127.0.0.1:{{.Route}}
  routes: [{{range .Routes}}"nats://127.0.0.1:{{.}}",{{end}}]
}
`

type natsNode struct {
	Node, Client, Route int
	Routes              []int
	Dir                 string
	Always              bool
}

// config is what the node's server reads.
func (n *natsNode) config() (string, error) {
	t, err := template.New("nats").Parse(natsConfig)
	if err != nil {
		return "", fmt.Errorf("read the template of a node's configuration: %w", err)
	}
	var text strings.Builder
	if err := t.Execute(&text, n); err != nil {
		return "", fmt.Errorf("write a node's configuration: %w", err)
	}
	return text.String(), nil
}

// runningNATS is three processes.
type runningNATS struct {
	*natsSystem

	dir   string
	nodes []*process
	urls  []string
}

// natsReadyTimeout bounds how long streams and leaders may take.
const natsReadyTimeout = 60 * time.Second

// start implements system.
func (s *natsSystem) start(ctx context.Context, dir string) (running, error) {
	r := &runningNATS{natsSystem: s, dir: dir}
	if err := r.startNodes(ctx); err != nil {
		r.stop()
		return nil, err
	}
	ready, cancel := context.WithTimeout(ctx, natsReadyTimeout)
	defer cancel()
	if err := r.makeStreams(ready); err != nil {
		r.stop()
		return nil, fmt.Errorf("make the streams: %w", err)
	}
	return r, nil
}

func (r *runningNATS) startNodes(ctx context.Context) error {
	ports, err := freePorts(ctx, 2*nodes)
	if err != nil {
		return err
	}
	for i := range nodes {
		n := natsNode{
			Node: i + 1, Client: ports[i], Route: ports[nodes+i], Routes: ports[nodes:],
			Dir: filepath.Join(r.dir, fmt.Sprintf("n%d", i+1)), Always: r.always,
		}
		text, err := n.config()
		if err != nil {
			return err
		}
		config := n.Dir + ".conf"
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			return fmt.Errorf("write a node's configuration: %w", err)
		}
		p, err := prepare(ctx, n.Dir+".log", r.exe, "-c", config)
		if err != nil {
			return err
		}
		if err := p.start(); err != nil {
			return err
		}
		r.nodes = append(r.nodes, p)
		r.urls = append(r.urls, fmt.Sprintf("nats://127.0.0.1:%d", n.Client))
	}
	return nil
}

// makeStreams makes the streams, and spreads their leaders over the nodes.
func (r *runningNATS) makeStreams(ctx context.Context) error {
	var js jetstream.JetStream
	err := r.until(ctx, func(context.Context) error {
		conn, err := nats.Connect(strings.Join(r.urls, ","))
		if err != nil {
			return err
		}
		if js, err = jetstream.New(conn); err != nil {
			conn.Close()
		}
		return err
	})
	if err != nil {
		return err
	}
	defer js.Conn().Close()
	for i := range r.streams {
		config := jetstream.StreamConfig{
			Name: fmt.Sprintf("S%d", i), Subjects: []string{fmt.Sprintf("bench.%d.*", i)},
			Storage: jetstream.FileStorage, Replicas: nodes,
		}
		err := r.until(ctx, func(ctx context.Context) error {
			_, err := js.CreateOrUpdateStream(ctx, config)
			return err
		})
		if err != nil {
			return fmt.Errorf("stream %d: %w", i, err)
		}
	}
	for i := range r.streams {
		if err := r.until(ctx, func(ctx context.Context) error { return lead(ctx, js, i) }); err != nil {
			return fmt.Errorf("lead stream %d: %w", i, err)
		}
	}
	return nil
}

// lead asks for a stream's leader to be where it is wanted; nil: it is there
// and both others follow.
func lead(ctx context.Context, js jetstream.JetStream, i int) error {
	stream, err := js.Stream(ctx, fmt.Sprintf("S%d", i))
	if err != nil {
		return err
	}
	c := stream.CachedInfo().Cluster
	want := fmt.Sprintf("n%d", i%nodes+1)
	switch {
	case c == nil || c.Leader == "" || len(c.Replicas) != nodes-1:
		return errors.New("it has no leader yet")
	case c.Leader != want:
		subject := fmt.Sprintf("$JS.API.STREAM.LEADER.STEPDOWN.S%d", i)
		if _, err := js.Conn().RequestWithContext(ctx, subject, fmt.Appendf(nil, `{"placement":{"preferred":%q}}`, want)); err != nil {
			return err
		}
		return fmt.Errorf("%s leads it, not %s", c.Leader, want)
	}
	for _, p := range c.Replicas {
		if !p.Current {
			return fmt.Errorf("%s is not current", p.Name)
		}
	}
	return nil
}

// tryTimeout bounds one try: a request may be lost while the cluster forms.
const tryTimeout = 3 * time.Second

// until tries until it succeeds, a node ends, or ctx does.
func (r *runningNATS) until(ctx context.Context, try func(context.Context) error) error {
	for {
		once, cancel := context.WithTimeout(ctx, tryTimeout)
		err := try(once)
		cancel()
		if err == nil {
			return nil
		}
		for _, n := range r.nodes {
			select {
			case <-n.ended:
				return n.gone()
			default:
			}
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// servers implements running.
func (r *runningNATS) servers() []int {
	var pids []int
	for _, n := range r.nodes {
		pids = append(pids, n.pid())
	}
	return pids
}

// load implements running.
func (r *runningNATS) load(ctx context.Context, l load) (*process, error) {
	return prepare(ctx, filepath.Join(r.dir, "load.log"), r.self, "nats-load",
		"-servers", strings.Join(r.urls, ","), "-streams", fmt.Sprint(r.streams), "-subjects", fmt.Sprint(l.conversations),
		"-connections", fmt.Sprint(l.connections), "-in-flight", fmt.Sprint(l.inFlight), "-body", fmt.Sprint(l.body),
		"-warmup", l.warmup.String(), "-duration", l.duration.String())
}

// stop implements running.
func (r *runningNATS) stop() { stopAll(r.nodes) }
