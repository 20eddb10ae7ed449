package client

import (
	"slices"

	"github.com/quorate/quorate/wire"
)

// window is how many numbers of one lane may be without an answer. The cluster
// remembers the last wire.TokenWindow; one less keeps a command from pushing
// out one that may yet be repeated.
const window = wire.TokenWindow - 1

// lane numbers the commands to one conversation, or those about the user, and
// keeps them in order. The link's lock guards it.
//
//	1 … oldest-1    oldest … next-1               next …
//	answered        answered or not: open says    not given out, at most oldest+255
type lane struct {
	key    string                        // the conversation; empty: the user
	next   uint64                        // the number of the next command
	oldest uint64                        // the lowest number without an answer; next if there is none
	open   [wire.TokenWindow / 64]uint64 // bit n mod 256: n has no answer
	gate   gate                          // places in the window

	flight    int     // written to the session and not answered
	holding   bool    // one was refused for now: nothing is written until flight is 0 and a pause is over, and then a probe
	scheduled bool    // the pause has begun
	probe     *call   // the one that is written while the lane holds; nil: none
	held      []*call // refused, or behind one that was
	refusals  int     // since the last success; the pause grows with it
}

func newLane(key string, next uint64) *lane {
	return &lane{key: key, next: next, oldest: next, gate: gate{free: window}}
}

// number gives out the next number. The caller holds a place of the gate.
func (l *lane) number() uint64 {
	n := l.next
	l.next++
	l.open[n%wire.TokenWindow/64] |= 1 << (n % 64)
	return n
}

// settle says that n is answered or given up, and opens the window as far as
// that allows: it moves with the oldest number, not with the count.
func (l *lane) settle(n uint64) {
	l.open[n%wire.TokenWindow/64] &^= 1 << (n % 64)
	moved := 0
	for l.oldest < l.next && l.open[l.oldest%wire.TokenWindow/64]&(1<<(l.oldest%64)) == 0 {
		l.oldest++
		moved++
	}
	l.gate.leave(moved)
}

// quiet tells whether nothing of the lane is under way or waiting.
func (l *lane) quiet() bool {
	return l.gate.free == window && len(l.gate.waiting) == 0
}

// resume ends the pause of a lane that holds. Its first command goes alone, as
// a probe: while the cluster refuses, the others stay behind it, in order, and
// do not add to its load.
func (l *lane) resume() []*call {
	l.scheduled = false
	l.held = slices.DeleteFunc(l.held, func(c *call) bool { return c.over })
	if len(l.held) == 0 {
		l.holding = false
		return nil
	}
	slices.SortFunc(l.held, byOrder)
	l.probe, l.held = l.held[0], l.held[1:]
	return []*call{l.probe}
}

// release ends the hold, when the probe was answered, and returns what is to be
// written, in order.
func (l *lane) release() []*call {
	held := slices.DeleteFunc(l.held, func(c *call) bool { return c.over })
	l.held, l.probe, l.holding = nil, nil, false
	slices.SortFunc(held, byOrder)
	return held
}
