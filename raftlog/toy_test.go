package raftlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/wire/bin"
)

// toy is a state machine of a few lines: a row for each entry that it has
// applied, and a record as the first row of its range.
type toy struct {
	stores *Stores
	shard  uint32
	group  *Group
	snaps  *Snapshots
}

func toyRange(shard uint32) KeyRange {
	return KeyRange{Start: binary.BigEndian.AppendUint16(nil, uint16(shard)), End: binary.BigEndian.AppendUint16(nil, uint16(shard+1))}
}

func toyRecordKey(shard uint32) []byte { return append(toyRange(shard).Start, 0) }

func toyRowKey(shard uint32, index uint64) []byte {
	return binary.BigEndian.AppendUint64(append(toyRange(shard).Start, 1), index)
}

func toyMeta(key, value []byte) (Meta, bool, error) {
	if len(key) != 3 || key[2] != 0 {
		return Meta{}, false, nil
	}
	r := bin.NewReader(value)
	m := Meta{Index: r.Uvarint(), Term: r.Uvarint(), ConfigurationIndex: r.Uvarint()}
	if conf := r.Rest(); len(conf) > 0 {
		m.Configuration = raft.DecodeConfiguration(conf)
	}
	return m, true, r.Err()
}

func toyRecord(m Meta) []byte {
	b := bin.AppendUvarint(nil, m.Index)
	b = bin.AppendUvarint(b, m.Term)
	b = bin.AppendUvarint(b, m.ConfigurationIndex)
	if m.Configuration.Servers != nil {
		b = append(b, raft.EncodeConfiguration(m.Configuration)...)
	}
	return b
}

func openStores(t testing.TB, fs vfs.FS, opts Options) *Stores {
	t.Helper()
	if opts.MemTableBytes == 0 {
		opts.MemTableBytes = 1 << 20
	}
	s, err := Open("d", fs, opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closeStores(t testing.TB, s *Stores) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("Close() = %v", err)
	}
}

func openToy(s *Stores, shard uint32) (*toy, error) {
	group, err := s.Group(shard)
	if err != nil {
		return nil, err
	}
	snaps, err := s.Snapshots(shard, toyRange(shard), toyMeta)
	return &toy{stores: s, shard: shard, group: group, snaps: snaps}, err
}

func mustOpenToy(t testing.TB, s *Stores, shard uint32) *toy {
	t.Helper()
	toy, err := openToy(s, shard)
	if err != nil {
		t.Fatal(err)
	}
	return toy
}

// entry is a command whose data tells its index and term.
func entry(index, term uint64) *raft.Log {
	return &raft.Log{Index: index, Term: term, Data: fmt.Appendf(nil, "%d@%d", index, term)}
}

func entries(first, last, term uint64) []*raft.Log {
	var logs []*raft.Log
	for i := first; i <= last; i++ {
		logs = append(logs, entry(i, term))
	}
	return logs
}

func (y *toy) append(t testing.TB, first, last, term uint64) {
	t.Helper()
	if err := y.group.StoreLogs(entries(first, last, term)); err != nil {
		t.Fatal(err)
	}
}

// apply applies the log's entries up to and including an index, each with the
// record in one batch.
func (y *toy) apply(upto uint64) error {
	meta, _, err := y.snaps.readMeta(newest)
	if err != nil {
		return err
	}
	for i := meta.Index + 1; i <= upto; i++ {
		var l raft.Log
		if err := y.group.GetLog(i, &l); err != nil {
			return fmt.Errorf("get entry %d to apply it: %w", i, err)
		}
		if l.Type != raft.LogCommand {
			continue
		}
		meta.Index, meta.Term = i, l.Term
		if err := y.put(meta, l.Data); err != nil {
			return err
		}
	}
	return nil
}

func (y *toy) put(meta Meta, data []byte) error {
	b := y.stores.State().NewBatch()
	return errors.Join(
		b.Set(toyRecordKey(y.shard), toyRecord(meta), nil),
		b.Set(toyRowKey(y.shard, meta.Index), data, nil),
		b.Commit(pebble.NoSync),
	)
}

// rows reads the whole state.
func (y *toy) rows() (map[string]string, error) {
	it, err := y.snaps.newIter(newest)
	if err != nil {
		return nil, err
	}
	rows := map[string]string{}
	for it.First(); it.Valid(); it.Next() {
		rows[string(it.Key())] = string(it.Value())
	}
	return rows, it.Close()
}

func (y *toy) applied(t testing.TB) uint64 {
	t.Helper()
	meta, _, err := y.snaps.readMeta(newest)
	if err != nil {
		t.Fatal(err)
	}
	return meta.Index
}

// snapshot takes a snapshot as raft does, and drops the entries up to one.
func (y *toy) snapshot(index, term, compact uint64) error {
	sink, err := y.snaps.Create(raft.SnapshotVersionMax, index, term, raft.Configuration{}, 0, nil)
	if err != nil {
		return err
	}
	if err := sink.Close(); err != nil {
		return err
	}
	first, _ := y.group.FirstIndex()
	return y.group.DeleteRange(first, compact)
}

// stream is a snapshot of another node's state of the shard: rows first..last.
func stream(shard uint32, last, term uint64) []byte {
	e := newEncoder(streamHead{Index: last, Term: term, Range: toyRange(shard)})
	_ = e.row(toyRecordKey(shard), toyRecord(Meta{Index: last, Term: term}))
	for i := uint64(1); i <= last; i++ {
		_ = e.row(toyRowKey(shard, i), entry(i, term).Data)
	}
	e.end()
	return e.out
}

// receive takes a snapshot as raft does, up to the reader for Restore.
func (y *toy) receive(index, term uint64, stream []byte) (Installer, error) {
	sink, err := y.snaps.Create(raft.SnapshotVersionMax, index, term, raft.Configuration{}, 0, nil)
	if err != nil {
		return nil, err
	}
	for len(stream) > 0 {
		n := min(len(stream), 1000)
		if _, err := sink.Write(stream[:n]); err != nil {
			return nil, errors.Join(err, sink.Cancel())
		}
		stream = stream[n:]
	}
	if err := sink.Close(); err != nil {
		return nil, err
	}
	_, reader, err := y.snaps.Open(sink.ID())
	if err != nil {
		return nil, err
	}
	return reader.(Installer), nil
}

func (y *toy) install(index, term uint64) error {
	installer, err := y.receive(index, term, stream(y.shard, index, term))
	if err != nil {
		return err
	}
	return installer.Install()
}

// clearLog is what raft does after an install.
func (y *toy) clearLog(t testing.TB) {
	t.Helper()
	first, _ := y.group.FirstIndex()
	last, _ := y.group.LastIndex()
	if err := y.group.DeleteRange(first, last); err != nil {
		t.Fatal(err)
	}
}

func (y *toy) wantSpan(t testing.TB, first, last uint64) {
	t.Helper()
	gotFirst, _ := y.group.FirstIndex()
	gotLast, _ := y.group.LastIndex()
	if gotFirst != first || gotLast != last {
		t.Errorf("the log has entries %d to %d, want %d to %d", gotFirst, gotLast, first, last)
	}
	for i := gotFirst; i <= gotLast && gotLast != 0; i++ {
		var l raft.Log
		if err := y.group.GetLog(i, &l); err != nil || l.Index != i {
			t.Errorf("GetLog(%d) = index %d, %v", i, l.Index, err)
		}
	}
}
