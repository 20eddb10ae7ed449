package raftlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"
)

// TestInstallSurvivesPowerCut has rows of a shard that are not flushed, installs
// a snapshot, and cuts the power the moment that Install returns.
//
// Either guard alone is enough here, so the test is worth something only
// because it fails when both are gone: then Pebble keeps the install in a queue
// that is only in memory.
func TestInstallSurvivesPowerCut(t *testing.T) {
	for _, c := range []struct {
		name   string
		faults faults
		lost   bool
	}{
		{"both guards", faults{}, false},
		{"ingest at once", faults{noInstallFlush: true}, false},
		{"flush afterwards", faults{lazyIngest: true}, false},
		{"neither", faults{lazyIngest: true, noInstallFlush: true}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			lost := 0
			for seed := range uint64(10) {
				if reached := installAndCut(t, seed, c.faults); reached != 50 {
					lost++
				}
			}
			if (lost > 0) != c.lost {
				t.Errorf("%d of 10 installs were lost, want some: %v", lost, c.lost)
			}
		})
	}
}

// installAndCut returns how far the state is after the cut.
func installAndCut(t *testing.T, seed uint64, m faults) uint64 {
	disk := vfs.NewCrashableMem()
	s := openStores(t, disk, Options{faults: m})
	defer closeStores(t, s)
	y := mustOpenToy(t, s, 1)
	other := mustOpenToy(t, s, 2)
	y.append(t, 1, 40, 1)
	other.append(t, 1, 40, 1)
	if err := errors.Join(y.apply(20), s.Flush(), y.apply(30), other.apply(40)); err != nil {
		t.Fatal(err)
	}
	if err := y.install(50, 2); err != nil {
		t.Fatal(err)
	}
	cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: int(seed * 10), RNG: rand.New(rand.NewPCG(seed, 0))}
	left := openStores(t, disk.CrashClone(cfg), Options{faults: m})
	defer closeStores(t, left)
	after := mustOpenToy(t, left, 1)
	reached := after.applied(t)
	if reached == 50 {
		want := wantRows(1, 50, 2)
		if err := checkRows(after, want); err != nil {
			t.Error(err)
		}
		after.wantSpan(t, 0, 0) // the old log ended before the state
	}
	neighbour := mustOpenToy(t, left, 2)
	if err := neighbour.apply(40); err != nil {
		t.Error(err)
	}
	if err := checkRows(neighbour, wantRows(2, 40, 1)); err != nil {
		t.Error(err)
	}
	return reached
}

func wantRows(shard uint32, last, term uint64) map[string]string {
	rows := map[string]string{}
	for i := uint64(1); i <= last; i++ {
		rows[string(toyRowKey(shard, i))] = string(entry(i, term).Data)
	}
	return rows
}

// TestStreamWhileInstalled streams a shard for a follower while the shard's
// range is excised: the follower must get the old state, whole.
func TestStreamWhileInstalled(t *testing.T) {
	s := openStores(t, vfs.NewMem(), Options{})
	defer closeStores(t, s)
	y := mustOpenToy(t, s, 1)
	y.append(t, 1, 3000, 1)
	if err := errors.Join(y.apply(2000), s.Flush(), y.apply(3000)); err != nil {
		t.Fatal(err)
	}
	meta, reader, err := y.snaps.Open(liveID)
	if err != nil {
		t.Fatal(err)
	}
	if meta.Index != 3000 || meta.Term != 1 {
		t.Errorf("it is at %d in term %d, want 3000 in 1", meta.Index, meta.Term)
	}
	head := make([]byte, 100)
	if _, err := io.ReadFull(reader, head); err != nil {
		t.Fatal(err)
	}
	if err := y.install(4000, 2); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(reader)
	if err := errors.Join(err, reader.Close()); err != nil {
		t.Fatal(err)
	}

	follower := openStores(t, vfs.NewMem(), Options{})
	defer closeStores(t, follower)
	f := mustOpenToy(t, follower, 1)
	installer, err := f.receive(meta.Index, meta.Term, append(head, rest...))
	if err != nil {
		t.Fatal(err)
	}
	if err := installer.Install(); err != nil {
		t.Fatal(err)
	}
	if err := checkRows(f, wantRows(1, 3000, 1)); err != nil {
		t.Error(err)
	}
	if err := checkRows(y, wantRows(1, 4000, 2)); err != nil {
		t.Error(err)
	}
}

// TestPebbleSnapshotIsEmptied shows why the stream is read through one
// iterator: a Pebble snapshot, opened before an install, is empty after it. If
// this fails with a new Pebble, the comment on openLive is out of date.
func TestPebbleSnapshotIsEmptied(t *testing.T) {
	s := openStores(t, vfs.NewMem(), Options{})
	defer closeStores(t, s)
	y := mustOpenToy(t, s, 1)
	y.append(t, 1, 10, 1)
	if err := errors.Join(y.apply(10), s.Flush()); err != nil {
		t.Fatal(err)
	}
	snapshot := s.State().NewSnapshot()
	if err := y.install(20, 2); err != nil {
		t.Fatal(err)
	}
	_, _, err := snapshot.Get(toyRowKey(1, 5))
	if !errors.Is(err, pebble.ErrNotFound) {
		t.Errorf("Get through the old snapshot = %v, want %v", err, pebble.ErrNotFound)
	}
	if err := snapshot.Close(); err != nil {
		t.Error(err)
	}
}

// TestStaleSnapshotIsRefused offers a snapshot that the state has reached, and
// one that it reaches while the snapshot is on its way.
func TestStaleSnapshotIsRefused(t *testing.T) {
	for _, m := range []faults{{}, {staleInstall: true}} {
		t.Run(fmt.Sprintf("unguarded=%v", m.staleInstall), func(t *testing.T) {
			s := openStores(t, vfs.NewMem(), Options{faults: m})
			defer closeStores(t, s)
			y := mustOpenToy(t, s, 1)
			y.append(t, 1, 40, 1)
			if err := y.apply(30); err != nil {
				t.Fatal(err)
			}
			early := y.install(30, 1)

			late, err := y.receive(35, 1, stream(1, 35, 1))
			if err != nil {
				t.Fatal(err)
			}
			if err := y.apply(40); err != nil {
				t.Fatal(err)
			}
			lateErr := late.Install()
			reached := y.applied(t)
			if m.staleInstall {
				if reached >= 40 {
					t.Error("without the guard the state should have gone back")
				}
				return
			}
			if !errors.Is(early, ErrStale) || !errors.Is(lateErr, ErrStale) || reached != 40 {
				t.Errorf("install at 30, 35 = %v, %v; the state has reached %d, want refusals and 40", early, lateErr, reached)
			}
			if err := s.Err(); err != nil {
				t.Errorf("a refusal stopped the store: %v", err)
			}
		})
	}
}

// TestLogAfterInstall clears the log as raft does after an install, at once or
// after a crash in between.
func TestLogAfterInstall(t *testing.T) {
	for _, c := range []struct {
		name                string
		index, term         uint64 // of the snapshot; the log has 1 to 20 in term 1
		compacted           uint64
		wantFirst, wantLast uint64
	}{
		{"beyond the log", 30, 2, 0, 0, 0},
		{"where the log says otherwise", 15, 2, 0, 0, 0},
		{"where the log agrees", 15, 1, 0, 16, 20},
		{"where the log agrees and ends", 20, 1, 0, 0, 0},
		{"where the log agrees, and it begins there", 15, 1, 14, 16, 20},
	} {
		for _, crash := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/crash=%v", c.name, crash), func(t *testing.T) {
				disk := vfs.NewCrashableMem()
				s := openStores(t, disk, Options{})
				y := mustOpenToy(t, s, 1)
				y.append(t, 1, 20, 1)
				if err := errors.Join(y.apply(14), s.Flush(), y.group.DeleteRange(1, c.compacted)); err != nil {
					t.Fatal(err)
				}
				if err := y.install(c.index, c.term); err != nil {
					t.Fatal(err)
				}
				if crash {
					left := openStores(t, disk.CrashClone(vfs.CrashCloneCfg{}), Options{})
					closeStores(t, s)
					s, y = left, mustOpenToy(t, left, 1)
				}
				y.clearLog(t)
				defer closeStores(t, s)
				if !crash || c.wantLast == 0 {
					y.wantSpan(t, c.wantFirst, c.wantLast)
				}
				next := max(c.wantLast, c.index) + 1
				y.append(t, next, next+1, 3)
			})
		}
	}
}

// TestHole opens a log that begins after the state ends, as it would be if raft
// could delete entries before the state is flushed.
func TestHole(t *testing.T) {
	disk := vfs.NewCrashableMem()
	s := openStores(t, disk, Options{faults: faults{unclampedDelete: true}})
	y := mustOpenToy(t, s, 1)
	y.append(t, 1, 20, 1)
	if err := errors.Join(y.apply(10), y.group.DeleteRange(1, 10), y.group.SetUint64([]byte("k"), 1)); err != nil {
		t.Fatal(err)
	}
	left := openStores(t, disk.CrashClone(vfs.CrashCloneCfg{}), Options{})
	closeStores(t, s)
	defer closeStores(t, left)
	if _, err := openToy(left, 1); !errors.Is(err, ErrHole) {
		t.Errorf("Snapshots() = %v, want %v", err, ErrHole)
	}
}

// TestSnapshotNeedsItsState refuses a snapshot at an index that the state has
// not reached: raft would delete entries that are still needed.
func TestSnapshotNeedsItsState(t *testing.T) {
	s := openStores(t, vfs.NewMem(), Options{})
	defer closeStores(t, s)
	y := mustOpenToy(t, s, 1)
	y.append(t, 1, 5, 1)
	if err := y.group.StoreLogs([]*raft.Log{{Index: 6, Term: 2, Type: raft.LogNoop}, {Index: 7, Term: 2, Type: raft.LogBarrier}, entry(8, 2)}); err != nil {
		t.Fatal(err)
	}
	if err := y.apply(5); err != nil {
		t.Fatal(err)
	}
	if err := y.snapshot(7, 2, 2); err != nil {
		t.Errorf("snapshot at 7 = %v: entries 6 and 7 never reach the state", err)
	}
	if err := y.snapshot(8, 2, 2); !errors.Is(err, errMisuse) {
		t.Errorf("snapshot at 8 = %v, want %v", err, errMisuse)
	}
}

func TestListFollowsTheState(t *testing.T) {
	s := openStores(t, vfs.NewMem(), Options{})
	defer closeStores(t, s)
	y := mustOpenToy(t, s, 1)
	if list, err := y.snaps.List(); err != nil || len(list) != 0 {
		t.Errorf("List() of an empty state = %v, %v", list, err)
	}
	if _, _, err := y.snaps.Open(liveID); !errors.Is(err, ErrUnknownSnapshot) {
		t.Errorf("Open of an empty state = %v, want %v", err, ErrUnknownSnapshot)
	}
	conf := raft.Configuration{Servers: []raft.Server{{ID: "n1", Address: "n1"}}}
	meta := Meta{Index: 7, Term: 3, ConfigurationIndex: 2, Configuration: conf}
	if err := y.put(meta, nil); err != nil {
		t.Fatal(err)
	}
	want := []*raft.SnapshotMeta{{Version: 1, ID: "live", Index: 7, Term: 3, Configuration: conf, ConfigurationIndex: 2}}
	list, err := y.snaps.List()
	if diff := cmp.Diff(want, list); diff != "" || err != nil {
		t.Errorf("List(): %v (-want +got):\n%s", err, diff)
	}
	if _, _, err := y.snaps.Open("other"); !errors.Is(err, ErrUnknownSnapshot) {
		t.Errorf("Open(other) = %v, want %v", err, ErrUnknownSnapshot)
	}
}

// TestBadStreams feeds a sink what is no snapshot of this shard at that index.
func TestBadStreams(t *testing.T) {
	good := stream(1, 20, 2)
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 1
	huge := binary.BigEndian.AppendUint32(nil, maxFrameBytes+1)
	unordered := newEncoder(streamHead{Index: 20, Term: 2, Range: toyRange(1)})
	_ = unordered.row(toyRecordKey(1), toyRecord(Meta{Index: 20, Term: 2}))
	_ = unordered.row(toyRowKey(1, 2), nil)
	_ = unordered.row(toyRowKey(1, 1), nil)
	unordered.end()
	outside := newEncoder(streamHead{Index: 20, Term: 2, Range: toyRange(1)})
	_ = outside.row(toyRecordKey(1), toyRecord(Meta{Index: 20, Term: 2}))
	_ = outside.row(toyRowKey(2, 1), nil)
	outside.end()
	record := newEncoder(streamHead{Index: 20, Term: 2, Range: toyRange(1)})
	_ = record.row(toyRecordKey(1), toyRecord(Meta{Index: 19, Term: 2}))
	record.end()
	headless := newEncoder(streamHead{})
	headless.out = headless.out[:0]
	headless.end()

	for _, c := range []struct {
		name   string
		stream []byte
		want   string
	}{
		{"truncated", good[:len(good)-1], "ends in the middle"},
		{"damaged", flipped, "damaged"},
		{"bytes after the end", append(bytes.Clone(good), 0), "after the end"},
		{"another index", stream(1, 19, 2), "announced"},
		{"another term", stream(1, 20, 1), "announced"},
		{"another range", stream(2, 20, 2), "announced"},
		{"huge frame", append(huge, make([]byte, 20)...), "frame of"},
		{"out of order", unordered.out, "out of order"},
		{"out of range", outside.out, "outside"},
		{"record of another index", record.out, "record says"},
		{"no head", headless.out, "out of place"},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := vfs.NewMem()
			s := openStores(t, disk, Options{})
			defer closeStores(t, s)
			y := mustOpenToy(t, s, 1)
			if err := y.put(Meta{Index: 5, Term: 1}, []byte("old")); err != nil {
				t.Fatal(err)
			}
			_, err := y.receive(20, 2, c.stream)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("it was received: %v, want an error with %q", err, c.want)
			}
			if names, err := disk.List("d/stage"); err != nil || len(names) != 0 {
				t.Errorf("left on the disk: %v, %v", names, err)
			}
			if n := y.applied(t); n != 5 {
				t.Errorf("the state is at %d, want 5", n)
			}
		})
	}
}

// TestBigInstall needs blocks and tables of every size.
func TestBigInstall(t *testing.T) {
	e := newEncoder(streamHead{Index: 9, Term: 2, Range: toyRange(1)})
	_ = e.row(toyRecordKey(1), toyRecord(Meta{Index: 9, Term: 2}))
	want := map[string]string{}
	rng := rand.NewChaCha8([32]byte{})
	for i, size := range []int{0, 1, 100, blockBytes, 3 * blockBytes, 4 << 20, 1 << 20, 1 << 20, 10} {
		value := make([]byte, size)
		_, _ = rng.Read(value)
		if err := e.row(toyRowKey(1, uint64(i)), value); err != nil {
			t.Fatal(err)
		}
		want[string(toyRowKey(1, uint64(i)))] = string(value)
	}
	if err := e.row(toyRowKey(1, 99), make([]byte, maxFrameBytes)); err == nil {
		t.Error("a row that no receiver takes was encoded")
	}
	e.end()
	s := openStores(t, vfs.NewMem(), Options{stageTableBytes: 2 << 20})
	defer closeStores(t, s)
	y := mustOpenToy(t, s, 1)
	sink, err := y.snaps.Create(raft.SnapshotVersionMax, 9, 2, raft.Configuration{}, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	for rest := e.out; len(rest) > 0; {
		n := min(len(rest), 64<<10)
		if _, err := sink.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	_, reader, err := y.snaps.Open(sink.ID())
	if err != nil {
		t.Fatal(err)
	}
	if tables := len(reader.(*received).stage.files); tables != 3 {
		t.Errorf("it was staged in %d tables, want 3", tables)
	}
	if err := reader.(Installer).Install(); err != nil {
		t.Fatal(err)
	}
	rows, err := y.rows()
	if err != nil {
		t.Fatal(err)
	}
	delete(rows, string(toyRecordKey(1)))
	for key, value := range want {
		if rows[key] != value {
			t.Errorf("row %x has %d bytes, want %d", key, len(rows[key]), len(value))
		}
	}
	if len(rows) != len(want) {
		t.Errorf("there are %d rows, want %d", len(rows), len(want))
	}
}

// TestStageIsCleared leaves nothing of snapshots that were never installed.
func TestStageIsCleared(t *testing.T) {
	disk := vfs.NewMem()
	s := openStores(t, disk, Options{})
	y := mustOpenToy(t, s, 1)
	if _, err := y.receive(20, 1, stream(1, 20, 1)); err != nil {
		t.Fatal(err)
	}
	closed, err := y.receive(20, 1, stream(1, 20, 1))
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.(io.Closer).Close(); err != nil {
		t.Error(err)
	}
	if names, err := disk.List("d/stage"); err != nil || len(names) != 1 {
		t.Errorf("on the disk: %v, %v, want the one that was not closed", names, err)
	}
	closeStores(t, s)
	s = openStores(t, disk, Options{})
	defer closeStores(t, s)
	if names, err := disk.List("d/stage"); err != nil || len(names) != 0 {
		t.Errorf("on the disk after the start: %v, %v", names, err)
	}
}
