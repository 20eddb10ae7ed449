package shard

import "github.com/quorate/quorate/shard/state"

// Outcome is what became of a command: a result that all replicas agree on
// (which may be a refusal), or an error of this one.
type Outcome struct {
	Result state.Result
	Err    error
}

// call is one command on its way.
type call struct {
	key  uint64
	cmd  []byte
	done func(Outcome)
}

// share is what one key holds of the queue's bounds.
type share struct{ calls, bytes int }

// queue holds commands until they are packed, and counts them until they are
// answered: the bounds are over both, so that what a slow disk or a slow apply
// leaves pending cannot grow either. It is not safe for concurrent use.
type queue struct {
	maxCalls, maxBytes int
	packCalls          int
	packBytes          int

	waiting      []call // from head on
	head         int
	waitingBytes int
	pending      share // waiting and in flight
	byKey        map[uint64]share
}

func newQueue(o Options) *queue {
	return &queue{
		maxCalls: o.MaxPending, maxBytes: o.MaxPendingBytes,
		packCalls: o.PackCommands, packBytes: o.PackBytes,
		byKey: make(map[uint64]share),
	}
}

// keyFraction is the part of the queue that one key may hold: a quarter.
const keyFraction = 4

// push adds a call, or says why not. One command of a key is always let in
// while the whole has room, so that a tight bound cannot shut a key out.
func (q *queue) push(c call) error {
	size := len(c.cmd)
	if size > q.packBytes {
		return ErrTooLarge
	}
	if q.pending.calls+1 > q.maxCalls || q.pending.bytes+size > q.maxBytes {
		return ErrOverloaded
	}
	mine := q.byKey[c.key]
	if mine.calls > 0 && (mine.calls+1 > q.maxCalls/keyFraction || mine.bytes+size > q.maxBytes/keyFraction) {
		return ErrOverloaded
	}
	q.byKey[c.key] = share{mine.calls + 1, mine.bytes + size}
	q.pending.calls++
	q.pending.bytes += size
	q.waitingBytes += size
	q.waiting = append(q.waiting, c)
	return nil
}

// len returns how many calls wait.
func (q *queue) len() int { return len(q.waiting) - q.head }

// full tells whether what waits fills an entry.
func (q *queue) full() bool { return q.len() >= q.packCalls || q.waitingBytes >= q.packBytes }

// take appends the next entry's worth of calls to batch, in order.
func (q *queue) take(batch []call) []call {
	size := 0
	for q.head < len(q.waiting) && len(batch) < q.packCalls {
		c := &q.waiting[q.head]
		if size += len(c.cmd); size > q.packBytes {
			break
		}
		q.waitingBytes -= len(c.cmd)
		batch = append(batch, *c)
		*c = call{}
		q.head++
	}
	q.compact()
	return batch
}

// compact keeps the slice from growing with all that ever passed through it.
func (q *queue) compact() {
	switch {
	case q.head == len(q.waiting):
		q.waiting, q.head = q.waiting[:0], 0
	case q.head > len(q.waiting)/2:
		n := copy(q.waiting, q.waiting[q.head:])
		clear(q.waiting[n:])
		q.waiting, q.head = q.waiting[:n], 0
	}
}

// answered gives back what the calls of a batch held.
func (q *queue) answered(batch []call) {
	for i := range batch {
		c := &batch[i]
		q.pending.calls--
		q.pending.bytes -= len(c.cmd)
		mine := q.byKey[c.key]
		if mine.calls == 1 {
			delete(q.byKey, c.key)
			continue
		}
		q.byKey[c.key] = share{mine.calls - 1, mine.bytes - len(c.cmd)}
	}
}
