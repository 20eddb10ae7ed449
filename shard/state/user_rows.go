package state

import (
	"fmt"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// userVersion is the first byte of every value of the user's tables.
const userVersion = 1

// userHeadVersion is the newest one of a user's head.
const userHeadVersion = 2

// openRow checks the version byte of a value and returns a reader of the rest.
func openRow(b []byte) *bin.Reader {
	r := bin.NewReader(b)
	checkVersion(r, userVersion)
	return r
}

// closeRow is the reader's Close, saying what row was read.
func closeRow(r *bin.Reader, what string) error {
	if err := r.Close(); err != nil {
		return fmt.Errorf("decode a row, %s: %w", what, err)
	}
	return nil
}

// A userHead is what is kept once for a user.
//
//	| version 1 | last | floor | valid after | logins | wills | blocks |
//
// and, of one who is banned, with version 2
//
//	| banned, 1 |
type userHead struct {
	Last       wire.Offset // of the user log
	Floor      wire.Offset // entries up to here are not kept any more
	ValidAfter int64       // milliseconds: session tokens issued before it open nothing
	Logins     uint64      // login numbers given out
	Wills      uint64      // wills fired; the version of the last one's outbox row
	Blocks     uint64      // conversations blocked now
	Banned     bool        // the app does not let him sign in
}

func (h userHead) encode(dst []byte) []byte {
	version := byte(1)
	if h.Banned {
		version = userHeadVersion
	}
	dst = append(dst, version)
	dst = bin.AppendUvarint(dst, uint64(h.Last))
	dst = bin.AppendUvarint(dst, uint64(h.Floor))
	dst = bin.AppendVarint(dst, h.ValidAfter)
	dst = bin.AppendUvarint(dst, h.Logins)
	dst = bin.AppendUvarint(dst, h.Wills)
	dst = bin.AppendUvarint(dst, h.Blocks)
	if version == 1 {
		return dst
	}
	return bin.AppendBool(dst, h.Banned)
}

func decodeUserHead(b []byte) (userHead, error) {
	r := bin.NewReader(b)
	version := readVersion(r, userHeadVersion)
	h := userHead{
		Last:       wire.Offset(r.Uvarint()),
		Floor:      wire.Offset(r.Uvarint()),
		ValidAfter: r.Varint(),
		Logins:     r.Uvarint(),
		Wills:      r.Uvarint(),
		Blocks:     r.Uvarint(),
	}
	if version > 1 {
		h.Banned = r.Bool()
	}
	return h, closeRow(r, "user head")
}

// A membershipRow is what a user's shard knows of one of his conversations. It
// is derived: the conversation's own member row decides who may see. A row
// with Present unset is a tombstone, kept for its version.
//
//	| version 1 | membership version | present | joined offset | joined at | by | entry |
type membershipRow struct {
	Version  uint64      // the conversation offset of the change it tells
	Present  bool        // a member now
	Joined   wire.Offset // conversation offset of the join
	JoinedAt int64       // milliseconds
	By       wire.UserID // who added him; empty: the app
	Entry    wire.Offset // user log offset that told the join; the row's place in the list of memberships
}

func (m membershipRow) encode(dst []byte) []byte {
	dst = append(dst, userVersion)
	dst = bin.AppendUvarint(dst, m.Version)
	dst = bin.AppendBool(dst, m.Present)
	dst = bin.AppendUvarint(dst, uint64(m.Joined))
	dst = bin.AppendVarint(dst, m.JoinedAt)
	dst = bin.AppendString(dst, m.By)
	return bin.AppendUvarint(dst, uint64(m.Entry))
}

func decodeMembershipRow(b []byte) (membershipRow, error) {
	r := openRow(b)
	m := membershipRow{
		Version:  r.Uvarint(),
		Present:  r.Bool(),
		Joined:   wire.Offset(r.Uvarint()),
		JoinedAt: r.Varint(),
		By:       readID[wire.UserID](r),
		Entry:    wire.Offset(r.Uvarint()),
	}
	return m, closeRow(r, "membership")
}

// A blockRow says whether a user blocks a conversation. The user's shard and the
// conversation's each have one; the conversation's is derived.
//
//	| version 1 | block version | blocked |
type blockRow struct {
	Version uint64 // the user log offset of the change
	Blocked bool
}

func (k blockRow) encode(dst []byte) []byte {
	dst = append(dst, userVersion)
	dst = bin.AppendUvarint(dst, k.Version)
	return bin.AppendBool(dst, k.Blocked)
}

func decodeBlockRow(b []byte) (blockRow, error) {
	r := openRow(b)
	k := blockRow{Version: r.Uvarint(), Blocked: r.Bool()}
	return k, closeRow(r, "block")
}
