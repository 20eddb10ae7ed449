package session

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/quorate/quorate/wire/pb"
)

// TestRenew: a session asks for a fresh goroutine after it has signed in, and
// after it has worked, but not more often than it may, and not for pings.
func TestRenew(t *testing.T) {
	inNode(t, Options{Renew: time.Second}, func(t *testing.T, n *node) {
		p := n.enter()
		id := uint64(0)
		check := func(what string, want int64) {
			t.Helper()
			synctest.Wait()
			if got := n.renewals.Load(); got != want {
				t.Errorf("%s: %d fresh goroutines, want %d", what, got, want)
			}
		}
		ask := func() {
			t.Helper()
			id++
			p.ask(id, "tea")
			if r := p.next().GetResponse(); r.GetId() != id {
				t.Fatalf("answer %v", r)
			}
		}
		ping := func() {
			t.Helper()
			p.send(&pb.ClientFrame{Body: &pb.ClientFrame_Ping{Ping: &pb.Ping{Nonce: 7}}})
			if f := p.next(); f.GetPong().GetNonce() != 7 {
				t.Fatalf("pong %v", f)
			}
		}
		check("signed in", 1)
		for range 10 {
			ask()
		}
		check("at work", 1)
		time.Sleep(2 * time.Second)
		check("asleep", 1)
		ping()
		check("the first ping after work", 2)
		for range 10 {
			time.Sleep(2 * time.Second)
			ping()
		}
		check("pings", 2)
		ask()
		check("work after a while", 3)
	})
}
