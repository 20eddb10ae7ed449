// Package leanmessage is the door for clients of LeanMessage: it speaks their
// dialect on WebSockets and turns it into commands, questions and subscriptions
// of its [door.Host].
//
// A socket carries the sessions of one app, one for each client id. Its reading
// goroutine is [Door.Serve]; writing has a goroutine only while there is
// something to write. A client is one session: it is the sink of what it
// follows, and its user, app and settings are the session's and never a field of
// a command.
//
// A command is found in the table by its cmd and op. The table has two kinds of
// entries, in one map for each group of commands:
//
//   - a handler is called in a goroutine of its own, with a context that ends
//     after Options.RequestTimeout, and returns the reply's cmd, op and payload;
//   - a starter is called on the reading goroutine, so commands of its kind start
//     in the order in which they came. It must not block, and calls done once,
//     from any goroutine, with the reply.
//
// The table adds i, peerId, service and serverTs to the reply. A nil reply is
// none; an error becomes the command "error" by codes.go. A command that came
// without i is answered only if it is session/open, echo or login.
//
// What a session is pushed comes from translators, found by the kind of a log
// entry in one map for each group: they say which frames an entry is for this
// session, and whether a request of this session caused it. A translator is
// called with a lock of the edge held: it encodes and returns.
//
// The commands of a group are functions of a client, or methods of a type that
// embeds one: the methods of client itself are what all groups need.
//
// What always holds:
//
//   - The reply to a request is queued before any push that the request caused,
//     and pushes stay in order: what comes after a push that waits waits too.
//     "opened" comes before every push of its session.
//   - One i is answered at most once. What the server says by itself has none.
//   - What is queued for a socket is bounded: who does not read is not read from,
//     a push that does not fit is refused to the edge, which says "behind" once
//     there is room, and who takes nothing for Options.WriteTimeout is closed.
//   - The door remembers nothing that the cluster must not lose: a session that
//     comes back, to any node, with its token is the same.
package leanmessage
