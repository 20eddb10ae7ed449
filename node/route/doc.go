// Package route brings a command or a query to the replica that answers it,
// wherever that is.
//
// A command goes to the leader of the shard that owns its slot: the node itself
// or, over the mux, another one. A [Router] knows the leaders only as hints; a
// replica that is not the leader says so and names the one it knows. A query
// with a bound ("at least offset n") may be answered by the node's own replica;
// without one the leader answers it.
//
// What always holds:
//
//   - For want of a leader, a command is given up only at its deadline, and then
//     its outcome is unknown: the caller may ask again, with the same token. What
//     a leader refuses, a full queue too, is told at once.
//   - Commands for one slot are handed on in the order they came, as long as
//     no leader changes.
//   - Every request between nodes carries its shard and the epoch of the slot
//     map that the sender used; a receiver that does not hold the slot refuses.
//   - A query says how long its asker waits. Who answers it stops then.
package route
