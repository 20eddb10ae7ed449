package mux

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/virtual"
	"github.com/quorate/quorate/wire"
)

// handler is a Handler of functions; nil ones answer with the body, and close.
type handler struct {
	call   func(from wire.NodeID, method uint8, body []byte, reply func([]byte, error))
	stream func(ctx context.Context, from wire.NodeID, s *Stream)
}

func (h *handler) Call(from wire.NodeID, method uint8, body []byte, reply func([]byte, error)) {
	if h.call == nil {
		reply(body, nil)
		return
	}
	h.call(from, method, body, reply)
}

func (h *handler) Stream(ctx context.Context, from wire.NodeID, _ uint8, _ []byte, s *Stream) {
	if h.stream != nil {
		h.stream(ctx, from, s)
	}
}

// addresses resolves a node to itself, as transport.Network wants it.
type addresses struct{}

func (addresses) Resolve(node wire.NodeID) string { return string(node) }

// world is some nodes on a network in memory.
type world struct {
	t     testing.TB
	net   *transport.Network
	nodes map[wire.NodeID]*running
	opts  Options
}

type running struct {
	*Mux
	listener transport.NodeListener
	stop     context.CancelFunc
	tasks    sync.WaitGroup
}

func newWorld(t testing.TB) *world {
	return &world{t: t, net: transport.NewNetwork(nil), nodes: map[wire.NodeID]*running{}}
}

// bubble runs a test on a virtual clock, and stops all nodes after it.
func bubble(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	virtual.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer func() {
			for id := range w.nodes {
				w.stop(id)
			}
		}()
		f(t, w)
	})
}

func (w *world) start(id wire.NodeID, h *handler) *running {
	w.t.Helper()
	l, err := w.net.Listen(string(id))
	if err != nil {
		w.t.Fatal(err)
	}
	m, err := New(id, "test", l, w.net.Dialer(id), addresses{}, h, w.opts)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.run(id, m, l)
}

func (w *world) run(id wire.NodeID, m *Mux, l transport.NodeListener) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Mux: m, listener: l, stop: cancel}
	r.tasks.Go(func() {
		if err := m.Run(ctx); err != nil {
			w.t.Error(err)
		}
	})
	w.nodes[id] = r
	return r
}

func (w *world) stop(id wire.NodeID) {
	r := w.nodes[id]
	delete(w.nodes, id)
	r.stop()
	r.tasks.Wait()
	if err := r.listener.Close(); err != nil {
		w.t.Error(err)
	}
}

// call asks with a deadline of a second.
func (r *running) call(to wire.NodeID, body string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	b, err := r.Call(ctx, to, 1, []byte(body))
	return string(b), err
}

func (w *world) mustCall(from, to wire.NodeID) {
	w.t.Helper()
	if got, err := w.nodes[from].call(to, "hi"); err != nil || got != "hi" {
		w.t.Fatalf("call from %s to %s: %q, %v", from, to, got, err)
	}
}

// cut pulls the cable between two nodes.
func (w *world) cut(a, b string) {
	w.net.Cut(a, b)
	w.net.Cut(b, a)
}

func (w *world) heal(a, b string) {
	w.net.Heal(a, b)
	w.net.Heal(b, a)
}
