package leanmessage

import "github.com/quorate/quorate/shard/state"

// conversationCommands are the commands about conversations and their members.
func conversationCommands() map[op]command {
	return map[op]command{}
}

// conversationEntries are the pushes about conversations and their members: of
// conversation logs, and of the user's own log.
func conversationEntries() map[state.EntryKind]translator {
	return map[state.EntryKind]translator{}
}
