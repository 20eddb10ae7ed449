package cluster

import (
	"fmt"
	"maps"
	"slices"

	"github.com/quorate/quorate/wire"
)

// apply returns the table after a command, and the command's answer. The table
// it is called on stays as it is. A refused command moves the index only.
func (t *Table) apply(index uint64, c Command) (*Table, Result) {
	next := &Table{rec: t.rec, shards: t.shards}
	next.rec.Version = recordVersion
	next.rec.Index = index

	var res Result
	switch c := c.(type) {
	case Init:
		next, res = next.init(c)
	case PutNode:
		res = next.putNode(c.Node)
	case SetPlacement:
		res = next.setPlacement(c)
	case PutApp:
		res = next.putApp(c.App)
	case SetAppSettings:
		res = next.setAppSettings(c)
	case PutSetting:
		res = next.putSetting(c)
	default:
		// A newer leader wrote this. Guessing would fork the replicas, so stop.
		panic(fmt.Sprintf("cluster: entry %d: unknown command %T", index, c))
	}
	res.Index = index
	return next, res
}

func (t *Table) init(c Init) (*Table, Result) {
	if t.Ready() {
		if c.ClusterID == t.rec.ClusterID {
			return t, Result{}
		}
		return t, refuse(RefusedExists, "the cluster is set up as %q", t.rec.ClusterID)
	}
	r := &record{
		Version: recordVersion, Index: t.rec.Index, ClusterID: c.ClusterID, FormatLevel: c.FormatLevel, Epoch: 1,
		Nodes: c.Nodes, Shards: c.Shards, Apps: c.Apps, Settings: c.Settings,
	}
	if err := wire.ValidID(c.ClusterID); err != nil {
		return t, refuse(RefusedInvalid, "the cluster's id %v", err)
	}
	if err := r.check(); err != nil {
		return t, refuse(RefusedInvalid, "%v", err)
	}
	return newTable(r), Result{}
}

func (t *Table) putNode(n Node) Result {
	if !t.Ready() {
		return notReady()
	}
	if err := n.check(); err != nil {
		return refuse(RefusedInvalid, "%v", err)
	}
	i, known := findNode(t.rec.Nodes, n.ID)
	switch {
	case known && t.rec.Nodes[i].State == NodeRemoved && n.State != NodeRemoved:
		return refuse(RefusedConflict, "node %q was removed: it comes back under a new id", n.ID)
	case !known && len(t.rec.Nodes) >= MaxNodes:
		return refuse(RefusedLimit, "there are %d nodes already", len(t.rec.Nodes))
	}
	t.rec.Nodes = put(t.rec.Nodes, i, known, n)
	return Result{}
}

func (t *Table) setPlacement(c SetPlacement) Result {
	i, ok := t.shards[c.Shard]
	if !ok {
		return refuse(RefusedNotFound, "there is no shard %d", c.Shard)
	}
	if have := t.rec.Shards[i].Placement.Version; c.Placement.Version != have+1 {
		return refuse(RefusedConflict, "the placement of shard %d has version %d, want the next to have %d, not %d",
			c.Shard, have, have+1, c.Placement.Version)
	}
	if err := c.Placement.check(t.rec.Nodes); err != nil {
		return refuse(RefusedInvalid, "shard %d: %v", c.Shard, err)
	}
	for _, id := range c.Placement.Voters {
		if n, _ := t.Node(id); n.State == NodeRemoved {
			return refuse(RefusedInvalid, "shard %d: node %q was removed", c.Shard, id)
		}
	}
	shard := t.rec.Shards[i]
	shard.Placement = c.Placement
	t.rec.Shards = put(t.rec.Shards, i, true, shard)
	return Result{}
}

func (t *Table) putApp(a App) Result {
	if !t.Ready() {
		return notReady()
	}
	if err := a.check(); err != nil {
		return refuse(RefusedInvalid, "%v", err)
	}
	i, known := findApp(t.rec.Apps, a.ID)
	if !known && len(t.rec.Apps) >= MaxApps {
		return refuse(RefusedLimit, "there are %d apps already", len(t.rec.Apps))
	}
	t.rec.Apps = put(t.rec.Apps, i, known, a)
	return Result{}
}

func (t *Table) setAppSettings(c SetAppSettings) Result {
	i, known := findApp(t.rec.Apps, c.App)
	if !known {
		return refuse(RefusedNotFound, "there is no app %q", c.App)
	}
	a := t.rec.Apps[i]
	settings := make(map[string]string, len(a.Settings)+len(c.Settings))
	maps.Copy(settings, a.Settings)
	for key, value := range c.Settings {
		if err := wire.ValidID(key); err != nil && value != "" {
			return refuse(RefusedInvalid, "a setting's name is not 1 to %d bytes of plain text", wire.MaxIDBytes)
		}
		settings[key] = value
		if value == "" {
			delete(settings, key)
		}
	}
	if a.Settings = settings; len(settings) == 0 {
		a.Settings = nil // as if there had never been one
	}
	if err := a.check(); err != nil {
		return refuse(RefusedInvalid, "%v", err)
	}
	t.rec.Apps = put(t.rec.Apps, i, true, a)
	return Result{}
}

func (t *Table) putSetting(c PutSetting) Result {
	if !t.Ready() {
		return notReady()
	}
	if err := wire.ValidID(c.Key); err != nil {
		return refuse(RefusedInvalid, "the setting's name %v", err)
	}
	if n := len(c.Key) + len(c.Value); n > MaxSettingBytes {
		return refuse(RefusedInvalid, "setting %q has %d bytes, want at most %d", c.Key, n, MaxSettingBytes)
	}
	settings := maps.Clone(t.rec.Settings)
	if settings == nil {
		settings = make(map[string]string)
	}
	if c.Value == "" {
		delete(settings, c.Key)
	} else {
		settings[c.Key] = c.Value
	}
	if len(settings) > MaxSettings {
		return refuse(RefusedLimit, "there are %d settings already", MaxSettings)
	}
	t.rec.Settings = settings
	return Result{}
}

func notReady() Result { return refuse(RefusedNotReady, "the cluster is not set up yet") }

// put returns a copy of a sorted slice with v at place i, instead of what is
// there or before it.
func put[E any](s []E, i int, instead bool, v E) []E {
	if instead {
		s = slices.Clone(s)
		s[i] = v
		return s
	}
	return slices.Insert(slices.Clip(slices.Clone(s)), i, v)
}
