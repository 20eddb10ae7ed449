package bench

import (
	"math/rand/v2"
	"sync/atomic"
)

// bodies are what messages say: random bytes, since nodes compress what they
// store, and what is all the same would cost them less than real messages. It is
// safe for many goroutines, and nobody may change a body.
type bodies struct {
	pool  []byte
	size  int
	count uint64
	next  atomic.Uint64
}

// bodyPool is about how many bytes there are, and bodyStride how many bodies lie
// between two that follow each other: a body comes again only after all others,
// which is further than what is compressed together.
const (
	bodyPool   = 8 << 20
	bodyStride = 7919 // a prime that no size makes divide the number of bodies
)

func newBodies(size int) *bodies {
	count := uint64(max(bodyPool/max(size, 1), 1))                              //nolint:gosec // it is positive
	b := &bodies{size: size, count: count, pool: make([]byte, int(count)*size)} //nolint:gosec // it is about bodyPool, or one body
	random := rand.NewChaCha8([32]byte{})
	_, _ = random.Read(b.pool) // it never fails
	return b
}

// take returns the next body.
func (b *bodies) take() []byte {
	i := int(b.next.Add(1)*bodyStride%b.count) * b.size //nolint:gosec // it is within the pool
	return b.pool[i : i+b.size : i+b.size]
}
