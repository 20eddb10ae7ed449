package leanmessage

import (
	"context"

	"github.com/quorate/quorate/node/tail"
	"github.com/quorate/quorate/shard/state"
)

// messageCommands are the commands about messages.
func messageCommands() map[op]command {
	return map[op]command{}
}

// messageEntries are the pushes about messages.
func messageEntries() map[state.EntryKind]translator {
	return map[state.EntryKind]translator{}
}

// cursorPushes says what a session is pushed when a member's cursor has moved.
func (c *client) cursorPushes(tail.Cursor) []outgoing { return nil }

// transientPushes says what a session is pushed of a transient message.
func (c *client) transientPushes(*tail.Transient) []outgoing { return nil }

// readBack reads what a batch says that the session is behind in, and pushes it
// before anything later of that log. It is called with a lock of the edge held.
func (c *client) readBack(*tail.Batch) {}

// resume brings a session that has opened, or opened again, up to date: it
// pushes what it has missed and follows what it has not followed yet. It runs in
// a goroutine of its own, and ctx ends with the session.
func (c *client) resume(context.Context) {}
