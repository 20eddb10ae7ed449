package raftlog

import "time"

// pace is a timer for asking again: after 1 ms, then twice as long each time,
// up to 16 ms.
type pace struct {
	timer *time.Timer
	wait  time.Duration
}

func newPace() *pace {
	return &pace{timer: time.NewTimer(time.Hour), wait: time.Millisecond / 2}
}

func (p *pace) next() <-chan time.Time {
	p.wait = min(2*p.wait, 16*time.Millisecond)
	p.timer.Reset(p.wait)
	return p.timer.C
}

func (p *pace) stop() { p.timer.Stop() }
