//go:build !race

package virtual

// raced says that the race detector is there.
const raced = false
