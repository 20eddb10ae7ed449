package sim

import (
	"math/rand/v2"
	"sync"
	"time"
)

// dice is a source of chance that several goroutines may use.
type dice struct {
	mu sync.Mutex
	r  *rand.Rand
}

// newDice returns one of a seed's sources. They do not depend on each other: a
// longer way through one of them changes nothing in the others.
func newDice(seed, source uint64) *dice { return &dice{r: rand.New(rand.NewPCG(seed, source))} }

// n returns a number from 0 to max-1.
func (d *dice) n(limit int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.r.IntN(limit)
}

// between returns a number from low to high.
func (d *dice) between(low, high int) int { return low + d.n(high-low+1) }

// chance is true in so many of 100 cases.
func (d *dice) chance(percent int) bool { return d.n(100) < percent }

// duration returns one between two.
func (d *dice) duration(low, high time.Duration) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return low + time.Duration(d.r.Int64N(int64(high-low)+1))
}

// seed returns a seed for another source.
func (d *dice) seed() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.r.Uint64()
}

// some returns n of the indices below limit, in any order.
func (d *dice) some(n, limit int) []int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.r.Perm(limit)[:n]
}

// pick returns one of the values.
func pick[T any](d *dice, values ...T) T { return values[d.n(len(values))] }
