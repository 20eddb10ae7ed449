package raftlog

import (
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate/quorate/virtual"
)

// TestBubble runs the stores with a disk that costs virtual time, as a
// simulator does. If a mutex were held over a write, the bubble's clock would
// stop; if a goroutine outlived Close, the bubble would not end.
//
// It runs in a process of its own: Pebble's pools would carry a bubble's
// channels into other tests.
func TestBubble(t *testing.T) {
	if os.Getenv("RAFTLOG_BUBBLE") == "" {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBubble$")
		child.Env = append(os.Environ(), "RAFTLOG_BUBBLE=1")
		if out, err := child.CombinedOutput(); err != nil {
			t.Fatalf("in a process of its own: %v\n%s", err, out)
		}
		return
	}
	virtual.Test(t, func(t *testing.T) {
		s := openStores(t, vfs.NewMem(), Options{Disk: func(DiskOp) { time.Sleep(time.Millisecond) }})
		began := time.Now()
		var wg sync.WaitGroup
		for shard := range uint32(8) {
			wg.Go(func() { work(t, mustOpenToy(t, s, shard)) })
		}
		wg.Wait()
		// 50 appends and an install, for all shards at the same time, and
		// between 1 and 8 flushes one after the other.
		if d := time.Since(began); d < 51*2*time.Millisecond || d > 60*2*time.Millisecond {
			t.Errorf("the disk cost %v of virtual time, want about %v", d, 51*2*time.Millisecond)
		}
		closeStores(t, s)
	})
}

func work(t *testing.T, y *toy) {
	for i := uint64(1); i <= 50; i++ {
		y.append(t, i, i, 1)
	}
	if err := y.apply(50); err != nil {
		t.Error(err)
	}
	if err := y.snapshot(50, 1, 40); err != nil {
		t.Error(err)
	}
	if err := y.install(60, 1); err != nil {
		t.Error(err)
	}
}
