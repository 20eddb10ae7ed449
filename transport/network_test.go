package transport

import (
	"errors"
	"testing"
	"time"

	"github.com/quorate/quorate/virtual"
)

// connect returns both ends of a connection from one address to another.
func connect(t testing.TB, n *Network, from, to string) (Conn, NodeConn) {
	t.Helper()
	l, err := n.Listen(to)
	if err != nil {
		t.Fatal(err)
	}
	dialed, err := n.Dial(t.Context(), from, to)
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return dialed, accepted
}

func TestNetworkConnects(t *testing.T) {
	n := NewNetwork(nil)
	if _, err := n.Dial(t.Context(), "n1", "n2"); !errors.Is(err, ErrRefused) {
		t.Fatalf("dialed where nobody listens: %v", err)
	}
	a, b := connect(t, n, "n1", "n2")
	if b.Peer() != "n1" || b.RemoteAddr() != "n1" || a.RemoteAddr() != "n2" {
		t.Errorf("peer %s, addresses %s and %s", b.Peer(), b.RemoteAddr(), a.RemoteAddr())
	}
	mustWrite(t, a, "hello")
	wantFrame(t, b, "hello")
	if _, err := n.Listen("n2"); err == nil {
		t.Error("listened twice on one address")
	}
}

func TestNetworkListenerCloses(t *testing.T) {
	n := NewNetwork(nil)
	l, err := n.Listen("n2")
	if err != nil {
		t.Fatal(err)
	}
	waiting, err := n.Dial(t.Context(), "n1", "n2")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := second(waiting.ReadFrame()); !errors.Is(err, ErrRefused) {
		t.Errorf("a connection nobody accepted ends with %v", err)
	}
	if _, err := l.Accept(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("accept after Close: %v", err)
	}
	if _, err := n.Listen("n2"); err != nil {
		t.Errorf("the address is not free again: %v", err)
	}
}

func TestNetworkBacklogIsBounded(t *testing.T) {
	n := NewNetwork(nil)
	if _, err := n.Listen("n2"); err != nil {
		t.Fatal(err)
	}
	for range acceptQueue {
		if _, err := n.Dial(t.Context(), "n1", "n2"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.Dial(t.Context(), "n1", "n2"); !errors.Is(err, ErrRefused) {
		t.Errorf("one more than the backlog: %v, want ErrRefused", err)
	}
}

// TestNetworkDelay: frames take the link's time, virtual in a bubble, and do
// not overtake each other when the delay shrinks.
func TestNetworkDelay(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		delay := 10 * time.Second
		n := NewNetwork(func(string, string) time.Duration { return delay })
		a, b := connect(t, n, "n1", "n2")
		begin := time.Now()
		mustWrite(t, a, "slow")
		delay = time.Second
		mustWrite(t, a, "fast")
		wantFrame(t, b, "slow")
		if took := time.Since(begin); took != 10*time.Second {
			t.Errorf("the first took %v, want 10s", took)
		}
		wantFrame(t, b, "fast")
		if took := time.Since(begin); took != 10*time.Second {
			t.Errorf("the second took %v, want 10s", took)
		}
	})
}

// TestNetworkCut: one way of a link stands still and the other goes on; after
// Heal what was sent arrives.
func TestNetworkCut(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		n := NewNetwork(nil)
		a, b := connect(t, n, "n1", "n2")
		n.Cut("n1", "n2")
		mustWrite(t, a, "late")
		mustWrite(t, b, "back")
		wantFrame(t, a, "back")
		if _, err := n.Dial(t.Context(), "n1", "n2"); !errors.Is(err, ErrRefused) {
			t.Errorf("dialed over a cut link: %v", err)
		}
		begin := time.Now()
		time.AfterFunc(time.Minute, func() { n.Heal("n1", "n2") })
		wantFrame(t, b, "late")
		if took := time.Since(begin); took != time.Minute {
			t.Errorf("it arrived after %v, want after 1m", took)
		}

		n.Cut("n1", "n2")
		if err := a.Close(CloseGoingAway, ""); err != nil {
			t.Fatal(err)
		}
		if err := b.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if got := CodeFor(second(b.ReadFrame())); got != CloseTimeout {
			t.Errorf("a close crossed a cut link: %v", got)
		}
	})
}

func TestNetworkBreak(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		n := NewNetwork(func(string, string) time.Duration { return time.Second })
		a, b := connect(t, n, "n1", "n2")
		mustWrite(t, a, "under way")
		n.Break("n2", "n1")
		for name, c := range map[string]Conn{"dialed": a, "accepted": b} {
			if err := second(c.ReadFrame()); !errors.Is(err, ErrLost) {
				t.Errorf("%s: read %v, want ErrLost", name, err)
			}
			if err := c.WriteFrames([][]byte{{1}}); !errors.Is(err, ErrLost) {
				t.Errorf("%s: write %v, want ErrLost", name, err)
			}
		}
	})
}

// TestPipeInBubble: everything a pipe waits for is seen by the bubble, so its
// deadlines cost no time.
func TestPipeInBubble(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		a, b := Pipe()
		_ = a.SetReadDeadline(time.Now().Add(time.Hour))
		if got := CodeFor(second(a.ReadFrame())); got != CloseTimeout {
			t.Errorf("read: %v, want a timeout", got)
		}
		_ = b.SetWriteDeadline(time.Now().Add(time.Hour))
		var err error
		for n := 0; err == nil && n < 100; n++ {
			err = b.WriteFrames([][]byte{make([]byte, 100<<10)})
		}
		if CodeFor(err) != CloseTimeout {
			t.Errorf("write: %v, want a timeout", err)
		}
	})
}

// TestPipeKeepsNothingOfTheCaller: the writer may use its memory again at once.
func TestPipeKeepsNothingOfTheCaller(t *testing.T) {
	a, b := Pipe()
	frame := []byte("before")
	if err := a.WriteFrames([][]byte{frame}); err != nil {
		t.Fatal(err)
	}
	copy(frame, "after!")
	wantFrame(t, b, "before")
}
