// Package check judges histories: whether what clients were answered and
// pushed in a run of the simulator, and what the replicas were at its end, can
// be what the promises say. docs/promises.md has the promises by their numbers.
//
// A checker is a pure function of one history. Nearly all are one pass over it:
// a log needs no search for an order, since each message says which place it
// has. Members and cursors are also given to porcupine, which searches, for a
// bounded time; a search that was given up is a violation of its own kind, so
// that nobody takes it for a pass.
//
// What always holds:
//
//   - A violation is certain: no history that keeps the promises has one.
//     Unknown outcomes may have happened or not, whatever suits.
//   - The same history always has the same violations, in the same order.
//   - Each checker has a table of histories with one thing wrong, which it must
//     find, beside good ones, which it must pass.
package check
