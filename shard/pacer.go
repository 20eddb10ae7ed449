package shard

import (
	"sync"
	"time"
)

// Pacer spreads the rounds of all replicas of a node that lead. A round costs a
// node about the same however many commands are in its entry, and more than many
// commands do: beyond a rate, more rounds only take time from the commands. So
// when rounds come faster than that, a replica waits for its turn, and what
// comes in meanwhile goes in the same entry. Below that rate nothing waits.
//
// Turns are given in the order in which replicas ask.
type Pacer struct {
	gap   time.Duration // between two turns
	burst time.Duration // how much of a calm time may be caught up

	mu   sync.Mutex
	next time.Time // when the next turn is due
}

// pacerBurst is how many rounds may follow each other at once after a calm time.
const pacerBurst = 16

// NewPacer makes a pacer for so many rounds a second.
func NewPacer(roundsPerSecond int) *Pacer {
	gap := time.Second / time.Duration(roundsPerSecond)
	return &Pacer{gap: gap, burst: pacerBurst * gap}
}

// turn takes the next turn and says when it is: now or later.
func (p *Pacer) turn(now time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if calm := now.Add(-p.burst); p.next.Before(calm) {
		p.next = calm
	}
	at := p.next
	p.next = at.Add(p.gap)
	if at.Before(now) {
		return now
	}
	return at
}
