package shard

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quorate/quorate/virtual"
)

func TestProgress(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		p := newProgress(1000)
		p.begin(5, 100, 200)
		arrived := make(chan uint64, 1)
		go func() {
			_ = p.wait(t.Context(), 10)
			arrived <- p.applied.Load()
		}()
		p.advance(9, 4, 400)
		p.advance(7, 3, 300) // raft shows old entries again
		synctest.Wait()
		if at := p.applied.Load(); at != 9 || len(arrived) != 0 {
			t.Errorf("at %d, %d arrived at 10", at, len(arrived))
		}
		if got := p.pendingBytes(); got != 600 || len(p.snapshotDue) != 0 {
			t.Errorf("%d bytes of log, %d signals", got, len(p.snapshotDue))
		}
		p.advance(12, 3, 500)
		if at := <-arrived; at != 12 {
			t.Errorf("arrived at %d", at)
		}
		if len(p.snapshotDue) != 1 {
			t.Error("no snapshot is due after 1100 bytes")
		}
		p.snapshotTaken(1100)
		if got := p.pendingBytes(); got != 0 {
			t.Errorf("%d bytes of log after a snapshot", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.wait(ctx, 100); err == nil {
			t.Error("100 was reached")
		}
	})
}

func TestMeanFollowsTheEntries(t *testing.T) {
	p := newProgress(1 << 40)
	p.begin(0, 100, 0)
	for i := range uint64(2000) {
		p.advance(i+1, 1, 1000)
	}
	if got := p.mean(); got < 990 || got > 1000 {
		t.Errorf("got %v after 2000 entries of 1000 bytes", got)
	}
	o := Options{TrailingBytes: 1 << 20, TrailingEntries: 10}
	if got := trailing(o, 1<<10); got != 1024 {
		t.Errorf("1 MiB is %d entries of 1 KiB", got)
	}
	if got := trailing(o, 1<<19); got != 10 {
		t.Errorf("at least 10 entries stay, got %d", got)
	}
}
