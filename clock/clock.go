// Package clock is the one place where the wall clock is read.
//
// Timeouts, tickers and deadlines use package time as it is: they are
// monotonic, and a synctest bubble makes them virtual. What a user sees or a
// log stores, the wall time, comes from a [Wall], so that a test can make it
// jump on one node without moving the timers.
package clock

import "time"

// Wall returns the wall time. It may jump in either direction.
type Wall func() time.Time

// System is the machine's clock.
func System() time.Time { return time.Now() }

// Millis returns the wall time in milliseconds since 1970.
func (w Wall) Millis() int64 { return w().UnixMilli() }
