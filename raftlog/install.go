package raftlog

import (
	"context"

	"github.com/cockroachdb/pebble/v2"
)

// Install implements Installer.
func (r *received) Install() error {
	p := r.snapshots
	if err := p.newer(r.stage.meta.Index); err != nil {
		return err
	}
	s := p.stores
	if err := s.durably(OpInstall, slowFactor*s.opts.WriteLimit, r.ingest); err != nil {
		return err
	}
	s.counters.installs.Add(1)
	s.opts.Logger.Info("snapshot installed", "shard", p.shard, "index", r.stage.meta.Index, "term", r.stage.meta.Term)
	return p.group.installed(position{r.stage.meta.Index, r.stage.meta.Term})
}

// ingest replaces the shard's rows and makes that durable. Rows of the range
// that are not flushed yet are flushed by Pebble before the new ones take their
// place; the flush afterwards leaves nothing that is only in memory.
func (r *received) ingest() error {
	p := r.snapshots
	span := pebble.KeyRange{Start: p.bounds.Start, End: p.bounds.End}
	if _, err := p.stores.state.IngestAndExcise(context.Background(), r.stage.files, nil, nil, span); err != nil {
		return err
	}
	r.stage.files = nil // the store has taken them
	if p.stores.opts.faults.noInstallFlush {
		return nil
	}
	return p.stores.flushState()
}
