package client

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

func TestGoawayMovesWithoutAPause(t *testing.T) {
	bubble(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
		c.conversation("tea", "tom", "ann")
		c.conversation("milk", "tom")
		tom := dial(t, c.options("tom", "n1"))
		defer shut(t, tom)
		sub, err := tom.Conversation("tea").Subscribe(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		c.on = func(n *node, r *pb.Request) fate { return fate{mute: n.name == "n1" && r.GetSendMessage() != nil} }
		outcome := make(chan error, 1)
		tom.Conversation("milk").SendAsync(t.Context(), Text("x"), func(_ Sent, err error) { outcome <- err })
		c.tell("n1", &pb.ServerFrame{Body: &pb.ServerFrame_Goaway{Goaway: &pb.Goaway{WaitMillis: 500}}})
		time.Sleep(499 * time.Millisecond)
		synctest.Wait()
		if tom.Node() != "n1" {
			t.Fatal("moved before the time was over")
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if tom.Node() != "n2" || c.sessions("n1") != 0 {
			t.Fatalf("the client is on %s, and n1 has %d sessions, want n2 and 0", tom.Node(), c.sessions("n1"))
		}
		if err := <-outcome; err != nil {
			t.Errorf("the send that n1 owed an answer: %v", err)
		}
		c.say("tea", "hello")
		if e, err := sub.Next(t.Context()); err != nil || string(e.Message.Body) != "hello" {
			t.Errorf("next = %+v, %v", e, err)
		}
	})
}

func TestSilentNodeIsLeftByFollower(t *testing.T) {
	bubble(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
		c.conversation("tea", "tom")
		tom := dial(t, c.options("tom", "n1"))
		defer shut(t, tom)
		sub, err := tom.Conversation("tea").Subscribe(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour) // nothing happens, and nothing is wrong
		synctest.Wait()
		if len(c.mu.logins) != 1 {
			t.Fatalf("%d logins in a quiet hour, want 1", len(c.mu.logins))
		}
		c.network.Cut("n1:7400", "client")
		c.say("tea", "hello")
		began := time.Now()
		if e, err := sub.Next(t.Context()); err != nil || string(e.Message.Body) != "hello" {
			t.Errorf("next = %+v, %v", e, err)
		}
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("it took %v, want at most 6s", took)
		}
	})
}

func TestNodeThatCanNotServeIsLeft(t *testing.T) {
	bubble(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
		c.conversation("tea", "tom")
		c.on = func(n *node, r *pb.Request) fate {
			if n.name == "n1" { // cut off from the others, but not from us
				return fate{refuse: refuse(wire.CodeUnavailable)}
			}
			return fate{}
		}
		tom := dial(t, c.options("tom", "n1"))
		defer shut(t, tom)
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		if _, err := tom.Conversation("tea").Send(ctx, Text("x")); err != nil {
			t.Fatal(err)
		}
	})
}

func TestTakenTagEndsTheClient(t *testing.T) {
	bubble(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		o := c.options("tom", "n1")
		o.Tag = "phone"
		tom := dial(t, o)
		defer shut(t, tom)
		c.tell("n1", &pb.ServerFrame{Body: &pb.ServerFrame_Closing{Closing: refuse(wire.CodeConflict)}})
		<-tom.Done()
		if wire.CodeOf(tom.Err()) != wire.CodeConflict {
			t.Errorf("the client ended with %v, want conflict", tom.Err())
		}
		if _, err := tom.Conversation("x").Send(t.Context(), Text("x")); wire.CodeOf(err) != wire.CodeConflict {
			t.Errorf("send = %v, want conflict", err)
		}
		if c.mu.logins[0].GetReconnect() {
			t.Error("the first login says that it is a reconnect")
		}
	})
}

func TestReconnectDoesNotTakeTheTag(t *testing.T) {
	bubble(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		o := c.options("tom", "n1")
		o.Tag = "phone"
		tom := dial(t, o)
		defer shut(t, tom)
		c.network.Break("client", "n1:7400")
		time.Sleep(time.Second)
		synctest.Wait()
		if len(c.mu.logins) != 2 || !c.mu.logins[1].GetReconnect() || string(c.mu.logins[0].GetInstance()) != string(c.mu.logins[1].GetInstance()) {
			t.Errorf("logins %v, want a second one that is a reconnect of the same instance", c.mu.logins)
		}
	})
}

func TestDialFails(t *testing.T) {
	bubble(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		o := c.options("tom", "n1")
		o.Key = "a wrong key"
		if _, err := Dial(t.Context(), o); wire.CodeOf(err) != wire.CodeUnauthenticated {
			t.Errorf("dial with a wrong key = %v, want unauthenticated", err)
		}
		began := time.Now()
		o = c.options("tom", "nowhere")
		if _, err := Dial(t.Context(), o); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != dialTimeout {
			t.Errorf("dial to nobody = %v after %v, want deadline exceeded after %v", err, time.Since(began), dialTimeout)
		}
		if _, err := Dial(t.Context(), Options{}); wire.CodeOf(err) != wire.CodeInvalid {
			t.Errorf("dial without options = %v, want invalid", err)
		}
		o = c.options("tom", "nowhere", "n1") // the second one answers
		shut(t, dial(t, o))
	})
}

func TestTokenFuncIsAskedWhenTheSessionTokenIsRefused(t *testing.T) {
	bubble(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		asked := 0
		o := c.options("", "n1")
		o.Key = ""
		o.TokenFunc = func(context.Context) (string, error) {
			asked++
			return SignToken(testApp, "tom", testKey, time.Now(), time.Minute)
		}
		tom := dial(t, o)
		defer shut(t, tom)
		for _, want := range []struct {
			void  bool
			asked int
		}{{false, 1}, {true, 2}, {true, 3}, {false, 3}} {
			c.void = want.void
			c.network.Break("client", "n1:7400")
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if asked != want.asked || c.sessions("n1") != 1 || tom.User() != "tom" {
				t.Errorf("asked %d times, %d sessions of %s, want %d, 1 and tom", asked, c.sessions("n1"), tom.User(), want.asked)
			}
		}
	})
}

func TestExpiredTokenEndsTheClient(t *testing.T) {
	bubble(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		c.void = true
		o := c.options("", "n1")
		token, err := SignToken(testApp, "tom", testKey, time.Now(), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		o.Key, o.Token = "", token
		tom := dial(t, o)
		defer shut(t, tom)
		time.Sleep(2 * time.Minute)
		c.network.Break("client", "n1:7400")
		<-tom.Done()
		if wire.CodeOf(tom.Err()) != wire.CodeUnauthenticated {
			t.Errorf("the client ended with %v, want unauthenticated", tom.Err())
		}
	})
}

func TestCloseFailsWhatWaits(t *testing.T) {
	bubble(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		c.conversation("tea", "tom")
		signedOut := false
		c.on = func(_ *node, r *pb.Request) fate {
			signedOut = signedOut || r.GetCloseSession() != nil
			return fate{swallow: r.GetSendMessage() != nil}
		}
		tom := dial(t, c.options("tom", "n1"))
		sub, err := tom.Conversation("tea").Subscribe(t.Context(), FromEnd)
		if err != nil {
			t.Fatal(err)
		}
		outcome := make(chan error, 300)
		for range 300 { // more than the window: some wait to be let in
			go func() {
				_, err := tom.Conversation("tea").Send(context.Background(), Text("x"))
				outcome <- err
			}()
		}
		synctest.Wait()
		shut(t, tom)
		for range 300 {
			if err := <-outcome; !errors.Is(err, ErrClosed) {
				t.Errorf("send = %v, want ErrClosed", err)
			}
		}
		if _, err := sub.Next(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("next = %v, want ErrClosed", err)
		}
		if !signedOut {
			t.Error("the client did not sign out")
		}
		shut(t, tom) // a second time is harmless
	})
}

func TestCloseWhileNoNodeAnswers(t *testing.T) {
	bubble(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		tom := dial(t, c.options("tom", "n1"))
		c.kill("n1")
		time.Sleep(10 * time.Second)
		began := time.Now()
		shut(t, tom)
		if took := time.Since(began); took > 0 {
			t.Errorf("close took %v, want none", took)
		}
		if !errors.Is(tom.Err(), ErrClosed) {
			t.Errorf("err = %v, want ErrClosed", tom.Err())
		}
	})
}

func TestRoomIsEnteredAgain(t *testing.T) {
	bubble(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		entered, before := 0, 0
		c.on = func(_ *node, r *pb.Request) fate {
			switch r.GetEnterRoom().GetConversation() {
			case "lobby":
				entered++
			case "hall":
				before++
			}
			if entered == 2 {
				return fate{refuse: refuse(wire.CodeUnavailable)}
			}
			return fate{}
		}
		tom := dial(t, c.options("tom", "n1"))
		defer shut(t, tom)
		for _, room := range []wire.ConversationID{"hall", "lobby"} {
			if err := tom.EnterRoom(t.Context(), room); err != nil {
				t.Fatal(err)
			}
		}
		c.network.Break("client", "n1:7400")
		time.Sleep(time.Second)
		synctest.Wait()
		if entered != 3 {
			t.Errorf("entered %d times, want 3: once, refused, once more", entered)
		}
		if before != 1 {
			t.Errorf("the room before was entered %d times, want once", before)
		}
	})
}
