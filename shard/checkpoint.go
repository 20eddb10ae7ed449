package shard

import "slices"

// Checkpoint is the hash chain over all writes of the entries up to an index.
// Replicas of a shard that have the same index have the same chain.
type Checkpoint struct {
	Index uint64
	Chain uint64
}

// Checkpoints are noted each checkpointEvery entries; the newest
// checkpointsKept are kept in memory.
const (
	checkpointEvery = 1000
	checkpointsKept = 64
)

// blockOf tells between which two checkpoints an index lies: those up to and
// including 1000 are in block 0.
func blockOf(index uint64) uint64 {
	if index == 0 {
		return 0
	}
	return (index - 1) / checkpointEvery
}

// ring holds the newest checkpoints.
type ring struct {
	kept [checkpointsKept]Checkpoint
	next int
	full bool
}

func (r *ring) add(c Checkpoint) {
	r.kept[r.next] = c
	r.next++
	if r.next == len(r.kept) {
		r.next, r.full = 0, true
	}
}

func (r *ring) list() []Checkpoint {
	if !r.full {
		return slices.Clone(r.kept[:r.next])
	}
	return append(slices.Clone(r.kept[r.next:]), r.kept[:r.next]...)
}

// Agreement is what a comparison of two replicas' checkpoints found.
type Agreement struct {
	// Compared is how many indexes both have. With 0, nothing is known: one is
	// far behind the other or has just started.
	Compared int
	// Upto is the highest index at which both agree; 0 for none.
	Upto uint64
	// Forked is the lowest index at which they differ, 0 for none. Replicas
	// that differ once stay different, and one of them must not serve.
	Forked uint64
}

// Compare compares the checkpoints of two replicas of one shard.
func Compare(mine, theirs []Checkpoint) Agreement {
	chains := make(map[uint64]uint64, len(mine))
	for _, c := range mine {
		chains[c.Index] = c.Chain
	}
	var found Agreement
	seen := make(map[uint64]bool, len(theirs))
	for _, c := range theirs {
		chain, ok := chains[c.Index]
		if !ok || seen[c.Index] {
			continue
		}
		seen[c.Index] = true
		found.Compared++
		if chain == c.Chain {
			found.Upto = max(found.Upto, c.Index)
			continue
		}
		if found.Forked == 0 || c.Index < found.Forked {
			found.Forked = c.Index
		}
	}
	return found
}
