package sim

import (
	"sync"
	"sync/atomic"
	"time"
)

// disk is how a machine's disk behaves.
type disk struct {
	w     *world
	slow  atomic.Int64 // how much longer a synced write takes, at most, in nanoseconds
	full  atomic.Bool
	hangs atomic.Bool // it hangs, or did so a moment ago

	mu struct {
		sync.Mutex
		free chan struct{} // closed when it does not hang any more; nil while it does not
	}
}

func (d *disk) init(w *world) { d.w = w }

// op is called before and after each synced write, and takes as long as it.
func (d *disk) op(l *life) {
	if l.died.Load() {
		return
	}
	took := d.w.chance.duration(d.w.plan.syncNear, d.w.plan.syncFar)
	if slow := d.slow.Load(); slow > 0 {
		took += d.w.chance.duration(0, time.Duration(slow))
	}
	select {
	case <-time.After(took):
	case <-l.dead:
		return
	}
	d.mu.Lock()
	free := d.mu.free
	d.mu.Unlock()
	if free == nil {
		return
	}
	select {
	case <-free:
	case <-l.dead:
	}
}

// hang makes every synced write wait until it is undone.
func (d *disk) hang() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.free == nil {
		d.mu.free = make(chan struct{})
		d.hangs.Store(true)
	}
}

// unhang ends that. For a while the watchdog may still say that it hung.
func (d *disk) unhang() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.free == nil {
		return
	}
	close(d.mu.free)
	d.mu.free = nil
	d.w.later(time.Second, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.mu.free == nil {
			d.hangs.Store(false)
		}
	})
}

// measure implements node.Env.Disk.
func (d *disk) measure(string) (free, total uint64, err error) {
	if d.full.Load() {
		return 1 << 20, 1 << 40, nil
	}
	return 1 << 40, 1 << 40, nil
}
