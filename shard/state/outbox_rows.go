package state

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// OutboxKind says what an outbox row tells its target. The numbers are on disk:
// add at the end, never renumber.
type OutboxKind uint8

// The kinds of outbox rows, with source and target.
const (
	OutboxMembership OutboxKind = 1 // conversation to user: he is a member, or not any more
	OutboxBlock      OutboxKind = 2 // user to conversation: he does not want to be added, or does again
	OutboxWill       OutboxKind = 3 // user to conversation: his will, now that his last session is lost
	OutboxOffer      OutboxKind = 4 // conversation to the entry of its member set: it has these members now
	OutboxBan        OutboxKind = 5 // conversation to user: it keeps him out, who was no member, or does not any more
	outboxKindEnd    OutboxKind = 6
)

// An OutboxRef names one version of an outbox row.
type OutboxRef struct {
	Kind         OutboxKind
	App          wire.AppID
	Conversation wire.ConversationID
	User         wire.UserID // for an offer: the [UniqueKey]'s bytes
	Version      uint64      // grows with each change of the same subject
}

// Target returns the slot the row is for.
func (o *OutboxRef) Target() wire.Slot {
	switch o.Kind {
	case OutboxMembership, OutboxOffer, OutboxBan:
		return wire.SlotOf(o.App, string(o.User))
	default:
		return wire.SlotOf(o.App, string(o.Conversation))
	}
}

// Source returns the slot the row is kept in until it is acknowledged.
func (o *OutboxRef) Source() wire.Slot {
	switch o.Kind {
	case OutboxMembership, OutboxOffer, OutboxBan:
		return wire.SlotOf(o.App, string(o.Conversation))
	default:
		return wire.SlotOf(o.App, string(o.User))
	}
}

func (o *OutboxRef) encode(dst []byte) []byte {
	dst = append(dst, byte(o.Kind))
	dst = bin.AppendString(dst, o.App)
	dst = bin.AppendString(dst, o.Conversation)
	dst = bin.AppendString(dst, o.User)
	return bin.AppendUvarint(dst, o.Version)
}

func readOutboxRef(r *bin.Reader) OutboxRef {
	return OutboxRef{
		Kind:         readOutboxKind(r),
		App:          readID[wire.AppID](r),
		Conversation: readID[wire.ConversationID](r),
		User:         readID[wire.UserID](r),
		Version:      r.Uvarint(),
	}
}

func readOutboxKind(r *bin.Reader) OutboxKind {
	k := OutboxKind(r.Byte())
	if r.Err() == nil && (k == 0 || k >= outboxKindEnd) {
		r.Fail(fmt.Errorf("%w: outbox kind %d", bin.ErrRange, k))
	}
	return k
}

// An OutboxNote is what an outbox row says; which fields count depends on the
// row's kind.
//
//	membership  on: is a member (since the conversation's offset Version)
//	            at, by: when and by whom    gone: the conversation is
//	block       on: is blocked
//	will        at: when the session was lost    content type, body, and willMore
//	offer       at: when the conversation was made
type OutboxNote struct {
	On          bool
	Gone        bool
	At          int64       // milliseconds
	By          wire.UserID // empty: the app or the cluster
	ContentType string
	Body        []byte

	willMore
}

const (
	noteOn   = 1
	noteMore = 2 // what a will has beside its content follows
	noteEnd  = 4
)

func (n *OutboxNote) encode(dst []byte) []byte {
	var flags byte
	if n.On {
		flags |= noteOn
	}
	if !n.isZero() {
		flags |= noteMore
	}
	dst = append(dst, flags)
	dst = bin.AppendBool(dst, n.Gone)
	dst = bin.AppendVarint(dst, n.At)
	dst = bin.AppendString(dst, n.By)
	dst = bin.AppendString(dst, n.ContentType)
	dst = bin.AppendString(dst, n.Body)
	if flags&noteMore != 0 {
		dst = n.willMore.encode(dst)
	}
	return dst
}

func readOutboxNote(r *bin.Reader) OutboxNote {
	flags := r.Byte()
	if flags >= noteEnd {
		r.Fail(fmt.Errorf("%w: outbox flags %x", bin.ErrRange, flags))
	}
	n := OutboxNote{
		On:          flags&noteOn != 0,
		Gone:        r.Bool(),
		At:          r.Varint(),
		By:          readID[wire.UserID](r),
		ContentType: r.String(),
		Body:        slices.Clone(r.Bytes()),
	}
	if flags&noteMore != 0 {
		n.willMore = readWillMore(r)
	}
	return n
}

// An OutboxRow is one thing that one slot has to tell another.
type OutboxRow struct {
	OutboxRef
	OutboxNote
}

func (o *OutboxRow) encode(dst []byte) []byte { return o.OutboxNote.encode(o.OutboxRef.encode(dst)) }

func readOutboxRow(r *bin.Reader) OutboxRow {
	return OutboxRow{OutboxRef: readOutboxRef(r), OutboxNote: readOutboxNote(r)}
}

// The value of an outbox row; all else is in its key.
//
//	| version 1 | row version | note |
func appendOutboxValue(dst []byte, version uint64, n *OutboxNote) []byte {
	dst = append(dst, userVersion)
	dst = bin.AppendUvarint(dst, version)
	return n.encode(dst)
}

func decodeOutboxValue(b []byte) (uint64, OutboxNote, error) {
	r := openRow(b)
	version := r.Uvarint()
	n := readOutboxNote(r)
	return version, n, closeRow(r, "outbox value")
}

// outboxKey is the key of an outbox row:
//
//	| source slot, 2 | table, 1 | target slot, 2 | kind, 1 | n, 1 | app, n | m, 1 | conversation, m | user |
func outboxKey(b []byte, o *OutboxRef) []byte {
	b = appendTable(b, o.Source(), tableOutbox)
	b = binary.BigEndian.AppendUint16(b, uint16(o.Target()))
	b = append(b, byte(o.Kind))
	b = appendShort(b, o.App)
	b = appendShort(b, o.Conversation)
	return append(b, o.User...)
}

// outboxKeyTarget reads the slot that the row is for.
func outboxKeyTarget(key []byte) wire.Slot {
	return wire.Slot(binary.BigEndian.Uint16(key[3:]))
}

// decodeOutboxKey reads what outboxKey wrote; the version is in the value.
func decodeOutboxKey(key []byte) (OutboxRef, error) {
	in := bin.NewReader(key)
	in.Take(5)
	o := OutboxRef{Kind: readOutboxKind(in)}
	o.App = wire.AppID(in.Take(int(in.Byte())))
	o.Conversation = wire.ConversationID(in.Take(int(in.Byte())))
	o.User = wire.UserID(in.Rest())
	if err := in.Close(); err != nil {
		return OutboxRef{}, fmt.Errorf("read the key of an outbox row: %w", err)
	}
	return o, nil
}
