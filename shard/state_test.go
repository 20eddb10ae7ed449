package shard_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/raftlog"
	"github.com/quorate/quorate/shard"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/virtual"
	"github.com/quorate/quorate/wire"
)

// These tests run replicas on the real state and the real stores.

var (
	_ shard.Machine                = (*state.State)(nil)
	_ interface{ Install() error } = raftlog.Installer(nil)
)

const (
	app  = wire.AppID("app-of-these-tests-00001")
	conv = wire.ConversationID("66f0000000000000000000aa")
)

var allSlots = wire.SlotRange{First: 0, Last: wire.Slots - 1}

// realNode is one node: a disk, its stores, the state and the replica.
type realNode struct {
	id       wire.NodeID
	disk     *vfs.MemFS
	link     *link
	over     func(n *realNode) raft.Transport // instead of link; the node closes it
	opts     shard.Options
	stores   *raftlog.Stores
	state    *state.State
	scrubber *shard.Scrubber
	replica  *shard.Replica
	opened   raft.Transport
}

func (n *realNode) open(t testing.TB, voters []wire.NodeID) {
	t.Helper()
	fatal := func(err error) { t.Errorf("%s: %v", n.id, err) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	n.stores, err = raftlog.Open("data", n.disk, raftlog.Options{Fatal: fatal})
	must(err)
	log, err := n.stores.Group(7)
	must(err)
	start, end := state.Bounds(allSlots)
	snapshots, err := n.stores.Snapshots(7, raftlog.KeyRange{Start: start, End: end}, func(key, value []byte) (raftlog.Meta, bool, error) {
		p, ok, err := shard.ReadPosition(allSlots, key, value)
		return raftlog.Meta(p), ok, err
	})
	must(err)
	n.scrubber = shard.OpenScrubber(shard.ScrubOptions{})
	n.state, err = state.Open(n.stores.State(), allSlots, state.Options{ScrubAt: n.scrubber.Start})
	must(err)
	n.opened = n.link
	if n.over != nil {
		n.opened = n.over(n)
	}
	opts := n.opts
	opts.Fatal, opts.Scrubs = fatal, n.scrubber
	n.replica, err = shard.Open(shard.Place{Shard: 7, Node: n.id, Voters: voters},
		shard.Stores{Log: log, Stable: log, Snapshots: snapshots}, n.state, n.opened, opts)
	must(err)
}

func (n *realNode) close(t testing.TB) {
	t.Helper()
	if err := n.replica.Close(); err != nil {
		t.Error(err)
	}
	if own, ok := n.opened.(raft.WithClose); ok {
		if err := own.Close(); err != nil {
			t.Error(err)
		}
	}
	n.scrubber.Close()
	if err := n.stores.Close(); err != nil {
		t.Error(err)
	}
}

// realGroup is three nodes.
type realGroup struct {
	t     *testing.T
	nodes []*realNode
}

func inRealBubble(t *testing.T, opts shard.Options, run func(t *testing.T, g *realGroup)) {
	t.Helper()
	inRealBubbleOver(t, opts, nil, run)
}

// inRealBubbleOver does so over transports that over makes.
func inRealBubbleOver(t *testing.T, opts shard.Options, over func(n *realNode) raft.Transport, run func(t *testing.T, g *realGroup)) {
	t.Helper()
	virtual.Test(t, func(t *testing.T) {
		g := &realGroup{t: t}
		for i := range 3 {
			g.nodes = append(g.nodes, &realNode{id: wire.NodeID(fmt.Sprintf("n%d", i+1)), disk: vfs.NewCrashableMem(), opts: opts, over: over})
		}
		g.open(true)
		defer g.close()
		run(t, g)
	})
}

func (g *realGroup) open(first bool) {
	g.t.Helper()
	var voters []wire.NodeID
	for _, n := range g.nodes {
		_, transport := raft.NewInmemTransport(raft.ServerAddress(n.id))
		n.link = &link{InmemTransport: transport}
		if first {
			voters = append(voters, n.id)
		}
	}
	for _, n := range g.nodes {
		g.heal(n)
	}
	if first {
		voters = []wire.NodeID{"n1", "n2", "n3"}
	}
	for _, n := range g.nodes {
		n.open(g.t, voters)
	}
}

func (g *realGroup) close() {
	for _, n := range g.nodes {
		n.close(g.t)
	}
}

func (g *realGroup) heal(n *realNode) {
	for _, other := range g.nodes {
		if other != n {
			n.link.Connect(raft.ServerAddress(other.id), other.link.InmemTransport)
			other.link.Connect(raft.ServerAddress(n.id), n.link.InmemTransport)
		}
	}
}

func (g *realGroup) cut(n *realNode) {
	for _, other := range g.nodes {
		if other != n {
			n.link.Disconnect(raft.ServerAddress(other.id))
			other.link.Disconnect(raft.ServerAddress(n.id))
		}
	}
}

func (g *realGroup) leader() *realNode {
	g.t.Helper()
	for range 2000 {
		for _, n := range g.nodes {
			if n.replica.Leadership().Ready {
				return n
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	g.t.Fatal("no leader for 20s")
	return nil
}

func (g *realGroup) propose(c state.Command, token uint64) state.Result {
	g.t.Helper()
	h := state.Header{App: app, Actor: "ann", Token: state.Token{N: token}}
	if _, ok := c.(*state.Scrub); ok {
		h = state.Header{App: app}
	}
	result, err := g.leader().replica.Propose(g.t.Context(), 1, state.EncodeCommand(nil, h, c))
	if err != nil {
		g.t.Fatal(err)
	}
	if result.Refusal != 0 {
		g.t.Fatalf("refused: %v %s", result.Refusal, result.Text)
	}
	return result
}

func (g *realGroup) create() {
	g.t.Helper()
	g.propose(&state.CreateConversation{ID: conv, Preset: state.PresetBasic, Members: []wire.UserID{"ann", "bob"}}, 1)
}

func (g *realGroup) send(text string, token uint64) wire.Seq {
	g.t.Helper()
	return g.propose(&state.SendMessage{Conversation: conv, From: "ann", Body: []byte(text)}, token).Seq
}

// settle waits until all have applied the same and fails if they are not the same.
func (g *realGroup) settle() {
	g.t.Helper()
	leader := g.leader()
	for range 3000 {
		same := true
		for _, n := range g.nodes {
			same = same && n.replica.Applied() == leader.replica.Applied()
		}
		if same {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	want := leader.replica.Status()
	for _, n := range g.nodes {
		if got := n.replica.Status(); got.Applied != want.Applied || got.Chain != want.Chain {
			g.t.Fatalf("%s is at %d with the chain %x, %s at %d with %x", n.id, got.Applied, got.Chain, leader.id, want.Applied, want.Chain)
		}
	}
}

func TestRealStateReplicatesAndScrubs(t *testing.T) {
	inRealBubble(t, shard.Options{}, func(t *testing.T, g *realGroup) {
		g.create()
		for i := range uint64(50) {
			if seq := g.send("hello", 2+i); seq != wire.Seq(i+1) {
				t.Fatalf("message %d has the sequence %d", i+1, seq)
			}
		}
		if seq := g.send("hello", 51); seq != 50 {
			t.Errorf("a retry of the last message has the sequence %d", seq)
		}
		g.propose(&state.Scrub{Slots: wire.SlotRange{First: wire.SlotOf(app, string(conv)), Last: wire.SlotOf(app, string(conv))}, ID: 5}, 0)
		g.settle()
		time.Sleep(time.Second)
		var first shard.ScrubResult
		for i, n := range g.nodes {
			scrubs := n.replica.Status().Scrubs
			if len(scrubs) != 1 || scrubs[0].Err != nil || scrubs[0].ID != 5 || scrubs[0].Hash == 0 {
				t.Fatalf("%s: got %+v", n.id, scrubs)
			}
			if i == 0 {
				first = scrubs[0]
			}
			if scrubs[0] != first {
				t.Errorf("%s: got %+v, n1 %+v", n.id, scrubs[0], first)
			}
		}
	})
}

// TestRealStateIsInstalled: a follower that was away for longer than the log
// reaches gets the rows, and goes on from them.
func TestRealStateIsInstalled(t *testing.T) {
	opts := shard.Options{SnapshotBytes: 32 << 10, TrailingBytes: 8 << 10, TrailingEntries: 8}
	inRealBubble(t, opts, func(t *testing.T, g *realGroup) {
		g.create()
		leader := g.leader()
		away := g.nodes[0]
		if away == leader {
			away = g.nodes[1]
		}
		g.cut(away)
		for i := range uint64(200) {
			g.send(strings.Repeat("x", 1000), 2+i)
		}
		g.heal(away)
		time.Sleep(10 * time.Second)
		g.settle()
		if m := away.stores.Metrics(); m.Installs == 0 {
			t.Error("nothing was installed: this test shows nothing")
		}
		if seq := g.send("after", 1000); seq != 201 {
			t.Errorf("the next message has the sequence %d", seq)
		}
		g.settle()
	})
}

// TestPowerCutOfAll: all three lose power at once while messages are sent.
// What was answered is there when they are back, once.
func TestPowerCutOfAll(t *testing.T) {
	opts := shard.Options{SnapshotBytes: 32 << 10, TrailingBytes: 8 << 10, TrailingEntries: 8}
	inRealBubble(t, opts, func(t *testing.T, g *realGroup) {
		g.create()
		token, last := uint64(1), wire.Seq(0)
		for range 3 {
			for range 60 {
				token++
				if last++; g.send(strings.Repeat("x", 500), token) != last {
					t.Fatalf("message %d is not where it should be", last)
				}
			}
			// One more that nobody waits for.
			token++
			h := state.Header{App: app, Actor: "ann", Token: state.Token{N: token}}
			pending := make(chan shard.Outcome, 1)
			g.leader().replica.Submit(1, state.EncodeCommand(nil, h, &state.SendMessage{Conversation: conv, From: "ann", Body: []byte("y")}),
				func(o shard.Outcome) { pending <- o })
			// The disks are copied one after another. So that it is one moment for all,
			// no node may hear from another in between: what one has acknowledged
			// after its own copy would be forgotten, as no power cut forgets it.
			for _, n := range g.nodes {
				g.cut(n)
			}
			synctest.Wait()
			var disks []*vfs.MemFS
			for _, n := range g.nodes {
				disks = append(disks, n.disk.CrashClone(vfs.CrashCloneCfg{}))
			}
			g.close()
			<-pending
			for i, n := range g.nodes {
				n.disk = disks[i]
			}
			g.open(false)
			// The retry finds it done or does it: the same place either way.
			if last++; g.send("y", token) != last {
				t.Fatalf("message %d is not where it should be after the cut", last)
			}
			g.settle()
		}
	})
}

// TestOpenRefuses: what is wrong is said, all of it.
func TestOpenRefuses(t *testing.T) {
	l := newList()
	_, transport := raft.NewInmemTransport("n1")
	_, err := shard.Open(shard.Place{Shard: 7, Node: "n1"}, shard.Stores{Log: log{raft.NewInmemStore()}, Stable: raft.NewInmemStore(), Snapshots: &snapshots{list: l}},
		l, transport, shard.Options{PackCommands: 300, MaxPending: -1})
	if err == nil || !strings.Contains(err.Error(), "PackCommands") || !strings.Contains(err.Error(), "MaxPending") {
		t.Errorf("got %v, want both fields named", err)
	}
	if errors.Is(err, shard.ErrClosed) {
		t.Error("wrong kind of error")
	}
}
