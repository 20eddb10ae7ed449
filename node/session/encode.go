package session

import (
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

// EncodeResponse encodes the frame of an answer.
func EncodeResponse(r *pb.Response) []byte { return encodeResponse(r) }

// EncodeEvents encodes the frame of events.
func EncodeEvents(e *pb.Events) []byte {
	return encode(&pb.ServerFrame{Body: &pb.ServerFrame_Events{Events: e}})
}

func encodeResponse(r *pb.Response) []byte {
	return encode(&pb.ServerFrame{Body: &pb.ServerFrame_Response{Response: r}})
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
