package state

import (
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// A cursorRow is how far a member has read a conversation, and how far it was
// delivered to him. Neither part ever goes back.
//
//	| version 1 | read seq | read at | delivered seq | delivered at |
type cursorRow struct {
	Read        wire.Seq
	ReadAt      int64 // milliseconds
	Delivered   wire.Seq
	DeliveredAt int64 // milliseconds
}

func (c cursorRow) encode(dst []byte) []byte {
	dst = append(dst, userVersion)
	dst = bin.AppendUvarint(dst, uint64(c.Read))
	dst = bin.AppendVarint(dst, c.ReadAt)
	dst = bin.AppendUvarint(dst, uint64(c.Delivered))
	return bin.AppendVarint(dst, c.DeliveredAt)
}

func decodeCursorRow(b []byte) (cursorRow, error) {
	r := openRow(b)
	c := cursorRow{
		Read:        wire.Seq(r.Uvarint()),
		ReadAt:      r.Varint(),
		Delivered:   wire.Seq(r.Uvarint()),
		DeliveredAt: r.Varint(),
	}
	return c, closeRow(r, "cursor")
}

// A mentionRow, keyed (conversation, member or nobody for all, sequence), says
// who mentioned; nobody is mentioned by himself.
//
//	| version 1 | from |
type mentionRow struct {
	From wire.UserID
}

func (m mentionRow) encode(dst []byte) []byte {
	return bin.AppendString(append(dst, userVersion), m.From)
}

func decodeMentionRow(b []byte) (mentionRow, error) {
	r := openRow(b)
	m := mentionRow{From: readID[wire.UserID](r)}
	return m, closeRow(r, "mention")
}
