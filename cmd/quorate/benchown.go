package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"

	"github.com/quorate/quorate/bench"
	"github.com/quorate/quorate/node"
)

// ownFlags are of measurements that start a cluster of their own, since they
// harm it or fill it.
type ownFlags struct {
	Nodes     int    `help:"Nodes of the cluster, each a process." default:"3"`
	Shards    int    `help:"Shards of the cluster." default:"16"`
	Dir       string `help:"On the disk to be measured: the cluster's data are in a new directory there, and removed at the end. Default: the system's for temporary files." placeholder:"DIR" type:"existingdir"`
	Port      int    `help:"Port of the first node's clients; 0: any that are free." default:"0"`
	Transport string `help:"ws or quic." enum:"ws,quic" default:"ws"`
	JSON      bool   `name:"json" help:"Print one JSON object."`
}

// ownCluster is a cluster that lives as long as a measurement.
type ownCluster struct {
	*devCluster

	dir string
}

// portTries is how many ports are tried before it is given up.
const portTries = 20

// start starts a cluster, and waits until it serves.
func (f *ownFlags) start(ctx context.Context, e *env) (c *ownCluster, err error) {
	if f.Nodes < 1 || f.Nodes > 99 || f.Shards < 1 || f.Shards > 1024 {
		return nil, misused("%d nodes and %d shards, want 1 to 99 and 1 to 1024", f.Nodes, f.Shards)
	}
	dir, err := os.MkdirTemp(f.Dir, "quorate-bench-*")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the cluster: %w", err)
	}
	c = &ownCluster{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	e.say("starting a cluster of %d nodes in %s", f.Nodes, dir)
	for range portTries {
		cmd := &devCmd{Nodes: f.Nodes, Shards: f.Shards, Dir: dir, Port: f.Port}
		if f.Port == 0 {
			cmd.Port = 20_000 + 10*rand.IntN(1000)
		}
		layout, err := prepareDev(cmd)
		if err != nil {
			return nil, err
		}
		c.devCluster = &devCluster{cmd: cmd, e: e, layout: layout}
		taken := c.checkPorts(ctx)
		if taken == nil {
			break
		}
		c.devCluster = nil
		if f.Port != 0 || ctx.Err() != nil {
			return nil, taken
		}
	}
	if c.devCluster == nil {
		return nil, errors.New("find free ports: none of those tried was")
	}
	if err := c.start(); err != nil {
		return nil, err
	}
	return c, c.awaitReady(ctx)
}

// close stops the cluster and removes its data.
func (c *ownCluster) close() error {
	if c.devCluster != nil {
		c.stop()
	}
	if err := os.RemoveAll(c.dir); err != nil {
		return fmt.Errorf("remove the cluster's data: %w", err)
	}
	return nil
}

// target is the cluster, for a measurement.
func (c *ownCluster) target(ctx context.Context, transport string) (bench.Target, error) {
	t, err := c.layout.profile().target(ctx, transport)
	t.ProbeDir = c.dir
	return t, err
}

// kill ends the node that leads most shards.
func (c *ownCluster) kill(ctx context.Context) (string, error) {
	var status node.Status
	if err := c.layout.profile().admin(ctx, http.MethodGet, "/v1/cluster/status", &status); err != nil {
		return "", err
	}
	victim, most := -1, -1
	for i, n := range c.nodes {
		for _, s := range status.Nodes {
			if string(s.ID) == n.place.name && s.Leads > most {
				victim, most = i, s.Leads
			}
		}
	}
	if victim < 0 {
		return "", errors.New("find the node that leads most shards: the status names none")
	}
	n := c.nodes[victim]
	if err := n.cmd.Process.Kill(); err != nil {
		return "", fmt.Errorf("kill node %s: %w", n.place.name, err)
	}
	return fmt.Sprintf("%s, which led %d of %d shards", n.place.name, most, len(status.Shards)), nil
}
