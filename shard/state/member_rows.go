package state

import (
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// A bannedRow says that a conversation keeps a user out.
//
//	| version 1 | since | by |
type bannedRow struct {
	Since int64       // milliseconds
	By    wire.UserID // empty: the app
}

func (n bannedRow) encode(dst []byte) []byte {
	dst = append(dst, userVersion)
	dst = bin.AppendVarint(dst, n.Since)
	return bin.AppendString(dst, n.By)
}

func decodeBannedRow(b []byte) (bannedRow, error) {
	r := openRow(b)
	n := bannedRow{Since: r.Varint(), By: readID[wire.UserID](r)}
	return n, closeRow(r, "banned")
}

// A mutedRow says that a user may not speak in a conversation that stores no
// members. One that ends has a timer, and counts for nothing after its time.
//
//	| version 1 | until |
type mutedRow struct {
	Until int64 // milliseconds; 0: for ever
}

func (m mutedRow) mutedAt(now int64) bool { return m.Until == 0 || now < m.Until }

func (m mutedRow) encode(dst []byte) []byte {
	return bin.AppendVarint(append(dst, userVersion), m.Until)
}

func decodeMutedRow(b []byte) (mutedRow, error) {
	r := openRow(b)
	m := mutedRow{Until: r.Varint()}
	return m, closeRow(r, "muted")
}

// A deviceCursorRow is how far a device of a member was handed the conversation.
//
//	| version 1 | delivered | at |
type deviceCursorRow struct {
	Delivered wire.Seq
	At        int64 // milliseconds of the last move
}

func (d deviceCursorRow) encode(dst []byte) []byte {
	dst = bin.AppendUvarint(append(dst, userVersion), uint64(d.Delivered))
	return bin.AppendVarint(dst, d.At)
}

func decodeDeviceCursorRow(b []byte) (deviceCursorRow, error) {
	r := openRow(b)
	d := deviceCursorRow{Delivered: wire.Seq(r.Uvarint()), At: r.Varint()}
	return d, closeRow(r, "device cursor")
}
