package shard_test

import (
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/shard"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// null is a machine that does nothing, so that what is measured is the host.
type null struct{ record state.Record }

func (n *null) Apply(entries []state.LogEntry) ([][]state.Result, error) {
	results := make([][]state.Result, len(entries))
	for i, e := range entries {
		if !e.Configuration {
			_, cmds, err := state.DecodeEntry(e.Data)
			if err != nil {
				return nil, err
			}
			results[i] = make([]state.Result, len(cmds))
		}
	}
	return results, nil
}

func (n *null) Record() state.Record { return n.record }
func (n *null) Settle() error        { return nil }
func (n *null) Reload() error        { return nil }

// BenchmarkSubmit measures a group of one with raft's log in memory.
func BenchmarkSubmit(b *testing.B) {
	for _, window := range []int{1, 64, 1024} {
		b.Run(fmt.Sprintf("machine=null/window=%d", window), func(b *testing.B) {
			_, transport := raft.NewInmemTransport("n1")
			replica, err := shard.Open(shard.Place{Shard: 7, Node: "n1", Voters: []wire.NodeID{"n1"}},
				shard.Stores{Log: log{raft.NewInmemStore()}, Stable: raft.NewInmemStore(), Snapshots: raft.NewDiscardSnapshotStore()},
				&null{}, transport, shard.Options{ElectionTimeout: 20 * time.Millisecond})
			if err != nil {
				b.Fatal(err)
			}
			defer replica.Close()
			cmd := make([]byte, 256)
			run(b, replica, window, func(uint64) []byte { return cmd })
		})
		b.Run(fmt.Sprintf("machine=state/window=%d", window), func(b *testing.B) {
			_, transport := raft.NewInmemTransport("n1")
			n := &realNode{id: "n1", disk: vfs.NewMem(), link: &link{InmemTransport: transport}, opts: shard.Options{ElectionTimeout: 20 * time.Millisecond}}
			n.open(b, []wire.NodeID{"n1"})
			defer n.close(b)
			run(b, n.replica, window, sends(b, n.replica))
		})
	}
}

// sends creates conversations and returns what makes sends to them.
func sends(b *testing.B, replica *shard.Replica) func(i uint64) []byte {
	const conversations = 200
	await(replica)
	h := state.Header{App: app, Actor: "ann"}
	binary.BigEndian.PutUint64(h.Token.Instance[:], 1)
	for i := range conversations {
		h.Token.N = 1
		c := &state.CreateConversation{ID: conversation(i), Preset: state.PresetBasic, Members: []wire.UserID{"ann", "bob"}}
		if _, err := replica.Propose(b.Context(), uint64(i), state.EncodeCommand(nil, h, c)); err != nil {
			b.Fatal(err)
		}
	}
	body := make([]byte, 128)
	return func(i uint64) []byte {
		h := h
		h.Token.N = 2 + i
		return state.EncodeCommand(nil, h, &state.SendMessage{Conversation: conversation(int(i % conversations)), From: "ann", Body: body})
	}
}

func conversation(i int) wire.ConversationID {
	return wire.NewConversationID(1_700_000_000, uint64(i))
}

func await(replica *shard.Replica) {
	for !replica.Leadership().Ready {
		time.Sleep(time.Millisecond)
	}
}

// run keeps window commands in flight.
func run(b *testing.B, replica *shard.Replica, window int, next func(i uint64) []byte) {
	await(replica)
	slots := make(chan struct{}, window)
	var wg sync.WaitGroup
	before := replica.Metrics()
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		slots <- struct{}{}
		wg.Add(1)
		replica.Submit(uint64(i), next(uint64(i)), func(o shard.Outcome) {
			if o.Err != nil || o.Result.Refusal != 0 {
				b.Errorf("command %d: %v %v %s", i, o.Err, o.Result.Refusal, o.Result.Text)
			}
			<-slots
			wg.Done()
		})
	}
	wg.Wait()
	b.StopTimer()
	after := replica.Metrics()
	b.ReportMetric(float64(after.Commands-before.Commands)/float64(after.Entries-before.Entries), "commands/entry")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commands/s")
}
