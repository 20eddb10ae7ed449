package tail

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// openVersion is the first byte of what opens a stream. It changes with the
// records: a hub refuses an edge that would not read what it says.
const openVersion = 4

// Records from an edge to a hub. A message holds one or more.
//
//	register | 1 | id | log | user |     tell me about the log; may the user, or the app (empty), follow it?
//	drop     | 2 | log |                 do not tell me any more
//	arrive   | 3 | log | user |          a session of the user follows the log here now
//	leave    | 4 | log | user |          no session of the user follows it any more
const (
	recordRegister byte = 1
	recordDrop     byte = 2
	recordArrive   byte = 3
	recordLeave    byte = 4
)

// Records from a hub to an edge. A message is
//
//	| number | index | flags, 1 | record | record ... |
//
// the number counts the stream's messages from 1; everything about the edge's
// interests up to the raft index is sent with it.
//
//	push      | 1 | log | after | count | (origin | length, entry) ... |   all entries in (after, after + count]
//	answer    | 2 | id | refusal, 1 | last | floor | from | read | flags, 1 |
//	cursor    | 3 | log | user | read | read stamp | delivered | delivered stamp | receipts, 1 | origin | count | asked ... |
//	transient | 4 | log | origin | length, message |
//	will      | 5 | log | number | length, message |
//
// where asked is | id | sequence | from | timestamp | read, 1 |.
const (
	recordPush      byte = 1
	recordAnswer    byte = 2
	recordCursor    byte = 3
	recordTransient byte = 4
	recordWill      byte = 5

	// flagLost says that records were dropped before this message, because the
	// edge did not read: it registers everything anew.
	flagLost byte = 1
)

// A log is written as | app | kind, 1 | id |, strings with their lengths.
const (
	logConversation byte = 0
	logUser         byte = 1
)

const (
	// maxEntries bounds the entries of one push.
	maxEntries = 1 << 16
	// maxAsked bounds the receipts of one move of a cursor.
	maxAsked = 1 << 10
)

// errBadMessage is the cause when what comes on a stream is not what is drawn
// above.
var errBadMessage = errors.New("tail: malformed message")

// EncodeOpen makes the body that opens a stream to a shard's hub:
//
//	| version 4 | shard, 4 | place |
//
// The place names one life of the edge: a node that starts again is another one.
func EncodeOpen(s wire.ShardID, place string) []byte {
	return bin.AppendString(binary.BigEndian.AppendUint32([]byte{openVersion}, uint32(s)), place)
}

// DecodeOpen returns the shard whose hub a stream is for, and the edge's place.
func DecodeOpen(b []byte) (s wire.ShardID, place string, err error) {
	r := bin.NewReader(b)
	if v := r.Byte(); v != openVersion {
		return 0, "", fmt.Errorf("%w: version %d", errBadMessage, v)
	}
	s = wire.ShardID(r.Uint32())
	place = readID(r)
	return s, place, r.Close()
}

func appendLog(b []byte, log state.LogKey) []byte {
	b = bin.AppendString(b, log.App)
	if log.User != "" {
		return bin.AppendString(append(b, logUser), log.User)
	}
	return bin.AppendString(append(b, logConversation), log.Conversation)
}

func readLog(r *bin.Reader) state.LogKey {
	log := state.LogKey{App: wire.AppID(readID(r))}
	switch kind := r.Byte(); kind {
	case logUser:
		log.User = wire.UserID(readID(r))
	case logConversation:
		log.Conversation = wire.ConversationID(readID(r))
	default:
		r.Fail(errBadMessage)
	}
	return log
}

func readID(r *bin.Reader) string {
	id := readOptionalID(r)
	if id == "" {
		r.Fail(fmt.Errorf("%w: an empty id", errBadMessage))
	}
	return id
}

func readOptionalID(r *bin.Reader) string {
	b := r.Bytes()
	if len(b) > wire.MaxIDBytes {
		r.Fail(fmt.Errorf("%w: an id of %d bytes", errBadMessage, len(b)))
		return ""
	}
	return string(b)
}

// register is an edge's wish to follow a log for a user.
type register struct {
	id   uint64
	log  state.LogKey
	user wire.UserID
}

func (g register) append(b []byte) []byte {
	b = bin.AppendUvarint(append(b, recordRegister), g.id)
	return bin.AppendString(appendLog(b, g.log), g.user)
}

func appendDrop(b []byte, log state.LogKey) []byte {
	return appendLog(append(b, recordDrop), log)
}

// presence is an edge's word that a user is, or is not any more, among those who
// follow a log there.
type presence struct {
	arrives bool
	log     state.LogKey
	user    wire.UserID
}

func (p presence) append(b []byte) []byte {
	kind := recordLeave
	if p.arrives {
		kind = recordArrive
	}
	return bin.AppendString(appendLog(append(b, kind), p.log), p.user)
}

// wisher takes the records of an edge's message.
type wisher interface {
	register(register)
	drop(state.LogKey)
	presence(presence)
}

// readWishes hands each record of an edge's message on.
func readWishes(b []byte, to wisher) error {
	r := bin.NewReader(b)
	for r.Len() > 0 {
		switch kind := r.Byte(); kind {
		case recordRegister:
			g := register{id: r.Uvarint(), log: readLog(r), user: wire.UserID(readOptionalID(r))}
			if r.Err() == nil {
				to.register(g)
			}
		case recordDrop:
			if log := readLog(r); r.Err() == nil {
				to.drop(log)
			}
		case recordArrive, recordLeave:
			p := presence{arrives: kind == recordArrive, log: readLog(r), user: wire.UserID(readID(r))}
			if r.Err() == nil {
				to.presence(p)
			}
		default:
			r.Fail(errBadMessage)
		}
	}
	return r.Close()
}

// answer says whether a user may follow a log, and where it stands.
type answer struct {
	id      uint64
	refusal state.Refusal
	last    wire.Offset // the log's last offset
	floor   wire.Offset // entries up to it are not kept
	from    wire.Offset // the user sees entries past it
	read    wire.Seq    // the last message that he has read
	notices bool        // members are told who comes and goes
	present bool        // the hub counts who follows
}

const (
	answerNotices byte = 1 << iota
	answerPresent
	answerFlagsEnd
)

func (a answer) append(b []byte) []byte {
	var flags byte
	if a.notices {
		flags |= answerNotices
	}
	if a.present {
		flags |= answerPresent
	}
	b = bin.AppendUvarint(append(b, recordAnswer), a.id)
	b = append(b, byte(a.refusal))
	b = bin.AppendUvarint(b, uint64(a.last))
	b = bin.AppendUvarint(b, uint64(a.floor))
	b = bin.AppendUvarint(b, uint64(a.from))
	b = bin.AppendUvarint(b, uint64(a.read))
	return append(b, flags)
}

func readAnswer(r *bin.Reader) answer {
	a := answer{
		id: r.Uvarint(), refusal: state.Refusal(r.Byte()), last: wire.Offset(r.Uvarint()),
		floor: wire.Offset(r.Uvarint()), from: wire.Offset(r.Uvarint()), read: wire.Seq(r.Uvarint()),
	}
	flags := r.Byte()
	if flags >= answerFlagsEnd {
		r.Fail(fmt.Errorf("%w: flags %x of an answer", errBadMessage, flags))
	}
	a.notices, a.present = flags&answerNotices != 0, flags&answerPresent != 0
	return a
}

// push is what a hub tells of a log: all entries in (after, after + len].
type push struct {
	log     state.LogKey
	after   wire.Offset
	entries []*state.Entry
}

// encodedEntry is an entry of a push, encoded.
type encodedEntry struct {
	origin state.Origin
	entry  []byte
}

// appendPush appends the record of entries that were encoded before.
func appendPush(b []byte, log state.LogKey, after wire.Offset, entries []encodedEntry) []byte {
	b = appendLog(append(b, recordPush), log)
	b = bin.AppendUvarint(b, uint64(after))
	b = bin.AppendUvarint(b, uint64(len(entries)))
	for _, e := range entries {
		b = bin.AppendString(appendOrigin(b, e.origin), e.entry)
	}
	return b
}

func readPush(r *bin.Reader, before *state.Origin) push {
	p := push{log: readLog(r), after: wire.Offset(r.Uvarint())}
	n := r.Count(maxEntries)
	p.entries = make([]*state.Entry, 0, n)
	for i := range n {
		origin := readOrigin(r, before)
		e, err := state.DecodeLogEntry(r.Bytes(), p.log.Conversation)
		if want := p.after + wire.Offset(i) + 1; err == nil && e.Offset != want {
			err = fmt.Errorf("%w: entry %d where %d was due", errBadMessage, e.Offset, want)
		}
		if err != nil {
			r.Fail(err)
			return p
		}
		e.Origin = origin
		p.entries = append(p.entries, e)
	}
	return p
}

// cursor is one member's cursors in a conversation.
type cursor struct {
	log      state.LogKey
	moved    Cursor // without its log
	receipts bool   // the other members may know
}

func cursorOf(c *state.CursorMoved) cursor {
	return cursor{
		log: state.LogKey{App: c.App, Conversation: c.Conversation},
		moved: Cursor{
			User: c.User, Read: c.Read, ReadStamp: c.ReadStamp, Delivered: c.Delivered, DeliveredStamp: c.DeliveredStamp,
			Origin: c.Origin, Asked: c.Receipt,
		},
		receipts: c.Receipts,
	}
}

func (c cursor) append(b []byte) []byte {
	m := &c.moved
	b = bin.AppendString(appendLog(append(b, recordCursor), c.log), m.User)
	b = bin.AppendUvarint(b, uint64(m.Read))
	b = bin.AppendVarint(b, m.ReadStamp)
	b = bin.AppendUvarint(b, uint64(m.Delivered))
	b = bin.AppendVarint(b, m.DeliveredStamp)
	b = appendOrigin(bin.AppendBool(b, c.receipts), m.Origin)
	b = bin.AppendUvarint(b, uint64(len(m.Asked)))
	for _, a := range m.Asked {
		b = bin.AppendUvarint(bin.AppendString(b, a.ID), uint64(a.Seq))
		b = bin.AppendVarint(bin.AppendString(b, a.From), a.Timestamp)
		b = bin.AppendBool(b, a.Read)
	}
	return b
}

func readCursor(r *bin.Reader, before *state.Origin) cursor {
	c := cursor{log: readLog(r), moved: Cursor{
		User: wire.UserID(readID(r)), Read: wire.Seq(r.Uvarint()), ReadStamp: r.Varint(),
		Delivered: wire.Seq(r.Uvarint()), DeliveredStamp: r.Varint(),
	}}
	c.receipts, c.moved.Origin = r.Bool(), readOrigin(r, before)
	for range r.Count(maxAsked) {
		c.moved.Asked = append(c.moved.Asked, state.Asked{
			ID: wire.MessageID(readID(r)), Seq: wire.Seq(r.Uvarint()), From: wire.UserID(readOptionalID(r)), Timestamp: r.Varint(), Read: r.Bool(),
		})
	}
	return c
}

// appendTransient appends the record of a transient message, which is encoded.
func appendTransient(b []byte, log state.LogKey, origin state.Origin, message []byte) []byte {
	return bin.AppendString(appendOrigin(appendLog(append(b, recordTransient), log), origin), message)
}

// head is what a hub's message begins with.
type head struct {
	number uint64
	index  uint64
	lost   bool
}

func (h head) append(b []byte) []byte {
	b = bin.AppendUvarint(b, h.number)
	b = bin.AppendUvarint(b, h.index)
	var flags byte
	if h.lost {
		flags |= flagLost
	}
	return append(b, flags)
}

// receiver takes the records of a hub's message.
type receiver interface {
	pushed(push)
	answered(answer)
	cursorMoved(cursor)
	transient(Transient)
	willed(will)
}

func readHead(r *bin.Reader) head {
	h := head{number: r.Uvarint(), index: r.Uvarint()}
	flags := r.Byte()
	if flags&^flagLost != 0 {
		r.Fail(fmt.Errorf("%w: flags %x", errBadMessage, flags))
	}
	h.lost = flags&flagLost != 0
	return h
}

// readRecords hands the records of a hub's message on, one after another.
func readRecords(r *bin.Reader, to receiver) error {
	var before state.Origin
	for r.Len() > 0 {
		switch r.Byte() {
		case recordPush:
			if p := readPush(r, &before); r.Err() == nil {
				to.pushed(p)
			}
		case recordAnswer:
			if a := readAnswer(r); r.Err() == nil {
				to.answered(a)
			}
		case recordCursor:
			if c := readCursor(r, &before); r.Err() == nil {
				to.cursorMoved(c)
			}
		case recordTransient:
			if one := readTransient(r, &before); r.Err() == nil {
				to.transient(one)
			}
		case recordWill:
			if w := readWill(r); r.Err() == nil {
				to.willed(w)
			}
		default:
			r.Fail(errBadMessage)
		}
	}
	return r.Close()
}

func readTransient(r *bin.Reader, before *state.Origin) Transient {
	one := Transient{Log: readLog(r), Origin: readOrigin(r, before)}
	one.Message = readTransientMessage(r)
	return one
}

func readTransientMessage(r *bin.Reader) *state.Message {
	b := r.Bytes()
	if r.Err() != nil {
		return nil
	}
	message, err := DecodeTransient(b)
	if err != nil {
		r.Fail(err)
	}
	return message
}
