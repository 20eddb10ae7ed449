// Package mutant plants bugs, to prove that the tests and the simulator can
// find them.
//
// A mutant is one bug that a change could bring in one day: a guard left out, a
// sync forgotten, two writes where one must be. Each stands where the real bug
// would stand, as one condition in the code of the program:
//
//	if mutant.On(mutant.NoLogSync) { // a planted bug, see package mutant
//		write = pebble.NoSync
//	}
//
// Without the build tag mutants, which no released program has, On is a
// function that returns false: the compiler removes it, the condition and what
// is behind it. With the tag the environment variable QUORATE_MUTANT chooses
// one mutant, by number or by name, when the process starts:
//
//	QUORATE_MUTANT=M1 go test -tags mutants ./raftlog
//
// e2e/sim/mutants runs all of them ("make mutants") and fails if one is not
// found. docs/mutants.md says what finds each.
//
// What always holds:
//
//   - A program without the tag behaves, and costs, as if this package did not
//     exist. A test looks for what is left of a mutant in its own binary.
//   - A program with the tag and without the variable is correct.
//   - Numbers are never used again: the issue that asked for a mutant, and the
//     documents, know it by its number.
package mutant
