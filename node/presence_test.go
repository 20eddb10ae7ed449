package node

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/wire"
)

// wantOnline asks every node that serves who of the users is online, until the
// answer is as wanted: a client's end takes a moment to get around.
func (c *testCluster) wantOnline(users []wire.UserID, want ...wire.UserID) {
	c.t.Helper()
	for _, n := range c.nodes {
		if n.node == nil {
			continue
		}
		var got []wire.UserID
		var err error
		for range 40 {
			got, err = presence{n.node}.online(c.t.Context(), testApp, users)
			slices.Sort(got)
			if err == nil && slices.Equal(got, want) {
				break
			}
			time.Sleep(250 * time.Millisecond) // of the bubble's clock
		}
		if d := cmp.Diff(want, got); d != "" || err != nil {
			c.t.Errorf("%s: %v %s", n.id, err, d)
		}
	}
}

// TestLM013_WhoIsOnline: any node knows of users on all nodes, also when the
// leader of the users' shard, or their own node, has died.
func TestLM013_WhoIsOnline(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		users := []wire.UserID{"tom", "jerry", "mary", "nobody", "tom"}
		tom, jerry, mary := c.dial("tom", c.nodes[0], nil), c.dial("jerry", c.nodes[1], nil), c.dial("mary", c.nodes[2], nil)
		defer c.shut(tom)
		defer c.shut(mary)
		c.wantOnline(users, "jerry", "mary", "tom")
		count, err := presence{c.nodes[0].node}.onlineCount(t.Context(), testApp)
		if err != nil || count != 3 {
			t.Errorf("%d users are online, %v", count, err)
		}
		c.shut(jerry)
		c.wantOnline(users, "mary", "tom")

		leader := c.leader("mary")
		c.crash(leader)
		c.wantOnline(users, "mary", "tom") // whose node it was has moved to another
		c.start(leader)
		c.awaitServing(leader)
		c.wantOnline(users, "mary", "tom")
	})
}

// TestLM053_WhoIsInTheRoom: users of a room are counted once each, over all nodes.
func TestLM053_WhoIsInTheRoom(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		tom := c.dial("tom", c.nodes[0], nil)
		defer c.shut(tom)
		info, err := tom.Create(t.Context(), client.NewConversation{Kind: client.Room})
		if err != nil {
			t.Fatal(err)
		}
		follow := func(q *client.Client) *client.Subscription {
			sub, err := q.Conversation(info.ID).Subscribe(t.Context(), client.FromEnd)
			if err != nil {
				t.Fatal(err)
			}
			return sub
		}
		want := func(want ...wire.UserID) {
			t.Helper()
			for _, n := range c.nodes {
				for try := 0; ; try++ {
					p, err := presence{n.node}.present(t.Context(), testApp, info.ID, 50)
					slices.Sort(p.Users)
					if err == nil && p.Count == len(want) && slices.Equal(p.Users, want) {
						break
					}
					if try == 40 {
						t.Errorf("%s: %+v, %v; want %q", n.id, p, err, want)
						break
					}
					time.Sleep(250 * time.Millisecond) // of the bubble's clock
				}
			}
		}
		want()
		pad := c.dial("tom", c.nodes[1], nil)
		mary := c.dial("mary", c.nodes[2], nil)
		own, other := follow(tom), follow(pad)
		follow(mary)
		want("mary", "tom")
		other.Close()
		c.shut(pad)
		want("mary", "tom")
		own.Close()
		want("mary")

		leader := c.leader(string(info.ID))
		follow(tom)
		c.crash(leader)
		c.start(leader)
		c.awaitServing(leader)
		want("mary", "tom")
		c.shut(mary)
		want("tom")

		if _, err := (presence{leader.node}).present(t.Context(), testApp, "no-such-room", 50); wire.CodeOf(err) != wire.CodeNotFound {
			t.Errorf("who is in a room that is not there: %v", err)
		}
		v := mustCreate(t, tom, "jerry")
		if _, err := (presence{leader.node}).present(t.Context(), testApp, v.ID(), 50); wire.CodeOf(err) != wire.CodeInvalid {
			t.Errorf("who follows a conversation with members: %v", err)
		}
	})
}
