package raftlog

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/virtual"
)

func TestOptionsAreChecked(t *testing.T) {
	_, err := Open("d", vfs.NewMem(), Options{WriteLimit: time.Second, CacheBytes: -1, Compactions: -1})
	for _, want := range []string{"BacklogWait", "CacheBytes", "Compactions"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open() = %v, want something about %s", err, want)
		}
	}
}

func TestNewerFormatIsRefused(t *testing.T) {
	disk := vfs.NewMem()
	s := openStores(t, disk, Options{})
	if err := s.log.Set(formatKey(), []byte{formatVersion + 1}, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	closeStores(t, s)
	if _, err := Open("d", disk, Options{}); !errors.Is(err, ErrFormat) {
		t.Errorf("Open() = %v, want %v", err, ErrFormat)
	}
}

func TestLostLogIsRefused(t *testing.T) {
	disk := vfs.NewMem()
	closeStores(t, openStores(t, disk, Options{}))
	if err := disk.RemoveAll("d/log"); err != nil {
		t.Fatal(err)
	}
	if _, err := Open("d", disk, Options{}); !errors.Is(err, ErrLogMissing) {
		t.Errorf("Open() = %v, want %v", err, ErrLogMissing)
	}
}

func TestNothingAfterClose(t *testing.T) {
	s := openStores(t, vfs.NewMem(), Options{})
	y := mustOpenToy(t, s, 1)
	y.append(t, 1, 3, 1)
	closeStores(t, s)
	var l raft.Log
	y.group.mu.recent.clear()
	_, listErr := y.snaps.List()
	_, _, openErr := y.snaps.Open(liveID)
	_, getErr := y.group.Get([]byte("k"))
	_, groupErr := s.Group(2)
	for name, err := range map[string]error{
		"StoreLog": y.group.StoreLog(entry(4, 1)), "GetLog": y.group.GetLog(1, &l), "Get": getErr, "Flush": s.Flush(),
		"Set": y.group.Set([]byte("k"), nil), "List": listErr, "Open": openErr, "Group": groupErr, "Close": s.Close(),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s after Close = %v, want %v", name, err, ErrClosed)
		}
	}
}

// TestFlushIsShared makes many wait behind one flush: they share the next.
func TestFlushIsShared(t *testing.T) {
	const callers = 20
	var first atomic.Bool
	begun, release := make(chan struct{}), make(chan struct{})
	s := openStores(t, vfs.NewMem(), Options{Disk: func(op DiskOp) {
		if op == OpFlush && first.CompareAndSwap(false, true) {
			close(begun)
			<-release
		}
	}})
	defer closeStores(t, s)
	var wg sync.WaitGroup
	flush := func() {
		if err := s.Flush(); err != nil {
			t.Error(err)
		}
	}
	wg.Go(flush)
	<-begun
	for range callers {
		wg.Go(flush)
	}
	for s.Metrics().FlushesShared < callers {
		runtime.Gosched() // until the goroutines above have come that far
	}
	close(release)
	wg.Wait()
	if m := s.Metrics(); m.Flushes != 2 {
		t.Errorf("%d callers made %d flushes, want 2", callers+1, m.Flushes)
	}
}

// TestHungDisk lets a write hang: Fatal is called, once, and the write is not
// acknowledged even if it ends well after all.
func TestHungDisk(t *testing.T) {
	fatal := make(chan error, 10)
	s := openStores(t, vfs.NewMem(), Options{
		WriteLimit: 200 * time.Millisecond, BacklogWait: time.Millisecond,
		Fatal: func(err error) { fatal <- err },
		Disk: func(op DiskOp) {
			if op == OpAppend {
				err := <-fatal
				fatal <- err
			}
		},
	})
	g, err := s.Group(1)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.StoreLog(entry(1, 1)); err == nil || !strings.Contains(err.Error(), "the disk hangs") {
		t.Errorf("StoreLog on a hung disk = %v", err)
	}
	if last, _ := g.LastIndex(); last != 0 {
		t.Errorf("LastIndex() = %d after a write that came too late, want 0", last)
	}
	if err := g.SetUint64([]byte("CurrentTerm"), 2); err == nil {
		t.Error("the store went on")
	}
	if err := errors.Join(s.Flush(), s.Err()); err == nil {
		t.Error("the store went on")
	}
	if len(fatal) != 1 {
		t.Errorf("Fatal was called %d times, want 1", len(fatal))
	}
	closeStores(t, s)
}

// TestNobodyGoesOnWhileTheProcessEnds: while Fatal runs, nobody is told of the
// error that it was called with. Raft would panic, and the reason would be lost.
func TestNobodyGoesOnWhileTheProcessEnds(t *testing.T) {
	ends, reason := make(chan struct{}), make(chan error, 1)
	s := openStores(t, vfs.NewMem(), Options{Fatal: func(err error) {
		reason <- err
		<-ends
	}})
	g, err := s.Group(1)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.fate.fail(errors.New("the disk is broken")) }()
	if err := <-reason; err.Error() != "the disk is broken" {
		t.Errorf("the reason is %v", err)
	}
	calls := map[string]func() error{
		"StoreLog":  func() error { return g.StoreLog(entry(1, 1)) },
		"SetUint64": func() error { return g.SetUint64([]byte("CurrentTerm"), 2) },
		"Flush":     s.Flush,
	}
	told := make(chan string, len(calls))
	for name, call := range calls {
		go func() {
			if call() == nil {
				t.Errorf("%s went on", name)
			}
			told <- name
		}()
	}
	select {
	case name := <-told:
		t.Errorf("%s was told while the process ends", name)
		told <- name
	case <-time.After(50 * time.Millisecond):
	}
	close(ends)
	for range calls {
		<-told
	}
	closeStores(t, s)
}

// TestWatchdog counts what it lives through, in a bubble's time.
func TestWatchdog(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		w := newWatchdog(250 * time.Millisecond)
		var err error
		pass := func(d time.Duration) {
			for range d / w.tick {
				time.Sleep(w.tick)
				if e := w.advance(); err == nil {
					err = e
				}
			}
		}
		pass(time.Minute)
		short, _ := w.begin(OpAppend, 5*time.Second)
		if _, e := w.begin(opRead, 0); e != nil {
			t.Fatal(e)
		}
		pass(4 * time.Second)
		w.end(short)
		again, _ := w.begin(OpAppend, 5*time.Second)
		long, _ := w.begin(OpFlush, 30*time.Second)
		if again != short {
			t.Errorf("slot %d is not used again", short)
		}
		pass(5 * time.Second)
		if err != nil {
			t.Fatalf("too early: %v", err)
		}
		time.Sleep(time.Minute) // the process was stopped: no ticks
		w.end(again)
		pass(25 * time.Second)
		if err != nil {
			t.Fatalf("too early: %v", err)
		}
		pass(250 * time.Millisecond)
		if err == nil || !strings.Contains(err.Error(), string(OpFlush)) {
			t.Errorf("a flush of 30s went unnoticed: %v", err)
		}
		w.end(long)
	})
}

func TestStall(t *testing.T) {
	var s stall
	told := 0
	pass := func(ticks int) {
		for range ticks {
			if s.advance(4) {
				told++
			}
		}
	}
	pass(10)
	s.begin()
	pass(4)
	s.end()
	s.begin() // another one, within the tick
	pass(4)
	if told != 0 {
		t.Errorf("told %d times of stalls that were short", told)
	}
	pass(20)
	s.end()
	pass(10)
	if told != 1 {
		t.Errorf("told %d times of a long stall, want once", told)
	}
}

// TestBacklog waits while too much is committed and not applied, but not for
// ever.
func TestBacklog(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		s := &Stores{opts: Options{}.withDefaults(), closing: make(chan struct{})}
		waited := func(backlog func() int64) time.Duration {
			began := time.Now()
			s.awaitBacklog(backlog)
			return time.Since(began).Round(100 * time.Millisecond)
		}
		if d := waited(func() int64 { return 8 << 20 }); d != 0 {
			t.Errorf("waited %v at the bound", d)
		}
		began := time.Now()
		if d := waited(func() int64 { return 10<<20 - time.Since(began).Milliseconds()<<20/1000 }); d != 2*time.Second {
			t.Errorf("waited %v for 2 MiB at 1 MiB a second, want 2s", d)
		}
		if d := waited(func() int64 { return 9 << 20 }); d != 3*time.Second {
			t.Errorf("waited %v, want the limit of 3s", d)
		}
		close(s.closing)
		if d := waited(func() int64 { return 9 << 20 }); d != 0 {
			t.Errorf("waited %v while closing", d)
		}
	})
}

// TestBacklogHoldsAppends wires the backlog to StoreLogs.
func TestBacklogHoldsAppends(t *testing.T) {
	s := openStores(t, vfs.NewMem(), Options{BacklogWait: 20 * time.Millisecond})
	defer closeStores(t, s)
	g, err := s.Group(1)
	if err != nil {
		t.Fatal(err)
	}
	g.SetBacklog(func() int64 { return 9 << 20 })
	if err := g.StoreLog(entry(1, 1)); err != nil {
		t.Fatal(err)
	}
	if m := s.Metrics(); m.BacklogWaits != 1 {
		t.Errorf("BacklogWaits = %d, want 1", m.BacklogWaits)
	}
}

// TestDiskErrorIsFatal fails every kind of write in turn: whatever fails, Fatal
// is called once and nothing is acknowledged afterwards.
func TestDiskErrorIsFatal(t *testing.T) {
	for _, c := range []struct {
		name string
		work func(*toy) error
	}{
		{"append", func(y *toy) error { return y.group.StoreLog(entry(3, 1)) }},
		{"vote", func(y *toy) error { return vote(y.group, 2, "n1") }},
		{"truncate", func(y *toy) error { return y.group.DeleteRange(2, 2) }},
		{"flush", func(y *toy) error { return y.stores.Flush() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			var failing atomic.Bool
			fatal := make(chan error, 10)
			full := &os.PathError{Op: "write", Path: "f", Err: syscall.ENOSPC}
			disk := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
				if failing.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
					return full
				}
				return nil
			}))
			s := openStores(t, disk, Options{Fatal: func(err error) { fatal <- err }})
			y := mustOpenToy(t, s, 1)
			y.append(t, 1, 2, 1)
			if err := y.apply(1); err != nil {
				t.Fatal(err)
			}
			failing.Store(true)
			err := c.work(y)
			failing.Store(false)
			if err == nil {
				t.Error("it was acknowledged")
			}
			if err := <-fatal; !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("Fatal got %v, want to see that the disk is full", err)
			}
			if err := y.group.StoreLog(entry(3, 1)); err == nil {
				t.Error("the store went on")
			}
			_ = s.Close() // must return
			if len(fatal) != 0 {
				t.Errorf("Fatal was called again, with %v", <-fatal)
			}
		})
	}
}
