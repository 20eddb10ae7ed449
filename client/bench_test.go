package client

import (
	"context"
	"sync"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

// echo answers each request as a node would, and does nothing else: it costs
// as little as it can, so that the client's share is seen.
func echo(conn transport.Conn) {
	read := func() []byte {
		b, err := conn.ReadFrame()
		if err != nil {
			return nil
		}
		return b
	}
	if read() == nil {
		return
	}
	welcome, _ := proto.Marshal(&pb.ServerFrame{Body: &pb.ServerFrame_Welcome{Welcome: &pb.Welcome{User: "tom", MaxInFlight: 4096, HeartbeatMillis: 30_000}}})
	_ = conn.WriteFrames([][]byte{welcome})
	answers := make(chan uint64, 8192) // the requests that wait for their answers
	go func() {
		var buf []byte
		for id := range answers {
			var frames [][]byte
			buf = buf[:0]
			for more := true; more; {
				start := len(buf)
				buf = appendSent(buf, id)
				frames = append(frames, buf[start:len(buf):len(buf)])
				if len(frames) == 256 {
					break
				}
				select {
				case id, more = <-answers:
				default:
					more = false
				}
			}
			if conn.WriteFrames(frames) != nil {
				return
			}
		}
	}()
	defer close(answers)
	for b := read(); b != nil; b = read() {
		if b[0] != fieldFrameRequest<<3|2 {
			continue
		}
		_, n := protowire.ConsumeVarint(b[1:])
		id, _ := protowire.ConsumeVarint(b[1+n+1:])
		answers <- id
	}
}

// appendSent appends a ServerFrame with the answer to a send.
func appendSent(b []byte, id uint64) []byte {
	var sent []byte
	sent = appendString(sent, 1, "0123456789ABCDEFGHIJKL")
	sent = appendUint(sent, 2, id)
	sent = appendUint(sent, 3, id)
	sent = appendUint(sent, 4, 1_700_000_000_000)
	resp := appendUint(nil, 1, id)
	resp = protowire.AppendBytes(protowire.AppendTag(resp, 14, protowire.BytesType), sent)
	return protowire.AppendBytes(protowire.AppendTag(b, 2, protowire.BytesType), resp)
}

func BenchmarkSendAsync(b *testing.B) {
	network := transport.NewNetwork(nil)
	listener, err := network.Listen("n1:7400")
	if err != nil {
		b.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept(context.Background())
			if err != nil {
				return
			}
			running.Go(func() { echo(conn) })
		}
	})
	fake := &cluster{network: network}
	c, err := Dial(context.Background(), fake.options("tom", "n1"))
	if err != nil {
		b.Fatal(err)
	}
	draft := Draft{Body: make([]byte, 100)}
	conversations := make([]*Conversation, 64)
	for i := range conversations {
		conversations[i] = c.Conversation(wire.ConversationID("conversation-" + string(rune('a'+i))))
	}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		conversations[i%len(conversations)].SendAsync(ctx, draft, func(_ Sent, err error) {
			if err != nil {
				b.Error(err)
			}
		})
		i++
	}
	if err := c.Flush(ctx); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	_ = c.Close()
	_ = listener.Close()
	running.Wait()
}
