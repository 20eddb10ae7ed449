package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

// follow reads n messages from a subscription and checks that they are first,
// first+1 and so on, by offset and by body.
func follow(t *testing.T, sub *Subscription, first, n int) {
	t.Helper()
	began := time.Now()
	followSlowly(t, sub, first, n)
	if took := time.Since(began); took > hintPatience/2 {
		t.Errorf("it took %v: the hole was noticed only by waiting", took)
	}
}

func followSlowly(t *testing.T, sub *Subscription, first, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for i := first; i < first+n; i++ {
		e, err := sub.Next(ctx)
		if err != nil {
			t.Fatalf("entry %d: %v", i, err)
		}
		if e.Offset != wire.Offset(i+1) || e.Kind != EntryMessage || string(e.Message.Body) != fmt.Sprint(i) {
			t.Fatalf("entry %d is %+v with message %+v", i, e, e.Message)
		}
	}
	if sub.Position() != wire.Offset(first+n) {
		t.Fatalf("position = %d, want %d", sub.Position(), first+n)
	}
}

func quiet(t *testing.T, sub *Subscription) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if e, err := sub.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("next = %+v, %v, want nothing more", e, err)
	}
}

// withSubscription runs a test with tom subscribed to a conversation.
func withSubscription(t *testing.T, before int, after wire.Offset, test func(*testing.T, *cluster, *Subscription)) {
	t.Helper()
	bubble(t, []string{"n1", "n2"}, func(t *testing.T, c *cluster) {
		c.conversation("tea", "tom", "ann")
		for i := range before {
			c.say("tea", fmt.Sprint(i))
		}
		tom := dial(t, c.options("tom", "n1", "n2"))
		defer shut(t, tom)
		sub, err := tom.Conversation("tea").Subscribe(t.Context(), after)
		if err != nil {
			t.Fatal(err)
		}
		test(t, c, sub)
	})
}

func sayMore(c *cluster, first, n int) {
	for i := first; i < first+n; i++ {
		c.say("tea", fmt.Sprint(i))
	}
}

func TestFollowFromAPosition(t *testing.T) {
	withSubscription(t, 10, 4, func(t *testing.T, c *cluster, sub *Subscription) {
		follow(t, sub, 4, 6)
		sayMore(c, 10, 5)
		follow(t, sub, 10, 5)
		quiet(t, sub)
	})
}

func TestFollowFromTheEnd(t *testing.T) {
	withSubscription(t, 10, FromEnd, func(t *testing.T, c *cluster, sub *Subscription) {
		sayMore(c, 10, 1)
		follow(t, sub, 10, 1)
	})
}

func TestLostPushesAreRead(t *testing.T) {
	reads := 0
	withSubscription(t, 0, 0, func(t *testing.T, c *cluster, sub *Subscription) {
		c.on = func(_ *node, r *pb.Request) fate {
			if r.GetReadLog() != nil {
				reads++
			}
			return fate{}
		}
		c.drop = func(_ string, o uint64) bool { return o%10 == 3 }
		sayMore(c, 0, 200)
		follow(t, sub, 0, 200)
		quiet(t, sub)
		if reads == 0 {
			t.Error("nothing was read, though pushes were lost")
		}
	})
}

func TestOneLostPushIsRead(t *testing.T) {
	withSubscription(t, 0, 0, func(t *testing.T, c *cluster, sub *Subscription) {
		c.drop = func(_ string, o uint64) bool { return o == 3 }
		sayMore(c, 0, 6)
		synctest.Wait()
		follow(t, sub, 0, 6)
	})
}

func TestOnePushTooMany(t *testing.T) {
	withSubscription(t, 0, 0, func(t *testing.T, c *cluster, sub *Subscription) {
		sayMore(c, 0, maxQueued)
		synctest.Wait()
		sayMore(c, maxQueued, 1) // the last one finds no room, and nothing comes after it
		synctest.Wait()
		follow(t, sub, 0, maxQueued+1)
	})
}

func TestBehindIsRead(t *testing.T) {
	withSubscription(t, 0, 0, func(t *testing.T, c *cluster, sub *Subscription) {
		c.drop = func(string, uint64) bool { return true } // the last push is lost too
		sayMore(c, 0, 1000)
		c.events("tom", &pb.Events{Logs: []*pb.LogBatch{{Log: &pb.LogRef{Conversation: "tea"}, Upto: 1000, Last: 1000, Behind: true}}})
		follow(t, sub, 0, 1000)
		c.drop = nil
		sayMore(c, 1000, 3)
		follow(t, sub, 1000, 3)
	})
}

func TestLastPushIsLost(t *testing.T) {
	withSubscription(t, 0, 0, func(t *testing.T, c *cluster, sub *Subscription) {
		c.drop = func(_ string, o uint64) bool { return o == 2 }
		sayMore(c, 0, 2)
		follow(t, sub, 0, 1)
		// A node that knows of more than it has pushed says so with any batch.
		c.events("tom", &pb.Events{Logs: []*pb.LogBatch{{Log: &pb.LogRef{Conversation: "tea"}, After: 1, Upto: 1, Last: 2}}})
		if e, err := sub.Next(t.Context()); err != nil || e.Offset != 2 {
			t.Fatalf("next = %+v, %v, want entry 2", e, err)
		}
	})
}

func TestSlowReaderLosesNothing(t *testing.T) {
	withSubscription(t, 0, 0, func(t *testing.T, c *cluster, sub *Subscription) {
		for i := range 20 { // much more than the queue, in pieces
			sayMore(c, i*200, 200)
			synctest.Wait()
			sub.mu.Lock()
			queued := len(sub.mu.queue) - sub.mu.head
			sub.mu.Unlock()
			if queued > maxQueued+200 {
				t.Fatalf("%d entries are queued, want at most about %d", queued, maxQueued)
			}
		}
		follow(t, sub, 0, 4000)
		sayMore(c, 4000, 10)
		follow(t, sub, 4000, 10)
		quiet(t, sub)
	})
}

func TestFollowOverReconnects(t *testing.T) {
	withSubscription(t, 0, 0, func(t *testing.T, c *cluster, sub *Subscription) {
		for i := range 20 {
			sayMore(c, 10*i, 5)
			c.network.Break("client", []string{"n1:7400", "n2:7400"}[i%2])
			sayMore(c, 10*i+5, 5)
			followSlowly(t, sub, 10*i, 10) // sessions that end at once are followed by pauses
		}
		quiet(t, sub)
	})
}

func TestNodeDiesAndFollowingGoesOn(t *testing.T) {
	withSubscription(t, 0, 0, func(t *testing.T, c *cluster, sub *Subscription) {
		sayMore(c, 0, 5)
		c.kill("n1")
		sayMore(c, 5, 5)
		began := time.Now()
		follow(t, sub, 0, 10)
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v, want less than 1s", took)
		}
	})
}

func TestDuplicatesAreDropped(t *testing.T) {
	withSubscription(t, 0, 0, func(t *testing.T, c *cluster, sub *Subscription) {
		sayMore(c, 0, 3)
		c.mu.Lock()
		entries := slices.Clone(c.mu.logs["tea"].entries)
		c.mu.Unlock()
		again := &pb.Events{Logs: []*pb.LogBatch{{Log: &pb.LogRef{Conversation: "tea"}, After: 0, Upto: 3, Last: 3, Entries: entries}}}
		c.events("tom", again)
		c.events("tom", again)
		sayMore(c, 3, 1)
		follow(t, sub, 0, 4)
		quiet(t, sub)
	})
}

func TestEntriesForOthersLeaveNoHole(t *testing.T) {
	withSubscription(t, 0, 0, func(t *testing.T, c *cluster, sub *Subscription) {
		c.on = func(_ *node, r *pb.Request) fate {
			if r.GetReadLog() != nil {
				t.Error("the log was read, though the range said that nothing is missing")
			}
			return fate{}
		}
		c.events("tom", &pb.Events{Logs: []*pb.LogBatch{
			{Log: &pb.LogRef{Conversation: "tea"}, After: 0, Upto: 7, Last: 9, Entries: []*pb.LogEntry{{Offset: 5}}},
			{Log: &pb.LogRef{Conversation: "tea"}, After: 7, Upto: 9, Last: 9, Entries: []*pb.LogEntry{{Offset: 9}}},
		}})
		for _, want := range []wire.Offset{5, 9} {
			if e, err := sub.Next(t.Context()); err != nil || e.Offset != want {
				t.Fatalf("next = %d, %v, want %d", e.Offset, err, want)
			}
		}
		quiet(t, sub)
	})
}

func TestStartOver(t *testing.T) {
	bubble(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		c.conversation("tea", "tom")
		sayMore(c, 0, 10)
		c.mu.logs["tea"].floor = 5
		tom := dial(t, c.options("tom", "n1"))
		defer shut(t, tom)
		if _, err := tom.Conversation("tea").Subscribe(t.Context(), 2); !errors.Is(err, ErrStartOver) {
			t.Errorf("subscribe before the floor = %v, want ErrStartOver", err)
		}
		sub, err := tom.Conversation("tea").Subscribe(t.Context(), 8)
		if err != nil {
			t.Fatal(err)
		}
		follow(t, sub, 8, 2)
		c.mu.Lock()
		c.mu.logs["tea"].floor = 12 // while the client is away, its position falls out of the log
		c.mu.Unlock()
		c.network.Break("client", "n1:7400")
		if _, err := sub.Next(t.Context()); !errors.Is(err, ErrStartOver) || wire.CodeOf(err) != wire.CodeStartOver {
			t.Errorf("next = %v, want ErrStartOver", err)
		}
		if sub, err = tom.Conversation("tea").Subscribe(t.Context(), FromEnd); err != nil {
			t.Errorf("subscribe again: %v", err)
		}
		sub.Close()
	})
}

func TestRemoved(t *testing.T) {
	withSubscription(t, 0, 0, func(t *testing.T, c *cluster, sub *Subscription) {
		sayMore(c, 0, 2)
		ann := dial(t, c.options("ann", "n1"))
		defer shut(t, ann)
		if _, err := ann.Conversation("tea").Remove(t.Context(), "tom"); err != nil {
			t.Fatal(err)
		}
		sayMore(c, 2, 5)
		follow(t, sub, 0, 2)
		if e, err := sub.Next(t.Context()); err != nil || e.Kind != EntryMembersRemoved {
			t.Fatalf("next = %+v, %v, want the removal", e, err)
		}
		if e, err := sub.Next(t.Context()); !errors.Is(err, ErrRemoved) {
			t.Fatalf("next = %+v, %v, want ErrRemoved", e, err)
		}
	})
}

func TestRemovedWhileAway(t *testing.T) {
	withSubscription(t, 0, 0, func(t *testing.T, c *cluster, sub *Subscription) {
		sayMore(c, 0, 2)
		follow(t, sub, 0, 2)
		c.mu.Lock()
		c.mu.logs["tea"].members["tom"] = false
		c.mu.Unlock()
		c.network.Break("client", "n1:7400")
		sayMore(c, 2, 5)
		if e, err := sub.Next(t.Context()); !errors.Is(err, ErrRemoved) {
			t.Fatalf("next = %+v, %v, want ErrRemoved", e, err)
		}
	})
}

func TestSubscribeIsRefused(t *testing.T) {
	bubble(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		c.conversation("milk", "ann")
		tom := dial(t, c.options("tom", "n1"))
		defer shut(t, tom)
		for id, want := range map[wire.ConversationID]wire.Code{
			"nowhere": wire.CodeNotFound, "milk": wire.CodeNotMember, "": wire.CodeInvalid,
		} {
			if _, err := tom.Conversation(id).Subscribe(t.Context(), 0); wire.CodeOf(err) != want {
				t.Errorf("subscribe to %q = %v, want %v", id, err, want)
			}
		}
	})
}

func TestSubscribeIsRefusedForNow(t *testing.T) {
	bubble(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		c.conversation("tea", "tom")
		refusals := 0
		c.on = func(_ *node, r *pb.Request) fate {
			if r.GetSubscribe() != nil && refusals < 5 {
				refusals++
				return fate{refuse: refuse(wire.CodeUnavailable)}
			}
			return fate{}
		}
		tom := dial(t, c.options("tom", "n1"))
		defer shut(t, tom)
		sub, err := tom.Conversation("tea").Subscribe(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tom.Conversation("tea").Subscribe(t.Context(), 0); wire.CodeOf(err) != wire.CodeExists {
			t.Errorf("a second subscription = %v, want exists", err)
		}
		sub.Close()
		sub.Close()
		if _, err := sub.Next(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("next after close = %v, want ErrClosed", err)
		}
		if sub, err = tom.Conversation("tea").Subscribe(t.Context(), 0); err != nil {
			t.Fatalf("subscribe after close: %v", err)
		}
		c.say("tea", "0")
		follow(t, sub, 0, 1)
	})
}

func TestManySubscriptionsInFewRequests(t *testing.T) {
	bubble(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		requests := 0
		c.on = func(_ *node, r *pb.Request) fate {
			if s := r.GetSubscribe(); s != nil {
				requests++
				if len(s.GetPositions()) > maxPositions {
					t.Errorf("%d positions in one request, want at most %d", len(s.GetPositions()), maxPositions)
				}
			}
			return fate{}
		}
		c.conversation("", "tom") // the user log
		tom := dial(t, c.options("tom", "n1"))
		defer shut(t, tom)
		if _, err := tom.Subscribe(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		for i := range 250 {
			c.conversation(fmt.Sprint(i), "tom")
			if _, err := tom.Conversation(wire.ConversationID(fmt.Sprint(i))).Subscribe(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
		}
		requests = 0
		c.network.Break("client", "n1:7400")
		time.Sleep(time.Second)
		synctest.Wait()
		if requests != 3 {
			t.Errorf("%d requests subscribed to 251 logs again, want 3", requests)
		}
	})
}

func TestSubscribeAll(t *testing.T) {
	bubble(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		requests := 0
		c.on = func(_ *node, r *pb.Request) fate {
			if r.GetSubscribe() != nil {
				requests++
			}
			return fate{}
		}
		positions := []Position{{After: 0}}
		c.conversation("", "tom") // the user log
		for i := range 120 {
			id := fmt.Sprint(i)
			c.conversation(id, "tom")
			positions = append(positions, Position{Conversation: wire.ConversationID(id)})
		}
		c.conversation("milk", "ann")
		tom := dial(t, c.options("tom", "n1"))
		defer shut(t, tom)
		subs, err := tom.SubscribeAll(t.Context(), append(positions, Position{Conversation: "milk"})...)
		if wire.CodeOf(err) != wire.CodeNotMember || subs[121] != nil {
			t.Errorf("the conversation of others: %v, %v", subs[121], err)
		}
		if requests != 2 {
			t.Errorf("%d requests for 122 logs, want 2", requests)
		}
		c.say("7", "0")
		follow(t, subs[8], 0, 1)
		if again, err := tom.SubscribeAll(t.Context(), positions[:2]...); wire.CodeOf(err) != wire.CodeExists || again[0] != nil {
			t.Errorf("a second time: %v, %v", again, err)
		}
		if _, err := tom.SubscribeAll(t.Context(), Position{Conversation: "a\nb"}); wire.CodeOf(err) != wire.CodeInvalid {
			t.Errorf("an id that cannot be: %v", err)
		}
	})
}

func TestEntriesRange(t *testing.T) {
	withSubscription(t, 5, 0, func(t *testing.T, c *cluster, sub *Subscription) {
		var got []string
		for e, err := range sub.Entries(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, string(e.Message.Body)); len(got) == 5 {
				break
			}
		}
		if !slices.Equal(got, numbers(5)) {
			t.Errorf("entries %v", got)
		}
	})
}

// TestReadsNeverGoBack: what was seen by any way is asked for at least.
func TestReadsNeverGoBack(t *testing.T) {
	bubble(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		c.conversation("tea", "tom")
		sayMore(c, 0, 5)
		var asked []uint64
		c.on = func(_ *node, r *pb.Request) fate {
			if h := r.GetHistory(); h != nil {
				asked = append(asked, h.GetAtLeastOffset())
			}
			return fate{}
		}
		tom := dial(t, c.options("tom", "n1"))
		defer shut(t, tom)
		v := tom.Conversation("tea")
		read := func(r Range) {
			if _, err := v.History(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		read(Range{}) // nothing is known: a strong read
		read(Range{}) // the page knew the log up to 5
		if _, err := v.Send(t.Context(), Text("6")); err != nil {
			t.Fatal(err)
		}
		read(Range{})
		sub, err := v.Subscribe(t.Context(), FromEnd)
		if err != nil {
			t.Fatal(err)
		}
		c.say("tea", "7")
		if _, err := sub.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		read(Range{})
		c.conversation("milk", "tom")
		c.say("milk", "1")
		if all, err := tom.Unread(t.Context(), "milk"); err != nil || all[0].Last != 1 {
			t.Fatalf("unread is %+v, %v, want the last message to be 1", all, err)
		}
		v = tom.Conversation("milk")
		read(Range{})
		read(Range{Strong: true})
		if want := []uint64{0, 5, 6, 7, 1, 0}; !slices.Equal(asked, want) {
			t.Errorf("reads asked for at least %v, want %v", asked, want)
		}
	})
}
