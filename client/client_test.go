package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

// bubble runs a test with a cluster in a synctest bubble.
func bubble(t *testing.T, nodes []string, test func(*testing.T, *cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newCluster(t, nodes...)) })
}

func numbers(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprint(i)
	}
	return all
}

// sendAll sends 0 to n-1 without waiting, and returns where they stand.
func sendAll(t *testing.T, v *Conversation, n int) []Sent {
	t.Helper()
	sent := make([]Sent, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Add(1)
		v.SendAsync(t.Context(), Text(fmt.Sprint(i)), func(s Sent, err error) {
			defer wg.Done()
			if err != nil {
				t.Errorf("send %d: %v", i, err)
			}
			sent[i] = s
		})
	}
	wg.Wait()
	return sent
}

func checkInOrder(t *testing.T, c *cluster, id string, sent []Sent) {
	t.Helper()
	if got, want := c.bodies(id), numbers(len(sent)); !slices.Equal(got, want) {
		t.Fatalf("the conversation has %d messages %v, want %d in the order of the sends", len(got), got, len(want))
	}
	for i, s := range sent {
		if s.Seq != wire.Seq(i+1) {
			t.Errorf("send %d has sequence %d, want %d", i, s.Seq, i+1)
		}
	}
}

func TestSendAndRead(t *testing.T) {
	bubble(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		tom := dial(t, c.options("tom", "n1"))
		defer shut(t, tom)
		info, err := tom.Create(t.Context(), NewConversation{Name: "tea", Members: []wire.UserID{"jerry"}})
		if err != nil || info.Name != "tea" || info.MemberCount != 2 {
			t.Fatalf("create = %+v, %v", info, err)
		}
		v := tom.Conversation(info.ID)
		sent, err := v.Send(t.Context(), Text("anyone?"))
		if err != nil || sent.Seq != 1 || sent.Offset != 1 || sent.ID == "" || sent.Time.IsZero() {
			t.Fatalf("send = %+v, %v", sent, err)
		}
		page, err := v.History(t.Context(), Range{Limit: 10})
		if err != nil || len(page.Messages) != 1 || string(page.Messages[0].Body) != "anyone?" || page.Messages[0].Conversation != info.ID {
			t.Fatalf("history = %+v, %v", page, err)
		}
		if tom.User() != "tom" || tom.Node() != "n1" {
			t.Errorf("user %s on node %s, want tom on n1", tom.User(), tom.Node())
		}
		_, err = tom.Conversation("nowhere").Send(t.Context(), Text("x"))
		if wire.CodeOf(err) != wire.CodeNotFound {
			t.Errorf("send to nowhere = %v, want not_found", err)
		}
	})
}

func TestLostAnswersGiveOneMessage(t *testing.T) {
	bubble(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		c.conversation("tea", "tom")
		lost := 0
		c.on = func(_ *node, r *pb.Request) fate {
			if r.GetSendMessage() == nil {
				return fate{}
			}
			if lost < 3 { // each time the answer is lost with the connection
				lost++
				return fate{mute: true, after: func() { c.network.Break("client", "n1:7400") }}
			}
			if r.GetN() != 1 || r.GetAgeMillis() == 0 {
				t.Errorf("the retry has n=%d and age=%d, want 1 and more than 0", r.GetN(), r.GetAgeMillis())
			}
			return fate{}
		}
		tom := dial(t, c.options("tom", "n1"))
		defer shut(t, tom)
		sent, err := tom.Conversation("tea").Send(t.Context(), Text("once"))
		if err != nil || sent.Seq != 1 {
			t.Fatalf("send = %+v, %v", sent, err)
		}
		if got := c.bodies("tea"); len(got) != 1 {
			t.Fatalf("the conversation has %v, want one message", got)
		}
	})
}

func TestCreateIsRetriedAsOne(t *testing.T) {
	bubble(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
		c.on = func(n *node, r *pb.Request) fate {
			return fate{kill: r.GetCreateConversation() != nil && n.name == "n1"}
		}
		tom := dial(t, c.options("tom", "n1"))
		defer shut(t, tom)
		info, err := tom.Create(t.Context(), NewConversation{})
		if err != nil {
			t.Fatal(err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.mu.logs) != 1 || c.mu.logs[string(info.ID)] == nil {
			t.Errorf("there are %d conversations, want the one that was answered", len(c.mu.logs))
		}
	})
}

func TestNodeDiesAndSendsGoOnInOrder(t *testing.T) {
	bubble(t, []string{"n1", "n2", "n3"}, func(t *testing.T, c *cluster) {
		c.conversation("tea", "tom")
		c.on = func(n *node, r *pb.Request) fate {
			return fate{kill: n.name == "n1" && r.GetN() == 100}
		}
		tom := dial(t, c.options("tom", "n1")) // the others are learned from the welcome
		defer shut(t, tom)
		began := time.Now()
		sent := sendAll(t, tom.Conversation("tea"), 1000)
		if took := time.Since(began); took > time.Second {
			t.Errorf("the sends took %v, want less than 1s", took)
		}
		checkInOrder(t, c, "tea", sent)
		if tom.Node() == "n1" {
			t.Error("the client is on n1, which is dead")
		}
	})
}

func TestSilentNodeIsLeft(t *testing.T) {
	bubble(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
		c.conversation("tea", "tom")
		tom := dial(t, c.options("tom", "n1"))
		defer shut(t, tom)
		c.network.Cut("n1:7400", "client") // what the client sends arrives, nothing comes back
		began := time.Now()
		sent := sendAll(t, tom.Conversation("tea"), 10)
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("the sends took %v, want at most 3s", took)
		}
		checkInOrder(t, c, "tea", sent)
	})
}

func TestWindow(t *testing.T) {
	bubble(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		c.conversation("tea", "tom")
		c.conversation("milk", "tom")
		holdFirst := true
		most := uint64(0)
		c.on = func(_ *node, r *pb.Request) fate {
			if r.GetSendMessage().GetConversation() == "tea" {
				most = max(most, r.GetN())
			}
			return fate{swallow: holdFirst && r.GetN() == 1 && r.GetSendMessage().GetConversation() == "tea"}
		}
		tom := dial(t, c.options("tom", "n1"))
		defer shut(t, tom)
		var answers sync.WaitGroup
		done := func(_ Sent, err error) {
			if err != nil {
				t.Error(err)
			}
			answers.Done()
		}
		answers.Add(window)
		for i := range window {
			tom.Conversation("tea").SendAsync(t.Context(), Text(fmt.Sprint(i)), done)
		}
		synctest.Wait()
		if most != window {
			t.Fatalf("%d commands were sent, want %d", most, window)
		}

		// All but the first are answered, and still there is no room: the window
		// moves with the oldest.
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := tom.Conversation("tea").Send(ctx, Text("no room")); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("send past the window = %v, want deadline exceeded", err)
		}
		if most != window {
			t.Fatalf("number %d was sent while 1 has no answer", most)
		}
		if _, err := tom.Conversation("milk").Send(t.Context(), Text("room")); err != nil {
			t.Fatalf("send to another conversation: %v", err)
		}

		holdFirst = false
		c.network.Break("client", "n1:7400")
		answers.Wait()
		if _, err := tom.Conversation("tea").Send(t.Context(), Text("room")); err != nil {
			t.Fatal(err)
		}
		if c.mu.refused > 0 {
			t.Errorf("%d commands were too old", c.mu.refused)
		}
	})
}

func TestMaxInFlight(t *testing.T) {
	bubble(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		c.maxInFlight = 7
		arrived := 0
		open := false
		c.on = func(*node, *pb.Request) fate {
			arrived++
			return fate{swallow: !open}
		}
		c.conversation("tea", "tom")
		tom := dial(t, c.options("tom", "n1"))
		defer shut(t, tom)
		var answers sync.WaitGroup
		for range 50 {
			answers.Add(1)
			tom.Conversation("tea").SendAsync(t.Context(), Text("x"), func(Sent, error) { answers.Done() })
		}
		synctest.Wait()
		if arrived != 7 {
			t.Fatalf("%d requests arrived, want 7", arrived)
		}
		open = true
		c.network.Break("client", "n1:7400")
		answers.Wait()
	})
}

func TestRefusedForNowKeepsOrder(t *testing.T) {
	bubble(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		c.conversation("tea", "tom")
		refusals := 0
		c.on = func(_ *node, r *pb.Request) fate {
			if r.GetN() >= 50 && r.GetN()%7 == 0 && refusals < 40 { // some of many: a queue is full now and then
				refusals++
				return fate{refuse: refuse(wire.CodeUnavailable)}
			}
			return fate{}
		}
		tom := dial(t, c.options("tom", "n1"))
		defer shut(t, tom)
		checkInOrder(t, c, "tea", sendAll(t, tom.Conversation("tea"), 500))
		if refusals != 40 {
			t.Errorf("%d refusals, want 40", refusals)
		}
	})
}

// TestRefusedCommandHoldsBackLaterOnes: what was started after a refusal is
// written only behind the retry.
func TestRefusedCommandHoldsBackLaterOnes(t *testing.T) {
	bubble(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		c.unlatched = true
		c.conversation("tea", "tom")
		c.conversation("milk", "tom")
		refusals := 0
		c.on = func(_ *node, r *pb.Request) fate {
			if r.GetSendMessage().GetConversation() == "tea" && r.GetN() == 1 && refusals < 3 {
				refusals++
				return fate{refuse: refuse(wire.CodeUnavailable)}
			}
			return fate{}
		}
		tom := dial(t, c.options("tom", "n1"))
		defer shut(t, tom)
		v := tom.Conversation("tea")
		v.SendAsync(t.Context(), Text("0"), func(Sent, error) {})
		synctest.Wait() // it is refused
		v.SendAsync(t.Context(), Text("1"), func(Sent, error) {})
		if _, err := tom.Conversation("milk").Send(t.Context(), Text("x")); err != nil || refusals != 1 {
			t.Errorf("another conversation waits too: %v after %d refusals", err, refusals)
		}
		if err := tom.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := c.bodies("tea"); !slices.Equal(got, numbers(2)) {
			t.Errorf("the conversation has %v, want 0 and 1", got)
		}
	})
}

// TestRetryWaitsUntilAllAreAnswered: only then can a node tell what was sent
// before its refusal from what is sent after it.
func TestRetryWaitsUntilAllAreAnswered(t *testing.T) {
	bubble(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		c.unlatched = true
		c.conversation("tea", "tom")
		firsts := 0
		c.on = func(_ *node, r *pb.Request) fate {
			if r.GetN() == 1 {
				firsts++
				if firsts == 1 {
					return fate{refuse: refuse(wire.CodeUnavailable)}
				}
			}
			return fate{swallow: r.GetN() == 2}
		}
		tom := dial(t, c.options("tom", "n1"))
		defer shut(t, tom)
		ctx, cancel := context.WithCancel(t.Context())
		v := tom.Conversation("tea")
		v.SendAsync(t.Context(), Text("0"), func(Sent, error) {})
		v.SendAsync(ctx, Text("1"), func(Sent, error) {})
		time.Sleep(time.Second)
		synctest.Wait()
		if firsts != 1 {
			t.Fatalf("1 was written %d times while 2 had no answer", firsts)
		}
		cancel() // 2 is given up
		time.Sleep(time.Second)
		synctest.Wait()
		if firsts != 2 {
			t.Fatalf("1 was written %d times, want 2", firsts)
		}
	})
}

// TestProbeIsGivenUp: the command that goes alone after a refusal may end with
// its context; the ones behind it must go on.
func TestProbeIsGivenUp(t *testing.T) {
	bubble(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		c.conversation("tea", "tom")
		tries := 0
		c.on = func(_ *node, r *pb.Request) fate {
			if r.GetN() != 1 {
				return fate{}
			}
			tries++
			return fate{refuse: map[bool]*pb.Error{true: refuse(wire.CodeUnavailable)}[tries == 1], swallow: tries > 1}
		}
		tom := dial(t, c.options("tom", "n1"))
		defer shut(t, tom)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		v := tom.Conversation("tea")
		first := make(chan error, 1)
		v.SendAsync(ctx, Text("given up"), func(_ Sent, err error) { first <- err })
		synctest.Wait()
		if _, err := v.Send(t.Context(), Text("0")); err != nil {
			t.Fatal(err)
		}
		if err := <-first; !errors.Is(err, context.DeadlineExceeded) || tries != 2 {
			t.Errorf("the first one ended with %v after %d tries, want deadline exceeded after 2", err, tries)
		}
	})
}

func TestContextEndsRetries(t *testing.T) {
	bubble(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		c.conversation("tea", "tom")
		c.on = func(_ *node, r *pb.Request) fate {
			if r.GetSendMessage() != nil {
				return fate{refuse: refuse(wire.CodeStorageFull)}
			}
			return fate{}
		}
		tom := dial(t, c.options("tom", "n1"))
		defer shut(t, tom)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := tom.Conversation("tea").Send(ctx, Text("x"))
		if !errors.Is(err, context.DeadlineExceeded) || wire.CodeOf(err) != wire.CodeStorageFull {
			t.Errorf("send = %v, want deadline exceeded with storage_full as the last refusal", err)
		}
		outcome := make(chan error, 1)
		ctx, cancel = context.WithCancel(t.Context())
		tom.Conversation("tea").SendAsync(ctx, Text("x"), func(_ Sent, err error) { outcome <- err })
		time.Sleep(time.Second)
		cancel()
		if err := <-outcome; !errors.Is(err, context.Canceled) {
			t.Errorf("async send = %v, want canceled", err)
		}
		if err := tom.Flush(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestRetryAfterLimit(t *testing.T) {
	bubble(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		c.conversation("tea", "tom")
		first := true
		c.on = func(_ *node, r *pb.Request) fate {
			if r.GetSendMessage() != nil && first {
				first = false
				return fate{refuse: &pb.Error{Code: uint32(wire.CodeLimit), RetryAfterMillis: 700}}
			}
			return fate{}
		}
		tom := dial(t, c.options("tom", "n1"))
		defer shut(t, tom)
		began := time.Now()
		if _, err := tom.Conversation("tea").Send(t.Context(), Text("x")); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 700*time.Millisecond {
			t.Errorf("asked again after %v, want 700ms", took)
		}
	})
}

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

func TestTransientIsSentOnce(t *testing.T) {
	bubble(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		c.conversation("tea", "tom")
		arrived := 0
		c.on = func(_ *node, r *pb.Request) fate {
			if r.GetSendMessage() == nil {
				return fate{}
			}
			arrived++
			return fate{mute: true, after: func() { c.network.Break("client", "n1:7400") }}
		}
		tom := dial(t, c.options("tom", "n1"))
		defer shut(t, tom)
		_, err := tom.Conversation("tea").Send(t.Context(), Draft{Body: []byte("typing"), Transient: true})
		if wire.CodeOf(err) != wire.CodeUnavailable || arrived != 1 {
			t.Errorf("send = %v, arrived %d times, want unavailable and 1", err, arrived)
		}
	})
}

func TestHandlers(t *testing.T) {
	bubble(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		o := c.options("tom", "n1")
		var said []string
		var read []Cursor
		o.Handlers.Transient = func(m Message) { said = append(said, string(m.Conversation)+":"+string(m.Body)) }
		o.Handlers.Cursor = func(cur Cursor) { read = append(read, cur) }
		tom := dial(t, o)
		c.events("tom", &pb.Events{
			Transients: []*pb.Message{{Conversation: "tea", Body: []byte("typing")}},
			Cursors:    []*pb.CursorMoved{{Conversation: "tea", User: "ann", ReadSeq: 3}},
		})
		synctest.Wait()
		shut(t, tom)
		if !slices.Equal(said, []string{"tea:typing"}) || len(read) != 1 || read[0].Read != 3 || read[0].User != "ann" {
			t.Errorf("handlers got %v and %v", said, read)
		}
	})
}

func TestMarks(t *testing.T) {
	bubble(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		c.conversation("tea", "tom")
		asked := 0
		c.on = func(_ *node, r *pb.Request) fate {
			if r.GetMoveCursor().GetLazy() {
				asked++
			}
			return fate{}
		}
		tom := dial(t, c.options("tom", "n1"))
		defer shut(t, tom)
		v := tom.Conversation("tea")
		for seq := range wire.Seq(1000) {
			v.Mark(seq+1, seq+1)
		}
		synctest.Wait()
		cursors, err := v.Cursors(t.Context())
		if err != nil || len(cursors) != 1 || cursors[0].Read != 1000 {
			t.Errorf("cursors = %+v, %v, want read 1000", cursors, err)
		}
		if asked > 10 {
			t.Errorf("%d requests for 1000 marks, want them gathered", asked)
		}
		if err := v.MarkRead(t.Context(), 1001); err != nil {
			t.Error(err)
		}
	})
}

func TestRoomIsEnteredAgain(t *testing.T) {
	bubble(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		entered := 0
		c.on = func(_ *node, r *pb.Request) fate {
			if r.GetEnterRoom() != nil {
				entered++
			}
			if entered == 2 {
				return fate{refuse: refuse(wire.CodeUnavailable)}
			}
			return fate{}
		}
		tom := dial(t, c.options("tom", "n1"))
		defer shut(t, tom)
		if err := tom.EnterRoom(t.Context(), "lobby"); err != nil {
			t.Fatal(err)
		}
		c.network.Break("client", "n1:7400")
		time.Sleep(time.Second)
		synctest.Wait()
		if entered != 3 {
			t.Errorf("entered %d times, want 3: once, refused, once more", entered)
		}
	})
}

// TestNumbersOfForgottenLanes: a number is never given out twice for one
// conversation, though only some are remembered.
func TestNumbersOfForgottenLanes(t *testing.T) {
	l := newLink(Options{}.withDefaults())
	highest := map[string]uint64{}
	for i := range 3 * maxLanes {
		key := fmt.Sprint(i % (maxLanes + 100))
		l.mu.Lock()
		ln := l.laneLocked(key)
		ln.gate.enter()
		n := ln.number()
		ln.settle(n)
		count := len(l.mu.lanes)
		l.mu.Unlock()
		if n <= highest[key] {
			t.Fatalf("number %d of %s was given out after %d", n, key, highest[key])
		}
		highest[key] = n
		if count > maxLanes {
			t.Fatalf("%d lanes are remembered, want at most %d", count, maxLanes)
		}
	}
}

func TestEncodeSendIsProtobuf(t *testing.T) {
	for _, d := range []Draft{
		{},
		Text("hello"),
		{Body: make([]byte, 5000), ContentType: "image", Mentions: []wire.UserID{"a", ""}, MentionAll: true, Targets: []wire.UserID{"b"}, Transient: true},
	} {
		b, err := encodeSend(opSend, "tea", d)
		if err != nil {
			t.Fatal(err)
		}
		c := &call{payload: b, id: 300, n: 7, first: time.Now().Add(-time.Second)}
		got := &pb.ClientFrame{}
		if err := proto.Unmarshal(c.appendFrame(nil, time.Now()), got); err != nil {
			t.Fatal(err)
		}
		age := got.GetRequest().GetAgeMillis()
		want := &pb.ClientFrame{Body: &pb.ClientFrame_Request{Request: &pb.Request{Id: 300, N: 7, AgeMillis: age, Op: &pb.Request_SendMessage{
			SendMessage: &pb.SendMessage{
				Conversation: "tea", Body: d.Body, ContentType: d.ContentType, Mentions: textsOf(d.Mentions),
				MentionAll: d.MentionAll, Targets: textsOf(d.Targets), Transient: d.Transient,
			},
		}}}}
		if !proto.Equal(got, want) || age < 1000 || age > 60_000 {
			t.Errorf("the frame is %v, want %v", got, want)
		}
	}
	if _, err := encodeSend(opSend, "\xff", Draft{}); wire.CodeOf(err) != wire.CodeInvalid {
		t.Errorf("not UTF-8 = %v, want invalid", err)
	}
}

func TestTooLargeIsRefusedHere(t *testing.T) {
	bubble(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		tom := dial(t, c.options("tom", "n1"))
		defer shut(t, tom)
		_, err := tom.Conversation("tea").Send(t.Context(), Draft{Body: make([]byte, wire.MaxFrameBytes)})
		if wire.CodeOf(err) != wire.CodeLimit {
			t.Errorf("send = %v, want limit", err)
		}
	})
}
