package client

import (
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/quorate/quorate/wire/pb"
)

// Field numbers of the answer that is decoded by hand, since it is most of what
// a sending client gets.
const (
	fieldFrameResponse = 2
	fieldResponseID    = 1
	fieldResponseSent  = 14
	fieldSentID        = 1
	fieldSentSeq       = 2
	fieldSentOffset    = 3
	fieldSentTime      = 4
)

// sentResponse is the whole answer to a send in one piece of memory.
type sentResponse struct {
	resp   pb.Response
	result pb.Response_Sent
	sent   pb.Sent
}

// decodeSent reads a frame that is the answer to a send and nothing else, or
// returns nil: then it is left to protobuf.
func decodeSent(b []byte) *pb.Response {
	b, ok := onlyBytes(b, fieldFrameResponse)
	if !ok {
		return nil
	}
	id, b, ok := takeUint(b, fieldResponseID)
	if !ok {
		return nil
	}
	if b, ok = onlyBytes(b, fieldResponseSent); !ok {
		return nil
	}
	num, typ, n := protowire.ConsumeTag(b)
	if n < 0 || num != fieldSentID || typ != protowire.BytesType {
		return nil
	}
	name, m := protowire.ConsumeBytes(b[n:])
	if m < 0 || !utf8.Valid(name) {
		return nil
	}
	b = b[n+m:]
	var numbers [3]uint64
	for i, field := range [...]protowire.Number{fieldSentSeq, fieldSentOffset, fieldSentTime} {
		if numbers[i], b, ok = takeUint(b, field); !ok {
			return nil
		}
	}
	if len(b) > 0 {
		return nil
	}
	r := &sentResponse{}
	r.sent.Id, r.sent.Seq, r.sent.Offset, r.sent.TimestampMillis = string(name), numbers[0], numbers[1], int64(numbers[2])
	r.result.Sent = &r.sent
	r.resp.Id, r.resp.Result = id, &r.result
	return &r.resp
}

// onlyBytes returns the content of a field with which b ends.
func onlyBytes(b []byte, field protowire.Number) ([]byte, bool) {
	num, typ, n := protowire.ConsumeTag(b)
	if n < 0 || num != field || typ != protowire.BytesType {
		return nil, false
	}
	content, m := protowire.ConsumeBytes(b[n:])
	return content, m >= 0 && n+m == len(b)
}

// takeUint takes a number from the front of b.
func takeUint(b []byte, field protowire.Number) (uint64, []byte, bool) {
	num, typ, n := protowire.ConsumeTag(b)
	if n < 0 || num != field || typ != protowire.VarintType {
		return 0, nil, false
	}
	v, m := protowire.ConsumeVarint(b[n:])
	if m < 0 {
		return 0, nil, false
	}
	return v, b[n+m:], true
}
