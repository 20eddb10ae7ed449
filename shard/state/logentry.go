package state

import (
	"bytes"
	"fmt"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// EntryKind says what a log entry tells. Its numbers are durable.
type EntryKind uint8

// The kinds of entries of conversation logs and, from EntryJoined on, of user logs.
const (
	entryNone            EntryKind = iota
	EntryMessage                        // Message was sent; kept as the message's row, not as an entry's
	EntryEdited                         // Message was edited; it is as it is now
	EntryRecalled                       // Message was recalled
	EntryMembersAdded                   // Users came
	EntryMembersRemoved                 // Users went
	EntryRoleChanged                    // Users[0] has Role now
	EntryCreated                        // the conversation was made
	EntryUpdated                        // its properties changed: read them
	EntryDestroyed                      // it was destroyed; Expired says by its time
	EntryMuted                          // Users, or all when there are none, may not speak until Until (0: for ever)
	EntryUnmuted                        // Users, or all, may speak again
	EntryBanned                         // Users are kept out; those who were members are removed by the next entry
	EntryUnbanned                       // Users may come again
	EntryJoined          EntryKind = 64 // user log: the user is a member of Conversation since ConversationOffset, and Until there
	EntryLeft            EntryKind = 65 // user log: the user is no member of Conversation since then; Expired: it is gone
	EntryTagTaken        EntryKind = 66 // user log: Tag belongs to Device with Login
	EntryKicked          EntryKind = 67 // user log: sessions from before Until are closed
	EntryBlocked         EntryKind = 68 // user log: the user blocked Conversation
	EntryUnblocked       EntryKind = 69 // user log: and does not any more
	EntrySettingsChanged EntryKind = 70 // user log: settings for Conversation changed
	EntryRoomEntered     EntryKind = 71 // user log: the user is in Conversation, a chat room, and in no other
	EntryRoomLeft        EntryKind = 72 // user log: the user is not in Conversation any more; Expired: his session was lost, and its time to come back is over
	EntryShutOut         EntryKind = 73 // user log: Conversation, where the user was no member, keeps him out since Until
	EntryLetIn           EntryKind = 74 // user log: and does not any more
)

// IsNotice tells whether entries of the kind say who comes, goes and is kept out:
// without [Policy.Notices] they are only for those users and for who did it.
func (k EntryKind) IsNotice() bool {
	switch k {
	case EntryMembersAdded, EntryMembersRemoved, EntryBanned, EntryUnbanned:
		return true
	default:
		return false
	}
}

// Entry is one entry of a conversation log or a user log. Which fields are set
// is the Kind's.
type Entry struct {
	Offset  wire.Offset
	Seq     wire.Seq // conversation log: the sequence that the conversation had reached with this entry
	Kind    EntryKind
	Stamp   int64       // milliseconds since 1970
	Actor   wire.UserID // who did it; empty: the app or the cluster
	Message *Message
	Target  wire.Seq // of an edit or a recall: the message's sequence
	Users   []wire.UserID
	Role    Role
	Until   int64
	Expired bool
	Changed []byte // of an update: JSON object of what was touched, as it is now; what was deleted is absent
	Sent    []byte // of an update: UpdateConversation.Sent

	Conversation       wire.ConversationID
	ConversationOffset wire.Offset
	Tag                string
	Device             string
	Login              uint64
	Reason             string

	// Origin is where the command came from that made an entry which is pushed. It
	// is not stored: an entry that was read from a log has none.
	Origin Origin
}

const entryRowVersion = 1

const (
	entryExpired = 1 << iota
	entryUserLog
	entryChanged
	entryFlagsEnd
)

// appendEntryRow appends the durable form of an entry that is not a message.
// Its offset is in the key.
//
//	| version, 1 | kind, 1 | flags, 1 | seq | stamp | actor | target | users | role, 1 | until |
//
// and with the flag of the user log
//
//	| conversation | offset there | tag | device | login | reason |
//
// or, with the flag of an update that tells what it changed
//
//	| changed | sent |
func appendEntryRow(b []byte, e *Entry) []byte {
	var flags byte
	if e.Expired {
		flags |= entryExpired
	}
	if e.Kind >= EntryJoined {
		flags |= entryUserLog
	} else if len(e.Changed)+len(e.Sent) > 0 {
		flags |= entryChanged
	}
	b = append(b, entryRowVersion, byte(e.Kind), flags)
	b = bin.AppendUvarint(b, uint64(e.Seq))
	b = bin.AppendUvarint(b, uint64(e.Stamp))
	b = bin.AppendString(b, e.Actor)
	b = bin.AppendUvarint(b, uint64(e.Target))
	b = appendIDs(b, e.Users)
	b = append(b, byte(e.Role))
	b = bin.AppendUvarint(b, uint64(e.Until))
	if flags&entryChanged != 0 {
		return bin.AppendString(bin.AppendString(b, e.Changed), e.Sent)
	}
	if flags&entryUserLog == 0 {
		return b
	}
	b = bin.AppendString(b, e.Conversation)
	b = bin.AppendUvarint(b, uint64(e.ConversationOffset))
	b = bin.AppendString(b, e.Tag)
	b = bin.AppendString(b, e.Device)
	b = bin.AppendUvarint(b, e.Login)
	return bin.AppendString(b, e.Reason)
}

func decodeEntryRow(offset wire.Offset, b []byte) (*Entry, error) {
	in := bin.NewReader(b)
	checkVersion(in, entryRowVersion)
	e := &Entry{Offset: offset, Kind: EntryKind(in.Byte())}
	flags := in.Byte()
	if flags >= entryFlagsEnd || (flags&entryUserLog != 0) != (e.Kind >= EntryJoined) || flags&entryUserLog != 0 && flags&entryChanged != 0 {
		in.Fail(fmt.Errorf("%w: flags %x of an entry of kind %d", bin.ErrRange, flags, e.Kind))
	}
	e.Expired = flags&entryExpired != 0
	e.Seq = wire.Seq(in.Uvarint())
	e.Stamp = int64(in.Uvarint())
	e.Actor = readID[wire.UserID](in)
	e.Target = wire.Seq(in.Uvarint())
	e.Users = readIDs[wire.UserID](in, maxListed)
	e.Role = Role(in.Byte())
	e.Until = int64(in.Uvarint())
	if flags&entryChanged != 0 {
		e.Changed, e.Sent = bytes.Clone(in.Bytes()), bytes.Clone(in.Bytes())
	}
	if flags&entryUserLog != 0 {
		e.Conversation = readID[wire.ConversationID](in)
		e.ConversationOffset = wire.Offset(in.Uvarint())
		e.Tag = readID[string](in)
		e.Device = readID[string](in)
		e.Login = in.Uvarint()
		e.Reason = in.String()
	}
	if err := in.Close(); err != nil {
		return nil, fmt.Errorf("decode log entry %d: %w", offset, err)
	}
	return e, nil
}

// LogKey names a log: the conversation's, or the user's when there is no
// conversation.
type LogKey struct {
	App          wire.AppID
	Conversation wire.ConversationID
	User         wire.UserID
}

func (k LogKey) scope() scope {
	if k.Conversation != "" {
		return conversationScope(k.App, k.Conversation)
	}
	return userScope(k.App, k.User)
}

// appendEntry writes the row of an entry and tells the hook. The caller has
// given it the next offset of its log's head. A message has its own row: for it
// only the hook is told.
func (t *txn) appendEntry(s scope, k LogKey, e *Entry) {
	if e.Kind != EntryMessage {
		table := tableEntry
		if k.Conversation == "" {
			table = tableUserEntry
		}
		t.keyBuf = s.number(t.keyBuf[:0], table, uint64(e.Offset))
		t.valBuf = appendEntryRow(t.valBuf[:0], e)
		t.put(t.keyBuf, t.valBuf)
	}
	if t.told != nil {
		if t.told.Appended == nil {
			t.told.Appended = make([]Appended, 0, t.packed)
		}
		t.told.Appended = append(t.told.Appended, Appended{
			Log: k, After: e.Offset - 1, Offset: e.Offset, Seq: e.Seq, Entry: e, Origin: t.header.Origin,
		})
	}
}

// Applied is what one entry of the raft log changed that edges and sweepers
// want to know. It and what it points to must not be changed.
type Applied struct {
	Index    uint64
	Stamp    int64
	Appended []Appended
	Changed  []LogKey // conversations of which more than messages and cursors is another now; a key may come twice
	Cursors  []CursorMoved
	Outbox   bool // rows were added to the outbox
	Timers   bool // timers were set

	Transients []Transient // to be pushed and forgotten
}

// Transient is a message that is told to who is there and never stored: a will.
type Transient struct {
	Log     LogKey
	Message *Message
}

// Appended is one entry that was added to a log.
type Appended struct {
	Log    LogKey
	After  wire.Offset // the log's last offset before
	Offset wire.Offset // and now
	Seq    wire.Seq    // of a conversation: the sequence reached
	Entry  *Entry
	Origin Origin
}

// CursorMoved is where one member's cursors in a conversation are now.
type CursorMoved struct {
	App          wire.AppID
	Conversation wire.ConversationID
	User         wire.UserID
	Read         wire.Seq
	Delivered    wire.Seq
	ReadStamp    int64

	DeliveredStamp int64
	Receipts       bool    // the other members may know; else only the user himself
	Receipt        []Asked // messages that the cursors passed with this move and whose senders want to know
	Origin         Origin
}

// Asked is a message whose sender asked to be told when it is delivered or read.
type Asked struct {
	ID        wire.MessageID
	Seq       wire.Seq
	From      wire.UserID
	Timestamp int64
	Read      bool // the read cursor has passed it; else the delivered one
}
