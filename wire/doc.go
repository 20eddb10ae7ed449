// Package wire holds the words that cross a connection: ids, codes, the one
// error type, and the limits of what may be sent.
//
// The frames themselves are protocol buffers, in wire/pb (the schema is
// wire/quorate.proto). Both transports carry the same bytes: a frame is its
// length as a uvarint, then the protobuf. What raft's log holds is another
// schema with another owner, in shard/state: a frame may change with a
// negotiated version, a log record must be readable for years.
//
// What always holds:
//
//   - An id is a type of its own, never a bare string.
//   - A number on the wire is never renumbered; new ones are added at the end.
//   - Sizes are checked before anything is allocated or decoded.
package wire
