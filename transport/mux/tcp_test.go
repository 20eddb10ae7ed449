package mux

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/raftnet"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
)

// book is a Resolver of addresses that are known.
type book map[wire.NodeID]string

func (b book) Resolve(node wire.NodeID) string { return b[node] }

// onTCP starts two nodes on TLS over TCP.
func onTCP(t testing.TB, h *handler) (*running, *running) {
	t.Helper()
	ca, err := transport.NewCA("test", clock.System)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	addresses := book{}
	var listeners []transport.NodeListener
	var dialers []*transport.NodeDialer
	ids := []wire.NodeID{"n1", "n2"}
	for _, id := range ids {
		pair, err := ca.IssueNode(id, nil, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		credentials, err := transport.NewCredentials(ca.Pool(), pair, clock.System, nil)
		if err != nil {
			t.Fatal(err)
		}
		l, err := transport.ListenNodes(t.Context(), "127.0.0.1:0", credentials, nil)
		if err != nil {
			t.Fatal(err)
		}
		addresses[id] = l.Addr()
		listeners = append(listeners, l)
		dialers = append(dialers, transport.NewNodeDialer(credentials))
	}
	for i, id := range ids {
		m, err := New(id, "test", listeners[i], dialers[i], addresses, h, Options{Grace: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		w.run(id, m, listeners[i])
	}
	t.Cleanup(func() {
		for id := range w.nodes {
			w.stop(id)
		}
	})
	return w.nodes["n1"], w.nodes["n2"]
}

func TestOverTCP(t *testing.T) {
	a, b := onTCP(t, &handler{stream: echoStreams})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for k := range 50 {
				body := fmt.Sprintf("%d %d %0*d", i, k, k*100, k)
				got, err := a.Call(t.Context(), "n2", 1, []byte(body))
				if err != nil || string(got) != body {
					t.Errorf("call %d of %d: %d bytes, %v", k, i, len(got), err)
				}
			}
		})
		all.Go(func() {
			s, err := b.Open(t.Context(), "n1", 1, nil)
			if err != nil {
				t.Error(err)
				return
			}
			for k := range 50 {
				if err := s.Send(make([]byte, k*4000)); err != nil {
					t.Error(err)
				}
				if m, err := s.Recv(); err != nil || len(m) != k*4000 {
					t.Errorf("message of %d bytes came back with %d, %v", k*4000, len(m), err)
				}
			}
			_ = s.Close()
		})
	}
	all.Wait()
	big := make([]byte, 8<<20)
	if got, err := a.Call(t.Context(), "n2", 1, big); err != nil || len(got) != len(big) {
		t.Errorf("call of 8 MiB: %d bytes, %v", len(got), err)
	}
}

func benchmarkCall(b *testing.B, inFlight, size int) {
	a, _ := onTCP(b, &handler{})
	body := make([]byte, size)
	ctx := context.Background()
	if _, err := a.Call(ctx, "n2", 1, body); err != nil {
		b.Fatal(err)
	}
	before := a.Metrics()
	b.ReportAllocs()
	b.ResetTimer()
	var all sync.WaitGroup
	for i := range inFlight {
		all.Go(func() {
			for k := i; k < b.N; k += inFlight {
				if _, err := a.Call(ctx, "n2", 1, body); err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
	m := a.Metrics()
	b.ReportMetric(float64(m.Messages-before.Messages)/float64(m.Writes-before.Writes), "messages/write")
}

func BenchmarkCall(b *testing.B) {
	for _, inFlight := range []int{1, 64} {
		b.Run(fmt.Sprintf("inflight=%d", inFlight), func(b *testing.B) { benchmarkCall(b, inFlight, 256) })
	}
}

func BenchmarkCallAsync(b *testing.B) {
	a, _ := onTCP(b, &handler{})
	body := make([]byte, 256)
	slots := make(chan struct{}, 64)
	done := func(_ []byte, err error) {
		if err != nil {
			b.Error(err)
		}
		<-slots
	}
	if _, err := a.Call(context.Background(), "n2", 1, body); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		slots <- struct{}{}
		a.CallAsync("n2", 1, body, done)
	}
	for range cap(slots) {
		slots <- struct{}{}
	}
}

func BenchmarkRaftFrame(b *testing.B) {
	a, n2 := onTCP(b, &handler{})
	frame := make([]byte, 1024)
	arrived := make(chan struct{}, 64)
	n2.Receive(1, func(wire.NodeID, []byte) { arrived <- struct{}{} })
	if _, err := a.Call(context.Background(), "n2", 1, nil); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	flying := 0
	for b.Loop() {
		if flying == 64 {
			<-arrived
			flying--
		}
		if err := a.Send("n2", 1, frame, raftnet.Now); err != nil {
			b.Fatal(err)
		}
		flying++
	}
	for range flying {
		<-arrived
	}
}
