package mux

import (
	"encoding/binary"
	"time"
)

// class is what a message waits with. Lower classes go first.
type class uint8

const (
	classControl class = iota // pings, credits, ends: small, and bounded by what they are about
	classRaft
	classSoon // raft frames that may wait for others
	classCall // calls, answers, opens
	classStream
	classes
)

const (
	chunkBytes = 64 << 10  // messages are gathered in chunks of about this size
	batchBytes = 256 << 10 // a write takes about this much, so that what is urgent is not late
	maxFree    = 8         // chunks kept for later
	firstChunk = 2 << 10   // what a new chunk has room for
	pieceBytes = 48 << 10  // a larger message goes in pieces of this size
)

// queue is what waits to be sent to a peer. Its messages are copied into
// chunks, each of which is one transport frame, so that sending a message makes no garbage.
// The peer's lock guards it.
type queue struct {
	lanes [classes]lane
	free  [][]byte
	due   time.Time // when what waits in classSoon has waited enough
	count uint64    // messages put since it was last read
}

type lane struct {
	chunks [][]byte
	bytes  int
}

// put adds a message of a head and a body to a class. A large one goes in
// pieces, so that what is urgent can go in between, and the other side
// sees that it comes.
func (q *queue) put(c class, head, body []byte) {
	if len(head)+len(body) <= pieceBytes {
		q.putWhole(c, head, body)
		return
	}
	var h [2 + maxHead]byte
	first := append(append(h[:0], byte(kindPiece), byte(c)<<1), head...)
	for len(body) > pieceBytes {
		q.putWhole(c, first, body[:pieceBytes])
		first, body = first[:2], body[pieceBytes:]
	}
	first[1] |= 1
	q.putWhole(c, first, body)
}

func (q *queue) putWhole(c class, head, body []byte) {
	l := &q.lanes[c]
	length := len(head) + len(body)
	size := length + binary.MaxVarintLen32
	last := len(l.chunks) - 1
	if last < 0 || len(l.chunks[last]) > 0 && len(l.chunks[last])+size > chunkBytes {
		l.chunks = append(l.chunks, q.chunk())
		last++
	}
	b := binary.AppendUvarint(l.chunks[last], uint64(length))
	b = append(b, head...)
	b = append(b, body...)
	l.bytes += len(b) - len(l.chunks[last])
	l.chunks[last] = b
	q.count++
}

func (q *queue) chunk() []byte {
	if n := len(q.free); n > 0 {
		b := q.free[n-1]
		q.free = q.free[:n-1]
		return b
	}
	return make([]byte, 0, firstChunk)
}

// bytes returns how much waits in a class.
func (q *queue) bytes(c class) int { return q.lanes[c].bytes }

// take appends to batch the chunks of the next write, or says until when to
// wait for more company; the zero time: until something is put.
func (q *queue) take(now time.Time, batch [][]byte) (_ [][]byte, wait time.Time) {
	urgent := false
	for c := range classes {
		urgent = urgent || c != classSoon && len(q.lanes[c].chunks) > 0
	}
	held := len(q.lanes[classSoon].chunks) > 0
	switch {
	case !urgent && !held:
		return batch, time.Time{}
	case !urgent && now.Before(q.due):
		return batch, q.due
	}
	taken := 0
	for c := range classes {
		l := &q.lanes[c]
		n := 0
		for n < len(l.chunks) && taken < batchBytes {
			taken += len(l.chunks[n])
			batch = append(batch, l.chunks[n])
			l.bytes -= len(l.chunks[n])
			n++
		}
		rest := copy(l.chunks, l.chunks[n:])
		clear(l.chunks[rest:])
		l.chunks = l.chunks[:rest]
	}
	return batch, time.Time{}
}

// give returns chunks that have been written.
func (q *queue) give(batch [][]byte) {
	for _, b := range batch {
		if len(q.free) < maxFree && cap(b) <= 2*chunkBytes {
			q.free = append(q.free, b[:0])
		}
	}
}

// drop forgets all that waits.
func (q *queue) drop() {
	for c := range classes {
		q.give(q.lanes[c].chunks)
		q.lanes[c] = lane{}
	}
}
