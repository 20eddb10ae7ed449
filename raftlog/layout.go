package raftlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/wire/bin"
)

// The log store's rows. Numbers in keys are big-endian, so that a shard's
// entries lie in order of their index.
//
//	key                                  value
//	+---+                                +---------+
//	|'F'|                                | version |  of all that Open opens
//	+---+                                +---------+
//	+---+----------+-----------+         +------+------+------+----+-----+-----+------+
//	|'L'| shard u32| index u64 |         | form | type | term | at | len | ext | data |
//	+---+----------+-----------+         +------+------+------+----+-----+-----+------+
//	+---+----------+-----------+         +-------------------+
//	|'S'| shard u32| name      |         | as raft set it    |
//	+---+----------+-----------+         +-------------------+
//
// In an entry, form and type are bytes, term and len are uvarints, at is a
// varint: nanoseconds since 1970, or 0 for none. Data reaches to the end.
const (
	formatTag = 'F'
	entryTag  = 'L'
	stableTag = 'S'

	formatVersion = 1
	entryForm     = 1

	entryKeyBytes  = 1 + 4 + 8
	entryHeadBytes = 3 + 3*binary.MaxVarintLen64
)

// errEntry is the cause when an entry on the disk cannot be read.
var errEntry = errors.New("raftlog: malformed entry")

func formatKey() []byte { return []byte{formatTag} }

func putEntryKey(key []byte, shard uint32, index uint64) {
	key[0] = entryTag
	binary.BigEndian.PutUint32(key[1:], shard)
	binary.BigEndian.PutUint64(key[5:], index)
}

func entryKey(shard uint32, index uint64) []byte {
	key := make([]byte, entryKeyBytes)
	putEntryKey(key, shard, index)
	return key
}

// entryBounds are the bounds of a shard's entries. No entry has the highest
// index there is.
func entryBounds(shard uint32) (lower, upper []byte) {
	return entryKey(shard, 0), entryKey(shard, math.MaxUint64)
}

func stableKey(shard uint32, name []byte) []byte {
	key := make([]byte, 0, 5+len(name))
	key = append(key, stableTag)
	key = binary.BigEndian.AppendUint32(key, shard)
	return append(key, name...)
}

// appendEntryHead appends what stands before an entry's data.
func appendEntryHead(b []byte, l *raft.Log) []byte {
	b = append(b, entryForm, byte(l.Type))
	b = bin.AppendUvarint(b, l.Term)
	var at int64
	if !l.AppendedAt.IsZero() {
		at = l.AppendedAt.UnixNano()
	}
	b = bin.AppendVarint(b, at)
	return bin.AppendString(b, l.Extensions)
}

// decodeEntry reads a value into an entry, which takes copies of what it keeps.
func decodeEntry(index uint64, value []byte, l *raft.Log) error {
	r := bin.NewReader(value)
	if form := r.Byte(); r.Err() == nil && form != entryForm {
		return fmt.Errorf("%w: index %d has form %d", errEntry, index, form)
	}
	kind := raft.LogType(r.Byte())
	term := r.Uvarint()
	at := r.Varint()
	ext := r.Bytes()
	if err := r.Err(); err != nil {
		return fmt.Errorf("%w: index %d: %w", errEntry, index, err)
	}
	data := r.Rest()
	*l = raft.Log{Index: index, Term: term, Type: kind}
	both := append(make([]byte, 0, len(ext)+len(data)), ext...)
	both = append(both, data...)
	if len(ext) > 0 {
		l.Extensions = both[:len(ext):len(ext)]
	}
	if len(data) > 0 {
		l.Data = both[len(ext):]
	}
	if at != 0 {
		l.AppendedAt = time.Unix(0, at)
	}
	return nil
}
