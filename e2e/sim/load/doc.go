// Package load is the clients of a run of the simulator: users with one or more
// devices, each a goroutine with the real client library, who do by seeded
// choice what users do, and record all of it in a history.
//
// It knows nothing of nodes but how to dial one and whether it is alive. What
// it promises to the run:
//
//   - Whatever dies, a client goes on: each call has a time-out of the bubble's
//     clock, and what it knows about an outcome is OK, Refused or Unknown.
//   - What has an unknown outcome is asked again with the same token, on another
//     node, until there is an answer or the run is over.
//   - The number of operations is bounded, and every goroutine ends with the
//     context or with Crew.Close.
//   - Choices depend on the seed alone, and on what was answered.
package load
