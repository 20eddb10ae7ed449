package state

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/quorate/quorate/wire/bin"
)

// maxListed bounds the ids in one list of a command, row or result.
const maxListed = 1000

func appendUint64(b []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(b, v) }

// checkVersion reads the version byte of a durable form.
//
//nolint:unparam // each form has a version of its own; that all are 1 is the first day's
func checkVersion(in *bin.Reader, want byte) {
	if v := in.Byte(); v != want && in.Err() == nil {
		in.Fail(fmt.Errorf("version %d is not known, want %d", v, want))
	}
}

// readVersion reads the version byte of a durable form that has had several, the
// newest of which is known.
//
//nolint:unparam // each form has a newest version of its own; that all are 2 is the second day's
func readVersion(in *bin.Reader, newest byte) byte {
	v := in.Byte()
	if (v == 0 || v > newest) && in.Err() == nil {
		in.Fail(fmt.Errorf("version %d is not known, want 1 to %d", v, newest))
	}
	return v
}

// readID reads an id: at most 64 bytes, empty allowed.
func readID[S ~string](in *bin.Reader) S { return readName[S](in, &names{}) }

func appendIDs[S ~string](b []byte, ids []S) []byte {
	b = bin.AppendUvarint(b, uint64(len(ids)))
	for _, id := range ids {
		b = bin.AppendString(b, id)
	}
	return b
}

func readIDs[S ~string](in *bin.Reader, limit int) []S {
	n := in.Count(limit)
	if n == 0 {
		return nil
	}
	ids := make([]S, 0, n)
	for range n {
		ids = append(ids, readID[S](in))
	}
	if in.Err() != nil {
		return nil
	}
	return ids
}

func readUint32(in *bin.Reader) uint32 {
	v := in.Uvarint()
	if v > 1<<32-1 {
		in.Fail(fmt.Errorf("%w: %d in 32 bits", bin.ErrRange, v))
		return 0
	}
	return uint32(v)
}

// sortedKeys returns a map's keys in order: apply must not depend on a map's.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
