package node

import (
	"testing"
	"time"
)

// TestFollowThroughALongOutage: who asks to follow a log while its shard has no
// leader, for longer than a node waits for one, is told to ask again, and follows
// when there is one.
func TestFollowThroughALongOutage(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		tom := c.dial("tom", c.nodes[0], nil)
		defer c.shut(tom)
		v := mustCreate(t, tom)
		mustSend(t, v, "before")

		c.crash(c.nodes[1])
		c.crash(c.nodes[2])
		time.Sleep(2 * time.Second) // who led has noticed
		time.AfterFunc(2*requestTimeout, func() {
			c.start(c.nodes[1])
			c.start(c.nodes[2])
		})
		sub, err := v.Subscribe(t.Context(), 0)
		if err != nil {
			t.Fatalf("subscribe during the outage: %v", err)
		}
		if m := next(t, sub, 10*time.Second); string(m.Body) != "before" {
			t.Errorf("got %q, want what was sent before the outage", m.Body)
		}
	})
}
