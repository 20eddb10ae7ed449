// Package bench puts load on a cluster through its client and says what came
// of it.
//
// Each [Scenario] opens its sessions and makes its conversations first, and then
// offers its load in one of two ways. With a rate the load is open: work is due
// at its time, whatever the answers before it do, and its latency counts from
// then, so that a cluster that stands still is not asked less and is not made to
// look better than it is. Without a rate, a fixed number of pieces is kept in
// flight, which finds how much the cluster takes.
//
// While it measures, it asks the nodes what they have used, and so tells what a
// message cost: processor time of all nodes, bytes on their disks, and what their
// disks took for a sync.
//
// What always holds:
//
//   - The warm-up is not measured.
//   - Errors are counted and never retried by the bench itself; what the client
//     library repeats by itself counts as one piece, from when it was due.
//   - A percentile comes from everything that was measured, not from a sample.
//   - Open load is bounded only by Load.Limit: what is due beyond it is not sent,
//     and is counted as over the limit.
//   - Completed is what was answered within the measured time, whenever it was
//     due: a queue that grows is no throughput.
package bench
