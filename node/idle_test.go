package node

import (
	"testing"
	"time"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// TestLM031_IdleConversations: conversations in which nothing happens for as long
// as the app says are ended on all nodes, also after the death of one; others are
// not, nor are services.
func TestLM031_IdleConversations(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		var idle []wire.ConversationID
		for range 12 { // in several shards
			idle = append(idle, wire.ConversationID(c.conversation(&state.CreateConversation{Preset: state.PresetBasic}, "ann", "bob")))
		}
		busy := wire.ConversationID(c.conversation(&state.CreateConversation{Preset: state.PresetBasic}, "ann", "bob"))
		service := wire.ConversationID(c.conversation(&state.CreateConversation{Preset: state.PresetSystem}, ""))
		there := func(id wire.ConversationID) bool {
			n := c.leader(string(id)).node
			r, _ := n.table().Route(wire.SlotOf(testApp, string(id)))
			_, err := n.shards.get(r.Shard).state.Conversation(testApp, id)
			return err == nil
		}
		time.Sleep(3 * time.Minute) // of the bubble's clock
		if !there(idle[0]) {
			t.Error("a conversation has ended, and nobody wants that")
		}
		c.settings(`{"leanmessage.idle":"2m"}`)
		c.do("ann", &state.SendMessage{Conversation: busy, Body: []byte("hello")})
		c.crash(c.nodes[2])
		for range 3 {
			time.Sleep(time.Minute) // of the bubble's clock
			c.do("ann", &state.SendMessage{Conversation: busy, Body: []byte("hello")})
		}
		for _, id := range idle {
			if there(id) {
				t.Errorf("%s, in which nothing has happened for minutes, is there", id)
			}
		}
		if !there(busy) || !there(service) {
			t.Errorf("one that is busy is there: %v, a service is: %v", there(busy), there(service))
		}
	})
}
