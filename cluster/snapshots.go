package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/raftnet"
)

// errOldSnapshot is the cause when a snapshot comes after a newer one.
var errOldSnapshot = errors.New("a newer snapshot is stored")

// snapshotsKept is how many snapshots a node keeps: if the newest turns out
// damaged, raft begins with the one before and replays more of its log.
const snapshotsKept = 2

// openSnapshots opens raft's file snapshot store in dir, after removing what a
// crash left of snapshots that were never finished (raft leaves them for ever).
func openSnapshots(dir string, logger *slog.Logger) (raft.SnapshotStore, error) {
	store, err := raft.NewFileSnapshotStoreWithLogger(dir, snapshotsKept, raftnet.Logger(logger))
	if err != nil {
		return nil, fmt.Errorf("open snapshots of the meta group in %s: %w", dir, err)
	}
	base := filepath.Join(dir, "snapshots") // where raft's store keeps them
	entries, err := os.ReadDir(base)
	if err != nil {
		return nil, fmt.Errorf("list snapshots of the meta group: %w", err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".tmp") {
			continue
		}
		if err := os.RemoveAll(filepath.Join(base, e.Name())); err != nil {
			return nil, fmt.Errorf("remove an unfinished snapshot of the meta group: %w", err)
		}
	}
	// raft syncs what is in base, but not that base is in dir.
	return store, syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open %s to sync it: %w", dir, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}

// snapshots guards a snapshot store: what is not a whole record is never
// stored, and nothing is stored over something newer. A snapshot is gathered
// in memory (the record is small) and handed to the store in one go.
type snapshots struct {
	raft.SnapshotStore
	gate   chan struct{}                     // holds one token while a snapshot is being stored
	newest atomic.Pointer[raft.SnapshotMeta] // of those stored; written by the gate's holder
}

func guardSnapshots(store raft.SnapshotStore) (*snapshots, error) {
	s := &snapshots{SnapshotStore: store, gate: make(chan struct{}, 1)}
	s.newest.Store(new(raft.SnapshotMeta))
	list, err := store.List()
	if err != nil {
		return nil, fmt.Errorf("list snapshots of the meta group: %w", err)
	}
	if len(list) > 0 {
		s.newest.Store(list[0])
	}
	return s, nil
}

// Create implements raft.SnapshotStore.
//
//nolint:revive // the parameters are raft's
func (s *snapshots) Create(
	version raft.SnapshotVersion, index, term uint64, c raft.Configuration, cIndex uint64, t raft.Transport,
) (raft.SnapshotSink, error) {
	if err := s.admit(index); err != nil {
		return nil, err
	}
	meta := raft.SnapshotMeta{Version: version, Index: index, Term: term, Configuration: c, ConfigurationIndex: cIndex}
	return &snapshotSink{store: s, meta: meta, transport: t}, nil
}

func (s *snapshots) admit(index uint64) error {
	if have := s.newest.Load().Index; index < have {
		return fmt.Errorf("store a snapshot of the meta group at index %d, having one at %d: %w", index, have, errOldSnapshot)
	}
	return nil
}

// store writes a whole snapshot and returns its id.
func (s *snapshots) store(meta raft.SnapshotMeta, t raft.Transport, data []byte) (string, error) {
	s.gate <- struct{}{}
	defer func() { <-s.gate }()
	if err := s.admit(meta.Index); err != nil {
		return "", err // another was stored while this one was written
	}
	sink, err := s.SnapshotStore.Create(meta.Version, meta.Index, meta.Term, meta.Configuration, meta.ConfigurationIndex, t)
	if err != nil {
		return "", err
	}
	if _, err := sink.Write(data); err != nil {
		return "", errors.Join(err, sink.Cancel())
	}
	if err := sink.Close(); err != nil {
		return "", err
	}
	s.newest.Store(&meta)
	return sink.ID(), nil
}

// snapshotSink gathers a snapshot until it is whole.
type snapshotSink struct {
	store     *snapshots
	meta      raft.SnapshotMeta
	transport raft.Transport
	data      bytes.Buffer
	id        string // set by Close
	done      bool
}

// Write implements io.Writer.
func (k *snapshotSink) Write(p []byte) (int, error) {
	if k.data.Len()+len(p) > maxRecordBytes {
		return 0, fmt.Errorf("snapshot of the meta group: it has more than %d bytes", maxRecordBytes)
	}
	return k.data.Write(p)
}

// Close stores the snapshot.
func (k *snapshotSink) Close() error {
	if k.done {
		return nil
	}
	k.done = true
	if _, err := decodeRecord(k.data.Bytes()); err != nil {
		return fmt.Errorf("store a snapshot of the meta group: %w", err)
	}
	id, err := k.store.store(k.meta, k.transport, k.data.Bytes())
	k.id = id
	return err
}

// Cancel forgets the snapshot.
func (k *snapshotSink) Cancel() error {
	k.done = true
	return nil
}

// ID names the snapshot once Close has stored it.
func (k *snapshotSink) ID() string { return k.id }

var _ io.WriteCloser = (*snapshotSink)(nil)
