package session

import (
	"encoding/binary"
	"errors"

	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

// EncodeError turns an error into what a client gets to know of it. What is not
// a *wire.Error is "internal", without its text.
func EncodeError(err error) *pb.Error {
	e, ok := errors.AsType[*wire.Error](err)
	if !ok {
		return &pb.Error{Code: uint32(wire.CodeInternal), Text: "internal error"}
	}
	return &pb.Error{Code: uint32(e.Code), Op: e.Op, Text: e.Text}
}

func errorResult(err error) *pb.Response_Error { return &pb.Response_Error{Error: EncodeError(err)} }

func encodeResponse(r *pb.Response) []byte {
	return encode(&pb.ServerFrame{Body: &pb.ServerFrame_Response{Response: r}})
}

// The tags of a ping in a ClientFrame, of a pong in a ServerFrame, and of the
// nonce in both.
const (
	tagPing  = 3<<3 | 2
	tagPong  = 5<<3 | 2
	tagNonce = 1 << 3 // a varint
)

// pingOf reads a ping without the protobuf runtime, as clients write it. Pings
// are all that most sessions say, and so their goroutines need only small
// stacks. What it does not recognise is decoded as anything else.
func pingOf(frame []byte) (nonce uint64, ok bool) {
	if len(frame) < 2 || frame[0] != tagPing || int(frame[1]) != len(frame)-2 {
		return 0, false
	}
	ping := frame[2:]
	if len(ping) == 0 {
		return 0, true
	}
	if ping[0] != tagNonce {
		return 0, false
	}
	nonce, n := binary.Uvarint(ping[1:])
	return nonce, n > 0 && n == len(ping)-1
}

// pongFrame encodes the frame that answers a ping.
func pongFrame(nonce uint64) []byte {
	var pong [1 + binary.MaxVarintLen64]byte
	pong[0] = tagNonce
	n := 1 + binary.PutUvarint(pong[1:], nonce)
	return append([]byte{tagPong, byte(n)}, pong[:n]...)
}

// encode never fails: the node makes the frames, and every string in them was
// checked to be UTF-8 when it came in.
func encode(f *pb.ServerFrame) []byte {
	b, err := proto.Marshal(f)
	if err != nil {
		b, _ = proto.Marshal(&pb.ServerFrame{Body: &pb.ServerFrame_Closing{
			Closing: &pb.Error{Code: uint32(wire.CodeInternal), Text: "encode frame"},
		}})
	}
	return b
}
