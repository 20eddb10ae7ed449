package node

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/wire"
)

func mustCreate(t *testing.T, q *client.Client, members ...wire.UserID) *client.Conversation {
	t.Helper()
	info, err := q.Create(t.Context(), client.NewConversation{Name: "tea", Members: members})
	if err != nil {
		t.Fatalf("create: %v", err)
	}
	return q.Conversation(info.ID)
}

func mustSend(t *testing.T, v *client.Conversation, text string) client.Sent {
	t.Helper()
	sent, err := v.Send(t.Context(), client.Text(text))
	if err != nil {
		t.Fatalf("send %q: %v", text, err)
	}
	return sent
}

func TestSendReadAndFollow(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		tom, jerry := c.dial("tom", c.nodes[0], nil), c.dial("jerry", c.nodes[1], nil)
		defer c.shut(tom)
		defer c.shut(jerry)
		v := mustCreate(t, tom, "jerry")
		sub, err := jerry.Conversation(v.ID()).Subscribe(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			text := fmt.Sprint(i)
			sent := mustSend(t, v, text)
			if m := next(t, sub, time.Second); string(m.Body) != text || m.Seq != sent.Seq || m.ID != sent.ID {
				t.Fatalf("got %+v after %+v was sent", m, sent)
			}
		}
		page, err := jerry.Conversation(v.ID()).History(t.Context(), client.Range{Limit: 1000})
		if err != nil || len(page.Messages) != 100 {
			t.Fatalf("%d messages, %v", len(page.Messages), err)
		}
	})
}

func TestPowerCutOfOneNode(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		tom := c.dial("tom", c.nodes[0], nil)
		defer c.shut(tom)
		v := mustCreate(t, tom, "jerry")
		victim := c.leader(string(v.ID()))
		acked := map[wire.Seq]wire.MessageID{}
		for i := range 200 {
			if i == 100 {
				c.crash(victim)
				c.start(victim)
			}
			sent := mustSend(t, v, fmt.Sprint(i))
			acked[sent.Seq] = sent.ID
		}
		c.awaitServing(victim)
		if len(acked) != 200 {
			t.Errorf("%d sequences for 200 messages", len(acked))
		}
		page, err := v.History(t.Context(), client.Range{OldestFirst: true, Limit: 1000, Strong: true})
		if err != nil || len(page.Messages) != 200 {
			t.Fatalf("%d messages, %v", len(page.Messages), err)
		}
		for i, m := range page.Messages {
			if m.Seq != wire.Seq(i+1) || acked[m.Seq] != m.ID || string(m.Body) != fmt.Sprint(i) {
				t.Fatalf("message %d is %+v", i, m)
			}
		}
	})
}

// TestNoticeOfALastPush: the last push of a conversation is lost on its way to
// the edge; the reader has it within 2 s all the same.
func TestLastPushDropped(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		tom := c.dial("tom", c.nodes[0], nil)
		defer c.shut(tom)
		v := mustCreate(t, tom, "jerry")
		leader := c.leader(string(v.ID()))
		jerry := c.dial("jerry", c.other(leader), nil)
		defer c.shut(jerry)
		sub, err := jerry.Conversation(v.ID()).Subscribe(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		mustSend(t, v, "first")
		next(t, sub, time.Second)

		r, _ := leader.node.table().Route(wire.SlotOf(testApp, string(v.ID())))
		leader.node.shards.get(r.Shard).hub.DropNext()
		sent := time.Now()
		mustSend(t, v, "last")
		if m := next(t, sub, 10*time.Second); string(m.Body) != "last" {
			t.Fatalf("got %q", m.Body)
		}
		if took := time.Since(sent); took > 2*time.Second {
			t.Errorf("noticed after %v, want 2s at most", took)
		} else if took < 500*time.Millisecond {
			t.Errorf("there after %v: the push was not lost, the test tests nothing", took)
		}
	})
}

// TestRemovedBeforeTheOutboxRan: a member is removed while his own rows do not
// know it yet, and connects again through another edge: he sees nothing later.
func TestRemovedBeforeTheOutboxRan(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		tom, jerry := c.dial("tom", c.nodes[0], nil), c.dial("jerry", c.nodes[1], nil)
		defer c.shut(tom)
		v := mustCreate(t, tom, "jerry")
		awaitMembership(t, jerry, v.ID(), true)
		for _, n := range c.nodes {
			n.node.shards.pauseOutbox(true)
		}
		if _, err := v.Remove(t.Context(), "jerry"); err != nil {
			t.Fatal(err)
		}
		mustSend(t, v, "jerry must not see this")
		c.shut(jerry)

		jerry = c.dial("jerry", c.nodes[2], nil)
		defer c.shut(jerry)
		awaitMembership(t, jerry, v.ID(), true) // the user's own rows still say so
		if sub, err := jerry.Conversation(v.ID()).Subscribe(t.Context(), 0); wire.CodeOf(err) != wire.CodeNotMember {
			t.Errorf("subscribed: %v, %v", sub, err)
		}
		if page, err := jerry.Conversation(v.ID()).History(t.Context(), client.Range{}); wire.CodeOf(err) != wire.CodeNotMember {
			t.Errorf("read %+v, %v", page, err)
		}
		if page, err := jerry.Conversation(v.ID()).ReadLog(t.Context(), 0, 0); wire.CodeOf(err) != wire.CodeNotMember {
			t.Errorf("read %+v, %v", page, err)
		}
		for _, n := range c.nodes {
			n.node.shards.pauseOutbox(false)
		}
		awaitMembership(t, jerry, v.ID(), false)
	})
}

// TestRemovedWhileFollowing: what a member follows ends with his removal, and
// shows nothing behind it.
func TestRemovedWhileFollowing(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		tom, jerry := c.dial("tom", c.nodes[0], nil), c.dial("jerry", c.nodes[1], nil)
		defer c.shut(tom)
		defer c.shut(jerry)
		v := mustCreate(t, tom, "jerry")
		sub, err := jerry.Conversation(v.ID()).Subscribe(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		mustSend(t, v, "seen")
		if _, err := v.Remove(t.Context(), "jerry"); err != nil {
			t.Fatal(err)
		}
		mustSend(t, v, "not seen")
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		for {
			e, err := sub.Next(ctx)
			if errors.Is(err, client.ErrRemoved) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if e.Message != nil && string(e.Message.Body) != "seen" {
				t.Errorf("saw %q", e.Message.Body)
			}
		}
	})
}

// TestAddedWhileBothLeadersChange: somebody is added while the leaders of the
// conversation's and of his own shard change; he misses nothing.
func TestAddedWhileBothLeadersChange(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		tom := c.dial("tom", c.nodes[0], nil)
		defer c.shut(tom)
		v := mustCreate(t, tom, "mary")
		jerry := c.dial("jerry", c.nodes[2], nil)
		defer c.shut(jerry)
		own, err := jerry.Subscribe(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, root := range []string{string(v.ID()), "jerry"} {
			leader := c.leader(root)
			r, _ := leader.node.table().Route(wire.SlotOf(testApp, root))
			go func() {
				_ = leader.node.shards.get(r.Shard).replica.TransferLeadership(context.Background(), "")
			}()
		}
		if _, err := v.Add(t.Context(), "jerry"); err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			mustSend(t, v, fmt.Sprint(i))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		e, err := own.Next(ctx)
		if err != nil || e.Kind != client.EntryJoined || e.Conversation != v.ID() {
			t.Fatalf("own log says %+v, %v", e, err)
		}
		sub, err := jerry.Conversation(v.ID()).Subscribe(ctx, e.At)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			if m := next(t, sub, 10*time.Second); string(m.Body) != fmt.Sprint(i) {
				t.Fatalf("message %d is %q", i, m.Body)
			}
		}
	})
}

// TestTargetedMessageLeavesNoHole: a message for some is no hole for the others:
// nobody waits for it, and nobody reads the log because of it.
func TestTargetedMessageLeavesNoHole(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		tom, jerry, mary := c.dial("tom", c.nodes[0], nil), c.dial("jerry", c.nodes[1], nil), c.dial("mary", c.nodes[2], nil)
		defer c.shut(tom)
		defer c.shut(jerry)
		defer c.shut(mary)
		v := mustCreate(t, tom, "jerry", "mary")
		toJerry, err := jerry.Conversation(v.ID()).Subscribe(t.Context(), client.FromEnd)
		if err != nil {
			t.Fatal(err)
		}
		toMary, err := mary.Conversation(v.ID()).Subscribe(t.Context(), client.FromEnd)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Send(t.Context(), client.Draft{Body: []byte("psst"), Targets: []wire.UserID{"jerry"}}); err != nil {
			t.Fatal(err)
		}
		mustSend(t, v, "all")
		for _, want := range []string{"psst", "all"} {
			if m := next(t, toJerry, time.Second); string(m.Body) != want {
				t.Fatalf("jerry got %q, want %q", m.Body, want)
			}
		}
		if m := next(t, toMary, time.Second); string(m.Body) != "all" {
			t.Fatalf("mary got %q", m.Body)
		}
	})
}

// TestWillOfALostEdge: the node that holds a user's session dies; his will is
// sent, once, and his tag is free.
func TestWillOfALostEdge(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		tom := c.dial("tom", c.nodes[0], nil)
		defer c.shut(tom)
		v := mustCreate(t, tom, "jerry")
		wills := make(chan client.Message, 10)
		mary := c.dial("mary", c.nodes[0], func(o *client.Options) {
			o.Handlers.Transient = func(m client.Message) { wills <- m }
		})
		defer c.shut(mary)
		if _, err := v.Add(t.Context(), "mary"); err != nil {
			t.Fatal(err)
		}
		if _, err := mary.Conversation(v.ID()).Subscribe(t.Context(), client.FromEnd); err != nil {
			t.Fatal(err)
		}
		edge := c.other(c.nodes[0], c.leader(string(v.ID())))
		if edge == nil {
			edge = c.nodes[1]
		}
		withWill := func(o *client.Options) {
			o.Tag, o.Will = "phone", &client.Will{Conversation: v.ID(), Body: []byte("jerry is gone")}
			o.AttemptTimeout = time.Hour // he does not come back
		}
		jerry := c.dial("jerry", edge, withWill)
		c.doors.Cut("client jerry", string(edge.id)+":2")
		c.doors.Cut(string(edge.id)+":2", "client jerry")
		c.crash(edge)
		select {
		case m := <-wills:
			if string(m.Body) != "jerry is gone" || m.From != "jerry" || m.Conversation != v.ID() {
				t.Errorf("the will is %+v", m)
			}
		case <-time.After(time.Minute):
			t.Fatal("no will")
		}
		select {
		case m := <-wills:
			t.Errorf("a second will: %+v", m)
		case <-time.After(time.Minute):
		}
		again := c.dial("jerry", c.nodes[0], func(o *client.Options) { o.Tag, o.Device = "phone", "other" })
		c.shut(again)
		_ = jerry.Close() // it has no connection any more
		c.start(edge)
		c.awaitServing(edge)
	})
}

// awaitMembership waits until the user's own rows say that he is, or is not, in
// a conversation.
func awaitMembership(t *testing.T, q *client.Client, id wire.ConversationID, want bool) {
	t.Helper()
	for range 500 {
		page, _, err := q.Conversations(t.Context(), "", 100)
		if err != nil {
			t.Fatal(err)
		}
		is := false
		for _, m := range page {
			is = is || m.Conversation == id
		}
		if is == want {
			return
		}
		time.Sleep(20 * time.Millisecond) // of the bubble's clock
	}
	t.Fatalf("the rows of %s do not say %v", q.User(), want)
}
