// Package cluster knows who is in the cluster and who should do what.
//
// It is in three parts that hardly know each other:
//
//   - [Meta] is this node's copy of the meta group: raft group 0, whose log is
//     the one truth about nodes, the slot map, placements, apps and settings.
//     Up to five nodes vote in it, all others follow, so every node has the
//     whole record locally. It is changed by a [Command] and read as a [Table].
//   - [Plan] says what should be done next about the shards: a pure function
//     of the table and of what the nodes report. It does nothing itself; the
//     node that leads the meta group carries the steps out.
//   - [Gossip] says which nodes are alive and where. It is a hint: it helps
//     nodes find each other and decides nothing.
//
// A Table is immutable. A change makes a new one and swaps it in whole, so a
// reader never waits, never sees half a change, and may keep what it got.
//
// What always holds:
//
//   - The slots of the shards are contiguous intervals that cover all 65,536
//     slots, once; the epoch grows with each change of them.
//   - A placement's version grows by one with each change of it, and a change
//     names the version it replaces: of two that race, one is refused.
//   - A command proposed again changes nothing, or is refused; it is never
//     done twice.
//   - Applying is deterministic: no clock, no randomness, no I/O. An unknown
//     command stops the node before it forks from the others.
//   - The table never goes back: neither a late snapshot of our own nor an old
//     one from the leader replaces a newer one.
//
// Commands and snapshots are JSON with a version, so that a person can read
// them with the tools at hand; they are few. Golden files guard their form. A
// form once written is read for ever, and a node refuses fields it does not
// know, because ignoring one would fork it: new ones come with a new version,
// which is written only when every node can read it.
package cluster
