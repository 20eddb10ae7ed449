package node

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// diskEvery is how often the free space is looked at.
const diskEvery = 500 * time.Millisecond

// diskGuard watches the free space of the node's disk. Below the reserve,
// commands are refused, so that what was promised can still be kept: raft, the
// flushes and a graceful stop need room to write.
type diskGuard struct {
	dir     string
	measure func(dir string) (free, total uint64, err error)
	percent uint64
	atLeast uint64
	logger  *slog.Logger

	full atomic.Bool
	told chan struct{} // full has changed
	free atomic.Uint64
	size atomic.Uint64
}

// Full tells whether commands must be refused.
func (d *diskGuard) Full() bool { return d.full.Load() }

// look measures once.
func (d *diskGuard) look() error {
	free, total, err := d.measure(d.dir)
	if err != nil {
		return err
	}
	d.free.Store(free)
	d.size.Store(total)
	reserve := d.reserve(total)
	// Writes begin again a little above the reserve, so that one freed block
	// does not make the answer flap.
	if d.full.Load() {
		reserve += reserve / 8
	}
	if full := free < reserve; d.full.Swap(full) != full {
		signal(d.told)
		if full {
			d.logger.Error("storage full: writes are refused, reads go on", "free_bytes", free, "reserve_bytes", reserve)
		} else {
			d.logger.Info("storage has room again: writes go on", "free_bytes", free)
		}
	}
	return nil
}

// reserve is how many bytes are kept free: a share of the disk, and at least so
// many.
func (d *diskGuard) reserve(total uint64) uint64 {
	return max(total/100*d.percent, d.atLeast)
}

// run measures until ctx is done.
func (d *diskGuard) run(ctx context.Context) error {
	ticks := time.NewTicker(diskEvery)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
			if err := d.look(); err != nil {
				d.logger.Warn("measure the disk", "error", err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}
