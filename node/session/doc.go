// Package session holds one client's stay on a node: it signs in, asks and is
// told.
//
// A [Session] owns a connection. Its reading goroutine is [Session.Serve]: it
// decodes frames and hands requests to the [Backend], which answers later from
// any goroutine. Writing has no goroutine of its own while there is nothing to
// write: the first frame queued starts one, which drains the queue into as few
// writes as possible and ends. So an idle session costs one goroutine.
//
// What always holds:
//
//   - Before the sign-in a client can make the node hold one small frame for
//     ten seconds, and nothing else.
//   - The queue of a session is bounded. An answer always fits, since the
//     requests in flight are bounded and nothing more is read from a client that
//     does not take his answers; a push that does not fit is refused to its
//     sender and the session says "behind" once the queue is empty.
//   - The user of a request is the session's, never a field of the request.
package session
