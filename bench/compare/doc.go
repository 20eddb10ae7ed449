// Command compare puts the same load on Quorate and on NATS JetStream, in turn
// on the same disk, and says how the two compare. It is a module of its own,
// so that what it needs is no part of the server.
//
// Every cluster is three processes on loopback with a fresh directory. The
// load comes from a process of its own: "quorate bench ingest" for Quorate,
// "compare nats-load" for NATS, which does the same with the official client
// library. Both keep a number of messages in flight over a number of
// connections, warm up, measure for the same time, count a message when it was
// due in that time, and print the same JSON.
//
// What always holds:
//
//   - A message of either system counts when the system has acknowledged it. Quorate
//     and NATS with sync_interval always do that once a majority has it on
//     its disk; NATS by its default does it earlier.
//   - Both are measured from outside: processor time is read from /proc, of
//     the servers and of the load, at the begin and the end of the measured
//     time.
//   - Rounds are interleaved and the order alternates; what is reported is
//     the median, and how far the rounds lie apart.
//   - Leaders are spread evenly over the nodes before a measurement begins, in
//     both systems.
//   - A process is ended by its id, and waited for.
package main
