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
		opts := c.options("tom", "n1")
		told := 0
		opts.Handlers.Refused = func(err *wire.Error, after time.Duration) {
			if told++; err.Code != wire.CodeUnavailable || after < 0 || after > 10*time.Millisecond {
				t.Errorf("refused with %v, %v after it was written", err, after)
			}
		}
		tom := dial(t, opts)
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
		if told != 3 {
			t.Errorf("told of %d refusals, want 3", told)
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
		b, err := encodeSend("tea", d)
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
	if _, err := encodeSend("\xff", Draft{}); wire.CodeOf(err) != wire.CodeInvalid {
		t.Errorf("not UTF-8 = %v, want invalid", err)
	}
}
