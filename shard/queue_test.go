package shard

import (
	"errors"
	"testing"
)

func testQueue(calls, bytes int) *queue {
	return newQueue(Options{MaxPending: calls, MaxPendingBytes: bytes, PackCommands: 4, PackBytes: 100}.withDefaults())
}

func TestQueueBounds(t *testing.T) {
	tests := []struct {
		name         string
		calls, bytes int
		size         int
		keys         int // how many keys take turns
		want         int // commands let in
	}{
		{"by count, many keys", 40, 10000, 10, 100, 40},
		{"by bytes, many keys", 1000, 400, 10, 1000, 40},
		{"one key has a quarter of the count", 40, 10000, 10, 1, 10},
		{"one key has a quarter of the bytes", 1000, 400, 10, 1, 10},
		{"two keys have a half", 40, 10000, 10, 2, 20},
		{"one is always let in", 2, 10000, 10, 1, 1},
		{"one that is larger than a quarter is let in", 40, 300, 90, 1, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			q := testQueue(test.calls, test.bytes)
			in := 0
			for i := range 2000 {
				err := q.push(call{key: uint64(i % test.keys), cmd: make([]byte, test.size)})
				if err == nil {
					in++
				} else if !errors.Is(err, ErrOverloaded) {
					t.Fatal(err)
				}
			}
			if in != test.want {
				t.Errorf("%d let in, want %d", in, test.want)
			}
		})
	}
}

func TestQueueGivesBackWhatWasAnswered(t *testing.T) {
	q := testQueue(40, 10000)
	for round := range 200 {
		for i := range 10 {
			if err := q.push(call{key: 1, cmd: make([]byte, 1+i)}); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
		}
		// What is taken and not answered still counts.
		var taken []call
		for q.len() > 0 {
			taken = append(taken, q.take(nil)...)
		}
		if err := q.push(call{key: 1}); !errors.Is(err, ErrOverloaded) {
			t.Fatalf("round %d: got %v while all is in flight", round, err)
		}
		q.answered(taken)
	}
	if q.pending != (share{}) || len(q.byKey) != 0 || q.waitingBytes != 0 || cap(q.waiting) > 64 {
		t.Errorf("left over: %+v, %d keys, %d bytes, capacity %d", q.pending, len(q.byKey), q.waitingBytes, cap(q.waiting))
	}
}

func TestQueuePacks(t *testing.T) {
	tests := []struct {
		name  string
		sizes []int
		want  []int // calls in each entry
	}{
		{"by count", []int{1, 1, 1, 1, 1, 1}, []int{4, 2}},
		{"by bytes", []int{40, 40, 40, 40}, []int{2, 2}},
		{"the largest alone", []int{100, 100, 1}, []int{1, 1, 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			q := testQueue(1000, 100000)
			for i, size := range test.sizes {
				if err := q.push(call{key: uint64(i), cmd: make([]byte, size)}); err != nil {
					t.Fatal(err)
				}
			}
			next := 0
			for i, want := range test.want {
				got := q.take(nil)
				if len(got) != want {
					t.Errorf("entry %d has %d calls, want %d", i, len(got), want)
				}
				for _, c := range got {
					if c.key != uint64(next) {
						t.Errorf("call %d came as number %d", c.key, next)
					}
					next++
				}
			}
			if q.len() != 0 {
				t.Errorf("%d calls left", q.len())
			}
		})
	}
	if err := testQueue(10, 1000).push(call{cmd: make([]byte, 101)}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
}
