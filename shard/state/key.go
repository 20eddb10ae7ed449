package state

import (
	"encoding/binary"
	"fmt"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// Every key begins with the slot and the table:
//
//	| slot, 2 | table, 1 | ... |      numbers are big-endian, so bytes sort as numbers do
//
// In most tables the subject follows, app and then conversation or user, each
// with its length so that no id is the beginning of another:
//
//	| slot, 2 | table, 1 | n, 1 | app, n | m, 1 | root, m | rest |
//
// The rest, by table, is drawn beside the table's byte. Every value begins with
// the version of its own form. Bytes of tables are never used for another thing.
const (
	tableRecord byte = 0x00 // only under the shard's first slot: | slot, 2 | 0x00 |

	// Conversations; root is the conversation.
	tableHead         byte = 0x10 // -                        head: what every send changes; or the tombstone
	tableInfo         byte = 0x11 // -                        info: policy, name, properties
	tableMember       byte = 0x12 // | user |                 member
	tableMessage      byte = 0x13 // | seq, 8 |               message, as it is now
	tableEntry        byte = 0x14 // | offset, 8 |            log entry that is not a message, with the sequence reached
	tableException    byte = 0x15 // | n, 1 | user, n | seq, 8 |  E: running sum of the member's unread exceptions
	tableRecalled     byte = 0x16 // | seq, 8 |               R: a counted message that was recalled where that lowers unread
	tableMention      byte = 0x17 // | n, 1 | user, n | seq, 8 |  the message mentions this member
	tableMentionAll   byte = 0x18 // | seq, 8 |               the message mentions all
	tableCursor       byte = 0x19 // | user |                 read and delivered cursors
	tableBlocked      byte = 0x1a // | user |                 the user must not be added; told by the user's slot
	tableImported     byte = 0x1b // | message id |           sequence of a message whose id was not made here
	tableToken        byte = 0x1c // | instance, 16 | n mod 256, 1 |  native token's answer
	tableBanned       byte = 0x21 // | user |                 the user is kept out
	tableMuted        byte = 0x22 // | user |                 the user may not speak, where no members are stored
	tableDeviceCursor byte = 0x23 // | n, 1 | user, n | device |  how far the device was handed the conversation
	tableRandomToken  byte = 0x24 // | half of a day, 4 | token |  random token's answer; they were in 0x1d, without the time
	tableDay          byte = 0x20 // | n, 1 | app, n | day since 1970, 4 | conversation |  first sequence of the day

	// Users; root is the user.
	tableUser            byte = 0x40 // -                     user head: last offset and floor of the user log, valid-after
	tableUserEntry       byte = 0x41 // | offset, 8 |         log entry
	tableMembership      byte = 0x42 // | conversation |      membership as the conversation's slot told it, or its tombstone
	tableUserBlock       byte = 0x43 // | conversation |      the user blocks this conversation
	tableUserToken       byte = 0x44 // | instance, 16 | n mod 256, 1 |
	tableUserRandomToken byte = 0x4c // | half of a day, 4 | token |  they were in 0x45, without the time
	tableTag             byte = 0x46 // | tag |               the session that holds the tag
	tableWill            byte = 0x48 // -                     what to send when the user's last session is lost
	tableRoom            byte = 0x49 // -                     the chat room he is in
	tableBroadcast       byte = 0x4b // | place |             how far he is among the app's broadcasts
	tableMembershipOrder byte = 0x4a // | offset, 8 | conversation |  memberships by the entry that told them, for paging newest first

	// Slots: rows between slots or without one subject.
	tableUnique byte = 0x60 // | n, 1 | app, n | 32, 1 | SHA-256 of the member set, 32 |  candidates of a unique conversation
	tableTimer  byte = 0x70 // | due ms, 8 | kind, 1 | key of the row that is due, without its slot |
	tableOutbox byte = 0x71 // | target slot, 2 | kind, 1 | n, 1 | app, n | m, 1 | conversation, m | user |
	tableInbox  byte = 0x73 // | n, 1 | app, n | kind, 1 | m, 1 | conversation, m | user |  newest version taken, kept as tombstone
)

// scope is whose rows a key belongs to.
type scope struct {
	slot wire.Slot
	app  wire.AppID
	root string
}

func conversationScope(app wire.AppID, id wire.ConversationID) scope {
	return scope{slot: wire.SlotOf(app, string(id)), app: app, root: string(id)}
}

func userScope(app wire.AppID, id wire.UserID) scope {
	return scope{slot: wire.SlotOf(app, string(id)), app: app, root: string(id)}
}

// key appends the beginning of the subject's keys in a table.
func (s scope) key(b []byte, table byte) []byte {
	b = appendTable(b, s.slot, table)
	b = appendShort(b, s.app)
	return appendShort(b, s.root)
}

// number is a key that ends in a sequence or an offset.
func (s scope) number(b []byte, table byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(s.key(b, table), n)
}

// name is a key that ends in an id.
func (s scope) name(b []byte, table byte, id string) []byte {
	return append(s.key(b, table), id...)
}

// nameNumber is a key that ends in an id and a sequence.
func (s scope) nameNumber(b []byte, table byte, id string, n uint64) []byte {
	return binary.BigEndian.AppendUint64(appendShort(s.key(b, table), id), n)
}

func appendTable(b []byte, slot wire.Slot, table byte) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(slot)), table)
}

// appendShort appends an id with its length in one byte. Ids have at most 64
// bytes; the decoder of commands sees to it.
func appendShort[S ~string](b []byte, s S) []byte {
	return append(append(b, byte(len(s))), s...)
}

// lastNumber reads the 8 bytes that a key ends in.
func lastNumber(key []byte) uint64 {
	return binary.BigEndian.Uint64(key[len(key)-8:])
}

// splitKey splits a key of a conversation's or user's table into its subject and
// what follows it.
func splitKey(key []byte) (s scope, rest []byte, err error) {
	in := bin.NewReader(key)
	s.slot = wire.Slot(in.Uint16())
	in.Byte()
	s.app = wire.AppID(in.Take(int(in.Byte())))
	s.root = string(in.Take(int(in.Byte())))
	rest = in.Rest()
	if err := in.Close(); err != nil {
		return scope{}, nil, fmt.Errorf("split key %x: %w", key, err)
	}
	return s, rest, nil
}

// keyTable tells what table a key is of.
func keyTable(key []byte) byte { return key[2] }

// keySlot tells what slot a key is under.
func keySlot(key []byte) wire.Slot { return wire.Slot(binary.BigEndian.Uint16(key)) }

// prefixEnd is the first key after all that begin with the prefix.
func prefixEnd(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		end[i]++
		if end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// RecordKey is the key of a shard's record: the first key of its interval.
func RecordKey(rng wire.SlotRange) []byte {
	return appendTable(nil, rng.First, tableRecord)
}

// Bounds is the range of keys that a shard's interval of slots owns: start is
// in it, end is not.
func Bounds(rng wire.SlotRange) (start, end []byte) {
	start = binary.BigEndian.AppendUint16(nil, uint16(rng.First))
	if rng.Last == wire.Slots-1 {
		return start, []byte{0xff, 0xff, 0xff}
	}
	return start, binary.BigEndian.AppendUint16(nil, uint16(rng.Last)+1)
}
