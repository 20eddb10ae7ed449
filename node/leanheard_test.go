package node

import (
	"fmt"
	"testing"
	"time"

	"github.com/quorate/quorate/wire/leanpb"
)

// TestLM041_HeardAtOnce: whoever has opened a session hears of a conversation that
// is made the moment after, and of the first message in it.
func TestLM041_HeardAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		c.settings(`{"leanmessage.rate.other":"0","leanmessage.rate.send":"0"}`)
		tom := c.session("tom", c.nodes[0])
		for i := range 60 {
			name := fmt.Sprintf("mary%d", i%20) // some come for the second and third time
			tag := func(m *leanpb.SessionCommand) { m.Tag = new("web") }
			var also *leanUser
			if i%3 == 0 {
				also = c.session(name, c.nodes[(i+1)%3])
				also.rest()
			}
			mary := c.session(name, c.nodes[(i+i/3)%3], tag)
			time.Sleep(time.Duration(i%10) * 300 * time.Microsecond) // of the bubble's clock
			cid := tom.start(&leanpb.ConvCommand{M: []string{name}}).GetCid()
			sent := tom.send(cid, "hello")
			for _, u := range []*leanUser{mary, also} {
				if u == nil {
					continue
				}
				here := func(m *leanpb.GenericCommand) bool {
					return m.GetConvMessage().GetCid() == cid && m.GetOp() == leanpb.OpType_joined
				}
				u.await(fmt.Sprintf("joined in round %d", i), here)
				u.await(fmt.Sprintf("the message of round %d", i), func(m *leanpb.GenericCommand) bool {
					return m.GetDirectMessage().GetId() == sent.GetUid()
				})
			}
			for _, u := range []*leanUser{mary, also} {
				if u != nil && i%2 == 0 {
					u.leave()
				}
			}
		}
	})
}

// TestLM063_HeardAtOnce: whatever is said after a session is open is pushed to it,
// in conversations that its user was in before.
func TestLM063_HeardAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		c.settings(`{"leanmessage.rate.other":"0","leanmessage.rate.send":"0"}`)
		tom := c.session("tom", c.nodes[0])
		var cids []string
		for range 10 {
			cids = append(cids, tom.start(&leanpb.ConvCommand{M: []string{"mary"}}).GetCid())
		}
		time.Sleep(2 * time.Second) // of the bubble's clock
		for i := range 30 {
			mary := c.session("mary", c.nodes[i%3])
			time.Sleep(time.Duration(i%10) * 200 * time.Microsecond) // of the bubble's clock
			sent := tom.send(cids[i%10], "hello")
			mary.await(fmt.Sprintf("the message of round %d", i), func(m *leanpb.GenericCommand) bool {
				return m.GetDirectMessage().GetId() == sent.GetUid()
			})
			mary.leave()
		}
	})
}
