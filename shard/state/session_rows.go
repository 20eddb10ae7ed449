package state

import (
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// A tagRow says which session holds a tag of a user.
//
//	| version 1 | login | session | node | device | since |
type tagRow struct {
	Login   uint64 // counts the user's tagged logins; the larger one is the later one
	Session string
	Node    string // the edge the session is on
	Device  string
	Since   int64 // milliseconds
}

func (t tagRow) encode(dst []byte) []byte {
	dst = append(dst, userVersion)
	dst = bin.AppendUvarint(dst, t.Login)
	dst = bin.AppendString(dst, t.Session)
	dst = bin.AppendString(dst, t.Node)
	dst = bin.AppendString(dst, t.Device)
	return bin.AppendVarint(dst, t.Since)
}

func decodeTagRow(b []byte) (tagRow, error) {
	r := openRow(b)
	t := tagRow{Login: r.Uvarint(), Session: readID[string](r), Node: readID[string](r), Device: readID[string](r), Since: r.Varint()}
	return t, closeRow(r, "tag")
}

// A willRow is the message that is sent when the user's last session is lost.
//
//	| version 1 | session | node | conversation | content type | body |
//
// and with version 2 what willMore has.
type willRow struct {
	Session      string // that left it; a logout of this session takes it back
	Node         string // the edge the session is on
	Conversation wire.ConversationID
	ContentType  string
	Body         []byte

	willMore
}

// willMore is what a will may have beside its content.
//
//	| id | mentions | mention all, 1 |
type willMore struct {
	ID         wire.MessageID // that the message will have; chosen by who left the will
	Mentions   []wire.UserID
	MentionAll bool
}

func (w *willMore) isZero() bool { return w.ID == "" && len(w.Mentions) == 0 && !w.MentionAll }

func (w *willMore) encode(dst []byte) []byte {
	return bin.AppendBool(appendIDs(bin.AppendString(dst, w.ID), w.Mentions), w.MentionAll)
}

func readWillMore(r *bin.Reader) willMore {
	return willMore{ID: readID[wire.MessageID](r), Mentions: readIDs[wire.UserID](r, maxListed), MentionAll: r.Bool()}
}

const willVersion = 2

func (w willRow) encode(dst []byte) []byte {
	version := byte(1)
	if !w.isZero() {
		version = willVersion
	}
	dst = append(dst, version)
	dst = bin.AppendString(dst, w.Session)
	dst = bin.AppendString(dst, w.Node)
	dst = bin.AppendString(dst, w.Conversation)
	dst = bin.AppendString(dst, w.ContentType)
	dst = bin.AppendString(dst, w.Body)
	if version == 1 {
		return dst
	}
	return w.willMore.encode(dst)
}

func decodeWillRow(b []byte) (willRow, error) {
	r := bin.NewReader(b)
	version := readVersion(r, willVersion)
	w := willRow{
		Session:      readID[string](r),
		Node:         readID[string](r),
		Conversation: readID[wire.ConversationID](r),
		ContentType:  r.String(),
		Body:         append([]byte(nil), r.Bytes()...),
	}
	if version > 1 {
		w.willMore = readWillMore(r)
	}
	return w, closeRow(r, "will")
}

// A roomRow is the chat room the user is in; there is at most one.
//
//	| version 1 | conversation | session | node | entered | deadline |
type roomRow struct {
	Conversation wire.ConversationID
	Session      string
	Node         string
	Entered      int64 // milliseconds
	Deadline     int64 // milliseconds; 0 while the session lives. Past it the user has left
}

func (r roomRow) encode(dst []byte) []byte {
	dst = append(dst, userVersion)
	dst = bin.AppendString(dst, r.Conversation)
	dst = bin.AppendString(dst, r.Session)
	dst = bin.AppendString(dst, r.Node)
	dst = bin.AppendVarint(dst, r.Entered)
	return bin.AppendVarint(dst, r.Deadline)
}

func decodeRoomRow(b []byte) (roomRow, error) {
	r := openRow(b)
	m := roomRow{
		Conversation: readID[wire.ConversationID](r),
		Session:      readID[string](r),
		Node:         readID[string](r),
		Entered:      r.Varint(),
		Deadline:     r.Varint(),
	}
	return m, closeRow(r, "room")
}

// goneAt tells whether the time for coming back has passed.
func (r roomRow) goneAt(stamp int64) bool { return r.Deadline != 0 && r.Deadline <= stamp }
