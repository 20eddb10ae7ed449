package raftlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/hashicorp/raft"
)

// ErrStale is returned when a snapshot is not newer than the state.
var ErrStale = errors.New("raftlog: the snapshot is not newer than the state")

// ErrUnknownSnapshot is returned by Open for a snapshot that is not there.
var ErrUnknownSnapshot = errors.New("raftlog: no such snapshot")

// liveID names the one snapshot that is always there: the state itself.
const liveID = "live"

// KeyRange is a shard's part of the state store, from Start up to but not
// including End.
type KeyRange struct{ Start, End []byte }

func (r KeyRange) contains(key []byte) bool {
	return bytes.Compare(key, r.Start) >= 0 && bytes.Compare(key, r.End) < 0
}

// Meta is where in the raft log a state is.
type Meta struct {
	Index, Term        uint64 // of the last entry that it has applied
	ConfigurationIndex uint64
	Configuration      raft.Configuration
}

// MetaReader reads the record of a shard's state, which is the first row of its
// range. It reports false for a row that is no such record, as when the state
// is still empty.
type MetaReader func(key, value []byte) (Meta, bool, error)

// Installer is what a reader of a received snapshot is, once it is freed of
// its wrappers (raft.ReadCloserWrapper): FSM.Restore calls Install and reads
// nothing.
type Installer interface {
	// Install puts the snapshot in the place of the shard's state. The change
	// is atomic, and on the disk when Install returns. It fails with ErrStale,
	// and changes nothing, if the state is as new as the snapshot.
	Install() error
}

// Snapshots is one shard's raft.SnapshotStore. It holds no data.
//
// There is one snapshot, the state itself: List tells where it is, Open streams
// it. To take a snapshot is to flush the state, which the sink does when it is
// closed; an FSM's Persist has nothing to do. Only what raft copies into a sink
// is kept, beside the stores, until it is installed or given up.
type Snapshots struct {
	stores *Stores
	group  *Group
	shard  uint32
	bounds KeyRange
	meta   MetaReader

	shown, shownDurable atomic.Uint64 // how far the record was seen, in all rows and in those on the disk

	mu struct {
		sync.Mutex
		made   uint64            // stages so far, for their names
		staged map[string]*stage // received whole, not yet installed
	}
}

var _ raft.SnapshotStore = (*Snapshots)(nil)

// Snapshots returns a shard's snapshot store, and from here on keeps the
// shard's raft log to its state: what a crash has left between the two is
// settled, and old entries are not deleted before the state is flushed. It
// fails with ErrHole if entries between state and log are missing. Call it
// after Group and before raft is started.
func (s *Stores) Snapshots(shard uint32, bounds KeyRange, meta MetaReader) (*Snapshots, error) {
	group, err := s.Group(shard)
	if err != nil {
		return nil, err
	}
	p := &Snapshots{stores: s, group: group, shard: shard, bounds: bounds, meta: meta}
	p.mu.staged = map[string]*stage{}

	at, _, err := p.readMeta(onlyDurable)
	if err != nil {
		return nil, err
	}
	if err := group.attach(position{at.Index, at.Term}); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.snapshots[shard] = p
	return p, nil
}

// List implements raft.SnapshotStore.
func (p *Snapshots) List() ([]*raft.SnapshotMeta, error) {
	meta, ok, err := p.readMeta(newest)
	if err != nil || !ok {
		return nil, err
	}
	return []*raft.SnapshotMeta{snapshotMeta(liveID, meta)}, nil
}

// Open implements raft.SnapshotStore. For the state itself it returns a stream
// of all rows as they are now; for what a sink has received, an [Installer].
func (p *Snapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	if id == liveID {
		return p.openLive()
	}
	p.mu.Lock()
	staged := p.mu.staged[id]
	delete(p.mu.staged, id)
	p.mu.Unlock()
	if staged == nil {
		return nil, nil, fmt.Errorf("%w: %s", ErrUnknownSnapshot, id)
	}
	return snapshotMeta(id, staged.meta), &received{snapshots: p, stage: staged}, nil
}

// Create implements raft.SnapshotStore. Raft does not say whether it takes a
// snapshot or receives one: what is written to the sink tells.
func (p *Snapshots) Create(version raft.SnapshotVersion, index, term uint64, configuration raft.Configuration, configurationIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) { //nolint:revive // raft's interface
	if version != raft.SnapshotVersionMax {
		return nil, fmt.Errorf("create snapshot: version %d, want %d", version, raft.SnapshotVersionMax)
	}
	meta := Meta{Index: index, Term: term, Configuration: configuration, ConfigurationIndex: configurationIndex}
	return &sink{snapshots: p, meta: meta}, nil
}

func snapshotMeta(id string, m Meta) *raft.SnapshotMeta {
	return &raft.SnapshotMeta{
		Version:            raft.SnapshotVersionMax,
		ID:                 id,
		Index:              m.Index,
		Term:               m.Term,
		Configuration:      m.Configuration,
		ConfigurationIndex: m.ConfigurationIndex,
	}
}

// view is what of the state is read.
type view bool

const (
	newest      view = false // what was committed, flushed or not
	onlyDurable view = true  // what would be there after a power cut now
)

// newIter iterates over the shard's rows as they are now.
func (p *Snapshots) newIter(v view) (*pebble.Iterator, error) {
	return p.stores.state.NewIter(&pebble.IterOptions{
		LowerBound:                p.bounds.Start,
		UpperBound:                p.bounds.End,
		OnlyReadGuaranteedDurable: bool(v),
	})
}

// readMeta reads where the state is, which never goes back.
//
// Pebble can flush a memtable with a batch that is not yet visible, and drop the
// rows that this one replaces; until it becomes visible, an iterator sees neither.
// Each batch has the record in it, so a record that has gone back tells, and is
// read again: what it waits for takes another goroutine a few instructions.
func (p *Snapshots) readMeta(v view) (meta Meta, ok bool, err error) {
	shown := &p.shown
	if v == onlyDurable {
		shown = &p.shownDurable
	}
	for range maxMetaReads {
		if meta, ok, err = p.readRecord(v); err != nil || meta.Index >= shown.Load() {
			break
		}
		time.Sleep(metaPause)
	}
	if err == nil && ok {
		for old := shown.Load(); old < meta.Index && !shown.CompareAndSwap(old, meta.Index); old = shown.Load() {
		}
	}
	return meta, ok, err
}

// A record that has gone back is read again, so often and after such a pause.
const (
	maxMetaReads = 100
	metaPause    = time.Millisecond
)

func (p *Snapshots) readRecord(v view) (meta Meta, ok bool, err error) {
	err = p.stores.read(func() error {
		it, err := p.newIter(v)
		if err != nil {
			return fmt.Errorf("read the record of shard %d: %w", p.shard, err)
		}
		meta, ok, err = p.firstRow(it)
		return errors.Join(err, it.Close())
	})
	return meta, ok, err
}

// durable reads how far the state on the disk is, and tells the log.
func (p *Snapshots) durable() (Meta, error) {
	meta, _, err := p.readMeta(onlyDurable)
	if err == nil {
		p.group.reached(position{meta.Index, meta.Term})
	}
	return meta, err
}

// firstRow reads the record, and leaves the iterator on it.
func (p *Snapshots) firstRow(it *pebble.Iterator) (Meta, bool, error) {
	if !it.First() {
		return Meta{}, false, it.Error()
	}
	value, err := it.ValueAndErr()
	if err != nil {
		return Meta{}, false, err
	}
	meta, ok, err := p.meta(it.Key(), value)
	if err != nil {
		return Meta{}, false, fmt.Errorf("read the record of shard %d: %w", p.shard, err)
	}
	return meta, ok && meta.Index > 0, nil
}

// openLive reads the record and the rows through one iterator: an install
// empties even a Pebble snapshot that is already open, but not an iterator.
func (p *Snapshots) openLive() (*raft.SnapshotMeta, io.ReadCloser, error) {
	slot, err := p.stores.watch.begin(opRead, 0)
	if err != nil {
		return nil, nil, err
	}
	it, err := p.newIter(newest)
	if err != nil {
		p.stores.watch.end(slot)
		return nil, nil, p.stores.fate.fail(fmt.Errorf("stream shard %d: %w", p.shard, err))
	}
	meta, ok, err := p.firstRow(it)
	if err == nil && !ok {
		err = fmt.Errorf("%w: the state of shard %d is empty", ErrUnknownSnapshot, p.shard)
	}
	if err != nil {
		err = errors.Join(err, it.Close())
		p.stores.watch.end(slot)
		return nil, nil, err
	}
	stream := &liveStream{
		rows:    it,
		encoder: newEncoder(streamHead{Index: meta.Index, Term: meta.Term, Range: p.bounds}),
		release: func() { p.stores.watch.end(slot) },
	}
	return snapshotMeta(liveID, meta), stream, nil
}

// settled checks that a snapshot of that index may stand on the flushed state:
// between the two there may only be entries that never reach an FSM.
func (p *Snapshots) settled(index uint64, flushed Meta) error {
	for i := flushed.Index + 1; i <= index; i++ {
		var l raft.Log
		if err := p.group.GetLog(i, &l); err != nil {
			return fmt.Errorf("snapshot of shard %d at %d: read entry %d: %w", p.shard, index, i, err)
		}
		if l.Type == raft.LogCommand || l.Type == raft.LogConfiguration {
			return fmt.Errorf("%w: snapshot of shard %d at %d, but its state has reached only %d", errMisuse, p.shard, index, flushed.Index)
		}
	}
	return nil
}

func isAnswer(err error) bool {
	return errors.Is(err, raft.ErrLogNotFound) || errors.Is(err, ErrStale) || errors.Is(err, ErrClosed)
}
