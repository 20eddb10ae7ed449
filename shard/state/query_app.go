package state

import "github.com/quorate/quorate/wire"

// AppMessagesQuery asks for the messages of all of an app's conversations in this
// shard, by time and, at one time, by id.
type AppMessagesQuery struct {
	App         wire.AppID
	From, Upto  int64 // milliseconds since 1970, both included; Upto 0: to the end
	After       AppMessagesPlace
	NewestFirst bool
	Limit       int // messages; 0: 100
}

// AppMessagesPlace is where a page ended; the zero value is before all.
type AppMessagesPlace struct {
	Timestamp int64
	ID        wire.MessageID
}

// AppMessage is a message with where it is.
type AppMessage struct {
	Conversation wire.ConversationID
	*Message
}

// AppMessagesPage is the messages that were asked for, in their order.
type AppMessagesPage struct {
	Messages []AppMessage
	More     bool // there may be more after the last one
}

// AppMessages reads a page of the messages of an app, for the app.
func (s *Queries) AppMessages(q AppMessagesQuery) (AppMessagesPage, error) {
	return AppMessagesPage{}, nil
}
