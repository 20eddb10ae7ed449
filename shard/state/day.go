package state

import (
	"encoding/binary"
	"fmt"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// DayRow says that a conversation has messages of a day, and from which on. It
// is written with the day's first message, for app-wide history and export.
type DayRow struct {
	Conversation wire.ConversationID
	First        wire.Seq
}

const dayVersion = 1

func dayPrefix(b []byte, slot wire.Slot, app wire.AppID, day uint32) []byte {
	b = appendShort(appendTable(b, slot, tableDay), app)
	return binary.BigEndian.AppendUint32(b, day)
}

func (c *conversation) dayKey(b []byte, timestamp int64) []byte {
	return append(dayPrefix(b, c.scope.slot, c.scope.app, uint32(timestamp/dayMillis)), c.scope.root...)
}

func appendDay(b []byte, first wire.Seq) []byte {
	return bin.AppendUvarint(append(b, dayVersion), uint64(first))
}

func decodeDay(b []byte) (wire.Seq, error) {
	in := bin.NewReader(b)
	checkVersion(in, dayVersion)
	first := wire.Seq(in.Uvarint())
	if err := in.Close(); err != nil {
		return 0, fmt.Errorf("decode a day's row: %w", err)
	}
	return first, nil
}
