package node

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

// TestSlowReaderAmongFast: one session does not read. The others are told of
// everything at once, and it is told without a gap once it reads.
func TestSlowReaderAmongFast(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		tom, jerry := c.dial("tom", c.nodes[0], nil), c.dial("jerry", c.nodes[1], nil)
		defer c.shut(tom)
		defer c.shut(jerry)
		v := mustCreate(t, tom, "jerry", "mary")
		fast, err := jerry.Conversation(v.ID()).Subscribe(t.Context(), client.FromEnd)
		if err != nil {
			t.Fatal(err)
		}
		slow := c.rawDial(c.nodes[1], rawHello(t, "mary"))
		slow.welcome()
		slow.subscribe(v.ID(), 1)

		const messages = 500
		var last client.Sent
		for i := range messages {
			last, err = v.Send(t.Context(), client.Draft{Body: bytes.Repeat([]byte("x"), 4<<10)})
			if err != nil {
				t.Fatalf("message %d: %v", i, err)
			}
			next(t, fast, time.Second)
		}

		at, behind := uint64(1), 0
		for at < uint64(last.Offset) {
			f, told := slow.read(5 * time.Second)
			if told != nil {
				t.Fatalf("closed at %d: %v", at, told)
			}
			for _, b := range batches(f, v.ID()) {
				if b.GetAfter() != at {
					t.Fatalf("told of (%d, %d] at %d", b.GetAfter(), b.GetUpto(), at)
				}
				at = b.GetUpto()
				if b.GetBehind() && b.GetAfter() > 10 { // not what was there when it subscribed
					behind++
				}
			}
		}
		if behind == 0 || behind > 3 {
			t.Errorf("told %d times that it is behind", behind)
		}
		mustSend(t, v, "and on")
		f, _ := slow.read(time.Second)
		if b := batches(f, v.ID()); len(b) != 1 || b[0].GetBehind() {
			t.Errorf("after it has caught up it is told %v", f)
		}
	})
}

// TestRetryAfterTheLeaderDied: a command that was answered is sent again, with
// its token, through another node and after its leader died: the answer is the
// same, and there is one message.
func TestRetryAfterTheLeaderDied(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		tom := c.dial("tom", c.nodes[0], nil)
		v := mustCreate(t, tom, "jerry")
		c.shut(tom)
		leader := c.leader(string(v.ID()))
		hello := rawHello(t, "jerry")

		first := c.rawDial(leader, hello)
		first.welcome()
		var sent []*pb.Sent
		for n := range uint64(10) {
			resp := first.ask(sendRequest(n+1, v.ID(), fmt.Sprint(n)))
			if resp.GetSent() == nil {
				t.Fatalf("message %d: %v", n, resp)
			}
			sent = append(sent, resp.GetSent())
		}
		c.crash(leader)

		second := c.rawDial(c.other(leader), hello)
		second.welcome()
		for n := range uint64(10) {
			again := sendRequest(n+1, v.ID(), fmt.Sprint(n))
			again.AgeMillis = 5000
			if got := second.ask(again).GetSent(); got.GetId() != sent[n].GetId() || got.GetSeq() != sent[n].GetSeq() || got.GetOffset() != sent[n].GetOffset() || got.GetTimestampMillis() != sent[n].GetTimestampMillis() {
				t.Errorf("message %d was %v and is %v", n, sent[n], got)
			}
		}
		page := second.ask(&pb.Request{Op: &pb.Request_History{History: &pb.History{Conversation: string(v.ID()), Limit: 100}}})
		if n := len(page.GetMessages().GetMessages()); n != 10 {
			t.Errorf("%d messages", n)
		}
		c.start(leader)
		c.awaitServing(leader)
	})
}

// TestKick: a user who is signed out somewhere is closed everywhere, and his
// token opens nothing any more.
func TestKick(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		hello := rawHello(t, "jerry")
		jerry := c.rawDial(c.nodes[1], hello)
		jerry.welcome()
		time.Sleep(2 * time.Second) // tokens carry seconds

		b := c.nodes[2].node.backend
		if err := b.change(t.Context(), "user.kick", state.Header{App: testApp}, &state.Kick{User: "jerry", Reason: "rules"}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for {
			f, told := jerry.read(5 * time.Second)
			if told != nil {
				if told.Code != transport.CloseUnauthenticated {
					t.Errorf("closed with %v", told)
				}
				break
			}
			if code := f.GetClosing().GetCode(); code != uint32(wire.CodeUnauthenticated) {
				t.Errorf("told %v", f)
			}
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("closed after %v", took)
		}
		again := c.rawDial(c.nodes[0], hello)
		if f, told := again.read(5 * time.Second); f.GetClosing().GetCode() != uint32(wire.CodeUnauthenticated) {
			t.Errorf("with the old token: %v, %v", f, told)
		}
		fresh := c.rawDial(c.nodes[0], rawHello(t, "jerry"))
		fresh.welcome()
	})
}

// TestTakenTag: who signs in with a tag closes the session that has it, on
// whatever node it is.
func TestTakenTag(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		hello := rawHello(t, "jerry")
		hello.Tag, hello.Device = "phone", "d1"
		first := c.rawDial(c.nodes[1], hello)
		first.welcome()
		time.Sleep(2 * time.Second)

		polite := rawHello(t, "jerry")
		polite.Tag, polite.Device, polite.Reconnect = "phone", "d2", true
		refused := c.rawDial(c.nodes[2], polite)
		if f, told := refused.read(5 * time.Second); f.GetClosing().GetCode() != uint32(wire.CodeConflict) {
			t.Errorf("without taking it: %v, %v", f, told)
		}

		polite.Reconnect = false
		second := c.rawDial(c.nodes[2], polite)
		second.welcome()
		began := time.Now()
		if f, told := first.read(5 * time.Second); f.GetClosing().GetCode() != uint32(wire.CodeConflict) {
			t.Errorf("the first is told %v, %v", f, told)
		}
		if _, told := first.read(5 * time.Second); told == nil || told.Code != transport.CloseReplaced {
			t.Errorf("the first is closed with %v", told)
		}
		if took := time.Since(began); took > 800*time.Millisecond {
			t.Errorf("the first is closed after %v: not by the push", took)
		}
		if resp := second.ask(&pb.Request{Op: &pb.Request_ListConversations{ListConversations: &pb.ListConversations{}}}); resp.GetConversations() == nil {
			t.Errorf("the second is told %v", resp)
		}
	})
}

// TestUniqueByThreeNodes: three users start the same conversation at once, each
// at another node: it is one.
func TestUniqueByThreeNodes(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		users := []wire.UserID{"tom", "jerry", "mary"}
		var clients []*client.Client
		for i, u := range users {
			q := c.dial(string(u), c.nodes[i], nil)
			defer c.shut(q)
			clients = append(clients, q)
		}
		for round := range 5 {
			ids := make([]wire.ConversationID, len(users))
			var all sync.WaitGroup
			for i, q := range clients {
				all.Go(func() {
					// Each round is another set of members.
					info, err := q.Create(t.Context(), client.NewConversation{
						Unique: true, Members: append([]wire.UserID{wire.UserID(fmt.Sprint("guest ", round))}, users...),
					})
					if err != nil {
						t.Errorf("%s: %v", users[i], err)
						return
					}
					ids[i] = info.ID
				})
			}
			all.Wait()
			if ids[0] == "" || ids[0] != ids[1] || ids[1] != ids[2] {
				t.Errorf("round %d: %v", round, ids)
			}
			page, _, err := clients[0].Conversation(ids[0]).Members(t.Context(), "", 10)
			if err != nil || len(page) != 4 {
				t.Errorf("round %d: members %v, %v", round, page, err)
			}
		}
	})
}

// TestCursorsOverFailover: what was read stays read when the leader dies.
func TestCursorsOverFailover(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		tom := c.dial("tom", c.nodes[0], nil)
		defer c.shut(tom)
		v := mustCreate(t, tom, "jerry")
		for i := range 10 {
			mustSend(t, v, fmt.Sprint(i))
		}
		leader := c.leader(string(v.ID()))
		jerry := c.dial("jerry", c.other(leader), nil)
		defer c.shut(jerry)
		want := func(count uint64, read wire.Seq) {
			t.Helper()
			u, err := jerry.Unread(t.Context(), v.ID())
			if err != nil || len(u) != 1 || u[0].Err != nil || u[0].Count != count || u[0].Read != read {
				t.Errorf("unread is %+v, %v, want %d read up to %d", u, err, count, read)
			}
		}
		want(10, 0)
		if err := jerry.Conversation(v.ID()).MarkRead(t.Context(), 7); err != nil {
			t.Fatal(err)
		}
		c.crash(leader)
		want(3, 7)
		if err := jerry.Conversation(v.ID()).MarkRead(t.Context(), 4); err != nil {
			t.Fatal(err)
		}
		want(3, 7) // a cursor does not go back
		c.start(leader)
		c.awaitServing(leader)
		jerry.Conversation(v.ID()).Mark(9, 10)
		time.Sleep(5 * time.Second)
		want(1, 9)
		cursors, err := tom.Conversation(v.ID()).Cursors(t.Context())
		if err != nil || len(cursors) != 1 || cursors[0].User != "jerry" || cursors[0].Read != 9 || cursors[0].Delivered != 10 {
			t.Errorf("cursors %+v, %v", cursors, err)
		}
	})
}

// TestStorageFull: writes are refused and reads go on; when there is room again,
// so do writes.
func TestStorageFull(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		tom := c.dial("tom", c.nodes[0], nil)
		v := mustCreate(t, tom, "jerry")
		mustSend(t, v, "before")
		c.shut(tom)
		raw := c.rawDial(c.nodes[0], rawHello(t, "tom"))
		raw.welcome()
		if resp := raw.ask(sendRequest(1, v.ID(), "raw")); resp.GetSent() == nil {
			t.Fatalf("before: %v", resp)
		}
		for _, n := range c.nodes {
			n.full.Store(true)
		}
		time.Sleep(2 * time.Second)

		if resp := raw.ask(sendRequest(2, v.ID(), "full")); resp.GetError().GetCode() != uint32(wire.CodeStorageFull) {
			t.Errorf("a send on a full disk: %v", resp)
		}
		page := raw.ask(&pb.Request{Op: &pb.Request_History{History: &pb.History{Conversation: string(v.ID())}}})
		if n := len(page.GetMessages().GetMessages()); n != 2 {
			t.Errorf("a strong read on a full disk: %v", page)
		}
		for _, n := range c.nodes {
			n.full.Store(false)
		}
		time.Sleep(2 * time.Second)
		if resp := raw.ask(sendRequest(2, v.ID(), "full")); resp.GetSent().GetSeq() != 3 {
			t.Errorf("with room again: %v", resp)
		}
	})
}

// TestPowerCutOfAll: all nodes lose their power at one moment while many
// messages are under way, twice. Everything acknowledged is there, once and in
// order.
func TestPowerCutOfAll(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		tom := c.dial("tom", c.nodes[0], nil)
		defer c.shut(tom)
		var conversations []*client.Conversation
		for range 4 {
			conversations = append(conversations, mustCreate(t, tom, "jerry"))
		}
		ctx, stop := context.WithCancel(t.Context())
		acked := make([]map[wire.Seq]string, len(conversations))
		var senders sync.WaitGroup
		for i, v := range conversations {
			acked[i] = map[wire.Seq]string{}
			senders.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					text := fmt.Sprint(n)
					sent, err := v.Send(ctx, client.Text(text))
					if err != nil {
						if ctx.Err() == nil {
							t.Errorf("send: %v", err)
						}
						return
					}
					if _, twice := acked[i][sent.Seq]; twice {
						t.Errorf("sequence %d was given twice", sent.Seq)
					}
					acked[i][sent.Seq] = text
					// Under the race detector Pebble checks itself at length.
					time.Sleep(10 * time.Millisecond)
				}
			})
		}
		for range 2 {
			time.Sleep(time.Second)
			c.crashAll()
			for _, n := range c.nodes {
				c.start(n)
			}
			for _, n := range c.nodes {
				c.awaitServing(n)
			}
		}
		time.Sleep(3 * time.Second)
		stop()
		senders.Wait()
		for i, v := range conversations {
			if len(acked[i]) < 100 {
				t.Errorf("conversation %d: %d messages, the test tests little", i, len(acked[i]))
			}
			checkHistory(t, v, acked[i])
		}
	})
}

// checkHistory reads a conversation, which must hold exactly what was sent: each
// text once, in order. One message without an answer may be at the end.
func checkHistory(t *testing.T, v *client.Conversation, acked map[wire.Seq]string) {
	t.Helper()
	from, n := wire.Seq(1), 0
	for {
		page, err := v.History(t.Context(), client.Range{FromSeq: from, OldestFirst: true, Limit: 1000, Strong: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range page.Messages {
			if m.Seq != wire.Seq(n+1) || string(m.Body) != fmt.Sprint(n) {
				t.Fatalf("message %d is %q with sequence %d", n, m.Body, m.Seq)
			}
			if text, ok := acked[m.Seq]; ok && text != string(m.Body) || !ok && n != len(acked) {
				t.Fatalf("sequence %d is %q, and was acknowledged as %q", m.Seq, m.Body, text)
			}
			n++
		}
		if !page.More {
			break
		}
		from = page.Next
	}
	if n < len(acked) {
		t.Errorf("%d messages of %d acknowledged", n, len(acked))
	}
}
