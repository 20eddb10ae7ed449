package route

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/quorate/quorate/cluster"
	"github.com/quorate/quorate/shard"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/virtual"
	"github.com/quorate/quorate/wire"
)

// trio is three nodes with a replica each of shard 1, which owns all slots.
type trio struct {
	t     *testing.T
	a     *fakeNode // where requests come in
	b, c  *fakeNode
	nodes map[wire.NodeID]*fakeNode
	route cluster.Route

	calls sync.WaitGroup
}

// fakeNode is a node: its router and what stands behind it.
type fakeNode struct {
	trio   *trio
	id     wire.NodeID
	router *Router

	mu      sync.Mutex
	leader  wire.NodeID // as this node's replica knows
	err     error       // what its replica says to everything, if not nil
	got     []string    // commands that its replica took
	asked   int         // commands that its replica was offered
	strong  int         // strong reads
	applied wire.Offset
	held    []func(shard.Outcome) // commands without an outcome, while holding
	holding bool
	without bool           // it has no replica
	route   *cluster.Route // what it knows instead of the trio's
	down    bool           // it cannot be reached
	gaveUp  time.Time      // when it stopped to answer what is endless
}

func inTrio(t *testing.T, test func(t *testing.T, w *trio)) {
	t.Helper()
	virtual.Test(t, func(t *testing.T) {
		w := &trio{t: t, nodes: map[wire.NodeID]*fakeNode{}, route: cluster.Route{Shard: 1, Epoch: 1, Voters: []wire.NodeID{"a", "b", "c"}, Preferred: "b"}}
		for _, id := range w.route.Voters {
			n := &fakeNode{trio: w, id: id}
			n.router = New(id, n.routes, n.replica, n, n.execute, Options{})
			w.nodes[id] = n
		}
		w.a, w.b, w.c = w.nodes["a"], w.nodes["b"], w.nodes["c"]
		defer w.calls.Wait()
		test(t, w)
		for _, n := range w.nodes {
			n.router.Close()
		}
	})
}

// lead makes all replicas know a leader.
func (w *trio) lead(id wire.NodeID) {
	for _, n := range w.nodes {
		n.set(func() { n.leader = id })
	}
}

func (n *fakeNode) set(change func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change()
}

func (n *fakeNode) taken() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.got
}

func (n *fakeNode) routes(wire.Slot) (cluster.Route, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.route != nil {
		return *n.route, n.route.Shard != 0
	}
	return n.trio.route, true
}

func (n *fakeNode) replica(s wire.ShardID) Replica {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s != 1 || n.without {
		return nil
	}
	return n
}

// Submit implements Replica.
func (n *fakeNode) Submit(_ uint64, command []byte, done func(shard.Outcome)) {
	n.mu.Lock()
	n.asked++
	var o shard.Outcome
	switch {
	case n.err != nil:
		o.Err = n.err
	case n.leader != n.id:
		o.Err = &shard.NotLeaderError{Shard: 1, Leader: n.leader}
	default:
		n.got = append(n.got, textOf(command))
		o.Result = state.Result{Seq: wire.Seq(len(n.got))}
		if n.holding {
			n.held = append(n.held, done)
			n.mu.Unlock()
			return
		}
	}
	n.mu.Unlock()
	done(o)
}

// StrongRead implements Replica.
func (n *fakeNode) StrongRead(context.Context) (uint64, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.strong++
	switch {
	case n.err != nil:
		return 0, n.err
	case n.leader != n.id:
		return 0, &shard.NotLeaderError{Shard: 1, Leader: n.leader}
	default:
		return 1, nil
	}
}

// Leader implements Replica.
func (n *fakeNode) Leader() (wire.NodeID, uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.leader, 1
}

func (n *fakeNode) execute(ctx context.Context, _ wire.ShardID, q Query) ([]byte, bool, error) {
	if string(q.Request) == "endless" {
		<-ctx.Done()
		n.set(func() { n.gaveUp = time.Now() })
		return nil, true, ctx.Err()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if string(q.Request) == "refuse" {
		return nil, true, wire.Errorf(wire.CodeNotMember, "message.history", "no")
	}
	return fmt.Appendf(nil, "%s: %s of %s of %s", n.id, q.Request, q.User, q.App), n.applied >= q.AtLeast, nil
}

// CallAsync implements Caller: a call takes a millisecond each way, and keeps
// its place.
func (n *fakeNode) CallAsync(to wire.NodeID, method uint8, body []byte, done func([]byte, error)) {
	n.trio.calls.Add(1)
	time.AfterFunc(time.Millisecond, func() {
		answer := func(b []byte, err error) {
			done(b, err)
			n.trio.calls.Done()
		}
		other := n.trio.nodes[to]
		if other.isDown() {
			answer(nil, wire.Errorf(wire.CodeUnavailable, "", "cannot be reached"))
			return
		}
		if method != MethodPropose {
			n.trio.t.Errorf("method %d", method)
		}
		other.router.ServePropose(body, answer)
	})
}

// Call implements Caller.
func (n *fakeNode) Call(ctx context.Context, to wire.NodeID, method uint8, body []byte) ([]byte, error) {
	time.Sleep(time.Millisecond)
	other := n.trio.nodes[to]
	if other.isDown() {
		return nil, wire.Errorf(wire.CodeUnavailable, "", "cannot be reached")
	}
	if method != MethodQuery {
		n.trio.t.Errorf("method %d", method)
	}
	return other.router.ServeQuery(context.WithoutCancel(ctx), body) // a call tells nobody that its asker gives up
}

func (n *fakeNode) isDown() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.down
}

// reply is what a command came to.
type reply struct {
	result state.Result
	err    error
	after  time.Duration
}

// submit hands a command to a's router and returns where its outcome comes.
func (w *trio) submit(text string, within time.Duration) <-chan reply {
	began := time.Now()
	replies := make(chan reply, 2) // a second one would be an error
	w.a.router.Submit(Command{Encoded: commandOf(text), Deadline: began.Add(within), Done: func(r state.Result, err error) {
		replies <- reply{r, err, time.Since(began)}
	}})
	return replies
}

// commandOf makes a command that a replica could read, and textOf says which.
func commandOf(text string) []byte {
	return state.EncodeCommand(nil, state.Header{App: "app", Actor: "tom"}, &state.SendMessage{Conversation: "c", Body: []byte(text)})
}

func textOf(command []byte) string {
	_, c, err := state.DecodeCommand(command)
	if err != nil {
		return err.Error()
	}
	return string(c.(*state.SendMessage).Body)
}
