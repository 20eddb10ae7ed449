// Package ask holds the questions that doors ask of a shard's state: more than
// one read of it at once, answered where the state is.
//
// A question travels between nodes as JSON, which tolerates that one node is
// newer than the other: a field that is not known is ignored, and a question
// that is not known is refused. A question concerns one shard; who asks several
// divides what he asks by the shard of each root.
//
// What always holds: who reads as a user sees what the user may see, and the
// empty user is the app, which may see everything in it; an answer is of one
// moment for each conversation in it, and says the offset that it knows the
// conversation's log up to.
package ask
