package state

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// Unread of a member whose read cursor is at p, in a conversation with unread:
//
//	(C(last) − C(p)) + (E(last) − E(p)) − R(p)
//
// C is kept in each message's row (Message.Count) and for the floor in the
// head. E is a row (conversation, user, sequence) with the sum so far, this one
// included: −1 for an own message that was counted, +1 for one that counts only
// for this user; E(p) is the last row at or below p. R is a row (conversation,
// sequence) for a counted message that was recalled where that lowers unread;
// it says for whom the message counted: all but its sender, or the targets but
// the sender. A trim keeps each user's last exception at or below the floor, so
// for p below the floor both C and E are taken at the floor.

// exceptions is the running sum of a user's unread exceptions, once read.
type exceptions struct {
	known bool
	sum   int64
}

const exceptionVersion = 1

func appendException(b []byte, sum int64) []byte {
	return bin.AppendVarint(append(b, exceptionVersion), sum)
}

func decodeException(b []byte) (int64, error) {
	in := bin.NewReader(b)
	checkVersion(in, exceptionVersion)
	sum := in.Varint()
	if err := in.Close(); err != nil {
		return 0, fmt.Errorf("decode an unread exception: %w", err)
	}
	return sum, nil
}

// exceptionSum returns E(p): a user's running sum at the last exception at or
// below a sequence.
func exceptionSum(r reader, s scope, user wire.UserID, p wire.Seq) int64 {
	var sum int64
	lo := s.nameNumber(nil, tableException, string(user), 0)
	hi := s.nameNumber(nil, tableException, string(user), uint64(p)+1)
	r.scanBack(lo, hi, func(_, v []byte) bool {
		var err error
		if sum, err = decodeException(v); err != nil {
			r.fail(err)
		}
		return false
	})
	return sum
}

// except adds to a user's running sum at a sequence, the conversation's newest.
func (t *txn) except(s scope, user wire.UserID, seq wire.Seq, delta int64) {
	m := t.member(s, user)
	if !m.exceptions.known {
		m.exceptions = exceptions{known: true, sum: exceptionSum(t, s, user, seq)}
	}
	m.exceptions.sum += delta
	t.keyBuf = s.nameNumber(t.keyBuf[:0], tableException, string(user), uint64(seq))
	t.valBuf = appendException(t.valBuf[:0], m.exceptions.sum)
	t.put(t.keyBuf, t.valBuf)
}

// recallRow is the decoded R row: for whom the message had counted.
type recallRow struct {
	from    wire.UserID
	targets []wire.UserID // none: all members
}

const recalledVersion = 1

func appendRecalled(b []byte, r recallRow) []byte {
	b = bin.AppendString(append(b, recalledVersion), r.from)
	return appendIDs(b, r.targets)
}

func decodeRecalled(b []byte) (recallRow, error) {
	in := bin.NewReader(b)
	checkVersion(in, recalledVersion)
	r := recallRow{from: readID[wire.UserID](in), targets: readIDs[wire.UserID](in, wire.MaxTargets)}
	if err := in.Close(); err != nil {
		return recallRow{}, fmt.Errorf("decode a recalled message's row: %w", err)
	}
	return r, nil
}

// countedFor tells whether the recalled message had counted for the user.
func (r recallRow) countedFor(user wire.UserID) bool {
	if user == r.from {
		return false
	}
	return len(r.targets) == 0 || slices.Contains(r.targets, user)
}

// loadRecalled returns for how many recalled messages after p, of the first
// limit rows, the message had counted for the user: R(p).
func loadRecalled(r reader, s scope, user wire.UserID, p wire.Seq, limit int) uint64 {
	var n uint64
	lo := s.number(nil, tableRecalled, uint64(p)+1)
	r.scan(lo, prefixEnd(s.key(nil, tableRecalled)), func(_, v []byte) bool {
		row, err := decodeRecalled(bytes.Clone(v))
		if err != nil {
			r.fail(err)
			return false
		}
		if row.countedFor(user) {
			n++
		}
		limit--
		return limit > 0
	})
	return n
}
