package raftlog

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"
)

func TestEntriesComeBackAsTheyWere(t *testing.T) {
	disk := vfs.NewMem()
	want := []*raft.Log{
		{Index: 1, Term: 1, Type: raft.LogConfiguration, Data: []byte("conf"), AppendedAt: time.Unix(1700000000, 5)},
		{Index: 2, Term: 3, Type: raft.LogNoop},
		{Index: 3, Term: 3, Data: []byte("data"), Extensions: []byte("ext")},
		{Index: 4, Term: 1 << 40, Type: raft.LogBarrier, Extensions: []byte("only")},
	}
	check := func(s *Stores) {
		t.Helper()
		g, err := s.Group(7)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			var got raft.Log
			if err := g.GetLog(w.Index, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(*w, got); diff != "" {
				t.Errorf("entry %d (-want +got):\n%s", w.Index, diff)
			}
		}
		var l raft.Log
		if err := g.GetLog(5, &l); !errors.Is(err, raft.ErrLogNotFound) {
			t.Errorf("GetLog(5) = %v, want %v", err, raft.ErrLogNotFound)
		}
	}

	s := openStores(t, disk, Options{})
	g, err := s.Group(7)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.StoreLogs(want); err != nil {
		t.Fatal(err)
	}
	check(s) // from memory
	if m := s.Metrics(); m.RecentHits != 4 || m.RecentMisses != 0 {
		t.Errorf("Metrics() = %+v, want all 4 read from memory", m)
	}
	closeStores(t, s)

	s = openStores(t, disk, Options{})
	defer closeStores(t, s)
	check(s) // from the disk
}

func TestShardsDoNotSeeEachOther(t *testing.T) {
	disk := vfs.NewMem()
	s := openStores(t, disk, Options{})
	for _, shard := range []uint32{0, 1, 255, 256, 1<<32 - 1} {
		g, err := s.Group(shard)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.StoreLogs(entries(1, uint64(shard%7)+1, 1)); err != nil {
			t.Fatal(err)
		}
		if err := g.Set([]byte("k"), fmt.Append(nil, shard)); err != nil {
			t.Fatal(err)
		}
	}
	closeStores(t, s)

	s = openStores(t, disk, Options{})
	defer closeStores(t, s)
	for _, shard := range []uint32{0, 1, 255, 256, 1<<32 - 1} {
		g, err := s.Group(shard)
		if err != nil {
			t.Fatal(err)
		}
		if last, _ := g.LastIndex(); last != uint64(shard%7)+1 {
			t.Errorf("LastIndex() of shard %d = %d, want %d", shard, last, shard%7+1)
		}
		if value, err := g.Get([]byte("k")); err != nil || string(value) != fmt.Sprint(shard) {
			t.Errorf("Get(k) of shard %d = %q, %v", shard, value, err)
		}
	}
}

func TestStableState(t *testing.T) {
	s := openStores(t, vfs.NewMem(), Options{})
	defer closeStores(t, s)
	g, err := s.Group(1)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := g.Get([]byte("none")); err != nil || v != nil {
		t.Errorf("Get(none) = %q, %v, want nothing", v, err)
	}
	if n, err := g.GetUint64([]byte("CurrentTerm")); err != nil || n != 0 {
		t.Errorf("GetUint64(CurrentTerm) = %d, %v, want 0", n, err)
	}
	if err := g.SetUint64([]byte("CurrentTerm"), 9); err != nil {
		t.Fatal(err)
	}
	if n, err := g.GetUint64([]byte("CurrentTerm")); err != nil || n != 9 {
		t.Errorf("GetUint64(CurrentTerm) = %d, %v, want 9", n, err)
	}
	if n, err := g.GetUint64([]byte("LastVoteTerm")); err != nil || n != 0 {
		t.Errorf("GetUint64(LastVoteTerm) = %d, %v, want 0", n, err)
	}
	if v, err := g.Get([]byte("LastVoteCand")); err != nil || v != nil {
		t.Errorf("Get(LastVoteCand) = %q, %v, want nothing", v, err)
	}
}

// TestTruncate deletes entries in the three ways that raft does.
func TestTruncate(t *testing.T) {
	for _, c := range []struct {
		name                string
		applied             uint64 // of entries 1 to 10
		flush               bool
		first, last         uint64
		wantFirst, wantLast uint64
		refused             bool
	}{
		{"old entries", 10, true, 1, 4, 5, 10, false},
		{"old entries again", 10, true, 0, 4, 5, 10, false},
		{"all applied and flushed", 10, true, 1, 10, 0, 0, false},
		{"applied but not flushed", 10, false, 1, 4, 1, 10, false},
		{"beyond what is flushed", 3, true, 1, 8, 4, 10, false},
		{"all, beyond what is flushed", 3, true, 1, 10, 4, 10, false},
		{"another leader's end", 3, true, 6, 10, 1, 5, false},
		{"another leader's end, nothing applied", 0, false, 1, 10, 0, 0, false},
		{"beyond the end", 3, true, 6, 99, 1, 5, false},
		{"nothing there", 3, true, 11, 99, 1, 10, false},
		{"a hole in the middle", 3, true, 5, 6, 1, 10, true},
		{"entries that are applied", 8, true, 6, 10, 1, 10, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := vfs.NewMem()
			var fatal error
			s := openStores(t, disk, Options{Fatal: func(err error) { fatal = err }})
			y := mustOpenToy(t, s, 1)
			y.append(t, 1, 10, 1)
			if err := y.apply(c.applied); err != nil {
				t.Fatal(err)
			}
			if c.flush {
				if err := s.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			err := y.group.DeleteRange(c.first, c.last)
			if c.refused {
				if !errors.Is(err, errMisuse) || !errors.Is(fatal, errMisuse) {
					t.Errorf("DeleteRange(%d, %d) = %v, Fatal got %v, want a refusal", c.first, c.last, err, fatal)
				}
				closeStores(t, s)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			y.wantSpan(t, c.wantFirst, c.wantLast)
			closeStores(t, s)

			s = openStores(t, disk, Options{})
			defer closeStores(t, s)
			mustOpenToy(t, s, 1).wantSpan(t, c.wantFirst, c.wantLast)
		})
	}
}

// TestTruncatedEndStaysAway cuts the power after the end of a log was deleted.
func TestTruncatedEndStaysAway(t *testing.T) {
	disk := vfs.NewCrashableMem()
	s := openStores(t, disk, Options{})
	defer closeStores(t, s)
	y := mustOpenToy(t, s, 1)
	y.append(t, 1, 10, 1)
	if err := y.group.DeleteRange(6, 10); err != nil {
		t.Fatal(err)
	}
	left := openStores(t, disk.CrashClone(vfs.CrashCloneCfg{}), Options{})
	defer closeStores(t, left)
	mustOpenToy(t, left, 1).wantSpan(t, 1, 5)
}

// TestConcurrentUse does what the rafts of a node do at once.
func TestConcurrentUse(t *testing.T) {
	s := openStores(t, vfs.NewMem(), Options{MemTableBytes: 64 << 10})
	defer closeStores(t, s)
	var wg sync.WaitGroup
	for shard := range uint32(4) {
		y := mustOpenToy(t, s, shard)
		appended := make(chan uint64, 300)
		wg.Go(func() {
			defer close(appended)
			for i := uint64(1); i <= 300; i++ {
				y.append(t, i, i, 1)
				appended <- i
			}
		})
		applied := make(chan uint64, 300)
		wg.Go(func() {
			defer close(applied)
			for i := range appended {
				if err := y.apply(i); err != nil {
					t.Error(err)
				}
				applied <- i
			}
		})
		wg.Go(func() {
			for i := range applied {
				if i%50 != 0 {
					continue
				}
				if err := y.snapshot(i, 1, i-10); err != nil {
					t.Error(err)
				}
				if list, err := y.snaps.List(); err != nil || len(list) != 1 || list[0].Index < i {
					t.Errorf("List() = %v, %v after %d", list, err, i)
				}
			}
			y.wantSpan(t, 291, 300)
		})
	}
	wg.Wait()
}

func TestAppendLeavesNoGap(t *testing.T) {
	for _, c := range []struct {
		name  string
		logs  []*raft.Log
		after uint64 // entries there are before
	}{
		{"gap", entries(7, 7, 1), 5},
		{"overlap", entries(5, 6, 1), 5},
		{"gap inside", []*raft.Log{entry(6, 1), entry(8, 1)}, 5},
		{"empty log, not after the state", entries(3, 3, 1), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			fatal := 0
			s := openStores(t, vfs.NewMem(), Options{Fatal: func(error) { fatal++ }})
			defer closeStores(t, s)
			y := mustOpenToy(t, s, 1)
			if c.after > 0 {
				y.append(t, 1, c.after, 1)
			}
			if err := y.group.StoreLogs(c.logs); !errors.Is(err, errMisuse) {
				t.Errorf("StoreLogs = %v, want %v", err, errMisuse)
			}
			if err := y.group.StoreLog(entry(c.after+1, 1)); err == nil {
				t.Error("the store went on after that")
			}
			if fatal != 1 {
				t.Errorf("Fatal was called %d times, want 1", fatal)
			}
		})
	}
}

// TestRecentBytes keeps the ring within its bounds, and a shard that opens
// later makes the others give way.
func TestRecentBytes(t *testing.T) {
	s := openStores(t, vfs.NewMem(), Options{RecentBytes: 4 << 10, RecentTotalBytes: 8 << 10})
	defer closeStores(t, s)
	for shard := range uint32(4) {
		g, err := s.Group(shard)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.StoreLogs(entries(1, 100, 1)); err != nil {
			t.Fatal(err)
		}
		for _, g := range s.allGroups() {
			if n, limit := g.recentBytes(), s.recentLimit(); n > limit || n < limit-2*entryOverhead {
				t.Errorf("with %d shards, one keeps %d bytes, want about %d", shard+1, n, limit)
			}
		}
		if m := s.Metrics(); m.RecentBytes > 8<<10 {
			t.Errorf("RecentBytes = %d, want at most %d", m.RecentBytes, 8<<10)
		}
		for i := uint64(1); i <= 100; i++ {
			var l raft.Log
			if err := g.GetLog(i, &l); err != nil || l.Index != i {
				t.Fatalf("GetLog(%d) = %d, %v", i, l.Index, err)
			}
		}
	}
}

// TestRingIsFilledAfterCommit looks at an entry while it is being written.
func TestRingIsFilledAfterCommit(t *testing.T) {
	var g *Group
	seen := 0
	s := openStores(t, vfs.NewMem(), Options{Disk: func(op DiskOp) {
		var l raft.Log
		if op == OpAppend && g.GetLog(1, &l) == nil {
			seen++
		}
	}})
	defer closeStores(t, s)
	var err error
	if g, err = s.Group(1); err != nil {
		t.Fatal(err)
	}
	if err := g.StoreLog(entry(1, 1)); err != nil {
		t.Fatal(err)
	}
	if seen != 0 {
		t.Error("an entry could be read before it was on the disk")
	}
}

func TestRing(t *testing.T) {
	var r ring
	want := func(first, last uint64) {
		t.Helper()
		for i := range uint64(400) {
			if got := r.get(i); (got != nil) != (i >= first && i <= last) || got != nil && got.Index != i {
				t.Fatalf("get(%d) = %v, want entries %d to %d", i, got, first, last)
			}
		}
		bytes := 0
		for _, l := range r.entries {
			if l != nil {
				bytes += entryBytes(l)
			}
		}
		if bytes != r.bytes {
			t.Fatalf("it counts %d bytes and holds %d", r.bytes, bytes)
		}
	}
	for _, l := range entries(10, 209, 1) {
		r.add(l, 1<<20)
	}
	want(10, 209)
	r.dropFrom(200)
	want(10, 199)
	r.dropTo(49)
	want(50, 199)
	for _, l := range entries(200, 300, 2) {
		r.add(l, 1<<20)
	}
	want(50, 300)
	r.trim(10 * (entryOverhead + len("300@2")))
	want(291, 300)
	r.add(entry(350, 3), 1<<20) // after an install
	want(350, 350)
	r.add(&raft.Log{Index: 351, Data: make([]byte, 2<<20)}, 1<<20)
	want(1, 0)
	r.dropFrom(3)
	r.dropTo(500)
	want(1, 0)
}
