package client

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

// decodeFrame reads a frame from a node. Its size was bounded when it was read.
func decodeFrame(b []byte) (*pb.ServerFrame, error) {
	if len(b) > wire.MaxPageBytes {
		return nil, fmt.Errorf("decode frame: it has %d bytes, want at most %d", len(b), wire.MaxPageBytes)
	}
	f := &pb.ServerFrame{}
	if err := proto.Unmarshal(b, f); err != nil {
		return nil, fmt.Errorf("decode frame: %w", err)
	}
	return f, nil
}

// writeOne sends one frame by itself, before a session's writer has begun.
func writeOne(conn transport.Conn, f *pb.ClientFrame) error {
	b, err := proto.Marshal(f)
	if err != nil {
		return wire.Errorf(wire.CodeInvalid, "session.open", "%v", err)
	}
	return conn.WriteFrames([][]byte{b})
}

const (
	fieldFramePing = 3
	fieldFramePong = 4
	fieldNonce     = 1
)

// outbox gathers the frames of one write in one piece of memory.
type outbox struct {
	buf    []byte
	ends   []int
	frames [][]byte
}

const (
	maxWriteFrames = 256
	maxWriteBytes  = 64 << 10
)

func (o *outbox) reset() { o.buf, o.ends = o.buf[:0], o.ends[:0] }

func (o *outbox) full() bool { return len(o.ends) >= maxWriteFrames || len(o.buf) >= maxWriteBytes }

// request adds the frame of a call.
func (o *outbox) request(c *call, now time.Time) {
	o.buf = c.appendFrame(o.buf, now)
	o.ends = append(o.ends, len(o.buf))
}

// beat adds a ping or a pong.
func (o *outbox) beat(field protowire.Number, nonce uint64) {
	o.buf = protowire.AppendTag(o.buf, field, protowire.BytesType)
	if nonce == 0 {
		o.buf = protowire.AppendVarint(o.buf, 0)
	} else {
		o.buf = protowire.AppendVarint(o.buf, uint64(1+protowire.SizeVarint(nonce)))
		o.buf = appendUint(o.buf, fieldNonce, nonce)
	}
	o.ends = append(o.ends, len(o.buf))
}

// all returns the frames, valid until the next reset.
func (o *outbox) all() [][]byte {
	o.frames = o.frames[:0]
	start := 0
	for _, end := range o.ends {
		o.frames = append(o.frames, o.buf[start:end])
		start = end
	}
	return o.frames
}
