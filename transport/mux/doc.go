// Package mux carries everything that nodes say to each other over one
// connection for each pair of nodes.
//
// What goes through it:
//
//   - raft frames of all shards: a [Mux] is a raftnet.Network. They go first, and
//     heartbeats are held for some milliseconds so that those of all shards travel together;
//   - calls, a request and its answer ([Mux.Call], [Mux.CallAsync]);
//   - streams of messages both ways, each with its own window ([Mux.Open]).
//
// For each node there is a peer: queues of what is to be sent and the table of
// calls that wait. A link is one connection to it, with a goroutine that reads and one
// that writes; the writer takes whatever waits, the most urgent first, and sends it in
// one write. The node with the smaller id dials; the other does only if nobody comes.
//
// A transport frame is a batch of messages:
//
//	| length, uvarint | kind, 1 | what the kind has | length | kind | …
//
// and the first frame in each direction is a hello alone.
//
// What always holds:
//
//   - Calls to one node reach its handler in the order they were made here, as
//     long as the connection lasts. When it is lost all open calls fail at once; whether
//     they were done is not known.
//   - What waits is bounded in bytes for each peer and class. Past the bound raft
//     frames are lost, calls are refused with [ErrOverloaded], and streams wait.
//   - A slow or dead peer costs the others nothing: no goroutine waits for it but
//     its own and those that send on its streams.
//   - A peer that says nothing for Options.DeadAfter is taken for dead.
//   - A call or stream to the node itself uses no socket.
//   - No lock is held while something is written, and none while a handler runs.
package mux
