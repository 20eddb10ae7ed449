package client

import (
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

// encode returns the payload of a request: all of it but id, n and age. It
// refuses text that is not UTF-8.
func encode(op string, req *pb.Request) ([]byte, error) {
	b, err := proto.Marshal(req)
	if err != nil {
		return nil, &wire.Error{Code: wire.CodeInvalid, Op: op, Text: err.Error(), Err: err}
	}
	return b, nil
}

// Field numbers of the request that is encoded by hand, since it is most of
// what a client sends.
const (
	fieldRequestSend      = 19
	fieldSendConversation = 1
	fieldSendBody         = 2
	fieldSendContentType  = 3
	fieldSendMentions     = 4
	fieldSendMentionAll   = 5
	fieldSendTargets      = 6
	fieldSendTransient    = 7
)

// encodeSend is encode for a SendMessage.
func encodeSend(conversation wire.ConversationID, d Draft) ([]byte, error) {
	size := sizeString(string(conversation)) + sizeString(string(d.Body)) + sizeString(d.ContentType)
	valid := utf8.ValidString(string(conversation)) && utf8.ValidString(d.ContentType)
	for _, list := range [][]wire.UserID{d.Mentions, d.Targets} {
		for _, u := range list {
			size += 1 + protowire.SizeBytes(len(u))
			valid = valid && utf8.ValidString(string(u))
		}
	}
	if !valid {
		return nil, wire.Errorf(wire.CodeInvalid, opSend, "text is not UTF-8")
	}
	if d.MentionAll {
		size += 2
	}
	if d.Transient {
		size += 2
	}
	b := make([]byte, 0, 2+protowire.SizeBytes(size))
	b = protowire.AppendTag(b, fieldRequestSend, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	b = appendString(b, fieldSendConversation, string(conversation))
	if len(d.Body) > 0 {
		b = protowire.AppendTag(b, fieldSendBody, protowire.BytesType)
		b = protowire.AppendBytes(b, d.Body)
	}
	b = appendString(b, fieldSendContentType, d.ContentType)
	for _, u := range d.Mentions {
		b = protowire.AppendString(protowire.AppendTag(b, fieldSendMentions, protowire.BytesType), string(u))
	}
	if d.MentionAll {
		b = appendUint(b, fieldSendMentionAll, 1)
	}
	for _, u := range d.Targets {
		b = protowire.AppendString(protowire.AppendTag(b, fieldSendTargets, protowire.BytesType), string(u))
	}
	if d.Transient {
		b = appendUint(b, fieldSendTransient, 1)
	}
	return b, nil
}

// sizeString is the size of a field of up to 15 with the text, nothing if empty.
func sizeString(s string) int {
	if s == "" {
		return 0
	}
	return 1 + protowire.SizeBytes(len(s))
}

func appendString(b []byte, field protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
}
