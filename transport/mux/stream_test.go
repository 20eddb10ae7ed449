package mux

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quorate/quorate/wire"
)

// echoStreams sends back what comes, until the end.
func echoStreams(_ context.Context, _ wire.NodeID, s *Stream) {
	for {
		m, err := s.Recv()
		if err != nil || s.Send(m) != nil {
			return
		}
	}
}

func TestStreamEcho(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.start("n1", &handler{stream: echoStreams})
		w.start("n2", &handler{stream: echoStreams})
		for _, to := range []wire.NodeID{"n1", "n2"} { // itself, and the other
			s, err := w.nodes["n1"].Open(t.Context(), to, 1, []byte("hello"))
			if err != nil {
				t.Fatal(err)
			}
			for i := range 1000 {
				want := fmt.Sprintf("%0*d", i%300, i)
				if i == 500 {
					want = string(make([]byte, 1<<20)) // larger than the window
				}
				if i == 600 {
					want = ""
				}
				if err := s.Send([]byte(want)); err != nil {
					t.Fatal(err)
				}
				if got, err := s.Recv(); err != nil || string(got) != want {
					t.Fatalf("message %d to %s: %d bytes, %v; want %d bytes", i, to, len(got), err, len(want))
				}
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if _, err := s.Recv(); !errors.Is(err, ErrStreamClosed) {
				t.Errorf("receive after close: %v", err)
			}
		}
		synctest.Wait()
		for _, r := range w.nodes {
			for _, p := range r.mu.peers {
				if len(p.mu.opened)+len(p.mu.accepted) > 0 {
					t.Errorf("%s remembers %d streams opened and %d accepted", r.self, len(p.mu.opened), len(p.mu.accepted))
				}
			}
		}
	})
}

// TestStreamFlowControl: a reader that does not read stops the sender at the
// window, and neither calls nor other streams.
func TestStreamFlowControl(t *testing.T) {
	for _, to := range []wire.NodeID{"n1", "n2"} {
		t.Run("to "+string(to), func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.opts.Window = 10_000
				read := make(chan struct{})
				h := &handler{stream: func(ctx context.Context, _ wire.NodeID, s *Stream) {
					<-read
					echoStreams(ctx, "", s)
				}}
				w.start("n1", h)
				w.start("n2", h)
				s, err := w.nodes["n1"].Open(t.Context(), to, 1, nil)
				if err != nil {
					t.Fatal(err)
				}
				sent := 0
				for {
					ok, err := s.TrySend(make([]byte, 1000))
					if err != nil {
						t.Fatal(err)
					}
					if !ok {
						break
					}
					sent++
				}
				if sent < 9 || sent > 10 {
					t.Errorf("%d messages of 1000 bytes went into a window of 10000", sent)
				}
				waited := make(chan error)
				go func() { waited <- s.Send(make([]byte, 1000)) }()
				synctest.Wait()
				w.mustCall("n1", to)
				select {
				case err := <-waited:
					t.Fatalf("Send past the window returned %v", err)
				default:
				}
				close(read)
				if err := <-waited; err != nil {
					t.Error(err)
				}
				for range sent + 1 {
					if _, err := s.Recv(); err != nil {
						t.Fatal(err)
					}
				}
				_ = s.Close()
			})
		})
	}
}

// TestStreamEnds: the reader gets all that was sent before the other side
// closed, then io.EOF; the handler's context ends.
func TestStreamEnds(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		over := make(chan error, 1)
		w.start("n1", &handler{stream: func(ctx context.Context, _ wire.NodeID, s *Stream) {
			for range 3 {
				_ = s.Send([]byte("x"))
			}
			<-ctx.Done()
			_, err := s.Recv()
			over <- err
		}})
		w.start("n2", &handler{stream: func(_ context.Context, _ wire.NodeID, s *Stream) {
			for range 3 {
				_ = s.Send([]byte("x"))
			}
		}})
		s, err := w.nodes["n1"].Open(t.Context(), "n2", 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		for i := range 3 {
			if _, err := s.Recv(); err != nil {
				t.Errorf("message %d: %v", i, err)
			}
		}
		if _, err := s.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("end: %v, want io.EOF", err)
		}
		if err := s.Send(nil); !errors.Is(err, io.EOF) {
			t.Errorf("send after the end: %v, want io.EOF", err)
		}

		if s, err = w.nodes["n2"].Open(t.Context(), "n1", 1, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		_ = s.Close()
		if err := <-over; !errors.Is(err, io.EOF) {
			t.Errorf("the handler's Recv after the end: %v, want io.EOF", err)
		}
	})
}

// TestStreamBreaks: a lost connection ends the streams on both sides at once,
// those that wait in Send too.
func TestStreamBreaks(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		ended := make(chan error, 1)
		w.start("n1", &handler{})
		w.start("n2", &handler{stream: func(ctx context.Context, _ wire.NodeID, s *Stream) {
			<-ctx.Done()
			for {
				if _, err := s.Recv(); err != nil {
					ended <- err
					return
				}
			}
		}})
		s, err := w.nodes["n1"].Open(t.Context(), "n2", 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		sending := make(chan error, 1)
		go func() {
			for {
				if err := s.Send(make([]byte, 10_000)); err != nil {
					sending <- err
					return
				}
			}
		}()
		time.Sleep(time.Second)
		w.net.Break("n1", "n2")
		for _, c := range []chan error{sending, ended} {
			if err := <-c; !errors.Is(err, ErrLost) {
				t.Errorf("stream ended with %v, want ErrLost", err)
			}
		}
	})
}

// TestManyStreamsShareTheQueue: the bound of what waits for a peer holds for
// all its streams together, and they all get through.
func TestManyStreamsShareTheQueue(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.opts.MaxStreamBytes = 200_000
		received := make(chan int, 100)
		w.start("n1", &handler{})
		w.start("n2", &handler{stream: func(_ context.Context, _ wire.NodeID, s *Stream) {
			n := 0
			for {
				m, err := s.Recv()
				if err != nil {
					received <- n
					return
				}
				n += len(m)
			}
		}})
		w.mustCall("n1", "n2")
		w.net.Cut("n1", "n2")
		var streams []*Stream // all are open before one sends: a full queue opens none
		for range 20 {
			s, err := w.nodes["n1"].Open(t.Context(), "n2", 1, nil)
			if err != nil {
				t.Fatal(err)
			}
			streams = append(streams, s)
		}
		sent := make(chan error, 20)
		for _, s := range streams {
			go func() {
				for range 20 {
					if err := s.Send(make([]byte, 10_000)); err != nil {
						sent <- err
						return
					}
				}
				sent <- s.Close()
			}()
		}
		synctest.Wait()
		p := w.nodes["n1"].peer("n2")
		if n := p.mu.q.bytes(classStream); n > 250_000 || n < 150_000 {
			t.Errorf("%d bytes wait, want about 200000", n)
		}
		w.net.Heal("n1", "n2")
		for range 20 {
			if err := <-sent; err != nil {
				t.Error(err)
			}
		}
		for range 20 {
			if n := <-received; n != 200_000 {
				t.Errorf("%d bytes received, want 200000", n)
			}
		}
	})
}

func TestTooManyStreams(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.start("n2", &handler{stream: echoStreams})
		w.nodes["n2"].opts.MaxStreams = 5
		w.start("n1", &handler{})
		for i := range 10 {
			s, err := w.nodes["n1"].Open(t.Context(), "n2", 1, nil)
			if err != nil {
				t.Fatal(err)
			}
			_ = s.Send([]byte("x"))
			if _, err := s.Recv(); (err == nil) != (i < 5) {
				t.Errorf("stream %d: %v", i, err)
			}
		}
	})
}
