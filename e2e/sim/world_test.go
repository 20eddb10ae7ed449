package sim

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate/quorate/e2e/sim/history"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/wire"
)

const (
	theApp    = "app-of-the-simulator"
	theKey    = "key-of-the-simulator"
	theMaster = "master-key-of-the-simulator"
)

// world is the cluster of a run, and all that is around it.
type world struct {
	plan   plan
	ctx    context.Context //nolint:containedctx // the run's own lifetime
	rec    *history.Recorder
	logger *slog.Logger
	chance *dice // of what is drawn while things happen: delays, loss
	links  *links
	nodes  []*machine
	behind sync.WaitGroup // restarts

	clients atomic.Int64 // names given to clients
	fine    bool         // every message is logged
	over    atomic.Bool  // the run ends: nobody restarts

	mu struct {
		sync.Mutex
		problems []string               // what must not happen, and no history shows
		leaders  map[wire.ShardID]int   // who led last
		watched  map[wire.ShardID]int64 // terms, so that each is told once
	}
}

// machine is where a node runs, life after life. Its disk stays.
type machine struct {
	w     *world
	index int
	id    wire.NodeID
	disk  disk
	wall  atomic.Int64 // how far its wall clock is off, in nanoseconds

	mu struct {
		sync.Mutex
		fs    *vfs.MemFS // what a next life finds
		life  *life      // nil: its power is off
		lives int
	}
}

// life is one process on a machine.
type life struct {
	m    *machine
	addr string // of this life alone
	fs   *vfs.MemFS

	dead  chan struct{} // closed when nothing that it does is seen any more
	died  atomic.Bool
	ready chan struct{}
	up    atomic.Pointer[node.Node]
	ends  atomic.Bool // it is being stopped in order
	stop  context.CancelFunc
	ended chan struct{}
	err   error // of node.Run, once ended
}

func newWorld(ctx context.Context, p plan, seed uint64, rec *history.Recorder, logger *slog.Logger) *world {
	w := &world{plan: p, ctx: ctx, rec: rec, logger: logger, chance: newDice(seed, 2), fine: os.Getenv(fineVariable) != ""}
	w.links = newLinks(w)
	w.mu.leaders, w.mu.watched = map[wire.ShardID]int{}, map[wire.ShardID]int64{}
	for i := range p.nodes {
		m := &machine{w: w, index: i, id: wire.NodeID(fmt.Sprintf("n%d", i+1))}
		m.mu.fs = vfs.NewCrashableMem()
		m.disk.init(w)
		w.nodes = append(w.nodes, m)
	}
	return w
}

// problem notes something that must not happen.
func (w *world) problem(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.rec.Note("", "PROBLEM: %s", text)
	w.logger.Error("problem", "text", text)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mu.problems = append(w.mu.problems, text)
}

// alive returns the machine's present life, or nil.
func (m *machine) alive() *life {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.life
}

// running returns the machine's node, or nil while it does not serve.
func (m *machine) running() *node.Node {
	if l := m.alive(); l != nil {
		return l.running()
	}
	return nil
}

func (l *life) running() *node.Node {
	if l.ends.Load() {
		return nil
	}
	return l.up.Load()
}

// start begins a new life, if there is none.
func (m *machine) start() {
	m.mu.Lock()
	if m.mu.life != nil {
		m.mu.Unlock()
		return
	}
	m.mu.lives++
	l := &life{
		m: m, addr: fmt.Sprintf("%s#%d", m.id, m.mu.lives), fs: m.mu.fs,
		dead: make(chan struct{}), ready: make(chan struct{}), ended: make(chan struct{}),
	}
	m.mu.life = l
	m.mu.Unlock()
	m.w.links.born(l)
	m.w.rec.Note(m.id, "starts, as %s", l.addr)
	ctx, stop := context.WithCancel(context.Background())
	l.stop = stop
	go l.run(ctx)
}

// run is the life of the process.
func (l *life) run(ctx context.Context) {
	defer close(l.ended)
	w := l.m.w
	l.err = node.Run(ctx, w.config(l.m.id), l.env(), func(up *node.Node) {
		l.up.Store(up)
		close(l.ready)
		if !l.died.Load() {
			w.rec.Note(l.m.id, "serves")
		}
	})
	if l.err != nil && !l.died.Load() {
		w.problem("%s ended by itself: %v", l.addr, l.err)
		l.die(100, true)
	}
}

// die ends the life at once: nothing that it does from here on is seen. So many
// percent of what was not synced stay on the disk. Who had a connection to it is
// told if only the process died, and finds out if the power is gone.
func (l *life) die(percent int, told bool) bool {
	if l.died.Swap(true) {
		return false
	}
	m := l.m
	m.w.links.dead(l, told)
	close(l.dead)
	m.mu.Lock()
	m.mu.fs = l.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: newRand(m.w.chance)})
	m.mu.life = nil
	m.mu.Unlock()
	go func() {
		l.stop()
		<-l.ended
		m.w.links.gone(l)
	}()
	return true
}

// retire stops the process in order, as a rolling restart does.
func (l *life) retire() {
	l.m.w.rec.Note(l.m.id, "is stopped in order")
	l.ends.Store(true) // up may be set after it: the node may just have begun to serve
	l.stop()
	select {
	case <-l.ended:
	case <-l.dead:
	}
	if l.died.Swap(true) {
		return // it was killed meanwhile
	}
	close(l.dead)
	l.m.mu.Lock()
	l.m.mu.fs, l.m.mu.life = l.fs, nil
	l.m.mu.Unlock()
	l.m.w.links.gone(l)
}

// fatal is what the node calls when it must end. It does not return, as if the
// process had ended in it.
func (l *life) fatal(err error) {
	hung := l.m.disk.hangs.Load()
	if l.die(100, true) {
		l.m.w.rec.Note(l.m.id, "ends itself: %v", err)
		if !hung {
			l.m.w.problem("%s ends itself, and its disk does not hang: %v", l.addr, err)
		}
		l.m.w.later(l.m.w.chance.duration(100*time.Millisecond, 5*time.Second), l.m.start)
	}
	<-make(chan struct{})
}

// later does something after a time, unless the run is over by then.
func (w *world) later(after time.Duration, do func()) {
	w.behind.Go(func() {
		select {
		case <-time.After(after):
		case <-w.ctx.Done():
			return
		}
		if !w.over.Load() {
			do()
		}
	})
}

// config is what an operator would have written of a node.
func (w *world) config(id wire.NodeID) node.Config {
	cfg := node.Config{
		Cluster: "sim", Node: id, Dir: "data",
		Listen: node.Listen{Client: "c:1", Peer: "p:1", Gossip: "g:1"},
		TLS:    node.TLS{CA: "-", Node: "-", Client: "-", PlainClients: true},
		Bootstrap: node.Bootstrap{Shards: w.plan.shards, Apps: []node.BootstrapApp{
			{ID: theApp, Name: "sim", Key: theKey, MasterKey: theMaster},
		}},
	}
	for _, m := range w.nodes {
		id := string(m.id)
		cfg.Bootstrap.Nodes = append(cfg.Bootstrap.Nodes, node.BootstrapNode{ID: m.id, Peer: id + ":1", Gossip: id + ":3", HTTP: id + ":2"})
	}
	return cfg
}

// leader returns the machine that led a shard last.
func (w *world) leader(id wire.ShardID) *machine {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nodes[w.mu.leaders[id]]
}

// Alive implements load.World.
func (w *world) Alive(id wire.NodeID) bool {
	for _, m := range w.nodes {
		if m.id == id {
			return m.alive() != nil
		}
	}
	return false
}

// Nodes implements load.World.
func (w *world) Nodes() int { return len(w.nodes) }
