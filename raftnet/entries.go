package raftnet

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/wire/bin"
)

// An append:
//
//	| header | term | previous index | previous term | commit index | count | entries |
//
// and each entry, whose index is one more than the one before it, the first
// one's one more than the previous index:
//
//	| term | type, 1 | appended at, nanoseconds since 1970, 0: unknown | data | extensions |

// entryBytes is more than an entry takes beside its data.
const entryBytes = 48

// errGap is returned for an append whose entries are not consecutive. raft
// does not make such.
var errGap = errors.New("raftnet: entries are not consecutive")

// isHeartbeat tells a heartbeat as raft sends it from an append.
func isHeartbeat(m *raft.AppendEntriesRequest) bool {
	return m.PrevLogEntry == 0 && m.PrevLogTerm == 0 && len(m.Entries) == 0 && m.LeaderCommitIndex == 0
}

// cut leaves as many entries in the append as fit into the bytes, at least
// one. raft reads from what is left how far the follower came.
func cut(m *raft.AppendEntriesRequest, maxBytes int) {
	sum := 0
	for i, e := range m.Entries {
		sum += len(e.Data) + len(e.Extensions) + entryBytes
		if sum > maxBytes && i > 0 {
			m.Entries = m.Entries[:i]
			return
		}
	}
}

// appendSize is at least the size of the append's frame.
func appendSize(m *raft.AppendEntriesRequest) int {
	n := headBytes + len(m.ID) + 64
	for _, e := range m.Entries {
		n += len(e.Data) + len(e.Extensions) + entryBytes
	}
	return n
}

func appendAppend(b []byte, m *raft.AppendEntriesRequest) ([]byte, error) {
	b = appendHeader(b, m.RPCHeader)
	b = bin.AppendUvarint(b, m.Term)
	b = bin.AppendUvarint(b, m.PrevLogEntry)
	b = bin.AppendUvarint(b, m.PrevLogTerm)
	b = bin.AppendUvarint(b, m.LeaderCommitIndex)
	b = bin.AppendUvarint(b, uint64(len(m.Entries)))
	for i, e := range m.Entries {
		if e.Index != m.PrevLogEntry+uint64(i)+1 {
			return nil, fmt.Errorf("%w: %d at place %d after %d", errGap, e.Index, i, m.PrevLogEntry)
		}
		b = bin.AppendUvarint(b, e.Term)
		b = append(b, byte(e.Type))
		at := int64(0)
		if !e.AppendedAt.IsZero() {
			at = e.AppendedAt.UnixNano()
		}
		b = bin.AppendVarint(b, at)
		b = bin.AppendString(b, e.Data)
		b = bin.AppendString(b, e.Extensions)
	}
	return b, nil
}

// append decodes an append that shares nothing with the body: raft keeps the
// entries. One copy and one slice hold all of them.
func (s sender) append(body []byte) (*raft.AppendEntriesRequest, error) {
	r := bin.NewReader(body)
	m := &raft.AppendEntriesRequest{RPCHeader: s.header(r)}
	m.Term, m.PrevLogEntry, m.PrevLogTerm, m.LeaderCommitIndex = r.Uvarint(), r.Uvarint(), r.Uvarint(), r.Uvarint()
	count := r.Count(maxEntries)
	if m.PrevLogEntry > math.MaxUint64-maxEntries {
		r.Fail(fmt.Errorf("%w: previous index %d", errFrame, m.PrevLogEntry))
	}
	if r.Err() != nil || count == 0 {
		return m, r.Close()
	}
	r = bin.NewReader(bytes.Clone(r.Rest()))
	entries := make([]raft.Log, count)
	m.Entries = make([]*raft.Log, count)
	for i := range entries {
		decodeEntry(r, &entries[i], m.PrevLogEntry+uint64(i)+1)
		m.Entries[i] = &entries[i]
	}
	return m, r.Close()
}

func decodeEntry(r *bin.Reader, e *raft.Log, index uint64) {
	e.Index, e.Term, e.Type = index, r.Uvarint(), raft.LogType(r.Byte())
	if at := r.Varint(); at != 0 {
		e.AppendedAt = time.Unix(0, at)
	}
	e.Data, e.Extensions = r.Bytes(), r.Bytes()
	switch e.Type {
	case raft.LogCommand, raft.LogNoop, raft.LogBarrier:
	case raft.LogConfiguration:
		if r.Err() == nil && !isConfiguration(e.Data) {
			r.Fail(fmt.Errorf("%w: entry %d is no configuration", errFrame, index))
		}
	case raft.LogAddPeerDeprecated, raft.LogRemovePeerDeprecated:
		fallthrough
	default:
		// Deprecated, or of a newer raft: we could not apply it.
		r.Fail(fmt.Errorf("%w: entry %d of type %d", errFrame, index, e.Type))
	}
}
