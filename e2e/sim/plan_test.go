package sim

import (
	"time"

	"github.com/quorate/quorate/e2e/sim/load"
	"github.com/quorate/quorate/node/session"
	"github.com/quorate/quorate/raftlog"
	"github.com/quorate/quorate/shard"
)

// plan is what a seed draws before the run begins.
type plan struct {
	nodes, shards int
	trouble       time.Duration // how long the nemesis is at work
	kinds         []kind        // the faults there are
	replicas      shard.Options
	stores        raftlog.Options
	sessions      session.Options
	near, far     time.Duration // how long a message is under way, between these
	syncNear      time.Duration // half of what a synced write takes, at least
	syncFar       time.Duration // and at most
	load          load.Options
}

// drawPlan draws the plan of a seed.
func drawPlan(seed uint64) plan {
	d := newDice(seed, 1)
	p := plan{
		nodes:   pick(d, 3, 3, 3, 5),
		shards:  pick(d, 1, 2, 3, 4, 8),
		trouble: d.duration(35*time.Second, 50*time.Second),
		near:    d.duration(50*time.Microsecond, 500*time.Microsecond),
		replicas: shard.Options{
			SnapshotBytes:   int64(pick(d, 4<<10, 16<<10, 64<<10, 256<<10, 4<<20)),
			TrailingBytes:   1,
			TrailingEntries: uint64(pick(d, 16, 16, 64, 256, 1024, 10240)),
			PackCommands:    pick(d, 1, 4, 16, 256, 256),
		},
		// A run is short: caches and memory tables of production would only be
		// allocated.
		stores: raftlog.Options{
			CacheBytes: 4 << 20, MemTableBytes: pick(d, 256<<10, 1<<20, 4<<20),
			RecentBytes: pick(d, 1, 16<<10, 1<<20), RecentTotalBytes: 8 << 20,
		},
		syncNear: d.duration(20*time.Microsecond, 200*time.Microsecond),
	}
	p.far = p.near + d.duration(100*time.Microsecond, 8*time.Millisecond)
	p.syncFar = p.syncNear + d.duration(20*time.Microsecond, 3*time.Millisecond)
	for _, k := range allKinds {
		if d.chance(50) {
			p.kinds = append(p.kinds, k)
		}
	}
	if len(p.kinds) == 0 {
		p.kinds = []kind{allKinds[d.n(len(allKinds))]}
	}
	p.load = load.Options{Seed: d.seed()}
	p.sessions = session.Options{MaxQueueBytes: pick(d, 512, 2<<10, 16<<10, 256<<10)} // most clients are told that they are behind
	return p
}
