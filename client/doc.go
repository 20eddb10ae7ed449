// Package client is the Go client of Quorate.
//
// [Dial] signs one user in at any node of a cluster and returns a [Client].
// From it come [Conversation] handles, whose methods are what a user can do in
// a conversation, and [Subscription]s, which follow a conversation's log, or
// the user's own, entry by entry.
//
// The connection looks after itself. It learns the cluster's nodes when it
// signs in, so when its node dies or goes away it goes on at another; what had
// no answer by then is asked again. Every command carries a token, and asking
// again with the same token changes nothing, so a command is done once,
// however often its answer was lost on the way. How long a call goes on asking
// is up to the caller's context, and to nothing else.
//
// What always holds:
//
//   - Commands to one conversation are sent, and sent again, in the order in
//     which they were started.
//   - At most 255 commands to one conversation wait for their answers at once;
//     who comes later waits until the oldest of them is answered.
//   - A Subscription hands out entries by ascending offset, each once, and
//     leaves none out that the cluster would show this user. A hole in what
//     was pushed is read from the log before anything behind it is handed out.
//   - What a client reads of a conversation is never older than what it has
//     seen of it before, whichever node answers.
//   - An error from the cluster is a [*wire.Error]; what to do next depends on
//     its Code alone, see [wire.CodeOf]. When a context ends a call that was
//     refused before, both are in the error's chain.
//
// A Client and its Conversations may be used by any number of goroutines; a
// Subscription by one at a time. Callbacks run on the connection's own
// goroutines and must not wait.
package client
