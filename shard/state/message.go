package state

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// Message is a message as it is now.
type Message struct {
	ID          wire.MessageID
	Seq         wire.Seq
	Offset      wire.Offset // of its sending
	From        wire.UserID // empty: the app
	Timestamp   int64       // milliseconds since 1970; its order
	Body        []byte      // empty when recalled
	ContentType string
	Mentions    []wire.UserID
	MentionAll  bool
	Targets     []wire.UserID // only for these members and the sender; none: for all
	Edited      int64         // milliseconds since 1970 of the last edit or recall; 0: as sent
	Recalled    bool
	Imported    bool   // the id was not made of conversation, timestamp and sequence
	Count       uint64 // C: counted messages up to and with this one
	Counted     bool   // it counts for unread, of the targets if there are any
	Receipt     bool   // the sender wants to know when it is delivered and read
	Deleted     bool   // the app took it away without a word: only its place is left
}

// visibleTo tells whether the message is for a reader. The app reads everything
// that is there.
func (m *Message) visibleTo(user wire.UserID) bool {
	if m.Deleted {
		return false
	}
	return len(m.Targets) == 0 || user == "" || user == m.From || slices.Contains(m.Targets, user)
}

const (
	messageVersion = 1

	maxContentType = 128
	maxMentions    = 100
)

const (
	messageMentionAll = 1 << iota
	messageRecalled
	messageCounted
	messageLists // mentions and targets follow
	messageEdited
	messageImported // the id follows; else it is made of conversation, timestamp and sequence
	messageReceipt
	messageDeleted // the last flag of this version
)

// appendMessage appends the durable form; the sequence is in the key.
//
//	| version, 1 | flags, 1 | offset | timestamp | count | from | content type | body |
//
// then by the flags
//
//	| mentions | targets | edited | id |
func appendMessage(b []byte, m *Message) []byte {
	var flags byte
	if m.MentionAll {
		flags |= messageMentionAll
	}
	if m.Recalled {
		flags |= messageRecalled
	}
	if m.Counted {
		flags |= messageCounted
	}
	if len(m.Mentions)+len(m.Targets) > 0 {
		flags |= messageLists
	}
	if m.Edited != 0 {
		flags |= messageEdited
	}
	if m.Imported {
		flags |= messageImported
	}
	if m.Receipt {
		flags |= messageReceipt
	}
	if m.Deleted {
		flags |= messageDeleted
	}
	b = append(b, messageVersion, flags)
	b = bin.AppendUvarint(b, uint64(m.Offset))
	b = bin.AppendUvarint(b, uint64(m.Timestamp))
	b = bin.AppendUvarint(b, m.Count)
	b = bin.AppendString(b, m.From)
	b = bin.AppendString(b, m.ContentType)
	b = bin.AppendString(b, m.Body)
	if flags&messageLists != 0 {
		b = appendIDs(appendIDs(b, m.Mentions), m.Targets)
	}
	if flags&messageEdited != 0 {
		b = bin.AppendUvarint(b, uint64(m.Edited))
	}
	if flags&messageImported != 0 {
		b = bin.AppendString(b, m.ID)
	}
	return b
}

// decodeMessage reads what appendMessage wrote. The result shares nothing with b.
func decodeMessage(conversation wire.ConversationID, seq wire.Seq, b []byte) (*Message, error) {
	in := bin.NewReader(b)
	checkVersion(in, messageVersion)
	flags := in.Byte()
	m := &Message{
		Seq: seq, MentionAll: flags&messageMentionAll != 0, Recalled: flags&messageRecalled != 0,
		Counted: flags&messageCounted != 0, Receipt: flags&messageReceipt != 0, Deleted: flags&messageDeleted != 0, Offset: wire.Offset(in.Uvarint()), Timestamp: int64(in.Uvarint()),
		Count: in.Uvarint(), From: readID[wire.UserID](in), ContentType: in.String(), Body: bytes.Clone(in.Bytes()),
	}
	if flags&messageLists != 0 {
		m.Mentions = readIDs[wire.UserID](in, maxMentions)
		m.Targets = readIDs[wire.UserID](in, wire.MaxTargets)
	}
	if flags&messageEdited != 0 {
		m.Edited = int64(in.Uvarint())
	}
	if flags&messageImported != 0 {
		m.ID, m.Imported = readID[wire.MessageID](in), true
	}
	if err := in.Close(); err != nil {
		return nil, fmt.Errorf("decode message %d: %w", seq, err)
	}
	if !m.Imported {
		m.ID = wire.NewMessageID(conversation, m.Timestamp, seq)
	}
	return m, nil
}

// appendImported appends the row of an id that was not made here: | version, 1 | sequence |.
func appendImported(b []byte, seq wire.Seq) []byte {
	return bin.AppendUvarint(append(b, 1), uint64(seq))
}

// loadMessage reads the message at a sequence; nil when there is none.
func loadMessage(r reader, s scope, seq wire.Seq) *Message {
	b := r.get(s.number(nil, tableMessage, uint64(seq)))
	if b == nil {
		return nil
	}
	m, err := decodeMessage(wire.ConversationID(s.root), seq, b)
	if err != nil {
		r.fail(err)
		return nil
	}
	return m
}

// findMessage reads a message by its id: the sequence written in the id is
// trusted only if the message there has that id; ids that were not made here
// have a row.
func findMessage(r reader, s scope, id wire.MessageID) *Message {
	if seq, ok := id.Seq(wire.ConversationID(s.root)); ok {
		if m := loadMessage(r, s, seq); m != nil && m.ID == id {
			return m
		}
	}
	b := r.get(s.name(nil, tableImported, string(id)))
	if b == nil {
		return nil
	}
	in := bin.NewReader(b)
	checkVersion(in, 1)
	seq := wire.Seq(in.Uvarint())
	if err := in.Close(); err != nil {
		r.fail(fmt.Errorf("decode the row of an imported message id: %w", err))
		return nil
	}
	return loadMessage(r, s, seq)
}
