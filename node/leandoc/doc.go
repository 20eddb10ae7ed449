// Package leandoc knows how LeanCloud writes down what Quorate stores: a
// conversation as a document of columns, the attributes that a client sends to
// create or change one, and what is told of it as events.
//
// It is pure: both doors of the dialect, the socket and the REST API, and the
// questions that the shards answer for them share it.
//
// What always holds:
//
//   - A document is one conversation at one moment; its columns are valid JSON.
//   - What a client may not set is left out of what it sends, never stored.
//   - Ids of temporary conversations begin with [TemporaryPrefix] outside, and
//     never inside.
package leandoc
