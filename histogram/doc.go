// Package histogram counts durations, so that percentiles can be told of many
// millions of them.
//
// A [Histogram] is written by any number of goroutines at once, at the price of
// one atomic addition. What it has counted is taken as [Counts], which add up,
// are subtracted (what came between two looks), and travel as JSON: so the nodes
// of a cluster count, and whoever measures them asks before and after.
//
// Buckets are as wide as 1/64 of what they hold, from a nanosecond to twenty
// minutes, so a percentile is at most 1.6 % above the truth, and never below it.
package histogram
