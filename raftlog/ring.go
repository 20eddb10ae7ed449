package raftlog

import "github.com/hashicorp/raft"

// entryOverhead is what an entry costs in memory beside its bytes.
const entryOverhead = 128

// ring keeps a shard's last entries: raft asks for each of them again, once for
// every follower and once to apply it. The entries are dense; the oldest are
// dropped when there are too many bytes.
type ring struct {
	entries []*raft.Log // circular; its length is a power of two
	first   uint64      // index of the oldest entry
	count   int
	bytes   int
}

func entryBytes(l *raft.Log) int { return len(l.Data) + len(l.Extensions) + entryOverhead }

func (r *ring) slot(index uint64) *(*raft.Log) {
	return &r.entries[index&uint64(len(r.entries)-1)]
}

// get returns the entry, or nil.
func (r *ring) get(index uint64) *raft.Log {
	if index < r.first || index >= r.first+uint64(r.count) {
		return nil
	}
	return *r.slot(index)
}

// add appends an entry. One that does not follow on the last starts anew.
func (r *ring) add(l *raft.Log, limit int) {
	if r.count > 0 && l.Index != r.first+uint64(r.count) {
		r.clear()
	}
	if r.count == 0 {
		r.first = l.Index
	}
	if r.count == len(r.entries) {
		r.grow()
	}
	*r.slot(l.Index) = l
	r.count++
	r.bytes += entryBytes(l)
	r.trim(limit)
}

// trim drops the oldest entries until no more than limit bytes are left.
func (r *ring) trim(limit int) {
	for r.bytes > limit {
		r.dropFirst()
	}
}

// dropTo drops the entries up to and including index.
func (r *ring) dropTo(index uint64) {
	for r.count > 0 && r.first <= index {
		r.dropFirst()
	}
}

// dropFrom drops index and the entries after it.
func (r *ring) dropFrom(index uint64) {
	for r.count > 0 && r.first+uint64(r.count) > index {
		last := r.slot(r.first + uint64(r.count) - 1)
		r.bytes -= entryBytes(*last)
		*last = nil
		r.count--
	}
}

func (r *ring) dropFirst() {
	first := r.slot(r.first)
	r.bytes -= entryBytes(*first)
	*first = nil
	r.first++
	r.count--
}

func (r *ring) clear() { *r = ring{} }

func (r *ring) grow() {
	bigger := make([]*raft.Log, max(64, 2*len(r.entries)))
	for i := range uint64(r.count) {
		bigger[(r.first+i)&uint64(len(bigger)-1)] = *r.slot(r.first + i)
	}
	r.entries = bigger
}
