package load

import (
	"context"
	"math/rand/v2"
)

// mix is how often a run's clients do what.
type mix struct {
	acts  []func(context.Context, *device)
	upto  []int // running sum of weights
	total int
}

// drawMix draws the weights: of each kind of operation a run has its usual
// share, three times as much, or little.
func drawMix(rng *rand.Rand) *mix {
	m := &mix{}
	for _, a := range []struct {
		weight int
		do     func(context.Context, *device)
	}{
		{300, send},
		{30, sendMany},
		{30, sendSureAgain},
		{60, edit},
		{30, recall},
		{80, readHistory},
		{20, poll},
		{50, readLog},
		{70, markRead},
		{8, markLazily},
		{30, readSomeCursors},
		{30, readSomeUnread},
		{25, join},
		{12, leave},
		{25, addSome},
		{20, removeSome},
		{8, mute},
		{25, readSomeMembers},
		{8, listOwn},
		{40, followOne},
		{10, unfollowOne},
		{25, reconnect},
		{6, create},
		{6, visitRoom},
	} {
		weight := a.weight
		switch rng.IntN(6) {
		case 0:
			weight *= 3
		case 1:
			weight /= 5
		}
		m.total += weight
		m.acts, m.upto = append(m.acts, a.do), append(m.upto, m.total)
	}
	return m
}

func (m *mix) pick(rng *rand.Rand) func(context.Context, *device) {
	n := rng.IntN(m.total)
	for i, upto := range m.upto {
		if n < upto {
			return m.acts[i]
		}
	}
	return m.acts[0]
}

// reconnect leaves the node for another, as a phone does that changes networks.
func reconnect(ctx context.Context, d *device) {
	d.signOut()
	d.signIn(ctx)
}
