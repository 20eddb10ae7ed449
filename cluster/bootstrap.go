package cluster

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/wire"
)

// Bootstrap says what a new cluster begins with. Every initial node is given
// the same one; starting a node again with it changes nothing. Its zero value
// is for a node that joins a cluster that is there.
type Bootstrap struct {
	// ClusterID names the cluster for ever.
	ClusterID string

	// Nodes are the initial nodes. State and format levels may be left empty.
	Nodes []Node

	// Shards is how many shards the slots are cut into. Default 16.
	Shards int

	// Replicas is how many nodes hold each shard, if there are so many.
	// Default 3.
	Replicas int

	// Apps are the first apps, ready-made; see [NewApp].
	Apps []App

	// Settings are the cluster's first settings.
	Settings map[string]string
}

// Defaults of a Bootstrap.
const (
	DefaultShards   = 16
	DefaultReplicas = 3
)

// empty tells whether there is nothing to set up.
func (b *Bootstrap) empty() bool { return b.ClusterID == "" && len(b.Nodes) == 0 }

// withDefaults returns a copy with the defaults filled in and the lists sorted.
func (b *Bootstrap) withDefaults() Bootstrap {
	out := *b
	if out.Shards == 0 {
		out.Shards = DefaultShards
	}
	if out.Replicas == 0 {
		out.Replicas = DefaultReplicas
	}
	out.Nodes = slices.Clone(b.Nodes)
	for i := range out.Nodes {
		n := &out.Nodes[i]
		if n.State == "" {
			n.State = NodeJoined
		}
		if n.FormatMax == 0 {
			n.FormatMin, n.FormatMax = FormatLevel, FormatLevel
		}
	}
	slices.SortFunc(out.Nodes, func(a, b Node) int { return strings.Compare(string(a.ID), string(b.ID)) })
	out.Apps = slices.Clone(b.Apps)
	slices.SortFunc(out.Apps, func(a, b App) int { return strings.Compare(string(a.ID), string(b.ID)) })
	out.Settings = maps.Clone(b.Settings)
	return out
}

// Validate says all that is wrong with it, or nil.
func (b *Bootstrap) Validate() error {
	full := b.withDefaults()
	var errs []error
	if err := wire.ValidID(full.ClusterID); err != nil {
		errs = append(errs, fmt.Errorf("the cluster's id %w", err))
	}
	if full.Shards < 1 || full.Shards > MaxShards {
		errs = append(errs, fmt.Errorf("field Shards is %d, want 1 to %d", full.Shards, MaxShards))
	}
	if full.Replicas < 1 {
		errs = append(errs, fmt.Errorf("field Replicas is %d, want at least 1", full.Replicas))
	}
	errs = append(errs, checkNodes(full.Nodes), checkApps(full.Apps))
	return errors.Join(errs...)
}

// Command returns the command that sets the cluster up. It is the same for the
// same Bootstrap, whatever order its lists have.
func (b *Bootstrap) Command() (Init, error) {
	if err := b.Validate(); err != nil {
		return Init{}, err
	}
	full := b.withDefaults()
	return Init{
		ClusterID:   full.ClusterID,
		FormatLevel: FormatLevel,
		Nodes:       full.Nodes,
		Shards:      spread(full.Nodes, full.Shards, full.Replicas),
		Apps:        full.Apps,
		Settings:    full.Settings,
	}, nil
}

// configuration returns the meta group's first raft configuration. A server's
// address is its node id: the transport knows where the node is.
func (b *Bootstrap) configuration() raft.Configuration {
	full := b.withDefaults()
	voters := metaVoters(full.Nodes)
	var c raft.Configuration
	for i := range full.Nodes {
		id := full.Nodes[i].ID
		suffrage := raft.Nonvoter
		if slices.Contains(voters, id) {
			suffrage = raft.Voter
		}
		c.Servers = append(c.Servers, raft.Server{Suffrage: suffrage, ID: raft.ServerID(id), Address: raft.ServerAddress(id)})
	}
	return c
}
