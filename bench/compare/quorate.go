package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// quorateSystem is how Quorate is set up for a measurement.
type quorateSystem struct {
	exe    string // quorate
	shards int
}

// runningQuorate is "quorate dev" and the three nodes that it has started.
type runningQuorate struct {
	*quorateSystem

	dir  string
	dev  *process
	pids []int
}

// quorateReadyTimeout bounds how long leaders may take to be spread.
const quorateReadyTimeout = 30 * time.Second

// start implements system.
func (s *quorateSystem) start(ctx context.Context, dir string) (running, error) {
	r, err := startQuorate(ctx, s, dir)
	if err != nil {
		return nil, err
	}
	return r, nil
}

func startQuorate(ctx context.Context, s *quorateSystem, dir string) (*runningQuorate, error) {
	const perNode = 10 // ports of a node in quorate dev
	port, err := freeBlock(ctx, nodes*perNode)
	if err != nil {
		return nil, err
	}
	r := &runningQuorate{quorateSystem: s, dir: dir}
	r.dev, err = prepare(ctx, filepath.Join(dir, "dev.log"), s.exe, "dev", "--json", "--nodes", fmt.Sprint(nodes),
		"--shards", fmt.Sprint(s.shards), "--port", fmt.Sprint(port), "--dir", filepath.Join(dir, "cluster"),
		"--app-setting", "leanmessage.rate.send=0") // what is measured is not what an app allows its users
	if err != nil {
		return nil, err
	}
	r.dev.cmd.Env = r.env()
	out, in, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	defer func() { _ = out.Close() }()
	r.dev.cmd.Stdout = in
	err = r.dev.start()
	_ = in.Close() // the process has it
	if err != nil {
		return nil, err
	}
	if err := r.awaitReady(ctx, out); err != nil {
		r.stop()
		return nil, err
	}
	return r, nil
}

// env keeps the profile with the cluster, and not in the user's own place.
func (r *runningQuorate) env() []string {
	return append(os.Environ(), "QUORATE_PROFILE="+filepath.Join(r.dir, "profile.json"))
}

func (r *runningQuorate) awaitReady(ctx context.Context, out io.Reader) error {
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		<-r.dev.ended
		return r.dev.gone()
	}
	var ready struct {
		Nodes []struct {
			PID int `json:"pid"`
		} `json:"nodes"`
	}
	if err := json.Unmarshal(line, &ready); err != nil {
		return fmt.Errorf("read what quorate dev says: %w", err)
	}
	if len(ready.Nodes) != nodes {
		return fmt.Errorf("quorate dev has started %d nodes, not %d", len(ready.Nodes), nodes)
	}
	for _, n := range ready.Nodes {
		r.pids = append(r.pids, n.PID)
	}
	return r.awaitLeaders(ctx)
}

// awaitLeaders waits until the nodes lead as many shards each.
func (r *runningQuorate) awaitLeaders(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, quorateReadyTimeout)
	defer cancel()
	for {
		err := r.spread(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-r.dev.ended:
			return r.dev.gone()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// spread is an error as long as leaders are missing or not spread.
func (r *runningQuorate) spread(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, r.exe, "cluster", "status", "--json")
	cmd.Env = r.env()
	text, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("ask for the cluster's status: %w", err)
	}
	var status struct {
		Nodes []struct {
			Leads int `json:"leads"`
		} `json:"nodes"`
	}
	if err := json.Unmarshal(text, &status); err != nil {
		return fmt.Errorf("read the cluster's status: %w", err)
	}
	sum, most := 0, 0
	for _, n := range status.Nodes {
		sum, most = sum+n.Leads, max(most, n.Leads)
	}
	if sum != r.shards || most > (r.shards+nodes-1)/nodes {
		return fmt.Errorf("%d of %d shards have a leader, one node leads %d", sum, r.shards, most)
	}
	return nil
}

// servers implements running.
func (r *runningQuorate) servers() []int { return r.pids }

// load implements running.
func (r *runningQuorate) load(ctx context.Context, l load) (*process, error) {
	p, err := prepare(ctx, filepath.Join(r.dir, "load.log"), r.exe, "bench", "ingest", "--json",
		"--connections", fmt.Sprint(l.connections), "--conversations", fmt.Sprint(l.conversations),
		"--in-flight", fmt.Sprint(l.inFlight), "--body", fmt.Sprint(l.body),
		"--warmup", l.warmup.String(), "--duration", l.duration.String())
	if err != nil {
		return nil, err
	}
	p.cmd.Env = r.env()
	return p, nil
}

// stop implements running. The nodes are dev's own to stop.
func (r *runningQuorate) stop() { r.dev.stop() }
