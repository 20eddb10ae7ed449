package node

import (
	"fmt"
	"testing"
	"time"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/leanpb"
	"github.com/quorate/quorate/wire/pb"
)

// held returns what outlives a user's sessions, as the state says.
func (c *testCluster) held(user wire.UserID) state.Sessions {
	c.t.Helper()
	n := c.leader(string(user))
	r, _ := n.node.table().Route(wire.SlotOf(testApp, string(user)))
	held, err := n.node.shards.get(r.Shard).state.Sessions(testApp, user)
	if err != nil {
		c.t.Fatal(err)
	}
	return held
}

// awaitHeld waits until what outlives a user's sessions is as wanted.
func (c *testCluster) awaitHeld(user wire.UserID, what string, want func(state.Sessions) bool) {
	c.t.Helper()
	for range 120 {
		if want(c.held(user)) {
			return
		}
		time.Sleep(500 * time.Millisecond) // of the bubble's clock
	}
	c.t.Errorf("after a minute %s has not %s: %+v", user, what, c.held(user))
}

// partition takes a node away from the others, and join brings it back.
func (c *testCluster) partition(n *testNode) {
	for _, o := range c.nodes {
		if o != n {
			c.net.Break(string(n.id), string(o.id))
			c.net.Cut(string(n.id), string(o.id))
			c.net.Cut(string(o.id), string(n.id))
		}
	}
}

func (c *testCluster) join(n *testNode) {
	for _, o := range c.nodes {
		if o != n {
			c.net.Heal(string(n.id), string(o.id))
			c.net.Heal(string(o.id), string(n.id))
		}
	}
}

// mourners is a conversation whose member tom hears wills.
func (c *testCluster) mourners(t *testing.T, at *testNode, member string) (id wire.ConversationID, wills chan client.Message, end func()) {
	t.Helper()
	wills = make(chan client.Message, 10)
	tom := c.dial("tom", at, func(o *client.Options) {
		o.Handlers.Transient = func(m client.Message) { wills <- m }
	})
	v := mustCreate(t, tom, wire.UserID(member))
	if _, err := v.Subscribe(t.Context(), client.FromEnd); err != nil {
		t.Fatal(err)
	}
	return v.ID(), wills, func() { c.shut(tom) }
}

// wantWill waits for exactly one will.
func wantWill(t *testing.T, wills chan client.Message, from string) {
	t.Helper()
	select {
	case m := <-wills:
		if m.From != wire.UserID(from) || string(m.Body) != "farewell" {
			t.Errorf("the will is %+v", m)
		}
	case <-time.After(time.Minute):
		t.Error("no will")
	}
	select {
	case m := <-wills:
		t.Errorf("a second will: %+v", m)
	case <-time.After(time.Minute):
	}
}

func helloWithWill(t *testing.T, user string, id wire.ConversationID) *pb.Hello {
	t.Helper()
	hello := rawHello(t, user)
	hello.Tag, hello.Device = "phone", "d1"
	hello.Will = &pb.Will{Conversation: string(id), Body: []byte("farewell")}
	return hello
}

// TestLM070_WillWhenEdgeAndLeaderDie: one node holds a user's session and leads
// his shard. It dies: the new leader finds out who was there, from the state
// alone.
func TestLM070_WillWhenEdgeAndLeaderDie(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		edge := c.leader("jerry")
		id, wills, end := c.mourners(t, c.other(edge), "jerry")
		defer end()
		c.rawDial(edge, helloWithWill(t, "jerry", id)).welcome()
		c.crash(edge)
		wantWill(t, wills, "jerry")
		if held := c.held("jerry"); len(held.Tags) > 0 || held.Will != nil {
			t.Errorf("left behind: %+v", held)
		}
		c.start(edge)
		c.awaitServing(edge)
	})
}

// TestLM070_WillOfANodeThatIsBackAtOnce: a node dies and serves again before its
// lease is over, with a session of somebody else in that shard. It knows nothing
// of the sessions that it had.
func TestLM070_WillOfANodeThatIsBackAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		edge := c.other(c.leader("jerry"))
		id, wills, end := c.mourners(t, c.other(edge), "jerry")
		defer end()
		c.rawDial(edge, helloWithWill(t, "jerry", id)).welcome()
		time.Sleep(2 * edgeLease) // of the bubble's clock: the leader has looked around
		c.crash(edge)
		began := time.Now()
		c.start(edge)
		c.awaitServing(edge)
		defer c.shut(c.dial(c.neighbour("jerry"), edge, nil))
		if took := time.Since(began); took >= edgeLease {
			t.Fatalf("the node was away for %v: no test of its coming back within %v", took, edgeLease)
		}
		wantWill(t, wills, "jerry")
		if held := c.held("jerry"); len(held.Tags) > 0 || held.Will != nil {
			t.Errorf("left behind: %+v", held)
		}
	})
}

// TestLM070_WillOfAShortStay: a node gets its first session in a shard, and dies
// before anybody has looked who is there.
func TestLM070_WillOfAShortStay(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		edge := c.other(c.leader("jerry"))
		id, wills, end := c.mourners(t, c.other(edge), "jerry")
		defer end()
		time.Sleep(2*edgeLease + edgeLease/10) // the leader has looked around, and does not again at once
		jerry := c.lean("jerry", edge, transport.LeanProtobuf3)
		jerry.open()
		jerry.send(string(id), "farewell", func(m *leanpb.DirectCommand) { m.Will = new(true) })
		c.crash(edge)
		jerry.leave()
		began := time.Now()
		wantWill(t, wills, "jerry")
		if took := time.Since(began); took > time.Minute+4*edgeLease { // wantWill waits a minute for a second one
			t.Errorf("the will came after %v", took-time.Minute)
		}
	})
}

// TestLM070_WillWhileTheLeaderDies: a connection is lost while the user's shard
// has no leader: the edge reports it until one has taken the report.
func TestLM070_WillWhileTheLeaderDies(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		leader := c.leader("jerry")
		edge := c.other(leader)
		id, wills, end := c.mourners(t, c.other(leader, edge), "jerry")
		defer end()
		jerry := c.rawDial(edge, helloWithWill(t, "jerry", id))
		jerry.welcome()
		c.crash(leader)
		if err := jerry.conn.Close(transport.CloseGoingAway, ""); err != nil {
			t.Fatal(err)
		}
		wantWill(t, wills, "jerry")
		c.start(leader)
		c.awaitServing(leader)
		if held := c.held("jerry"); len(held.Tags) > 0 || held.Will != nil {
			t.Errorf("left behind: %+v", held)
		}
	})
}

// TestLM070_WillWhileItsLeaderChanges: the shard of the conversation has a new
// leader, which no edge has found yet, when the will is said there.
func TestLM070_WillWhileItsLeaderChanges(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		id, wills, end := c.mourners(t, c.nodes[0], "jerry")
		defer end()
		for range 5 {
			jerry := c.rawDial(c.nodes[1], helloWithWill(t, "jerry", id))
			jerry.welcome()
			leader := c.leader(string(id))
			r, _ := leader.node.table().Route(wire.SlotOf(testApp, string(id)))
			for _, n := range c.nodes {
				n.node.shards.pauseOutbox(true)
			}
			if err := jerry.conn.Close(transport.CloseGoingAway, ""); err != nil {
				t.Fatal(err)
			}
			c.awaitHeld("jerry", "left his will", func(s state.Sessions) bool { return s.Will == nil })
			if err := leader.node.shards.get(r.Shard).replica.TransferLeadership(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
			for _, n := range c.nodes {
				n.node.shards.pauseOutbox(false)
			}
			wantWill(t, wills, "jerry")
		}
	})
}

// TestLM070_NoWill: who signs out leaves none, and nor does who has another
// session on another node.
func TestLM070_NoWill(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		id, wills, end := c.mourners(t, c.nodes[0], "jerry")
		defer end()
		jerry := c.rawDial(c.nodes[1], helloWithWill(t, "jerry", id))
		jerry.welcome()
		jerry.ask(&pb.Request{Op: &pb.Request_CloseSession{CloseSession: &pb.CloseSession{}}})

		lost, pad := c.rawDial(c.nodes[1], helloWithWill(t, "jerry", id)), rawHello(t, "jerry")
		lost.welcome()
		left := c.rawDial(c.nodes[2], pad)
		left.welcome()
		time.Sleep(2 * time.Second) // of the bubble's clock: the leader knows of both
		if err := lost.conn.Close(transport.CloseGoingAway, ""); err != nil {
			t.Fatal(err)
		}
		select {
		case m := <-wills:
			t.Errorf("a will: %+v", m)
		case <-time.After(10 * time.Second):
		}
		if err := left.conn.Close(transport.CloseGoingAway, ""); err != nil {
			t.Fatal(err)
		}
		c.awaitHeld("jerry", "given his tag back", func(s state.Sessions) bool { return len(s.Tags) == 0 })
	})
}

// TestLM052_RoomOfALostEdge: the node of a user in a room dies. For half an hour
// he is still in, wherever he comes back.
func TestLM052_RoomOfALostEdge(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		tom := c.dial("tom", c.nodes[0], nil)
		defer c.shut(tom)
		var rooms []wire.ConversationID
		for range 2 {
			info, err := tom.Create(t.Context(), client.NewConversation{Kind: client.Room})
			if err != nil {
				t.Fatal(err)
			}
			rooms = append(rooms, info.ID)
		}
		edge := c.leader("jerry") // so that the leader dies with it
		enter := func(r *rawClient, room wire.ConversationID) {
			t.Helper()
			resp := r.ask(&pb.Request{Op: &pb.Request_EnterRoom{EnterRoom: &pb.EnterRoom{Conversation: string(room)}}})
			if resp.GetDone() == nil {
				t.Fatalf("enter: %v", resp)
			}
		}
		in := func(s state.Sessions, room wire.ConversationID, waits bool) bool {
			return s.Room != nil && s.Room.Conversation == room && (s.Room.Deadline != 0) == waits
		}
		jerry := c.rawDial(edge, rawHello(t, "jerry"))
		jerry.welcome()
		enter(jerry, rooms[0])
		enter(jerry, rooms[1])
		if held := c.held("jerry"); !in(held, rooms[1], false) { // LM-51: one at a time
			t.Fatalf("in two rooms one after another, now in %+v", held.Room)
		}

		c.crash(edge)
		c.awaitHeld("jerry", "begun to be waited for", func(s state.Sessions) bool { return in(s, rooms[1], true) })
		time.Sleep(29 * time.Minute) // of the bubble's clock
		back := c.rawDial(c.other(edge), rawHello(t, "jerry"))
		back.welcome()
		enter(back, rooms[1])
		for range 10 {
			time.Sleep(15 * time.Second) // of the bubble's clock
			back.ask(&pb.Request{Op: &pb.Request_ListConversations{ListConversations: &pb.ListConversations{}}})
		}
		if held := c.held("jerry"); !in(held, rooms[1], false) {
			t.Errorf("after he came back: %+v", held.Room)
		}
		back.ask(&pb.Request{Op: &pb.Request_CloseSession{CloseSession: &pb.CloseSession{}}})
		c.awaitHeld("jerry", "left", func(s state.Sessions) bool { return s.Room == nil })
		c.start(edge)
		c.awaitServing(edge)
	})
}

// TestLM014_KickWhileTheNodeIsAway: a user is signed out while the node of his
// session is cut off: the session ends when it is back, and until then learns
// nothing that was said after.
func TestLM014_KickWhileTheNodeIsAway(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		edge := c.other(c.leader("jerry"))
		jerry := c.rawDial(edge, rawHello(t, "jerry"))
		jerry.welcome()
		time.Sleep(2 * time.Second) // tokens carry seconds
		c.partition(edge)
		time.Sleep(10 * time.Second) // of the bubble's clock
		b := c.leader("jerry").node.backend
		if err := b.change(t.Context(), "user.kick", state.Header{App: testApp}, &state.Kick{User: "jerry", Reason: "rules"}); err != nil {
			t.Fatal(err)
		}
		c.join(edge)
		began := time.Now()
		for {
			if _, told := jerry.read(time.Minute); told != nil {
				if told.Code != transport.CloseUnauthenticated {
					t.Errorf("closed with %v", told)
				}
				break
			}
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("closed %v after the node came back", took)
		}
	})
}

// TestLM006_MeekLoginAfterTheLeaderDied: who holds a tag is not forgotten with
// the leader that knew of it: a polite login of another device is refused, that
// of the same device goes through.
func TestLM006_MeekLoginAfterTheLeaderDied(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		leader := c.leader("jerry")
		edge := c.other(leader)
		left := c.other(leader, edge)
		hello := func(device string, reconnect bool) *pb.Hello {
			h := rawHello(t, "jerry")
			h.Tag, h.Device, h.Reconnect = "phone", device, reconnect
			return h
		}
		first := c.rawDial(edge, hello("d1", false))
		first.welcome()
		c.crash(leader)
		meek := c.rawDial(left, hello("d2", true))
		if f, told := meek.read(20 * time.Second); f.GetClosing().GetCode() != uint32(wire.CodeConflict) {
			t.Errorf("another device, meekly: %v, %v", f, told)
		}
		c.rawDial(left, hello("d1", true)).welcome()
		if f, told := first.read(20 * time.Second); f.GetClosing().GetCode() != uint32(wire.CodeConflict) { // LM-05
			t.Errorf("the first is told %v, %v", f, told)
		}
		c.start(leader)
		c.awaitServing(leader)
	})
}

// neighbour is a user in the same shard.
func (c *testCluster) neighbour(of string) string {
	shard := func(user string) wire.ShardID {
		r, _ := c.nodes[0].node.table().Route(wire.SlotOf(testApp, user))
		return r.Shard
	}
	for i := 0; ; i++ {
		if user := fmt.Sprintf("%s%d", of, i); shard(user) == shard(of) {
			return user
		}
	}
}
