// Command mutants proves that the simulator and the tests can find bugs: it
// plants one after the other, and fails if one is not found.
//
//	go run ./e2e/sim/mutants
//
// It builds the simulator once, with the tag mutants and the overlay of Go's
// runtime, and the tests of some packages with the tag. For each mutant (see
// package mutant) it then plays the scenario that was written for such bugs, or
// runs seeds until one fails, or runs the directed test of a bug that needs more
// than one cluster's bad luck.
//
// What always holds:
//
//   - A mutant counts as found only if the same run passes without it.
//   - Each run is a process of its own, with one bug.
//   - It ends with a table, and with exit code 1 if a mutant was not found.
package main
