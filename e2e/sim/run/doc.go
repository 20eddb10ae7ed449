// Command run runs the simulator: one process for each seed, several at once.
//
//	go run ./e2e/sim/run --seeds 1-100
//
// It builds the simulator's test once, with the overlay of Go's runtime under
// which equal seeds do equal things; where the overlay does not fit the Go at
// hand, it says so, and runs cannot be replayed. A seed that fails leaves its log
// and its history in a directory of its own, and is printed with the line that
// replays it. A seed that takes too long in real time hangs: that is a failure,
// with the stacks of all goroutines.
//
// It ends with one line for the ledger: seeds, virtual hours, calls,
// acknowledgements, histories judged. The exit code is 0 if nothing failed, 1 if
// something did, and 2 if the command was misused.
package main
