// Package sim runs whole clusters through disasters, in virtual time and in one
// process: [node.Run] on networks and disks in memory, real clients, and a
// nemesis that cuts power and networks by the roll of a seeded die.
//
// The package is a test, TestSeed, and all of it is in test files: one process
// runs one seed, since pools of the stores carry a bubble's channels on to the
// next one. Nobody starts it by hand: ./e2e/sim/run builds it with the runtime
// overlay, runs one process for each seed, and prints for each failure the line
// that replays it.
//
//	go run ./e2e/sim/run --seeds 1-100
//
// A run goes like this:
//
//   - The seed draws what the cluster is (3 or 5 nodes, 1 to 8 shards, how much
//     log stays behind a snapshot), what the clients do and which kinds of faults
//     there are at all.
//   - The nemesis draws periods. A quarter of them has no faults, the others have
//     some kinds of them at once.
//   - All faults end, all nodes get up, the clients go on for a while, then they
//     are quiet, read everything, and so does the run itself from each replica.
//   - Package check judges the history.
//
// What always holds:
//
//   - A node that dies is cut from the network first. Then its disk is copied,
//     and only then is the old instance shut down: nothing that it does on its
//     way out is seen by anybody.
//   - Each life of a node has addresses of its own, so that nothing reaches it
//     which was meant for an earlier one.
//   - Everything is logged, always, into a ring in memory: a run that is logged
//     is another run than one that is not.
//   - Nothing in a run depends on real time, on the process or on the machine.
package sim
