package state

import (
	"fmt"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// EncodeLogEntry appends the form in which an entry of a log goes from node to
// node. The conversation is the log's, empty for a user log; no form needs it yet.
//
//	| offset | length, entry's row | 0 |                             without a message
//	| offset | length, entry's row | 1 | sequence | message's row |
func EncodeLogEntry(b []byte, _ wire.ConversationID, e *Entry) []byte {
	b = bin.AppendUvarint(b, uint64(e.Offset))
	b = bin.AppendString(b, appendEntryRow(make([]byte, 0, 64), e))
	b = bin.AppendBool(b, e.Message != nil)
	if e.Message == nil {
		return b
	}
	b = bin.AppendUvarint(b, uint64(e.Message.Seq))
	return appendMessage(b, e.Message)
}

// DecodeLogEntry reads what EncodeLogEntry wrote. The result shares nothing
// with b.
func DecodeLogEntry(b []byte, conversation wire.ConversationID) (*Entry, error) {
	in := bin.NewReader(b)
	offset, row := wire.Offset(in.Uvarint()), in.Bytes()
	hasMessage := in.Bool()
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("decode a log entry: %w", err)
	}
	e, err := decodeEntryRow(offset, row)
	if err != nil {
		return nil, err
	}
	if hasMessage {
		seq := wire.Seq(in.Uvarint())
		if err := in.Err(); err != nil {
			return nil, fmt.Errorf("decode log entry %d: %w", offset, err)
		}
		if e.Message, err = decodeMessage(conversation, seq, in.Rest()); err != nil {
			return nil, err
		}
	}
	if err := in.Close(); err != nil {
		return nil, fmt.Errorf("decode log entry %d: %w", offset, err)
	}
	return e, nil
}
