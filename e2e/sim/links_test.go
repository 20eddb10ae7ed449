package sim

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/raftnet"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
)

// way is the way from one machine to another, or from all clients (-1), or to
// them.
type way struct{ from, to int }

// everyClient stands for all clients in a way.
const everyClient = -1

// links is the network: between nodes, and between clients and nodes.
//
// Connections keep their order and lose nothing: what a network does to packets
// shows in them as delay, and as an end. Raft's frames may be lost, and are.
type links struct {
	w   *world
	net *transport.Network

	mu struct {
		sync.Mutex
		lives map[string]*life   // by address, until all that is left of them has ended
		froms map[*life][]string // who has dialed a life, and whom it has dialed
		cut   map[way]bool       // nothing arrives
		delay map[way]time.Duration
		raft  frameFaults
	}
}

// frameFaults is what raft's frames suffer, each in percent.
type frameFaults struct {
	lost, twice, late int
	lateBy            time.Duration // at most
}

func newLinks(w *world) *links {
	k := &links{w: w}
	k.net = transport.NewNetwork(k.takes)
	k.mu.lives, k.mu.froms = map[string]*life{}, map[*life][]string{}
	k.mu.cut, k.mu.delay = map[way]bool{}, map[way]time.Duration{}
	return k
}

// takes says how long what is sent now is under way.
func (k *links) takes(from, to string) time.Duration {
	d := k.w.chance.duration(k.w.plan.near, k.w.plan.far)
	k.mu.Lock()
	more := k.mu.delay[k.wayLocked(from, to)]
	k.mu.Unlock()
	if more > 0 {
		d += k.w.chance.duration(more/2, more)
	}
	if k.w.fine {
		k.w.logger.Debug("message", "from", from, "to", to, "takes", d)
	}
	return d
}

func (k *links) wayLocked(from, to string) way {
	return way{k.machineLocked(from), k.machineLocked(to)}
}

// machineLocked returns whose address it is.
func (k *links) machineLocked(addr string) int {
	if l := k.mu.lives[strings.TrimSuffix(addr, doorSuffix)]; l != nil {
		return l.m.index
	}
	return everyClient
}

// born makes a life known.
func (k *links) born(l *life) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mu.lives[l.addr] = l
}

// refusals take a while: nobody answers, or not at once.
const noAnswer = 300 * time.Millisecond

// dial connects an address to what listens on a machine now.
func (k *links) dial(ctx context.Context, from string, to *machine, suffix string) (transport.Conn, error) {
	// The way there and back.
	if err := clock.Sleep(ctx, k.takes(from, "")+k.takes("", from)); err != nil {
		return nil, err
	}
	conn, err := k.connect(ctx, from, to, suffix)
	if err != nil {
		if err := clock.Sleep(ctx, k.w.chance.duration(0, noAnswer)); err != nil {
			return nil, err
		}
	}
	return conn, err
}

func (k *links) connect(ctx context.Context, from string, to *machine, suffix string) (transport.Conn, error) {
	l := to.alive()
	if l == nil {
		return nil, fmt.Errorf("dial %s from %s: its power is off", to.id, from)
	}
	k.mu.Lock()
	own := k.mu.lives[from]
	there := k.wayLocked(from, l.addr)
	blocked := k.mu.cut[there] || k.mu.cut[way{there.to, there.from}]
	k.mu.Unlock()
	if blocked || own != nil && own.died.Load() {
		return nil, fmt.Errorf("dial %s from %s: no answer", to.id, from)
	}
	conn, err := k.net.Dial(ctx, from, l.addr+suffix)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.rememberLocked(l, from)
	if own != nil {
		k.rememberLocked(own, l.addr)
	}
	return conn, nil
}

func (k *links) rememberLocked(l *life, other string) {
	if !slices.Contains(k.mu.froms[l], other) {
		k.mu.froms[l] = append(k.mu.froms[l], other)
	}
}

// pairs returns the pairs of addresses between which a life may have connections.
func (k *links) pairs(l *life) [][2]string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all [][2]string
	for _, other := range k.mu.froms[l] {
		all = append(all, [2]string{l.addr, other}, [2]string{l.addr + doorSuffix, other})
	}
	return all
}

// dead cuts a life off for ever.
func (k *links) dead(l *life, told bool) {
	for _, p := range k.pairs(l) {
		if told {
			k.net.Break(p[0], p[1])
		}
		k.net.Cut(p[0], p[1])
		k.net.Cut(p[1], p[0])
	}
}

// gone forgets a life whose process has ended.
func (k *links) gone(l *life) {
	for _, p := range k.pairs(l) {
		k.net.Break(p[0], p[1])
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.mu.lives, l.addr)
	delete(k.mu.froms, l)
}

// cut makes nothing arrive on some ways, or ends that.
func (k *links) cut(ways []way, on bool) {
	k.mu.Lock()
	for _, v := range ways {
		if on {
			k.mu.cut[v] = true
		} else {
			delete(k.mu.cut, v)
		}
	}
	k.mu.Unlock()
	for _, v := range ways {
		for _, p := range k.connected(v) {
			if on {
				k.net.Cut(p[0], p[1])
			} else {
				k.net.Heal(p[0], p[1])
			}
		}
	}
}

// connected returns the addresses of a way, from and to, of present lives.
func (k *links) connected(v way) [][2]string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all [][2]string
	for _, addr := range slices.Sorted(maps.Keys(k.mu.lives)) {
		l := k.mu.lives[addr]
		if l.died.Load() || l.m.index != v.from && l.m.index != v.to {
			continue
		}
		for _, other := range k.mu.froms[l] {
			switch o := k.machineLocked(other); {
			case l.m.index == v.from && o == v.to && o == everyClient:
				all = append(all, [2]string{addr + doorSuffix, other})
			case l.m.index == v.from && o == v.to:
				all = append(all, [2]string{addr, other})
			case l.m.index == v.to && o == v.from && o == everyClient:
				all = append(all, [2]string{other, addr + doorSuffix})
			}
		}
	}
	return all
}

// breakAll ends the connections between two machines, or of one with all clients.
func (k *links) breakAll(a, b int) {
	for _, p := range append(k.connected(way{a, b}), k.connected(way{b, a})...) {
		k.net.Break(p[0], p[1])
	}
}

// slow makes messages on some ways take longer, or ends that with 0.
func (k *links) slow(ways []way, by time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, v := range ways {
		k.mu.delay[v] = by
	}
}

// spoil makes raft's frames suffer.
func (k *links) spoil(f frameFaults) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mu.raft = f
}

func (k *links) frameFaults() frameFaults {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.mu.raft
}

// frames is a life's way to send raft's frames.
type frames struct {
	raftnet.Network
	l *life
}

// Send implements raftnet.Network.
func (f *frames) Send(to wire.NodeID, id wire.ShardID, frame []byte, u raftnet.Urgency) error {
	w := f.l.m.w
	faults := w.links.frameFaults()
	if faults == (frameFaults{}) {
		return f.Network.Send(to, id, frame, u)
	}
	if w.chance.chance(faults.lost) {
		return nil
	}
	if w.chance.chance(faults.twice) {
		_ = f.Network.Send(to, id, slices.Clone(frame), u)
	}
	if w.chance.chance(faults.late) {
		// It is overtaken by what is sent meanwhile.
		time.AfterFunc(w.chance.duration(0, faults.lateBy), func() {
			if !f.l.died.Load() {
				_ = f.Network.Send(to, id, frame, u)
			}
		})
		return nil
	}
	return f.Network.Send(to, id, frame, u)
}
