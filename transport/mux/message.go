package mux

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// version of the protocol between nodes. A hello of another version is refused.
const version = 1

// kind is what a message is. Kinds are part of the protocol: add at the end,
// never renumber.
type kind uint8

const (
	kindHello   kind = 1 + iota // | version, 1 | cluster | node | lowest level | highest level |
	kindPing                    // nothing: the sender lives
	kindRaft                    // | shard | frame |
	kindCall                    // | id | method, 1 | body |
	kindAnswer                  // | id | body |
	kindFailure                 // | id | code, 1 | op | text | leader |
	kindOpen                    // | stream | method, 1 | window | body |
	kindData                    // | stream | by opener, 1 | message |
	kindCredit                  // | stream | by opener, 1 | bytes |
	kindEnd                     // | stream | by opener, 1 |
	kindPiece                   // | class and, in the lowest bit, whether it is the last, 1 | part of a message |
	kindLast                    // below it are all kinds
)

// errMessage is the cause when a message is not one of ours.
var errMessage = errors.New("mux: malformed message")

// maxHead is more than a message has beside its body.
const maxHead = 40

// head has room for all of a message but its body.
type head [maxHead]byte

// maxText bounds the texts of an error that crosses.
const maxText = 512

type hello struct {
	cluster            string
	node               wire.NodeID
	minLevel, maxLevel uint32
}

func (h hello) encode() []byte {
	m := []byte{byte(kindHello), version}
	m = bin.AppendString(m, h.cluster)
	m = bin.AppendString(m, h.node)
	m = bin.AppendUvarint(m, uint64(h.minLevel))
	m = bin.AppendUvarint(m, uint64(h.maxLevel))
	return append(bin.AppendUvarint(nil, uint64(len(m))), m...)
}

// decodeHello decodes a frame that is a hello alone.
func decodeHello(frame []byte) (hello, error) {
	m, rest, err := nextMessage(frame)
	if err != nil {
		return hello{}, err
	}
	if len(m) < 2 || kind(m[0]) != kindHello || len(rest) > 0 {
		return hello{}, fmt.Errorf("%w: no hello", errMessage)
	}
	if m[1] != version {
		return hello{}, fmt.Errorf("%w: version %d, want %d", errMessage, m[1], version)
	}
	r := bin.NewReader(m[2:])
	h := hello{cluster: r.String(), node: wire.NodeID(r.String())}
	lowest, highest := r.Uvarint(), r.Uvarint()
	if lowest > highest || highest > 1<<31 {
		r.Fail(fmt.Errorf("%w: levels %d to %d", errMessage, lowest, highest))
	}
	h.minLevel, h.maxLevel = uint32(lowest), uint32(highest)
	if err := wire.ValidID(string(h.node)); err != nil {
		r.Fail(fmt.Errorf("%w: node id %w", errMessage, err))
	}
	return h, r.Close()
}

// nextMessage cuts the first message off a batch.
func nextMessage(batch []byte) (message, rest []byte, err error) {
	length, n := binary.Uvarint(batch)
	if n <= 0 || length == 0 || length > uint64(len(batch)-n) {
		return nil, nil, fmt.Errorf("%w: cut", errMessage)
	}
	end := n + int(length)
	return batch[n:end:end], batch[end:], nil
}

// message is a decoded message; which fields it has depends on the kind.
type message struct {
	kind     kind
	id       uint64 // of a call or stream; the shard of a raft frame; the credit's stream
	method   uint8
	byOpener bool
	bytes    uint64 // of a credit or window
	body     []byte // shares the batch
}

// decodeMessage decodes any message but a hello.
func decodeMessage(m []byte) (message, error) {
	if len(m) == 0 {
		return message{}, fmt.Errorf("%w: empty", errMessage)
	}
	d, r := message{kind: kind(m[0])}, bin.NewReader(m[1:])
	switch d.kind {
	case kindPing:
	case kindRaft, kindAnswer, kindFailure:
		d.id = r.Uvarint()
		d.body = r.Rest()
	case kindCall:
		d.id, d.method = r.Uvarint(), r.Byte()
		d.body = r.Rest()
	case kindOpen:
		d.id, d.method, d.bytes = r.Uvarint(), r.Byte(), r.Uvarint()
		d.body = r.Rest()
	case kindData:
		d.id, d.byOpener = r.Uvarint(), r.Bool()
		d.body = r.Rest()
	case kindCredit:
		d.id, d.byOpener, d.bytes = r.Uvarint(), r.Bool(), r.Uvarint()
	case kindEnd:
		d.id, d.byOpener = r.Uvarint(), r.Bool()
	default:
		return message{}, fmt.Errorf("%w: kind %d", errMessage, m[0])
	}
	if d.kind == kindRaft && d.id > 1<<32-1 {
		r.Fail(fmt.Errorf("%w: shard %d", errMessage, d.id))
	}
	if err := r.Close(); err != nil {
		return message{}, fmt.Errorf("%w: kind %d: %w", errMessage, m[0], err)
	}
	return d, nil
}

func appendID(b []byte, k kind, id uint64) []byte {
	return binary.AppendUvarint(append(b, byte(k)), id)
}

func appendStream(b []byte, k kind, id uint64, byOpener bool) []byte {
	return bin.AppendBool(appendID(b, k, id), byOpener)
}

// encodeError is the body of a failure.
func encodeError(err error) []byte {
	e, ok := errors.AsType[*wire.Error](err)
	if !ok {
		e = &wire.Error{Code: wire.CodeInternal, Text: "internal error"}
	}
	b := []byte{byte(e.Code)}
	b = bin.AppendString(b, e.Op[:min(len(e.Op), maxText)])
	b = bin.AppendString(b, e.Text[:min(len(e.Text), maxText)])
	return bin.AppendString(b, e.Leader[:min(len(e.Leader), wire.MaxIDBytes)])
}

func decodeError(body []byte) error {
	r := bin.NewReader(body)
	e := &wire.Error{Code: wire.Code(r.Byte()), Op: r.String(), Text: r.String(), Leader: wire.NodeID(r.String())}
	if err := r.Close(); err != nil {
		return &wire.Error{Code: wire.CodeInternal, Text: "unreadable error", Err: fmt.Errorf("%w: %w", errMessage, err)}
	}
	return e
}
