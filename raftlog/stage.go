package raftlog

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	// stagePrefix begins the names of files that are deleted at the start.
	stagePrefix = "stage-"

	// bottomLevel is the level whose settings a staged table is written with;
	// it is where a whole shard comes to lie.
	bottomLevel = 6
)

// stage is a snapshot on its way in: the stream's rows, written to tables that
// the state store can take as they are.
type stage struct {
	snapshots *Snapshots
	meta      Meta
	name      string
	decoder   *decoder

	files   []string // the tables, in order of their keys
	table   *sstable.Writer
	written int // bytes in the open table
	rows    int
}

func (p *Snapshots) newStage(meta Meta) *stage {
	p.mu.Lock()
	p.mu.made++
	name := fmt.Sprintf("%s%d-%d", stagePrefix, p.shard, p.mu.made)
	p.mu.Unlock()
	st := &stage{snapshots: p, meta: meta, name: name}
	st.decoder = newDecoder(streamHead{Index: meta.Index, Term: meta.Term, Range: p.bounds}, st.row)
	return st
}

// write takes the next part of the stream.
func (st *stage) write(p []byte) error { return st.decoder.write(p) }

// row takes the next row of the stream; the decoder has checked its order.
func (st *stage) row(key, value []byte) error {
	if st.rows == 0 {
		if err := st.checkRecord(key, value); err != nil {
			return err
		}
	}
	st.rows++
	if st.table == nil {
		if err := st.openTable(); err != nil {
			return err
		}
	}
	if err := st.table.Set(key, value); err != nil {
		return fmt.Errorf("write staged table: %w", err)
	}
	st.written += len(key) + len(value)
	if st.written >= st.snapshots.stores.opts.stageTableBytes {
		return st.closeTable()
	}
	return nil
}

// checkRecord makes sure that the state that arrives is the one announced: raft
// believes the announcement, the state machine the record.
func (st *stage) checkRecord(key, value []byte) error {
	meta, ok, err := st.snapshots.meta(key, value)
	if err != nil {
		return fmt.Errorf("read the record of the state: %w", err)
	}
	if !ok || meta.Index != st.meta.Index || meta.Term != st.meta.Term {
		return fmt.Errorf("%w: its record says index %d, term %d, announced were %d, %d", errStream, meta.Index, meta.Term, st.meta.Index, st.meta.Term)
	}
	return nil
}

func (st *stage) openTable() error {
	s := st.snapshots.stores
	path := s.fs.PathJoin(s.stage, fmt.Sprintf("%s-%d.sst", st.name, len(st.files)))
	file, err := s.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("make staged table: %w", err)
	}
	st.files = append(st.files, path)
	options := s.stateOpts.MakeWriterOptions(bottomLevel, s.state.TableFormat())
	st.table = sstable.NewWriter(objstorageprovider.NewFileWritable(file), options)
	st.written = 0
	return nil
}

func (st *stage) closeTable() error {
	table := st.table
	st.table = nil
	if err := table.Close(); err != nil {
		return fmt.Errorf("finish staged table: %w", err)
	}
	return nil
}

// finish checks that the stream is whole and leaves the tables synced.
func (st *stage) finish() error {
	err := st.decoder.close()
	if st.table != nil {
		err = errors.Join(err, st.closeTable())
	}
	return err
}

// abandon drops what has come so far.
func (st *stage) abandon() {
	if st.table != nil {
		_ = st.closeTable() // only to close the file, which is deleted next
	}
	st.remove()
}

// remove deletes the tables that the store has not taken. What cannot be
// deleted now goes at the next start.
func (st *stage) remove() {
	s := st.snapshots.stores
	for _, path := range st.files {
		if err := s.fs.Remove(path); err != nil {
			s.opts.Logger.Warn("staged table not deleted", "shard", st.snapshots.shard, "error", err)
		}
	}
	st.files = nil
}
