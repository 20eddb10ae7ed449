// Package overlay makes a build overlay for Go's own tree, under which a program
// whose goroutines all live in one testing/synctest bubble does the same thing
// whenever it is started with the same seed.
//
// Go decides some things at random: which ready case a select takes, where the
// walk over a map begins, which of two timers of one moment fires first, what
// package math/rand/v2 returns. In a bubble, the overlay takes all of these from
// one stream, whose start is the environment variable SIMSEED. Some it decides by
// real time: when a goroutine has run long enough, when a mutex is handed over out
// of turn. In a bubble, the overlay takes that away.
//
// Nothing of Go is kept here. The overlay is made from the files of the Go tree at
// hand: each edit names a piece of text that must be in its file exactly once.
// Where it is not, [Write] says which edit does not fit, and the program must do
// without: it still runs, but what it did cannot be replayed.
//
// What else a replay needs is up to who starts the program: GOMAXPROCS=1, no
// garbage collection, no asynchronous preemption; see [Environment]. And up to
// the program: no system calls in the bubble, since a processor that waits for one
// is given to another goroutine.
package overlay
