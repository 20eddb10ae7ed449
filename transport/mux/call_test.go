package mux

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
)

// TestCallsArriveInOrder makes calls from both sides at once; each handler
// sees the other's in the order they were made.
func TestCallsArriveInOrder(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		const calls = 5000
		seen := map[wire.NodeID]*uint64{"n1": new(uint64), "n2": new(uint64)}
		for id := range seen {
			w.start(id, &handler{call: func(from wire.NodeID, _ uint8, body []byte, reply func([]byte, error)) {
				n := binary.BigEndian.Uint64(body)
				if *seen[from] != n {
					t.Errorf("from %s came %d, want %d", from, n, *seen[from])
				}
				*seen[from]++
				reply(body, nil)
			}})
		}
		answered := make(chan uint64, 2*calls)
		for i := range uint64(calls) {
			for id := range seen {
				to := wire.NodeID("n1")
				if id == to {
					to = "n2"
				}
				body := binary.BigEndian.AppendUint64(nil, i)
				w.nodes[id].CallAsync(to, 1, body, func(b []byte, err error) {
					if err != nil || binary.BigEndian.Uint64(b) != i {
						t.Errorf("answer to %d from %s: %x, %v", i, to, b, err)
					}
					answered <- i
				})
			}
		}
		for range 2 * calls {
			<-answered
		}
	})
}

// TestAnswersLateAndOnce: answers may come in any order and from other
// goroutines, and only the first of a call counts.
func TestAnswersLateAndOnce(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.start("n1", &handler{})
		w.start("n2", &handler{call: func(_ wire.NodeID, _ uint8, body []byte, reply func([]byte, error)) {
			time.AfterFunc(time.Duration(100-len(body))*time.Millisecond, func() {
				reply(body, nil)
				reply([]byte("again"), nil)
			})
		}})
		done := make(chan int, 100)
		for i := range 50 {
			w.nodes["n1"].CallAsync("n2", 1, make([]byte, i), func(b []byte, err error) {
				if err != nil {
					t.Error(err)
				}
				done <- len(b)
			})
		}
		for i := range 50 {
			if got := <-done; got != 49-i {
				t.Errorf("answer %d has %d bytes, want %d", i, got, 49-i)
			}
		}
		time.Sleep(time.Second)
		if len(done) > 0 {
			t.Errorf("%d calls were answered twice", len(done))
		}
	})
}

func TestErrorsCross(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		sent := &wire.Error{Code: wire.CodeNotLeader, Op: "message.send", Text: "ask n3", Leader: "n3", Err: errors.New("secret")}
		h := &handler{call: func(_ wire.NodeID, method uint8, _ []byte, reply func([]byte, error)) {
			if method == 1 {
				reply(nil, fmt.Errorf("wrapped: %w", sent))
				return
			}
			reply(nil, errors.New("secret"))
		}}
		w.start("n1", h)
		w.start("n2", h)
		for _, to := range []wire.NodeID{"n1", "n2"} { // itself, and the other
			_, err := w.nodes["n1"].Call(t.Context(), to, 1, nil)
			got, ok := errors.AsType[*wire.Error](err)
			if !ok || got.Code != sent.Code || got.Op != sent.Op || got.Text != sent.Text || got.Leader != sent.Leader || got.Err != nil {
				t.Errorf("error from %s: %#v, want %#v", to, err, sent)
			}
			if _, err = w.nodes["n1"].Call(t.Context(), to, 2, nil); wire.CodeOf(err) != wire.CodeInternal || strings.Contains(err.Error(), "secret") {
				t.Errorf("foreign error from %s: %v, want code internal without its text", to, err)
			}
		}
	})
}

// TestLargerIDConnects: the node with the smaller id has nothing to say and
// does not dial; then the other does.
func TestLargerIDConnects(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.start("n1", &handler{})
		w.start("n2", &handler{})
		start := time.Now()
		w.mustCall("n2", "n1")
		if took := time.Since(start); took > 700*time.Millisecond {
			t.Errorf("connected after %v", took)
		}
	})
}

// TestOneConnectionRemains: both dial at once; they keep the same one.
func TestOneConnectionRemains(t *testing.T) {
	for round := range 20 {
		bubble(t, func(t *testing.T, w *world) {
			w.start("n1", &handler{})
			w.start("n2", &handler{})
			p1, p2 := w.nodes["n1"].peer("n2"), w.nodes["n2"].peer("n1")
			dialed := make(chan struct{})
			go func() { _ = p1.dial(t.Context()); dialed <- struct{}{} }()
			go func() { _ = p2.dial(t.Context()); dialed <- struct{}{} }()
			<-dialed
			<-dialed
			time.Sleep(5 * time.Second)
			w.mustCall("n1", "n2")
			w.mustCall("n2", "n1")
			// Each may have dialed more than once, so it can be either side's.
			if l1, l2 := p1.mu.link, p2.mu.link; l1 == nil || l2 == nil || l1.dialed == l2.dialed {
				t.Errorf("round %d: the links are %+v and %+v, want the two ends of one", round, l1, l2)
			}
		})
	}
}

// TestDeadPeerFailsCalls pulls the cable: no error tells, only silence.
func TestDeadPeerFailsCalls(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.start("n1", &handler{})
		w.start("n2", &handler{})
		w.mustCall("n1", "n2")
		time.Sleep(10 * time.Second) // idle connections stay
		if losses := w.nodes["n1"].Metrics().Losses; losses != 0 {
			t.Fatalf("%d losses of an idle connection", losses)
		}
		w.cut("n1", "n2")
		start := time.Now()
		done := make(chan error, 1)
		w.nodes["n1"].CallAsync("n2", 1, nil, func(_ []byte, err error) { done <- err })
		err := <-done
		if took := time.Since(start); took > 2100*time.Millisecond || !errors.Is(err, ErrLost) || wire.CodeOf(err) != wire.CodeUnavailable {
			t.Errorf("call ended after %v with %v, want ErrLost within 2s", took, err)
		}

		time.Sleep(2 * time.Second) // past the grace, calls fail at once
		start = time.Now()
		if _, err := w.nodes["n1"].call("n2", "x"); !errors.Is(err, ErrUnreachable) || time.Since(start) > 0 {
			t.Errorf("call to a dead node: %v after %v, want ErrUnreachable at once", err, time.Since(start))
		}

		w.heal("n1", "n2")
		time.Sleep(1600 * time.Millisecond)
		w.mustCall("n1", "n2")
		w.mustCall("n2", "n1")
	})
}

// TestBrokenConnection: calls fail at once, and the next ones go on soon.
func TestBrokenConnection(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.start("n1", &handler{})
		w.start("n2", &handler{call: func(_ wire.NodeID, method uint8, body []byte, reply func([]byte, error)) {
			if method != 9 {
				reply(body, nil)
			}
		}})
		w.mustCall("n1", "n2")
		for range 10 {
			done := make(chan error, 1)
			w.nodes["n1"].CallAsync("n2", 9, nil, func(_ []byte, err error) { done <- err })
			synctest.Wait()
			start := time.Now()
			w.net.Break("n1", "n2")
			if err := <-done; !errors.Is(err, ErrLost) || time.Since(start) > 0 {
				t.Errorf("open call: %v after %v, want ErrLost at once", err, time.Since(start))
			}
			w.mustCall("n1", "n2") // waits for the next connection
			if took := time.Since(start); took > 300*time.Millisecond {
				t.Errorf("next call answered after %v", took)
			}
		}
		if m := w.nodes["n1"].Metrics(); m.Connects != 11 || m.Losses != 10 {
			t.Errorf("%d connects and %d losses, want 11 and 10", m.Connects, m.Losses)
		}
	})
}

// TestNodeRestarts: a node that was stopped and started again is found again,
// by those with smaller and larger ids.
func TestNodeRestarts(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		for _, id := range []wire.NodeID{"n1", "n2", "n3"} {
			w.start(id, &handler{})
		}
		w.mustCall("n1", "n2")
		w.mustCall("n3", "n2")
		w.stop("n2")
		time.Sleep(30 * time.Second)
		_, _ = w.nodes["n1"].call("n2", "still wanted")
		_, _ = w.nodes["n3"].call("n2", "still wanted")
		w.start("n2", &handler{})
		time.Sleep(3 * time.Second)
		w.mustCall("n1", "n2")
		w.mustCall("n3", "n2")
	})
}

// TestSlowPeerBlocksNobody: a peer that takes nothing fills its own queue up to
// the bound; calls to others go on meanwhile.
func TestSlowPeerBlocksNobody(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.opts.MaxCallBytes = 1 << 20
		for _, id := range []wire.NodeID{"n1", "n2", "n3"} {
			w.start(id, &handler{})
		}
		w.mustCall("n1", "n2")
		w.mustCall("n1", "n3")
		w.cut("n1", "n2")
		refused, failed := 0, 0
		ended := make(chan error, 100)
		start := time.Now()
		for range 100 {
			w.nodes["n1"].CallAsync("n2", 1, make([]byte, 64<<10), func(_ []byte, err error) { ended <- err })
			w.mustCall("n1", "n3")
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("100 calls to n3 beside a slow n2 took %v", took)
		}
		for range 100 {
			switch err := <-ended; {
			case errors.Is(err, ErrOverloaded):
				refused++
			case errors.Is(err, ErrLost):
				failed++
			default:
				t.Errorf("call to a slow node: %v", err)
			}
		}
		// 1 MiB waits in the queue, and what the writer and the pipe took before.
		if refused < 60 || failed < 15 {
			t.Errorf("%d refused, %d failed; want most of 100 refused", refused, failed)
		}
	})
}

func TestSelfCall(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.start("n1", &handler{})
		w.mustCall("n1", "n1")
		if m := w.nodes["n1"].Metrics(); m.Writes+m.Connects > 0 {
			t.Errorf("a call to itself used a connection: %+v", m)
		}
	})
}

func TestStoppedMuxRefuses(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		n := w.start("n1", &handler{})
		w.start("n2", &handler{call: func(wire.NodeID, uint8, []byte, func([]byte, error)) {}})
		done := make(chan error, 1)
		n.CallAsync("n2", 1, nil, func(_ []byte, err error) { done <- err })
		time.Sleep(time.Second)
		w.stop("n1")
		if err := <-done; !errors.Is(err, ErrClosed) {
			t.Errorf("open call at the stop: %v, want ErrClosed", err)
		}
		if _, err := n.call("n2", ""); !errors.Is(err, ErrClosed) {
			t.Errorf("call after the stop: %v, want ErrClosed", err)
		}
	})
}

// TestStrangersAreRefused: another cluster, another node's name, another
// version, and noise.
func TestStrangersAreRefused(t *testing.T) {
	good := hello{cluster: "test", node: "n9", minLevel: 1, maxLevel: 1}
	other, named := good, good
	other.cluster, named.node = "other", "n8"
	version2 := good.encode()
	version2[2]++
	for name, first := range map[string][]byte{
		"cluster": other.encode(), "name": named.encode(), "version": version2, "noise": []byte("GET / HTTP/1.1"),
		"second message": append(good.encode(), 1, byte(kindPing)),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.start("n1", &handler{})
				conn, err := w.net.Dial(t.Context(), "n9", "n1")
				if err != nil {
					t.Fatal(err)
				}
				if err := conn.WriteFrames([][]byte{first}); err != nil {
					t.Fatal(err)
				}
				if _, err := conn.ReadFrame(); err == nil {
					t.Errorf("answered")
				}
				if p := w.nodes["n1"].Peers(); len(p) > 0 {
					t.Errorf("became a peer: %v", p)
				}
			})
		})
	}
}

// TestSilentStranger: who connects and says nothing is sent away.
func TestSilentStranger(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.start("n1", &handler{})
		conn, err := w.net.Dial(t.Context(), "n9", "n1")
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := conn.ReadFrame(); err == nil || time.Since(start) > helloTimeout {
			t.Errorf("read ended after %v with %v", time.Since(start), err)
		}
	})
}

// TestHostilePeer: a peer that breaks the rules loses its connection, and
// nothing else happens.
func TestHostilePeer(t *testing.T) {
	msg := func(parts ...byte) []byte { return append([]byte{byte(len(parts))}, parts...) }
	for name, frame := range map[string][]byte{
		"cut":           {200, 1},
		"empty":         {0},
		"piece":         msg(byte(kindPiece)),
		"piece's class": msg(byte(kindPiece), 2*byte(classes)),
		"piece of one":  msg(byte(kindPiece), 1, byte(kindPiece), 1),
		"empty piece":   msg(byte(kindPiece), 1),
		"kind":          msg(99),
		"second hello":  msg(byte(kindHello)),
		"short call":    msg(byte(kindCall), 1),
		"big shard":     msg(byte(kindRaft), 0xff, 0xff, 0xff, 0xff, 0xff, 1),
		"opened twice":  append(msg(byte(kindOpen), 1, 1, 100), msg(byte(kindOpen), 1, 1, 100)...),
		"no window":     msg(byte(kindOpen), 1, 1, 0),
		"beyond window": append(append(msg(byte(kindOpen), 1, 1, 1), msg(byte(kindData), 1, 1, 'x')...), msg(byte(kindData), 1, 1, 'x')...),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.start("n1", &handler{stream: func(ctx context.Context, _ wire.NodeID, _ *Stream) { <-ctx.Done() }})
				w.start("n2", &handler{})
				w.mustCall("n1", "n2")
				conn, err := w.net.Dial(t.Context(), "n9", "n1")
				if err != nil {
					t.Fatal(err)
				}
				first := hello{cluster: "test", node: "n9", minLevel: 1, maxLevel: 1}.encode()
				if err := conn.WriteFrames([][]byte{first, frame}); err != nil {
					t.Fatal(err)
				}
				var read error
				for read == nil {
					_, read = conn.ReadFrame()
				}
				if _, told := errors.AsType[*transport.CloseError](read); !told {
					t.Errorf("connection ended with %v", read)
				}
				w.mustCall("n1", "n2")
			})
		})
	}
}

// TestLateReplyToAnEarlierLife: a node restarts, and its call numbers begin
// anew. The answer to an old call must not be taken for that to a new one.
func TestLateReplyToAnEarlierLife(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var replies []func([]byte, error)
		w.start("n2", &handler{call: func(_ wire.NodeID, _ uint8, _ []byte, reply func([]byte, error)) {
			replies = append(replies, reply)
		}})
		answer := make(chan string, 1)
		for life := range 2 {
			w.start("n1", &handler{})
			w.nodes["n1"].CallAsync("n2", 1, nil, func(b []byte, err error) {
				if err == nil {
					answer <- string(b)
				}
			})
			time.Sleep(time.Second)
			synctest.Wait()
			if life == 0 {
				w.stop("n1")
			}
		}
		replies[0]([]byte("old"), nil)
		synctest.Wait()
		replies[1]([]byte("new"), nil)
		if got := <-answer; got != "new" {
			t.Errorf("answer %q, want that to the new call", got)
		}
	})
}
