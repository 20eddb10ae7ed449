package client

import (
	"math/rand/v2"
	"time"
)

const (
	minBackoff = 20 * time.Millisecond
	maxBackoff = 2 * time.Second
)

// backoff returns how long to wait before the attempt after so many failed
// ones in a row: doubling from 20 ms to 2 s, half of it at random.
func backoff(failed int) time.Duration {
	d := maxBackoff
	if failed < 8 {
		d = min(minBackoff<<max(failed-1, 0), maxBackoff)
	}
	return d/2 + rand.N(d/2+1)
}

// pause is something that is written again at a time: a lane that holds, a
// read that was refused for now, or a subscription.
type pause struct {
	due    time.Time
	lane   *lane
	call   *call
	resume func() // called with the link's lock held
}

// pauses is a heap by due. It implements heap.Interface.
type pauses []pause

func (p pauses) Len() int           { return len(p) }
func (p pauses) Less(i, j int) bool { return p[i].due.Before(p[j].due) }
func (p pauses) Swap(i, j int)      { p[i], p[j] = p[j], p[i] }

// Push adds the element that heap.Push was given.
func (p *pauses) Push(x any) { *p = append(*p, x.(pause)) }

// Pop removes the last element.
func (p *pauses) Pop() any {
	last := len(*p) - 1
	x := (*p)[last]
	(*p)[last] = pause{}
	*p = (*p)[:last]
	return x
}
