package sim

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/wire"
)

// kind is a kind of fault.
type kind string

// The kinds of faults.
const (
	kill      kind = "kill"       // a process ends, its disk stays as it is
	powerOne  kind = "power one"  // a machine loses its power, and of what was not synced some part
	powerTwo  kind = "power two"  // two do, at one moment
	powerAll  kind = "power all"  // all do
	stop      kind = "stop"       // a process is told to stop, and starts again
	partition kind = "partition"  // the network falls apart
	oneWay    kind = "one way"    // some of it in one direction only
	flapping  kind = "flapping"   // again and again
	breaking  kind = "breaking"   // connections end
	losing    kind = "losing"     // raft's frames are lost, come twice, late and out of order
	delaying  kind = "delaying"   // messages take long
	slowDisk  kind = "slow disk"  // synced writes take long
	hungDisk  kind = "hung disk"  // and never end
	fullDisk  kind = "full disk"  // no room
	clockJump kind = "clock jump" // a wall clock is wrong
	transfer  kind = "transfer"   // leaderships are handed over
	snapshots kind = "snapshots"  // states are flushed, logs are cut
	noDoors   kind = "no doors"   // clients do not reach a node
	noClients kind = "no clients" // clients lose their connections
)

var allKinds = []kind{
	kill, powerOne, powerTwo, powerAll, stop, partition, oneWay, flapping, breaking, losing, delaying, slowDisk, hungDisk, fullDisk,
	clockJump, transfer, snapshots, noDoors, noClients,
}

// nemesis makes things go wrong, until ctx ends.
type nemesis struct {
	w    *world
	dice *dice
}

// run goes through periods. At the end of each, most of what was broken is
// mended.
func (n *nemesis) run(ctx context.Context) {
	for ctx.Err() == nil {
		length := n.dice.duration(2*time.Second, 10*time.Second)
		period, cancel := context.WithTimeout(ctx, length)
		kinds := n.draw()
		n.w.rec.Note("", "period of %v: %v", length.Round(time.Millisecond), kinds)
		done := make(chan struct{}, len(kinds))
		for _, k := range kinds {
			go func() {
				defer func() { done <- struct{}{} }()
				n.do(period, k)
			}()
		}
		<-period.Done()
		for range kinds {
			<-done
		}
		cancel()
		if n.dice.chance(70) {
			n.w.mend(n.dice.chance(60))
		}
	}
}

// draw draws the kinds of a period: none in a quarter of them.
func (n *nemesis) draw() []kind {
	kinds := n.w.plan.kinds
	if n.dice.chance(25) {
		return nil
	}
	var drawn []kind
	for _, i := range n.dice.some(min(len(kinds), n.dice.between(1, 4)), len(kinds)) {
		drawn = append(drawn, kinds[i])
	}
	return drawn
}

// do does one kind of harm for a period, and returns at its end at the latest.
func (n *nemesis) do(ctx context.Context, k kind) {
	acts := map[kind]func(context.Context){
		kill: n.kills, powerOne: n.cutsPower(1), powerTwo: n.cutsPower(2), powerAll: n.cutsPower(len(n.w.nodes)), stop: n.stops,
		partition: n.partitions, oneWay: n.cutsOneWay, flapping: n.flaps, breaking: n.breaks, losing: n.loses, delaying: n.delays,
		slowDisk: n.slowsDisk, hungDisk: n.hangsDisk, fullDisk: n.fillsDisk, clockJump: n.movesClock,
		transfer: n.transfers, snapshots: n.snaps, noDoors: n.closesDoors, noClients: n.dropsClients,
	}
	if clock.Sleep(ctx, n.dice.duration(0, 2*time.Second)) == nil {
		acts[k](ctx)
	}
}

// victim returns a machine: often one that leads something.
func (n *nemesis) victim() *machine {
	if n.dice.chance(50) {
		return n.w.leader(wire.ShardID(n.dice.between(1, n.w.plan.shards)))
	}
	return n.w.nodes[n.dice.n(len(n.w.nodes))]
}

// again calls act from time to time.
func (n *nemesis) again(ctx context.Context, low, high time.Duration, act func()) {
	for {
		act()
		if clock.Sleep(ctx, n.dice.duration(low, high)) != nil {
			return
		}
	}
}

func (n *nemesis) kills(ctx context.Context) {
	n.again(ctx, time.Second, 6*time.Second, func() { n.end(n.victim(), 100, true) })
}

// end ends a life, and has the machine start again later.
func (n *nemesis) end(m *machine, percent int, told bool) {
	l := m.alive()
	if l == nil || !l.die(percent, told) {
		return
	}
	n.w.rec.Note(m.id, "dies, told %v, %d%% of what was not synced stay", told, percent)
	n.w.later(n.pauseBefore(), m.start)
}

// pauseBefore is how long a machine is off: seldom for long.
func (n *nemesis) pauseBefore() time.Duration {
	if n.dice.chance(20) {
		return n.dice.duration(5*time.Second, 20*time.Second)
	}
	return n.dice.duration(20*time.Millisecond, 3*time.Second)
}

// percent is how much of what was not synced stays: the extremes are likely.
func (n *nemesis) percent() int {
	return pick(n.dice, 0, 0, 100, n.dice.n(100), n.dice.n(100))
}

func (n *nemesis) cutsPower(of int) func(context.Context) {
	return func(ctx context.Context) {
		n.again(ctx, 2*time.Second, 8*time.Second, func() {
			for _, i := range n.dice.some(min(of, len(n.w.nodes)), len(n.w.nodes)) {
				m := n.w.nodes[i]
				if of == 1 {
					m = n.victim()
				}
				n.end(m, n.percent(), n.dice.chance(30))
			}
		})
	}
}

func (n *nemesis) stops(ctx context.Context) {
	n.again(ctx, time.Second, 6*time.Second, func() {
		m := n.victim()
		l := m.alive()
		if l == nil {
			return
		}
		pause := n.pauseBefore()
		n.w.behind.Go(func() {
			l.retire()
			n.w.later(pause, m.start)
		})
	})
}

// both returns the ways between two groups of machines, in both directions.
func both(a, b []int) []way {
	var ways []way
	for _, x := range a {
		for _, y := range b {
			ways = append(ways, way{x, y}, way{y, x})
		}
	}
	return ways
}

// others returns the machines that are not these.
func (n *nemesis) others(these ...int) []int {
	var all []int
	for i := range n.w.nodes {
		if !slices.Contains(these, i) {
			all = append(all, i)
		}
	}
	return all
}

// shape draws the shape of a partition.
func (n *nemesis) shape() (string, []way) {
	size := len(n.w.nodes)
	switch n.dice.n(4) {
	case 0:
		m := n.victim().index
		return fmt.Sprintf("%s alone", n.w.nodes[m].id), both([]int{m}, n.others(m))
	case 1:
		half := n.dice.some(size/2, size)
		return fmt.Sprintf("halves, one is %v", half), both(half, n.others(half...))
	case 2: // each sees the bridge, and the bridge sees all
		order := n.dice.some(size, size)
		left, right := order[1:1+(size-1)/2], order[1+(size-1)/2:]
		return fmt.Sprintf("bridge %d, between %v and %v", order[0], left, right), both(left, right)
	default: // each sees its neighbours only; of three, all but one pair see each other
		order := n.dice.some(size, size)
		var ways []way
		for i := range order {
			for j := i + 2; j < size; j++ {
				if i != 0 || j != size-1 || size == 3 {
					ways = append(ways, both(order[i:i+1], order[j:j+1])...)
				}
			}
		}
		return fmt.Sprintf("ring %v", order), ways
	}
}

func (n *nemesis) partitions(ctx context.Context) {
	name, ways := n.shape()
	n.w.rec.Note("", "partition: %s", name)
	n.w.links.cut(ways, true)
	if clock.Sleep(ctx, n.dice.duration(500*time.Millisecond, 15*time.Second)) == nil {
		n.w.rec.Note("", "partition healed: %s", name)
		n.w.links.cut(ways, false)
	}
}

func (n *nemesis) cutsOneWay(ctx context.Context) {
	m := n.victim().index
	var ways []way
	in, out := n.dice.chance(40), n.dice.chance(40)
	for _, o := range n.others(m) {
		switch {
		case in:
			ways = append(ways, way{o, m})
		case out:
			ways = append(ways, way{m, o})
		case n.dice.chance(50):
			ways = append(ways, way{m, o})
		default:
			ways = append(ways, way{o, m})
		}
	}
	n.w.rec.Note("", "cut one way: %v", ways)
	n.w.links.cut(ways, true)
	if clock.Sleep(ctx, n.dice.duration(500*time.Millisecond, 15*time.Second)) == nil {
		n.w.rec.Note("", "one way healed: %v", ways)
		n.w.links.cut(ways, false)
	}
}

func (n *nemesis) flaps(ctx context.Context) {
	n.again(ctx, 50*time.Millisecond, 2*time.Second, func() {
		name, ways := n.shape()
		n.w.rec.Note("", "partition for a moment: %s", name)
		n.w.links.cut(ways, true)
		_ = clock.Sleep(ctx, n.dice.duration(50*time.Millisecond, 2*time.Second))
		n.w.links.cut(ways, false)
	})
}

func (n *nemesis) breaks(ctx context.Context) {
	n.again(ctx, 20*time.Millisecond, time.Second, func() {
		two := n.dice.some(2, len(n.w.nodes))
		n.w.links.breakAll(two[0], two[1])
	})
}

func (n *nemesis) loses(ctx context.Context) {
	f := frameFaults{
		lost: pick(n.dice, 0, 1, 5, 30), twice: pick(n.dice, 0, 5, 30), late: pick(n.dice, 0, 5, 30),
		lateBy: n.dice.duration(5*time.Millisecond, 2*time.Second),
	}
	n.w.rec.Note("", "raft's frames: %+v", f)
	n.w.links.spoil(f)
	<-ctx.Done()
}

func (n *nemesis) delays(ctx context.Context) {
	by := pick(n.dice, 20*time.Millisecond, 100*time.Millisecond, 500*time.Millisecond)
	m := n.victim().index
	ways := both([]int{m}, append(n.others(m), everyClient))
	if n.dice.chance(40) {
		ways = append(ways, both(n.others(), n.others())...)
	}
	n.w.rec.Note("", "messages take up to %v longer: %v", by, ways)
	n.w.links.slow(ways, by)
	<-ctx.Done()
}

func (n *nemesis) slowsDisk(ctx context.Context) {
	m := n.victim()
	by := pick(n.dice, 10*time.Millisecond, 50*time.Millisecond, 300*time.Millisecond, time.Second)
	n.w.rec.Note(m.id, "its disk takes up to %v longer", by)
	m.disk.slow.Store(int64(by))
	<-ctx.Done()
}

func (n *nemesis) hangsDisk(ctx context.Context) {
	m := n.victim()
	n.w.rec.Note(m.id, "its disk hangs")
	m.disk.hang()
	if clock.Sleep(ctx, n.dice.duration(500*time.Millisecond, 12*time.Second)) == nil {
		n.w.rec.Note(m.id, "its disk goes on")
		m.disk.unhang()
	}
}

func (n *nemesis) fillsDisk(ctx context.Context) {
	for _, i := range n.dice.some(n.dice.between(1, len(n.w.nodes)), len(n.w.nodes)) {
		n.w.rec.Note(n.w.nodes[i].id, "its disk is full")
		n.w.nodes[i].disk.full.Store(true)
	}
	<-ctx.Done()
}

func (n *nemesis) movesClock(ctx context.Context) {
	far := pick(n.dice, time.Second, 5*time.Second, time.Minute)
	n.again(ctx, 200*time.Millisecond, 4*time.Second, func() {
		m := n.victim()
		off := n.dice.duration(-far, far)
		n.w.rec.Note(m.id, "its clock is %v off", off)
		m.wall.Store(int64(off))
	})
}

func (n *nemesis) transfers(ctx context.Context) {
	n.again(ctx, 50*time.Millisecond, 3*time.Second, func() {
		id := wire.ShardID(n.dice.between(1, n.w.plan.shards))
		to := n.w.nodes[n.dice.n(len(n.w.nodes))].id
		up := n.w.leader(id).running()
		if up == nil {
			return
		}
		for _, r := range up.Replicas() {
			if r.Shard() == id {
				one, cancel := context.WithTimeout(ctx, 3*time.Second)
				_ = r.Transfer(one, to)
				cancel()
			}
		}
	})
}

func (n *nemesis) snaps(ctx context.Context) {
	n.again(ctx, 50*time.Millisecond, 2*time.Second, func() {
		up := n.victim().running()
		if up == nil {
			return
		}
		replicas := up.Replicas()
		if len(replicas) == 0 {
			return // it has not opened any yet
		}
		one, cancel := context.WithTimeout(ctx, 3*time.Second)
		_ = replicas[n.dice.n(len(replicas))].Snapshot(one)
		cancel()
	})
}

func (n *nemesis) closesDoors(ctx context.Context) {
	ways := both([]int{n.victim().index}, []int{everyClient})
	if n.dice.chance(50) {
		ways = ways[n.dice.n(2):][:1]
	}
	n.w.rec.Note("", "clients are cut off: %v", ways)
	n.w.links.cut(ways, true)
	if clock.Sleep(ctx, n.dice.duration(500*time.Millisecond, 10*time.Second)) == nil {
		n.w.links.cut(ways, false)
	}
}

func (n *nemesis) dropsClients(ctx context.Context) {
	n.again(ctx, 50*time.Millisecond, 3*time.Second, func() {
		n.w.links.breakAll(n.victim().index, everyClient)
	})
}

// mend ends all faults but machines that are off; those start too if up is set.
func (w *world) mend(up bool) {
	var ways []way
	for i := range w.nodes {
		for j := -1; j < i; j++ {
			ways = append(ways, way{i, j}, way{j, i})
		}
	}
	w.links.cut(ways, false)
	w.links.slow(ways, 0)
	w.links.spoil(frameFaults{})
	for _, m := range w.nodes {
		m.disk.unhang()
		m.disk.slow.Store(0)
		m.disk.full.Store(false)
		m.wall.Store(0)
		if up {
			m.start()
		}
	}
}
