package state

import (
	"fmt"
	"slices"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// A Command is a change to the state, as it stands in the raft log. The set is
// closed: kind.go lists all of them, and what is not listed there stops the
// replica.
type Command interface {
	// kind is the command's number in kind.go.
	kind() Kind
	// subject is whose rows the command changes; it decides the slot, and where
	// the command's token is remembered.
	subject() Subject
	// append adds the command's fields.
	append(b []byte) []byte
	// decode reads what append added. Its errors are the reader's.
	decode(in *bin.Reader)
	// apply refuses or changes, and answers. The dispatcher has already looked
	// the token up and remembers the answer.
	apply(t *txn, h *Header) Result
}

// Subject is whose rows a command changes. Exactly one of Conversation and User
// is set, or neither: then it is the Slot, and the command has no token.
type Subject struct {
	Conversation wire.ConversationID
	User         wire.UserID
	Slot         wire.Slot
}

// Header is what all commands have in common.
type Header struct {
	App    wire.AppID
	Actor  wire.UserID // who asks; empty: the app itself, with its master key, or the cluster
	Token  Token
	Origin Origin
	Age    uint64 // milliseconds since the client sent it first; 0 the first time
}

// Origin is where a command came from, so that its answer and its push can be
// told from others.
type Origin struct {
	Node    string
	Session uint64
	Request uint64
}

// Token makes a command harmless when it is repeated. Its zero value is none.
type Token struct {
	Instance [16]byte // of a native token: the client instance
	N        uint64   // of a native token: 1, 2, 3 … for each conversation or user
	Random   string   // of a random token: 1 to 64 bytes, chosen at random by the client
}

func (t Token) isNative() bool { return t.N != 0 }

const (
	commandVersion = 1

	encodedBytes = 80 // a command's numbers and lengths, about

	tokenNone   = 0
	tokenNative = 1
	tokenRandom = 2
)

// EncodeCommand appends the durable form:
//
//	| version, 1 | kind | app | actor | token kind, 1 | token | node | session | request | age | fields of the kind
//
// where a native token is | instance, 16 | n | and a random one a string;
// strings have their length before them, numbers are uvarints.
func EncodeCommand(b []byte, h Header, c Command) []byte {
	size := encodedBytes + len(h.App) + len(h.Actor) + len(h.Token.Random) + len(h.Origin.Node)
	if send, ok := c.(*SendMessage); ok {
		size += len(send.Conversation) + len(send.From) + len(send.Body) + len(send.ContentType)
	}
	b = append(slices.Grow(b, size), commandVersion)
	b = bin.AppendUvarint(b, uint64(c.kind()))
	b = bin.AppendString(b, h.App)
	b = bin.AppendString(b, h.Actor)
	switch {
	case h.Token.isNative():
		b = append(b, tokenNative)
		b = append(b, h.Token.Instance[:]...)
		b = bin.AppendUvarint(b, h.Token.N)
	case h.Token.Random != "":
		b = append(b, tokenRandom)
		b = bin.AppendString(b, h.Token.Random)
	default:
		b = append(b, tokenNone)
	}
	b = bin.AppendString(b, h.Origin.Node)
	b = bin.AppendUvarint(b, h.Origin.Session)
	b = bin.AppendUvarint(b, h.Origin.Request)
	b = bin.AppendUvarint(b, h.Age)
	return c.append(b)
}

// DecodeCommand reads what EncodeCommand wrote. Bodies share b, ids do not.
func DecodeCommand(b []byte) (Header, Command, error) {
	in := bin.NewReader(b)
	checkVersion(in, commandVersion)
	kind := Kind(in.Uvarint())
	c := newCommand(kind)
	if in.Err() == nil && c == nil {
		return Header{}, nil, fmt.Errorf("decode a command: %s is not known", kind)
	}
	h := readHeader(in, &names{})
	if in.Err() == nil {
		c.decode(in)
	}
	if err := in.Close(); err != nil {
		return Header{}, nil, fmt.Errorf("decode a command, %s: %w", kind, err)
	}
	return h, c, nil
}

// CheckCommand returns the error that DecodeCommand would return, and for a send
// allocates nothing. What has not passed it must not be proposed: a command that
// cannot be decoded stops every replica.
func CheckCommand(b []byte) error {
	in := *bin.NewReader(b)
	version, kind := in.Byte(), Kind(in.Uvarint())
	if version != commandVersion || kind != kindSendMessage || in.Err() != nil {
		_, _, err := DecodeCommand(b)
		return err
	}
	var c SendMessage
	n := names{none: true}
	readHeader(&in, &n)
	c.read(&in, &n)
	if err := in.Close(); err != nil {
		return fmt.Errorf("decode a command, %s: %w", kind, err)
	}
	return nil
}

func readHeader(in *bin.Reader, n *names) Header {
	h := Header{App: readName[wire.AppID](in, n), Actor: readName[wire.UserID](in, n)}
	switch kind := in.Byte(); kind {
	case tokenNone:
	case tokenNative:
		copy(h.Token.Instance[:], in.Take(len(h.Token.Instance)))
		if h.Token.N = in.Uvarint(); h.Token.N == 0 {
			in.Fail(fmt.Errorf("%w: native token 0", bin.ErrRange))
		}
	case tokenRandom:
		if h.Token.Random = readID[string](in); h.Token.Random == "" {
			in.Fail(fmt.Errorf("%w: empty random token", bin.ErrRange))
		}
	default:
		in.Fail(fmt.Errorf("%w: token kind %d", bin.ErrRange, kind))
	}
	h.Origin = Origin{Node: readName[string](in, n), Session: in.Uvarint(), Request: in.Uvarint()}
	h.Age = in.Uvarint()
	return h
}

// SubjectOf returns whose rows the command changes.
func SubjectOf(c Command) Subject { return c.subject() }

// CommandSlot returns the one slot whose rows the command changes.
func CommandSlot(h Header, c Command) wire.Slot {
	switch s := c.subject(); {
	case s.Conversation != "":
		return wire.SlotOf(h.App, string(s.Conversation))
	case s.User != "":
		return wire.SlotOf(h.App, string(s.User))
	default:
		return s.Slot
	}
}
