// Package node is one process of a cluster: it opens what the other rooms are
// made of, wires it together, and closes it again.
//
// A request of a client goes this way:
//
//	transport.Edge → session → backend → route ─┬─ shard.Replica here
//	                                            └─ mux → another node's
//
// and what it appended comes back this way:
//
//	state.Apply → tail.Hub → stream → tail.Edge → session, on every node
//
// Around it stand the chores of a shard's leader (outbox, timers, lost edges),
// the comparison of replicas, the watch over the disk, and the status.
//
// What always holds:
//
//   - What is opened first is closed last.
//   - An error of a store ends the process, through Env.Fatal: a node that
//     cannot trust its disk must not answer.
//   - The clock, the disk and both networks come from an [Env], so that a
//     simulator can run whole nodes in one process.
package node
