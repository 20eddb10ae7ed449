package session

import (
	"math"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/wire/pb"
)

// TestPing checks that pings are read and pongs written as the protobuf runtime
// does it, and that nothing else is taken for a ping.
func TestPing(t *testing.T) {
	for _, nonce := range []uint64{0, 1, 127, 128, 1 << 40, math.MaxUint64} {
		frame, err := proto.Marshal(&pb.ClientFrame{Body: &pb.ClientFrame_Ping{Ping: &pb.Ping{Nonce: nonce}}})
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := pingOf(frame); !ok || got != nonce {
			t.Errorf("ping %d is read as %d, %v", nonce, got, ok)
		}
		answer := &pb.ServerFrame{}
		if err := proto.Unmarshal(pongFrame(nonce), answer); err != nil {
			t.Fatal(err)
		}
		if got := answer.GetPong().GetNonce(); got != nonce {
			t.Errorf("pong %d is read as %d", nonce, got)
		}
	}
	for _, other := range []*pb.ClientFrame{
		{Body: &pb.ClientFrame_Pong{Pong: &pb.Pong{Nonce: 1}}},
		{Body: &pb.ClientFrame_Request{Request: &pb.Request{Id: 1}}},
	} {
		frame, err := proto.Marshal(other)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := pingOf(frame); ok {
			t.Errorf("%v is taken for a ping", other)
		}
	}
	for _, bad := range []string{"", "\x1a", "\x1a\x01", "\x1a\x01\x08", "\x1a\x02\x08\x80", "\x1a\x03\x08\x01\x01", "\x1a\x02\x10\x01"} {
		if _, ok := pingOf([]byte(bad)); ok {
			t.Errorf("%q is taken for a ping", bad)
		}
	}
}
