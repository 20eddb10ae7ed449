package cluster

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/quorate/quorate/wire"
)

// Table is what the meta group knew at one index. It never changes; slices and
// maps that it returns are shared and must not be changed either. Its zero
// value is a cluster that nobody has set up yet.
type Table struct {
	rec    record
	shards map[wire.ShardID]int // place in rec.Shards
}

func newTable(r *record) *Table {
	t := &Table{rec: *r, shards: make(map[wire.ShardID]int, len(r.Shards))}
	for i := range t.rec.Shards {
		t.shards[t.rec.Shards[i].ID] = i
	}
	return t
}

// Route says who owns a slot.
type Route struct {
	Shard     wire.ShardID
	Epoch     uint64        // of the slot map this comes from
	Voters    []wire.NodeID // shared, not to be changed
	Preferred wire.NodeID   // a first guess of who leads
}

// Ready tells whether the cluster has been set up: before, there are no slots.
func (t *Table) Ready() bool { return t.rec.ClusterID != "" }

// Index returns the raft index of the last command in it.
func (t *Table) Index() uint64 { return t.rec.Index }

// ClusterID returns the cluster's name for itself, or "" before it is set up.
func (t *Table) ClusterID() string { return t.rec.ClusterID }

// FormatLevel returns the level of stored forms that may be written.
func (t *Table) FormatLevel() uint32 { return t.rec.FormatLevel }

// Epoch returns the version of the slot map.
func (t *Table) Epoch() uint64 { return t.rec.Epoch }

// Route returns the owner of a slot; false before the cluster is set up.
func (t *Table) Route(slot wire.Slot) (Route, bool) {
	if len(t.rec.Shards) == 0 {
		return Route{}, false
	}
	// The shards are sorted and leave no gap: the owner is the last that begins
	// at or before the slot.
	i, exact := slices.BinarySearchFunc(t.rec.Shards, slot, func(s Shard, slot wire.Slot) int { return cmp.Compare(s.First, slot) })
	if !exact {
		i--
	}
	s := &t.rec.Shards[i]
	return Route{Shard: s.ID, Epoch: t.rec.Epoch, Voters: s.Placement.Voters, Preferred: s.Placement.Preferred}, true
}

// Shard returns a shard by its id.
func (t *Table) Shard(id wire.ShardID) (Shard, bool) {
	i, ok := t.shards[id]
	if !ok {
		return Shard{}, false
	}
	return t.rec.Shards[i], true
}

// Shards returns all shards in the order of their slots.
func (t *Table) Shards() []Shard { return t.rec.Shards }

// Node returns a node by its id.
func (t *Table) Node(id wire.NodeID) (Node, bool) {
	i, ok := findNode(t.rec.Nodes, id)
	if !ok {
		return Node{}, false
	}
	return t.rec.Nodes[i], true
}

// Nodes returns all nodes, removed ones too, sorted by id.
func (t *Table) Nodes() []Node { return t.rec.Nodes }

// App returns an app by its id.
func (t *Table) App(id wire.AppID) (App, bool) {
	i, ok := findApp(t.rec.Apps, id)
	if !ok {
		return App{}, false
	}
	return t.rec.Apps[i], true
}

// Apps returns all apps, sorted by id.
func (t *Table) Apps() []App { return t.rec.Apps }

// Setting returns the value of a setting, or "" when it is not set.
func (t *Table) Setting(key string) string { return t.rec.Settings[key] }

// Settings returns all settings.
func (t *Table) Settings() map[string]string { return t.rec.Settings }

// Digest returns a short hash of everything in the table. Two nodes whose
// tables have the same index must have the same digest.
func (t *Table) Digest() (string, error) {
	data, err := encodeRecord(&t.rec)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8]), nil
}

func findNode(nodes []Node, id wire.NodeID) (int, bool) {
	return slices.BinarySearchFunc(nodes, id, func(n Node, id wire.NodeID) int { return cmp.Compare(n.ID, id) })
}

func findApp(apps []App, id wire.AppID) (int, bool) {
	return slices.BinarySearchFunc(apps, id, func(a App, id wire.AppID) int { return cmp.Compare(a.ID, id) })
}
