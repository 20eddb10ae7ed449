package client

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

// TestSendAgainByToken: a message whose answer was lost with the program is sent
// again by the next one, at another node, and is there once.
func TestSendAgainByToken(t *testing.T) {
	bubble(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
		c.conversation("tea", "tom")
		c.on = func(n *node, r *pb.Request) fate { return fate{mute: n.name == "n1" && r.GetSendMessage() != nil} }
		tom := dial(t, c.options("tom", "n1"))
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		d := Text("once")
		d.Token = &Token{}
		if _, err := tom.Conversation("tea").Send(ctx, d); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("send = %v, want deadline exceeded", err)
		}
		shut(t, tom)

		var age uint32
		c.on = func(_ *node, r *pb.Request) fate {
			if r.GetSendMessage() != nil {
				age = r.GetAgeMillis()
			}
			return fate{}
		}
		o := c.options("tom", "n2")
		o.Resume = tom.Identity()
		tom = dial(t, o)
		defer shut(t, tom)
		for range 2 { // the second time the answer was known already
			sent, err := tom.Conversation("tea").Send(t.Context(), d)
			if err != nil || sent.Seq != 1 {
				t.Fatalf("sent again = %+v, %v, want seq 1", sent, err)
			}
			if age < 500 {
				t.Errorf("the repeat says it is %d ms old, want 500 at least", age)
			}
		}
		if sent, err := tom.Conversation("tea").Send(t.Context(), Text("next")); err != nil || sent.Seq != 2 {
			t.Fatalf("the next message = %+v, %v, want seq 2", sent, err)
		}
		if got := c.bodies("tea"); len(got) != 2 {
			t.Fatalf("the conversation has %v, want two messages", got)
		}
	})
}

// TestRefusalByToken: who is refused what he sends again is told that the first
// copy may yet arrive.
func TestRefusalByToken(t *testing.T) {
	bubble(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		c.conversation("tea", "tom")
		var refusing atomic.Bool
		c.on = func(_ *node, r *pb.Request) fate {
			switch {
			case r.GetSendMessage() == nil:
				return fate{}
			case refusing.Load():
				return fate{refuse: &pb.Error{Code: uint32(wire.CodeNotMember)}}
			default:
				return fate{swallow: true}
			}
		}
		tom := dial(t, c.options("tom", "n1"))
		defer shut(t, tom)
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		d := Text("no")
		d.Token = &Token{}
		if _, err := tom.Conversation("tea").Send(ctx, d); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("send = %v, want deadline exceeded", err)
		}
		refusing.Store(true)
		if _, err := tom.Conversation("tea").Send(t.Context(), d); !errors.Is(err, ErrUnheard) || wire.CodeOf(err) != wire.CodeNotMember {
			t.Errorf("refused with %v, want not a member, with an unheard copy", err)
		}
	})
}

func TestTokenOfAnotherClient(t *testing.T) {
	bubble(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		c.conversation("tea", "tom")
		tom := dial(t, c.options("tom", "n1"))
		defer shut(t, tom)
		d := Text("x")
		d.Token = &Token{Instance: [16]byte{1}, N: 1}
		if _, err := tom.Conversation("tea").Send(t.Context(), d); wire.CodeOf(err) != wire.CodeInvalid {
			t.Errorf("send = %v, want invalid", err)
		}
	})
}
