package state

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate/quorate/wire"
)

// BenchmarkApplySend applies entries of 64 packed sends, over many conversations.
func BenchmarkApplySend(b *testing.B) {
	for _, conversations := range []int{1, 64, 1024} {
		for _, told := range []bool{false, true} {
			b.Run(fmt.Sprintf("conversations=%d/told=%v", conversations, told), func(b *testing.B) {
				benchmarkSends(b, conversations, told)
			})
		}
	}
}

func benchmarkSends(b *testing.B, conversations int, told bool) {
	db, err := pebble.Open("", &pebble.Options{FS: vfs.NewMem(), DisableWAL: true, MemTableSize: 64 << 20})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	opts := Options{}
	if told {
		opts.Applied = func(Applied) {}
	}
	s, err := Open(db, wire.SlotRange{Last: wire.Slots - 1}, opts)
	if err != nil {
		b.Fatal(err)
	}
	const packed = 64
	index, n := uint64(0), uint64(0)
	apply := func(commands [][]byte) {
		index++
		_, err := s.Apply([]LogEntry{{Index: index, Term: 1, Data: AppendEntry(nil, int64(1e12+index), commands)}})
		if err != nil {
			b.Fatal(err)
		}
	}
	ids := make([]wire.ConversationID, conversations)
	for i := range ids {
		ids[i] = wire.NewConversationID(1_700_000_000, uint64(i))
		apply([][]byte{EncodeCommand(nil, Header{App: "app-of-24-characters-abc", Actor: "ann"}, &CreateConversation{
			ID: ids[i], Preset: PresetBasic, Members: []wire.UserID{"bob"},
		})})
	}
	body := make([]byte, 128)
	b.ReportAllocs()
	for b.Loop() {
		commands := make([][]byte, packed)
		b.StopTimer()
		for i := range commands {
			n++
			h := Header{App: "app-of-24-characters-abc", Actor: "ann", Token: Token{Instance: [16]byte{1}, N: n}, Origin: Origin{Node: "n1", Session: 7, Request: n}}
			commands[i] = EncodeCommand(nil, h, &SendMessage{Conversation: ids[n%uint64(conversations)], Body: body})
		}
		b.StartTimer()
		apply(commands)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*packed), "ns/send")
}
