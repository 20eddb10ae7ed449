package state

import (
	"fmt"
	"testing"

	"github.com/quorate/quorate/wire"
)

// BenchmarkMoveCursors applies one packed command of a hundred moves, each of
// another conversation.
func BenchmarkMoveCursors(b *testing.B) {
	w := newWorld(b, 1)
	w.shards[0].opts.Applied = nil
	const moves = 100
	c := &MoveCursors{}
	for i := range moves {
		id := wire.ConversationID(fmt.Sprintf("conversation-%d", i))
		w.done("", &CreateConversation{ID: id, Preset: PresetBasic, Members: []wire.UserID{"ann", "bob"}})
		c.Moves = append(c.Moves, CursorMove{Conversation: id, User: "bob"})
	}
	n := wire.Seq(0)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		n++
		for i := range c.Moves {
			w.done("ann", &SendMessage{Conversation: c.Moves[i].Conversation, Body: []byte("hi")})
			c.Moves[i].Read = n
		}
		b.StartTimer()
		if r := w.done("", c); r.Count != moves {
			b.Fatalf("%d cursors moved, want %d", r.Count, moves)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/moves, "ns/move")
}
