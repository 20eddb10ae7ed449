package histogram

import (
	"maps"
	"math/bits"
	"slices"
	"sync/atomic"
	"time"
)

// Buckets are numbered by their width, a power of two, and then by their place
// among the 64 of that width:
//
//	bucket   0 … 127   128 … 191        192 … 255        …
//	width    1 ns      2 ns             4 ns
//	holds    0 … 127   128 … 255        256 … 511        …
const (
	placeBits = 6
	places    = 1 << placeBits
	maxBits   = 40 // of what is told apart: 2^40 ns are 18 minutes
	buckets   = (maxBits - placeBits + 1) * places
)

// Histogram counts durations. Its zero value is empty.
type Histogram struct {
	counts [buckets]atomic.Uint64
}

// Record counts a duration. What is negative counts as nothing, and what is
// longer than the longest that is told apart as that.
func (h *Histogram) Record(d time.Duration) {
	h.counts[bucketOf(d)].Add(1)
}

// Counts returns what has been counted so far.
func (h *Histogram) Counts() Counts {
	c := Counts{}
	for i := range h.counts {
		if n := h.counts[i].Load(); n > 0 {
			c[i] = n
		}
	}
	return c
}

func bucketOf(d time.Duration) int {
	v := uint64(min(max(d, 0), 1<<maxBits-1))
	shift := max(bits.Len64(v)-placeBits-1, 0)
	return shift<<placeBits + int(v>>shift)
}

// longest is the longest duration that a bucket holds.
func longest(bucket int) time.Duration {
	if bucket < 2*places {
		return time.Duration(bucket)
	}
	shift := bucket>>placeBits - 1
	return time.Duration(bucket-shift<<placeBits+1)<<shift - 1
}

// Counts is how many durations are in each bucket; nil is none.
type Counts map[int]uint64

// Total returns how many durations there are.
func (c Counts) Total() uint64 {
	var n uint64
	for _, k := range c {
		n += k
	}
	return n
}

// Add returns the durations of both.
func (c Counts) Add(other Counts) Counts {
	sum := maps.Clone(c)
	if sum == nil {
		sum = Counts{}
	}
	for i, n := range other {
		sum[i] += n
	}
	return sum
}

// Since returns what has come after an earlier look at the same histogram.
func (c Counts) Since(earlier Counts) Counts {
	rest := Counts{}
	for i, n := range c {
		if n > earlier[i] {
			rest[i] = n - earlier[i]
		}
	}
	return rest
}

// At returns the duration that a share of all do not exceed: 0.5 is the median,
// 1 the longest. Of none it is 0.
func (c Counts) At(share float64) time.Duration {
	sorted := slices.Sorted(maps.Keys(c))
	if len(sorted) == 0 {
		return 0
	}
	want := share * float64(c.Total())
	seen := 0.0
	for _, i := range sorted {
		seen += float64(c[i])
		if seen >= want {
			return longest(clamp(i))
		}
	}
	return longest(clamp(sorted[len(sorted)-1]))
}

// clamp takes the number of a bucket that came from outside for the nearest one
// that there is.
func clamp(bucket int) int { return min(max(bucket, 0), buckets-1) }
