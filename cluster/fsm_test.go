package cluster

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/hashicorp/raft"
)

// TestUnknownCommandStops: skipping it would fork the node from the others.
func TestUnknownCommandStops(t *testing.T) {
	var fatal error
	f := &fsm{board: newBoard(), fatal: func(err error) { fatal = err }}
	defer func() {
		if recover() == nil || !errors.Is(fatal, errUnknownCommand) {
			t.Errorf("stopped with %v, want %v", fatal, errUnknownCommand)
		}
		if f.board.table.Load().Index() != 0 {
			t.Error("the entry moved the table")
		}
	}()
	f.Apply(&raft.Log{Index: 7, Data: []byte(`{"v":1,"kind":"make_tea","body":{}}`)})
}

// TestRestoreNeverGoesBack restores an older record over a newer one.
func TestRestoreNeverGoesBack(t *testing.T) {
	f := &fsm{board: newBoard()}
	old := testTable(t, 3)
	newer, _ := old.apply(9, setting("a", "1"))
	f.board.put(newer)
	data, err := encodeRecord(&old.rec)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Restore(io.NopCloser(bytes.NewReader(data))); !errors.Is(err, errRewind) {
		t.Errorf("Restore of index 3 over 9 = %v, want %v", err, errRewind)
	}
	if f.board.table.Load() != newer {
		t.Error("the table went back")
	}
	if err := f.Restore(io.NopCloser(bytes.NewReader(data[:len(data)/2]))); err == nil {
		t.Error("half a snapshot is restored")
	}
}

// TestSnapshotsNeverGoBack stores snapshots in an order in which raft may.
func TestSnapshotsNeverGoBack(t *testing.T) {
	for name, store := range snapshotStores(t) {
		t.Run(name, func(t *testing.T) {
			s, err := guardSnapshots(store)
			if err != nil {
				t.Fatal(err)
			}
			create := func(index uint64) raft.SnapshotSink {
				t.Helper()
				_, trans := raft.NewInmemTransport("n1")
				sink, err := s.Create(1, index, 2, raft.Configuration{}, 1, trans)
				if err != nil {
					t.Fatal(err)
				}
				return sink
			}
			// Our own at 10 is begun, then one from the leader at 20 is installed.
			own, installed := create(10), create(20)
			write(t, installed, 20)
			if err := installed.Close(); err != nil {
				t.Fatal(err)
			}
			write(t, own, 10)
			if err := own.Close(); !errors.Is(err, errOldSnapshot) {
				t.Errorf("the older one = %v, want %v", err, errOldSnapshot)
			}
			_, trans := raft.NewInmemTransport("n1")
			if _, err := s.Create(1, 19, 2, raft.Configuration{}, 1, trans); !errors.Is(err, errOldSnapshot) {
				t.Errorf("an older one is begun: %v, want %v", err, errOldSnapshot)
			}

			// What is not a record, or is given up, leaves no trace.
			broken := create(30)
			if _, err := broken.Write([]byte(`{"v":1,`)); err != nil {
				t.Fatal(err)
			}
			if err := broken.Close(); err == nil {
				t.Error("half a record is stored")
			}
			cancelled := create(30)
			write(t, cancelled, 30)
			if err := cancelled.Cancel(); err != nil {
				t.Fatal(err)
			}

			list, err := s.List()
			if err != nil || len(list) != 1 || list[0].Index != 20 {
				t.Fatalf("stored: %v (%v), want the one at 20", list, err)
			}
			meta, r, err := s.Open(list[0].ID)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			f := &fsm{board: newBoard()}
			if err := f.Restore(r); err != nil || f.board.table.Load().Index() != 20 {
				t.Errorf("restored %v: index %d, error %v", meta, f.board.table.Load().Index(), err)
			}
			if again, err := guardSnapshots(store); err != nil || again.newest.Load().Index != 20 {
				t.Errorf("opened again, the newest is at %d (%v), want 20", again.newest.Load().Index, err)
			}
		})
	}
}

func snapshotStores(t *testing.T) map[string]raft.SnapshotStore {
	files, err := openSnapshots(t.TempDir(), Options{}.withDefaults().Logger)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]raft.SnapshotStore{"memory": raft.NewInmemSnapshotStore(), "files": files}
}

func write(t *testing.T, sink raft.SnapshotSink, index uint64) {
	t.Helper()
	table, _ := testTable(t, 3).apply(index, setting("a", "1"))
	data, err := encodeRecord(&table.rec)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sink.Write(data); err != nil {
		t.Fatal(err)
	}
}
