package tail

import (
	"errors"
	"fmt"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// appendOrigin appends where something came from, so that its session can be
// spared the echo:
//
//	| node | session | request |
//
// and of nowhere | 0 | alone.
func appendOrigin(b []byte, o state.Origin) []byte {
	b = bin.AppendString(b, o.Node)
	if o.Node == "" {
		return b
	}
	return bin.AppendUvarint(bin.AppendUvarint(b, o.Session), o.Request)
}

// readOrigin reads an origin. Its node is mostly that of the one before.
func readOrigin(r *bin.Reader, before *state.Origin) state.Origin {
	node := r.Bytes()
	switch {
	case len(node) == 0:
		return state.Origin{}
	case len(node) > wire.MaxIDBytes:
		r.Fail(fmt.Errorf("%w: a node's id of %d bytes", errBadMessage, len(node)))
		return state.Origin{}
	}
	o := state.Origin{Node: before.Node}
	if string(node) != o.Node {
		o.Node = string(node)
	}
	o.Session, o.Request = r.Uvarint(), r.Uvarint()
	*before = o
	return o
}

// EncodeTransient appends the form in which a transient message goes from node
// to node: as the entry of a message that has no place in the log.
func EncodeTransient(b []byte, m *state.Message) []byte {
	return state.EncodeLogEntry(b, "", &state.Entry{Kind: state.EntryMessage, Stamp: m.Timestamp, Actor: m.From, Message: m})
}

var errNoMessage = errors.New("tail: a transient message without a message")

// DecodeTransient reads what EncodeTransient wrote. The result shares nothing
// with b.
func DecodeTransient(b []byte) (*state.Message, error) {
	e, err := state.DecodeLogEntry(b, "")
	if err != nil {
		return nil, err
	}
	if e.Message == nil {
		return nil, errNoMessage
	}
	if !e.Message.Imported {
		e.Message.ID = "" // an id is made of a place in the log
	}
	return e.Message, nil
}
