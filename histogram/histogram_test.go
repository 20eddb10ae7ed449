package histogram

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestBuckets: buckets follow each other without a gap, and none is wider than
// 1/64 of what it holds.
func TestBuckets(t *testing.T) {
	for i := range buckets - 1 {
		last := longest(i)
		if bucketOf(last) != i || bucketOf(last+1) != i+1 {
			t.Fatalf("bucket %d ends at %d ns, and that is in %d, the next one in %d", i, last, bucketOf(last), bucketOf(last+1))
		}
		if width := longest(i+1) - last; width > 1 && width*places > last+1 {
			t.Fatalf("bucket %d begins at %d ns and is %d wide", i+1, last+1, width)
		}
	}
	for _, d := range []time.Duration{-1, time.Hour, 1<<63 - 1} {
		if b := bucketOf(d); b < 0 || b >= buckets {
			t.Errorf("%v is in bucket %d", d, b)
		}
	}
}

// TestAt: percentiles are those of the sorted durations, or at most 1/64 above.
func TestAt(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var h Histogram
	var all []time.Duration
	for range 10_000 {
		d := time.Duration(rng.ExpFloat64() * float64(3*time.Millisecond))
		all = append(all, d)
		h.Record(d)
	}
	slices.Sort(all)
	c := h.Counts()
	for _, share := range []float64{0.01, 0.5, 0.99, 0.999, 1} {
		want := all[max(int(share*float64(len(all)))-1, 0)]
		if got := c.At(share); got < want || got > want+want/places {
			t.Errorf("at %v: %v, want %v", share, got, want)
		}
	}
	if c.Total() != uint64(len(all)) {
		t.Errorf("%d durations, want %d", c.Total(), len(all))
	}
	if got := Counts(nil).At(0.5); got != 0 {
		t.Errorf("of none: %v", got)
	}
}

// TestCounts: counts add up, are subtracted, and travel.
func TestCounts(t *testing.T) {
	var h Histogram
	h.Record(time.Millisecond)
	before := h.Counts()
	h.Record(time.Millisecond)
	h.Record(time.Second)
	text, err := json.Marshal(h.Counts())
	if err != nil {
		t.Fatal(err)
	}
	var after Counts
	if err := json.Unmarshal(text, &after); err != nil {
		t.Fatal(err)
	}
	since := after.Since(before)
	if since.Total() != 2 || since.At(0.5) < time.Millisecond || since.At(0.5) > time.Second {
		t.Errorf("since then: %v", since)
	}
	if diff := cmp.Diff(after, before.Add(since)); diff != "" {
		t.Errorf("together they are not all (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(since, Counts(nil).Add(since)); diff != "" {
		t.Errorf("added to none (-want +got):\n%s", diff)
	}
}

// TestFromOutside: whatever another process says, nothing breaks.
func TestFromOutside(t *testing.T) {
	c := Counts{-5: 1, 1 << 40: 1}
	if c.At(0) != 0 || c.At(1) < time.Minute {
		t.Errorf("from %v to %v", c.At(0), c.At(1))
	}
}

func BenchmarkRecord(b *testing.B) {
	var h Histogram
	for b.Loop() {
		h.Record(1234567)
	}
}
