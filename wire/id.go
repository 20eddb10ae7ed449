package wire

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"
)

// AppID names a tenant. Cluster-made ids have 24 characters.
type AppID string

// UserID names a user of an app; the app chooses it.
type UserID string

// ConversationID names a conversation of an app. Cluster-made ids are 24 hex
// digits (see [NewConversationID]); imported ones are kept as they are.
type ConversationID string

// NodeID names a node. It outlives the node's address.
type NodeID string

// ShardID names a raft group. 0 is the meta group.
type ShardID uint32

// MetaShard is the raft group that holds what every node knows.
const MetaShard ShardID = 0

// Offset is a place in a conversation log or a user log: 1, 2, 3 … without gaps.
// 0 is before the first entry.
type Offset uint64

// Seq is a message's place among its conversation's messages: 1, 2, 3 … without
// gaps. 0 is before the first message.
type Seq uint64

// Limits of ids and of what a client may send.
const (
	MaxIDBytes      = 64       // of an app, user, conversation, device or node id
	MaxBodyBytes    = 5 << 10  // of a message's body
	MaxFrameBytes   = 16 << 10 // of a frame from a client that has signed in
	MaxHelloBytes   = 2 << 10  // of a frame from a client that has not
	MaxPageBytes    = 1 << 20  // of a frame from a node to a client
	MaxMembersAdded = 500      // users named in one command
	MaxTargets      = 100      // users one targeted message is for
	MaxPageEntries  = 1000     // entries or messages in one page
	TokenWindow     = 256      // native tokens remembered for each (conversation or user, client instance)
)

// ValidID says what is wrong with an id, or nil: 1 to 64 bytes of UTF-8
// without control characters.
func ValidID(id string) error {
	switch {
	case id == "":
		return fmt.Errorf("is empty")
	case len(id) > MaxIDBytes:
		return fmt.Errorf("has %d bytes, want at most %d", len(id), MaxIDBytes)
	case !utf8.ValidString(id):
		return fmt.Errorf("is not UTF-8")
	}
	for _, r := range id {
		if r < 0x20 || r == 0x7f {
			return fmt.Errorf("has the control character %U", r)
		}
	}
	return nil
}

// Slot is one of 65,536 places that conversations and users hash to. It never
// changes for an id; which shard owns it does.
type Slot uint16

// Slots is how many slots there are.
const Slots = 1 << 16

// SlotOf returns the slot of a conversation's or a user's root id: the upper 16
// bits of xxHash64 over app, a zero byte and root. The function is fixed for
// ever: stored keys begin with its result.
func SlotOf(app AppID, root string) Slot {
	var d xxhash.Digest
	d.Reset()
	_, _ = d.WriteString(string(app))
	_, _ = d.Write([]byte{0})
	_, _ = d.WriteString(root)
	return Slot(d.Sum64() >> 48)
}

// SlotRange is a contiguous interval of slots, both ends included.
type SlotRange struct {
	First, Last Slot
}

// Contains tells whether the slot lies in the interval.
func (r SlotRange) Contains(s Slot) bool { return r.First <= s && s <= r.Last }

// Len returns how many slots the interval has.
func (r SlotRange) Len() int { return int(r.Last) - int(r.First) + 1 }

func (r SlotRange) String() string { return fmt.Sprintf("%d-%d", r.First, r.Last) }

// NewConversationID makes an id of 24 hex digits: 4 bytes of seconds since
// 1970, 2 of cell (0 for now), 6 of the given bits.
func NewConversationID(unixSeconds int64, bits uint64) ConversationID {
	var b [12]byte
	binary.BigEndian.PutUint32(b[:], uint32(unixSeconds))
	var low [8]byte
	binary.BigEndian.PutUint64(low[:], bits)
	copy(b[6:], low[2:])
	return ConversationID(hex.EncodeToString(b[:]))
}

// MessageID names a message: 22 characters of an alphabet whose order is the
// order of its bytes, so that ids of one conversation sort as they were sent.
//
//	| milliseconds, 6 | fingerprint of the conversation, 4 | sequence, 6 |   big-endian
type MessageID string

// messageAlphabet is sorted by byte value, so that the text sorts as the bytes do.
//
//nolint:gochecknoglobals // a lookup table
var messageAlphabet = base64.NewEncoding("-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz").WithPadding(base64.NoPadding).Strict()

const (
	messageIDBytes = 16
	messageIDChars = 22
	max48          = 1<<48 - 1
)

// NewMessageID makes the id of the message with that sequence and timestamp
// (milliseconds since 1970).
func NewMessageID(conversation ConversationID, timestampMillis int64, seq Seq) MessageID {
	var b [messageIDBytes]byte
	binary.BigEndian.PutUint64(b[0:], uint64(timestampMillis)<<16)
	binary.BigEndian.PutUint32(b[6:], fingerprint(conversation))
	var s [8]byte
	binary.BigEndian.PutUint64(s[:], uint64(seq)&max48)
	copy(b[10:], s[2:])
	return MessageID(messageAlphabet.EncodeToString(b[:]))
}

// Seq returns the sequence written into the id, if the id was made for this
// conversation. A caller trusts it only if the message stored there has the
// same id.
func (id MessageID) Seq(conversation ConversationID) (Seq, bool) {
	if len(id) != messageIDChars {
		return 0, false
	}
	var b [messageIDBytes]byte
	if n, err := messageAlphabet.Decode(b[:], []byte(id)); err != nil || n != messageIDBytes {
		return 0, false
	}
	if binary.BigEndian.Uint32(b[6:]) != fingerprint(conversation) {
		return 0, false
	}
	var s [8]byte
	copy(s[2:], b[10:])
	return Seq(binary.BigEndian.Uint64(s[:])), true
}

func fingerprint(conversation ConversationID) uint32 {
	return uint32(xxhash.Sum64String(string(conversation)))
}
