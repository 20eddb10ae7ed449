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

	"github.com/quorate/quorate/virtual"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

// bubble runs a test with a cluster in a synctest bubble.
func bubble(t *testing.T, nodes []string, test func(*testing.T, *cluster)) {
	t.Helper()
	virtual.Test(t, func(t *testing.T) { test(t, newCluster(t, nodes...)) })
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

// TestRefusalOfARepetition: who is refused is told when an earlier copy of the
// command was lost, which may yet arrive and be carried out.
func TestRefusalOfARepetition(t *testing.T) {
	bubble(t, []string{"n1"}, func(t *testing.T, c *cluster) {
		c.conversation("tea", "tom")
		lose := true
		c.on = func(_ *node, r *pb.Request) fate {
			switch {
			case r.GetSendMessage() == nil:
				return fate{}
			case lose:
				lose = false
				return fate{mute: true, after: func() { c.network.Break("client", "n1:7400") }}
			}
			return fate{refuse: &pb.Error{Code: uint32(wire.CodeNotMember)}}
		}
		tom := dial(t, c.options("tom", "n1"))
		defer shut(t, tom)
		for _, unheard := range []bool{true, false} {
			_, err := tom.Conversation("tea").Send(t.Context(), Text("no"))
			if wire.CodeOf(err) != wire.CodeNotMember || errors.Is(err, ErrUnheard) != unheard {
				t.Errorf("refused with %v, want an unheard copy: %v", err, unheard)
			}
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
			return fate{swallow: asked == 1 && r.GetMoveCursor() != nil}
		}
		tom := dial(t, c.options("tom", "n1"))
		defer shut(t, tom)
		v := tom.Conversation("tea")
		for seq := range wire.Seq(1000) {
			v.Mark(seq+1, seq+1)
		}
		synctest.Wait()
		c.network.Break("client", "n1:7400")
		time.Sleep(time.Second)
		synctest.Wait()
		cursors, err := v.Cursors(t.Context())
		if err != nil || len(cursors) != 1 || cursors[0].Read != 1000 {
			t.Errorf("cursors = %+v, %v, want read 1000", cursors, err)
		}
		if asked != 3 {
			t.Errorf("%d requests for 1000 marks, want 3: the first, its retry, and the rest in one", asked)
		}
		if err := v.MarkRead(t.Context(), 1001); err != nil {
			t.Error(err)
		}
	})
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
