package cluster

import (
	"errors"
	"fmt"
	"slices"

	"github.com/quorate/quorate/wire"
)

// The checks here are rules of apply: what they let through decides what the
// replicas agree on. Changing one is a new format level.

func checkNodes(nodes []Node) error {
	if len(nodes) == 0 || len(nodes) > MaxNodes {
		return fmt.Errorf("there are %d nodes, want 1 to %d", len(nodes), MaxNodes)
	}
	for i := range nodes {
		if err := nodes[i].check(); err != nil {
			return err
		}
		if i > 0 && nodes[i-1].ID >= nodes[i].ID {
			return fmt.Errorf("node %q is not after node %q: want each id once, sorted", nodes[i].ID, nodes[i-1].ID)
		}
	}
	return nil
}

func (n *Node) check() error {
	if err := wire.ValidID(string(n.ID)); err != nil {
		return fmt.Errorf("node id %q %w", n.ID, err)
	}
	switch n.State {
	case NodeJoined, NodeDraining, NodeRemoved:
	default:
		return fmt.Errorf("node %q is %q, which is no state", n.ID, n.State)
	}
	if n.FormatMin > n.FormatMax {
		return fmt.Errorf("node %q reads format levels %d to %d, which is none", n.ID, n.FormatMin, n.FormatMax)
	}
	for _, text := range []string{n.Addresses.Peer, n.Addresses.HTTP, n.Addresses.QUIC, n.Addresses.Gossip, n.Zone} {
		if len(text) > maxAddressBytes {
			return fmt.Errorf("an address or the zone of node %q has %d bytes, want at most %d", n.ID, len(text), maxAddressBytes)
		}
	}
	return nil
}

// maxAddressBytes bounds a host:port: a DNS name has at most 253 bytes.
const maxAddressBytes = 260

func checkShards(shards []Shard, nodes []Node) error {
	if len(shards) == 0 || len(shards) > MaxShards {
		return fmt.Errorf("there are %d shards, want 1 to %d", len(shards), MaxShards)
	}
	seen := make(map[wire.ShardID]bool, len(shards))
	next := 0
	for i := range shards {
		s := &shards[i]
		switch {
		case s.ID == wire.MetaShard:
			return errors.New("shard 0 is the meta group and owns no slots")
		case seen[s.ID]:
			return fmt.Errorf("shard %d is there twice", s.ID)
		case int(s.First) != next || s.Last < s.First:
			return fmt.Errorf("shard %d owns slots %d to %d, want them to begin at %d", s.ID, s.First, s.Last, next)
		case len(s.Bootstrap) == 0:
			return fmt.Errorf("shard %d began without voters", s.ID)
		}
		if err := s.Placement.check(nodes); err != nil {
			return fmt.Errorf("shard %d: %w", s.ID, err)
		}
		seen[s.ID] = true
		next = int(s.Last) + 1
	}
	if next != wire.Slots {
		return fmt.Errorf("the slots from %d on have no shard", next)
	}
	return nil
}

func (p *Placement) check(nodes []Node) error {
	if len(p.Voters) == 0 {
		return errors.New("the placement has no voters")
	}
	seen := make(map[wire.NodeID]bool)
	for _, id := range slices.Concat(p.Voters, p.Nonvoters) {
		if seen[id] {
			return fmt.Errorf("node %q is placed twice", id)
		}
		seen[id] = true
		if _, ok := findNode(nodes, id); !ok {
			return fmt.Errorf("node %q is placed but not known", id)
		}
	}
	if p.Preferred != "" && !slices.Contains(p.Voters, p.Preferred) {
		return fmt.Errorf("node %q should lead but is no voter", p.Preferred)
	}
	return nil
}

func checkApps(apps []App) error {
	if len(apps) > MaxApps {
		return fmt.Errorf("there are %d apps, want at most %d", len(apps), MaxApps)
	}
	for i := range apps {
		if err := apps[i].check(); err != nil {
			return err
		}
		if i > 0 && apps[i-1].ID >= apps[i].ID {
			return fmt.Errorf("app %q is not after app %q: want each id once, sorted", apps[i].ID, apps[i-1].ID)
		}
	}
	return nil
}

func (a *App) check() error {
	if err := wire.ValidID(string(a.ID)); err != nil {
		return fmt.Errorf("app id %q %w", a.ID, err)
	}
	if len(a.Name) > maxAddressBytes {
		return fmt.Errorf("the name of app %q has %d bytes, want at most %d", a.ID, len(a.Name), maxAddressBytes)
	}
	if len(a.Key) == 0 || len(a.Key) > maxSecretBytes || len(a.MasterKey) == 0 || len(a.MasterKey) > maxSecretBytes {
		return fmt.Errorf("app %q lacks a key or has one over %d bytes", a.ID, maxSecretBytes)
	}
	size := 0
	for key, value := range a.Settings {
		size += len(key) + len(value)
	}
	if size > MaxSettingBytes {
		return fmt.Errorf("the settings of app %q have %d bytes, want at most %d", a.ID, size, MaxSettingBytes)
	}
	return nil
}

const maxSecretBytes = 128
