package client

import (
	"cmp"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

// call is one request from its start to its answer, over as many sessions and
// repeats as that takes. The link's lock guards what changes.
type call struct {
	payload []byte // the encoded Request without id, n and age
	lane    *lane  // nil: it has no order, as a read and what is sent again by its token
	n       uint64 // the command's number in its lane; 0: a read
	order   uint64 // its place among all calls of the client

	once    bool      // never written twice: a transient message
	bound   bool      // belongs to the session it was written to, and is forgotten with it
	place   bool      // holds a place of the link's gate
	over    bool      // answered or given up
	queued  bool      // stands in the link's queue
	id      uint64    // of the request in flight; 0: none
	unheard bool      // a session was lost that had it and had not answered
	refused int       // times in a row, of a read
	first   time.Time // when it was first written
	written time.Time // and when last
	last    error     // the last refusal, kept for when the context ends the call

	done func(*pb.Response, error) // called once, outside of the lock
	stop func() bool               // takes the context's hook back; may be nil
}

func byOrder(a, b *call) int { return cmp.Compare(a.order, b.order) }

// Field numbers of the frames that are written by hand, because a call's
// payload is encoded once and its frame at each repeat.
const (
	fieldFrameRequest = 2
	fieldRequestID    = 1
	fieldRequestN     = 2
	fieldRequestAge   = 3
)

// frameOverhead is what a frame has besides the payload, at most: the request's
// tag and length, and three numbers.
const frameOverhead = 1 + 5 + 11 + 11 + 6

// appendFrame appends the call's ClientFrame as it is written now.
func (c *call) appendFrame(b []byte, now time.Time) []byte {
	var age uint64
	if !c.first.IsZero() {
		age = min(uint64(max(now.Sub(c.first).Milliseconds(), 1)), 1<<32-1)
	}
	size := 1 + protowire.SizeVarint(c.id) + len(c.payload)
	if c.n > 0 {
		size += 1 + protowire.SizeVarint(c.n)
	}
	if age > 0 {
		size += 1 + protowire.SizeVarint(age)
	}
	b = protowire.AppendTag(b, fieldFrameRequest, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	b = appendUint(b, fieldRequestID, c.id)
	if c.n > 0 {
		b = appendUint(b, fieldRequestN, c.n)
	}
	if age > 0 {
		b = appendUint(b, fieldRequestAge, age)
	}
	return append(b, c.payload...)
}

func appendUint(b []byte, field protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

// checkPayload refuses what the cluster would close the connection for.
func checkPayload(op string, payload []byte) error {
	if size := len(payload) + frameOverhead; size > wire.MaxFrameBytes {
		return wire.Errorf(wire.CodeLimit, op, "the request has %d bytes, want at most %d", size, wire.MaxFrameBytes)
	}
	return nil
}

// callQueue holds the calls that wait to be written, first in first out. What
// was given up is skipped, and swept out when it is more than the rest.
type callQueue struct {
	calls []*call // from head on
	head  int
	stale int // given up, and still in calls
}

func (q *callQueue) push(c *call) {
	if q.head > 1024 && q.head > len(q.calls)/2 {
		q.calls, q.head = append(q.calls[:0], q.calls[q.head:]...), 0
	}
	c.queued = true
	q.calls = append(q.calls, c)
}

// pushFront puts the calls before all others, in their order.
func (q *callQueue) pushFront(calls []*call) {
	for _, c := range calls {
		c.queued = true
	}
	if q.head >= len(calls) {
		q.head -= len(calls)
		copy(q.calls[q.head:], calls)
		return
	}
	q.calls = append(slices.Clip(calls), q.calls[q.head:]...)
	q.head = 0
}

// pop returns the first call that is not over, or nil.
func (q *callQueue) pop() *call {
	for q.head < len(q.calls) {
		c := q.calls[q.head]
		q.calls[q.head] = nil
		q.head++
		if q.head == len(q.calls) {
			q.calls, q.head = q.calls[:0], 0
		}
		c.queued = false
		if !c.over {
			return c
		}
		q.stale--
	}
	return nil
}

func (q *callQueue) len() int { return len(q.calls) - q.head - q.stale }

// dropped says that a call in the queue was given up.
func (q *callQueue) dropped() {
	q.stale++
	if q.stale < 64 || q.stale < (len(q.calls)-q.head)/2 {
		return
	}
	kept := make([]*call, 0, q.len())
	for _, c := range q.calls[q.head:] {
		if !c.over {
			kept = append(kept, c)
		}
	}
	q.calls, q.head, q.stale = kept, 0, 0
}
