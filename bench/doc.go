// Package bench puts load on a cluster through its client and says what came
// of it.
//
// Load is open-loop where a rate is given: a message is due at its time,
// whatever the answers before it do, and its latency counts from then. Without
// a rate, a fixed number of messages is kept in flight, which finds how much
// the cluster takes.
//
// What always holds: the warm-up is not measured, errors are counted and never
// retried by the bench itself, and a percentile comes from every measured
// message, not from a sample.
package bench
