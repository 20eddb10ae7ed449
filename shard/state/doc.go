// Package state is a shard's state machine: conversations, users, and the two
// kinds of log that everything is told through.
//
// [State.Apply] takes committed entries in order. An entry is a stamp and up
// to 256 commands; each command gets one [Result]. Apply is pure: it reads
// nothing but its own rows and the entry, so replicas that have applied the
// same entries hold the same bytes. Time is the entry's stamp. A refusal is a
// result that all replicas agree on; a command that is not known is an error,
// upon which the host stops before the replicas fork.
//
// Rows lie in a Pebble that may be shared with other shards and has no WAL;
// key.go draws every table. All rows of a conversation or a user begin with
// its slot, so a shard is one range of keys and its record, the first of them,
// says which entry the range is at. The record is written in the same batch as
// what the entries changed.
//
// The parts of apply:
//
//   - command.go, kind.go: what may be asked, and its durable encoding;
//   - txn.go, batch.go, overlay.go: the entry that is being applied, the batch
//     of some entries with the hash chain over all writes, and what the batch
//     has written so far;
//   - conversation*.go, member*.go, message*.go, token.go: the conversations;
//   - user*.go, outbox*.go, timer*.go: the users and what passes between slots.
//
// [Queries] (query*.go) may be called from any goroutine while Apply runs. Each
// reads through one iterator, so it sees the rows of one applied index, even if
// the shard's range is replaced by an install meanwhile.
//
// What always holds:
//
//   - A log's offsets and a conversation's sequences are 1, 2, 3 … without gaps.
//   - Message timestamps never go down as sequences go up.
//   - Of the entries of a conversation that are not messages, those of a later
//     command have a later time: who knows up to when he has seen them knows all.
//   - Between two rows of a conversation's non-message entries, offsets and
//     sequences run in parallel: the message at an offset is found without an index.
//   - What a command changes lies under the one slot the command is for.
//   - A command whose token is remembered changes nothing: its answer is the
//     first one's.
//
// A durable form that has grown says what is new in a later version, in more flags
// or, of a command, after all else; and only where something is new. So old rows
// and old commands are read, and what does not use what is new is written as ever.
package state
