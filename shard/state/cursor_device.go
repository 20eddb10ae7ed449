package state

import (
	"bytes"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// MoveDeviceCursor says how far one device of a member has been handed the
// conversation. It never goes back, and is gone with the membership.
type MoveDeviceCursor struct {
	Conversation wire.ConversationID
	User         wire.UserID
	Device       string // 1 to 64 bytes
	Delivered    wire.Seq
}

func (*MoveDeviceCursor) kind() Kind { return kindMoveDeviceCursor }

func (c *MoveDeviceCursor) subject() Subject { return Subject{Conversation: c.Conversation} }

func (c *MoveDeviceCursor) append(b []byte) []byte {
	b = bin.AppendString(bin.AppendString(b, c.Conversation), c.User)
	return bin.AppendUvarint(bin.AppendString(b, c.Device), uint64(c.Delivered))
}

func (c *MoveDeviceCursor) decode(in *bin.Reader) {
	c.Conversation = readID[wire.ConversationID](in)
	c.User = readID[wire.UserID](in)
	c.Device = readID[string](in)
	c.Delivered = wire.Seq(in.Uvarint())
}

// maxDevices is how many devices' cursors of a member are kept: another one takes
// the place of the one that was moved the longest time ago.
const maxDevices = 16

func (c *MoveDeviceCursor) apply(t *txn, h *Header) Result {
	conv := t.conversation(conversationScope(h.App, c.Conversation))
	if r := conv.live(t.stamp); r != None {
		return refuse(r, "")
	}
	switch {
	case c.Device == "":
		return refuse(Invalid, "the device is not named")
	case h.Actor != "" && h.Actor != c.User:
		return refuse(Forbidden, "a user moves only the cursors of his own devices")
	case !conv.info.Policy.Members:
		return refuse(Forbidden, "nobody's place is kept here")
	case t.member(conv.scope, c.User).User == "":
		return refuse(NotMember, "")
	}
	old := loadDeviceCursor(t, conv.scope, c.User, c.Device)
	delivered := min(c.Delivered, conv.head.seq)
	if delivered <= old.Delivered {
		return Result{Seq: old.Delivered, Timestamp: old.At}
	}
	if old.At == 0 {
		makeRoom(t, conv.scope, c.User)
	}
	row := deviceCursorRow{Delivered: delivered, At: t.stamp}
	t.put(deviceCursorKey(conv.scope, c.User, c.Device), row.encode(nil))
	return Result{Seq: delivered, Timestamp: t.stamp, Count: 1}
}

// makeRoom removes the cursor that was moved the longest time ago if a member has
// as many as are kept.
func makeRoom(t *txn, s scope, user wire.UserID) {
	n := 0
	var oldest []byte
	var at int64
	prefix := deviceCursorKey(s, user, "")
	t.scan(prefix, prefixEnd(prefix), func(key, value []byte) bool {
		row, err := decodeDeviceCursorRow(value)
		if err != nil {
			t.fail(err)
			return false
		}
		if n++; oldest == nil || row.At < at {
			oldest, at = bytes.Clone(key), row.At
		}
		return true
	})
	if n >= maxDevices {
		t.delete(oldest)
	}
}

// forgetDevices removes the cursors of a member's devices.
func forgetDevices(t *txn, s scope, user wire.UserID) {
	prefix := deviceCursorKey(s, user, "")
	for _, key := range keysOf(t, prefix, prefixEnd(prefix), maxDevices) {
		t.delete(key)
	}
}

// DeviceCursor returns how far a device of a member was handed the conversation;
// 0: not at all.
func (s *Listings) DeviceCursor(app wire.AppID, id wire.ConversationID, user wire.UserID, device string) (wire.Seq, error) {
	v, err := s.view()
	if err != nil {
		return 0, err
	}
	sc := conversationScope(app, id)
	if _, _, refused := readable(v, sc, user); refused != nil {
		return 0, closeRefused(v, refused)
	}
	row := loadDeviceCursor(v, sc, user, device)
	return row.Delivered, v.close()
}

func deviceCursorKey(s scope, user wire.UserID, device string) []byte {
	return append(appendShort(s.key(nil, tableDeviceCursor), user), device...)
}

func loadDeviceCursor(r reader, s scope, user wire.UserID, device string) deviceCursorRow {
	b := r.get(deviceCursorKey(s, user, device))
	if b == nil {
		return deviceCursorRow{}
	}
	row, err := decodeDeviceCursorRow(b)
	if err != nil {
		r.fail(err)
	}
	return row
}
