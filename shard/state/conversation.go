package state

import (
	"fmt"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// conversation is a conversation's two rows, decoded: the head, which every
// send changes, and the info, which seldom changes and may be large. In apply
// it is cached and changed in place.
type conversation struct {
	scope scope
	head  head
	info  Info

	touched uint64 // index of the last entry that changed the head: it is in the txn's dirty list
}

// head is what a send changes of a conversation, and what is left of it when it
// is gone: the tombstone, kept for ever.
type head struct {
	flags     byte
	seq       wire.Seq    // last message's
	offset    wire.Offset // last entry's
	timestamp int64       // last message's; 0: there was none
	count     uint64      // C: counted messages so far; also kept in each message
	members   uint32

	// The retention floor: everything up to here was trimmed.
	floorOffset wire.Offset
	floorSeq    wire.Seq
	floorCount  uint64 // C at floorSeq

	gone int64 // when it was destroyed or expired; 0: it was not

	// Of the second version, which is that of a head in which one of them is set.
	asked    wire.Seq // last message that asked for a receipt
	bans     uint32   // users who are kept out
	managers uint32
	mutes    uint32 // members muted for ever or, where no members are stored, users muted at all
}

const (
	headMuted   = 1 << iota // nobody below a manager may speak
	headGone                // destroyed: the tombstone
	headExpired             // by its time
	headRoles               // roles were given
	headFlagsEnd
)

// Info is what is known of a conversation beside its counts.
type Info struct {
	Policy     Policy
	Name       string
	Creator    wire.UserID
	Created    int64 // milliseconds since 1970
	Updated    int64 // last change of info, members, roles, mutes or blocks; grows with each
	Patched    int64 // last edit or recall of a message; grows with each, and with Updated
	Expires    int64 // 0: never
	Unique     bool
	Properties []Property // sorted by name
}

// Property is one of a conversation's properties; the value is JSON.
type Property struct {
	Name  string
	Value []byte
}

const (
	headVersion = 2
	infoVersion = 2

	maxProperties    = 100
	maxPropertyName  = 128
	maxPropertyBytes = 16 << 10 // of all names and values together
	maxNameBytes     = 1024     // of a conversation's name
)

// appendHead appends
//
//	| version, 1 | flags, 1 | seq | offset | timestamp | count | members | floor offset | floor seq | floor count | gone |
//
// and in the second version
//
//	| asked | bans | mutes | managers |
func appendHead(b []byte, h *head) []byte {
	version := byte(1)
	if h.asked != 0 || h.bans != 0 || h.mutes != 0 || h.managers != 0 {
		version = headVersion
	}
	b = append(b, version, h.flags)
	for _, v := range [...]uint64{
		uint64(h.seq), uint64(h.offset), uint64(h.timestamp), h.count, uint64(h.members),
		uint64(h.floorOffset), uint64(h.floorSeq), h.floorCount, uint64(h.gone),
	} {
		b = bin.AppendUvarint(b, v)
	}
	if version == 1 {
		return b
	}
	b = bin.AppendUvarint(b, uint64(h.asked))
	b = bin.AppendUvarint(b, uint64(h.bans))
	b = bin.AppendUvarint(b, uint64(h.mutes))
	return bin.AppendUvarint(b, uint64(h.managers))
}

func decodeHead(b []byte) (head, error) {
	in := bin.NewReader(b)
	version := readVersion(in, headVersion)
	h := head{flags: in.Byte()}
	if h.flags >= headFlagsEnd {
		in.Fail(fmt.Errorf("%w: head flags %x", bin.ErrRange, h.flags))
	}
	h.seq, h.offset = wire.Seq(in.Uvarint()), wire.Offset(in.Uvarint())
	h.timestamp, h.count = int64(in.Uvarint()), in.Uvarint()
	h.members = readUint32(in)
	h.floorOffset, h.floorSeq, h.floorCount = wire.Offset(in.Uvarint()), wire.Seq(in.Uvarint()), in.Uvarint()
	h.gone = int64(in.Uvarint())
	if version > 1 {
		h.asked, h.bans, h.mutes = wire.Seq(in.Uvarint()), readUint32(in), readUint32(in)
		h.managers = readUint32(in)
	}
	if err := in.Close(); err != nil {
		return head{}, fmt.Errorf("decode a conversation's head: %w", err)
	}
	return h, nil
}

// appendInfo appends
//
//	| version, 1 | policy | name | creator | created | updated | patched | expires | unique, 1 | properties: count | name | value | ...
//
// The first version has a shorter policy, and no patched. It is that of an info of
// which it says everything.
func appendInfo(b []byte, c *Info) []byte {
	version := byte(infoVersion)
	if c.Patched == 0 && c.Policy.isFirst() {
		version = 1
	}
	b = append(b, version)
	b = appendPolicy(b, &c.Policy, version)
	b = bin.AppendString(b, c.Name)
	b = bin.AppendString(b, c.Creator)
	b = bin.AppendUvarint(b, uint64(c.Created))
	b = bin.AppendUvarint(b, uint64(c.Updated))
	if version > 1 {
		b = bin.AppendUvarint(b, uint64(c.Patched))
	}
	b = bin.AppendUvarint(b, uint64(c.Expires))
	b = bin.AppendBool(b, c.Unique)
	return appendProperties(b, c.Properties)
}

func decodeInfo(b []byte) (Info, error) {
	in := bin.NewReader(b)
	version := readVersion(in, infoVersion)
	c := Info{
		Policy: readPolicy(in, version), Name: in.String(), Creator: readID[wire.UserID](in),
		Created: int64(in.Uvarint()), Updated: int64(in.Uvarint()),
	}
	if version > 1 {
		c.Patched = int64(in.Uvarint())
	}
	c.Expires, c.Unique, c.Properties = int64(in.Uvarint()), in.Bool(), readProperties(in)
	if err := in.Close(); err != nil {
		return Info{}, fmt.Errorf("decode a conversation's info: %w", err)
	}
	return c, nil
}

func appendProperties(b []byte, ps []Property) []byte {
	b = bin.AppendUvarint(b, uint64(len(ps)))
	for _, p := range ps {
		b = bin.AppendString(b, p.Name)
		b = bin.AppendString(b, p.Value)
	}
	return b
}

// readProperties copies the values: they outlive the input.
func readProperties(in *bin.Reader) []Property {
	n := in.Count(maxProperties)
	if n == 0 {
		return nil
	}
	ps := make([]Property, 0, n)
	for range n {
		ps = append(ps, Property{Name: in.String(), Value: append([]byte(nil), in.Bytes()...)})
	}
	return ps
}

// loadConversation reads a conversation, gone or not; nil when there was none.
func loadConversation(r reader, s scope) *conversation {
	b := r.get(s.key(nil, tableHead))
	if b == nil {
		return nil
	}
	c := &conversation{scope: s}
	var err error
	if c.head, err = decodeHead(b); err != nil {
		r.fail(err)
		return nil
	}
	if b = r.get(s.key(nil, tableInfo)); b == nil {
		return c // a tombstone
	}
	if c.info, err = decodeInfo(b); err != nil {
		r.fail(err)
		return nil
	}
	return c
}

// conversation returns a conversation to read and change; nil when there was
// none. It may be gone: see live.
func (t *txn) conversation(s scope) *conversation {
	if s.root == "" {
		return nil // its rows would lie in a slot that the command is not for
	}
	t.keyBuf = s.key(t.keyBuf[:0], tableHead)
	if c := t.s.conversations.get(t.keyBuf); c != nil {
		return c
	}
	c := loadConversation(t, s)
	if c != nil {
		t.s.conversations.put(s.key(nil, tableHead), c)
	}
	return c
}

// live refuses a conversation that is not there, or not any more. A row past
// its time is gone, though only a sweep removes it.
func (c *conversation) live(now int64) Refusal {
	switch {
	case c == nil:
		return NotFound
	case c.head.flags&headGone != 0, c.info.Expires != 0 && now >= c.info.Expires:
		return Gone
	default:
		return None
	}
}

func (c *conversation) id() wire.ConversationID { return wire.ConversationID(c.scope.root) }

func (c *conversation) log() LogKey { return LogKey{App: c.scope.app, Conversation: c.id()} }

// touch has the head written when the entry ends.
func (c *conversation) touch(t *txn) {
	if c.touched != t.index {
		c.touched = t.index
		t.touch(c)
	}
}

// write implements dirtyRow.
func (c *conversation) write(t *txn) {
	t.keyBuf = c.scope.key(t.keyBuf[:0], tableHead)
	t.valBuf = appendHead(t.valBuf[:0], &c.head)
	t.put(t.keyBuf, t.valBuf)
}

// writeInfo writes the info at once.
func (c *conversation) writeInfo(t *txn) {
	t.keyBuf = c.scope.key(t.keyBuf[:0], tableInfo)
	t.valBuf = appendInfo(t.valBuf[:0], &c.info)
	t.put(t.keyBuf, t.valBuf)
	c.tellChanged(t)
}

func (c *conversation) tellChanged(t *txn) {
	if t.told != nil {
		t.told.Changed = append(t.told.Changed, c.log())
	}
}

// next is the time of the next change or patch, after all that were before. So
// who knows the time up to which he has seen the entries that are not messages
// knows which ones he has not.
func (c *Info) next(stamp int64) int64 { return max(stamp, c.Updated+1, c.Patched+1) }

// update gives the conversation the time of a change, and writes the info. A
// command does it once, before its entries.
func (c *conversation) update(t *txn) int64 {
	c.info.Updated = c.info.next(t.stamp)
	c.writeInfo(t)
	return c.info.Updated
}

// append adds an entry that is not a message to the conversation's log, with the
// next offset, the actor and, if it has none, the time of the last change.
func (c *conversation) append(t *txn, e *Entry) wire.Offset {
	c.head.offset++
	e.Offset, e.Seq = c.head.offset, c.head.seq
	if e.Stamp == 0 {
		e.Stamp = c.info.Updated
	}
	e.Actor = t.header.Actor
	c.touch(t)
	t.appendEntry(c.scope, c.log(), e)
	return e.Offset
}
