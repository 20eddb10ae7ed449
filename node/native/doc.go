// Package native is the door of the native protocol: it translates the frames
// of package wire/pb into commands and queries of the state machine, and the
// state's answers back into frames. It holds nothing.
//
// What always holds: the user of a command or query is the session's; sizes and
// ids are checked here, before anything is sent to a shard; and a refusal of the
// state machine becomes the code that the protocol has for it, in one table.
package native
