//go:build !mutants

package mutant

// On tells whether a bug is planted. In this program none is.
func On(Mutant) bool { return false }

// Chosen returns the planted bug, or None.
func Chosen() Mutant { return None }

// TokenRow tells whether a row of the state remembers the answer to a command.
// In this program nobody asks.
func TokenRow([]byte) bool { return false }

// Pause lets time pass between two writes. In this program it does nothing.
func Pause() {}
