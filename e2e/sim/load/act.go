package load

import (
	"context"
	"math/rand/v2"
)

// mix is how often a run's clients do what.
type mix struct {
	acts  []func(*device, context.Context)
	upto  []int // running sum of weights
	total int
}

// drawMix draws the weights: of each kind of operation a run has its usual
// share, three times as much, or little.
func drawMix(rng *rand.Rand) *mix {
	m := &mix{}
	for _, a := range []struct {
		weight int
		do     func(*device, context.Context)
	}{
		{300, (*device).send},
		{30, (*device).sendMany},
		{30, (*device).sendSureAgain},
		{60, (*device).edit},
		{30, (*device).recall},
		{80, (*device).readHistory},
		{20, (*device).poll},
		{50, (*device).readLog},
		{70, (*device).markRead},
		{8, (*device).mark},
		{30, (*device).cursors},
		{30, (*device).unread},
		{25, (*device).join},
		{12, (*device).leave},
		{25, (*device).addSome},
		{20, (*device).removeSome},
		{8, (*device).mute},
		{25, (*device).members},
		{8, (*device).list},
		{40, (*device).followOne},
		{10, (*device).unfollowOne},
		{25, (*device).reconnect},
		{6, (*device).create},
		{6, (*device).visitRoom},
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

func (m *mix) pick(rng *rand.Rand) func(*device, context.Context) {
	n := rng.IntN(m.total)
	for i, upto := range m.upto {
		if n < upto {
			return m.acts[i]
		}
	}
	return m.acts[0]
}

// reconnect leaves the node for another, as a phone does that changes networks.
func (d *device) reconnect(ctx context.Context) {
	d.signOut()
	d.signIn(ctx)
}
