package node

import (
	"testing"
	"time"

	"github.com/quorate/quorate/node/auth"
	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/node/session"
	"github.com/quorate/quorate/node/tail"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// TestSessionsOfAllDoors: a user has so many sessions on a node, whatever doors
// they came through.
func TestSessionsOfAllDoors(t *testing.T) {
	var l sessions
	count := func(want int) {
		t.Helper()
		if n := l.count(testApp, "tom"); n != want {
			t.Errorf("%d sessions, want %d", n, want)
		}
	}
	native := &session.Session{ID: 1, Identity: auth.Identity{App: testApp, User: "tom"}, Tag: "phone"}
	lean := door.Session{App: testApp, User: "tom", Name: "s2"}
	l.remove(native)
	if l.end(lean) {
		t.Error("a session that was not opened has ended")
	}
	l.add(native)
	l.open(lean)
	lean.Tag = "pad"
	l.open(lean) // it has changed
	count(2)
	if own, others := l.withTag(); len(own) != 1 || len(others) != 1 || others[0].Tag != "pad" {
		t.Errorf("with tags: %v, %v", own, others)
	}
	l.remove(native)
	l.remove(native)
	count(1)
	if !l.end(lean) || l.end(lean) {
		t.Error("a session ends once")
	}
	count(0)
}

// opened opens a session of another door, which follows its user's log as such
// doors do.
func (c *testCluster) opened(n *testNode, s door.Session) {
	c.t.Helper()
	b := n.node.backend
	login := &state.Login{User: s.User, Tag: s.Tag, Session: s.Name, Node: string(n.id), Device: "d1"}
	if err := b.change(c.t.Context(), "session.open", state.Header{App: s.App, Actor: s.User}, login); err != nil {
		c.t.Fatal(err)
	}
	doorHost{backend: b}.Opened(s)
	following := make(chan error, 1)
	_, err := b.edge.Subscribe(tail.Request{
		Log: state.LogKey{App: s.App, User: s.User}, User: s.User, FromEnd: true, Sink: &watcher{b: b}, Set: &tail.Set{},
		Done: func(_ tail.Started, err error) { following <- err },
	})
	if err == nil {
		err = <-following
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// tagHolder returns the session that holds a user's tag, as the state says.
func (c *testCluster) tagHolder(user wire.UserID, tag string) string {
	c.t.Helper()
	for _, t := range c.held(user).Tags {
		if t.Tag == tag {
			return t.Session
		}
	}
	return ""
}

// TestLM005_TagOfAnotherDoor: a session of another door gives its tag back when
// it ends, is asked to look after it when its node was away for longer than its
// lease, and has lost it then.
func TestLM005_TagOfAnotherDoor(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		edge := c.other(c.leader("tom"))
		doubted := make(chan struct{}, 10)
		s := door.Session{App: testApp, User: "tom", Name: "s1", Tag: "phone", Doubt: func() { doubted <- struct{}{} }}
		c.opened(edge, s)
		if holder := c.tagHolder("tom", "phone"); holder != "s1" {
			t.Fatalf("the tag is held by %q", holder)
		}

		c.partition(edge)
		time.Sleep(2 * edgeLease) // of the bubble's clock
		if holder := c.tagHolder("tom", "phone"); holder != "" {
			t.Errorf("after the lease the tag is held by %q", holder)
		}
		for len(doubted) > 0 {
			<-doubted // it could not be answered
		}
		c.join(edge)
		select {
		case <-doubted:
		case <-time.After(time.Minute):
			t.Error("the session is not asked to look after its tag")
		}

		s.Name = "s2"
		c.opened(edge, s)
		doorHost{backend: edge.node.backend}.Closed(s, true)
		doorHost{backend: edge.node.backend}.Closed(s, true)
		time.Sleep(time.Second) // of the bubble's clock
		if holder := c.tagHolder("tom", "phone"); holder != "" {
			t.Errorf("after the end the tag is held by %q", holder)
		}
		s.Name = "s3"
		c.opened(edge, s)
		doorHost{backend: edge.node.backend}.Closed(s, false)
		time.Sleep(time.Second) // of the bubble's clock
		if holder := c.tagHolder("tom", "phone"); holder != "" {
			t.Errorf("after the loss the tag is held by %q", holder)
		}
	})
}
