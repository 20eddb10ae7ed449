package client

import "slices"

// gate lets a bounded number of holders in; who comes later waits in line. The
// link's lock guards it, and nobody waits under that lock: a place is handed
// over by closing the waiter's channel.
type gate struct {
	free    int // places nobody holds
	waiting []*waiter
}

// waiter is somebody in line at a gate.
type waiter struct {
	granted chan struct{} // closed when a place is his
	has     bool          // a place is his
}

// enter takes a place, or returns a waiter that is in line for one.
func (g *gate) enter() *waiter {
	if g.free > 0 { // nobody waits while a place is free
		g.free--
		return nil
	}
	w := &waiter{granted: make(chan struct{})}
	g.waiting = append(g.waiting, w)
	return w
}

// leave gives places back, first to those in line.
func (g *gate) leave(places int) {
	for ; places > 0 && len(g.waiting) > 0; places-- {
		w := g.waiting[0]
		g.waiting[0] = nil
		g.waiting = g.waiting[1:]
		w.has = true
		close(w.granted)
	}
	g.free += places
}

// giveUp takes a waiter out of the line, or gives back the place that he got
// in the meantime.
func (g *gate) giveUp(w *waiter) {
	if w.has {
		g.leave(1)
		return
	}
	if i := slices.Index(g.waiting, w); i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
	}
}
