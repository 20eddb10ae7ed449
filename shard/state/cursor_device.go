package state

import (
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

func (c *MoveDeviceCursor) apply(t *txn, h *Header) Result { return refuse(Invalid, "not yet") }

// DeviceCursor returns how far a device of a member was handed the conversation;
// 0: not at all.
func (s *Queries) DeviceCursor(app wire.AppID, id wire.ConversationID, user wire.UserID, device string) (wire.Seq, error) {
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
