// Package history holds what happened in one run of the simulator: what clients
// called and were answered, what they were pushed, which nodes led, what the
// nemesis did, and what the replicas were at the end.
//
// A Recorder gathers it while the run goes on; a History is what is left of it,
// and what package check judges. Both are plain data: a history can be written
// as JSON, one line an event, and read again, so that a run that failed long
// ago can be judged by a checker that was written since.
//
// What always holds:
//
//   - Times are virtual, counted from the start of the recorder. Nothing else in
//     a history depends on the machine: equal runs give equal histories, byte
//     by byte.
//   - Events stand in the order in which they ended. A call has the moment at
//     which it began, At, and at which its answer was there, Until. That one call
//     ended before another began is certain if its Until is less than the other's
//     At, and is not claimed otherwise.
//   - An outcome is OK, Refused or Unknown. Refused means that the cluster said
//     no: it did not happen, and will not. Unknown means that it may have
//     happened, or may yet.
//   - One Client of an event is one object of the client library, from sign-in to
//     sign-out. What it promises to one session is promised to one Client.
package history
