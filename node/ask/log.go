package ask

import (
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// Log asks for entries of a log, in order.
type Log struct {
	Conversation wire.ConversationID `json:"conversation,omitempty"` // empty: the asker's own log
	After        wire.Offset         `json:"after"`
	Limit        int                 `json:"limit,omitempty"` // entries looked at; 0: 100
	Bytes        int                 `json:"bytes,omitempty"` // about what the page may take; 0: 512 KiB
}

// LogPage says everything about (After, Upto] of a log that is for the asker.
type LogPage struct {
	After   wire.Offset `json:"after"`
	Upto    wire.Offset `json:"upto"`
	Last    wire.Offset `json:"last"`  // the log's last offset
	Floor   wire.Offset `json:"floor"` // entries up to here are not kept any more
	Encoded [][]byte    `json:"entries,omitempty"`
}

// Entries returns the page's entries; conversation is that of the question.
func (p *LogPage) Entries(conversation wire.ConversationID) ([]*state.Entry, error) {
	entries := make([]*state.Entry, len(p.Encoded))
	for i, b := range p.Encoded {
		e, err := state.DecodeLogEntry(b, conversation)
		if err != nil {
			return nil, err
		}
		entries[i] = e
	}
	return entries, nil
}

func (q *Log) answer(e executor, a *Answer) error {
	key := state.LogKey{App: e.app, Conversation: q.Conversation}
	if q.Conversation == "" {
		key.User = e.user
		if e.user == "" {
			return wire.Errorf(wire.CodeInvalid, "", "the app has no log of its own")
		}
	}
	page, err := e.st.ReadLog(state.LogQuery{Log: key, Reader: e.user, After: q.After, Limit: q.Limit, Bytes: q.Bytes})
	if err != nil {
		return err
	}
	a.Log = &LogPage{After: page.After, Upto: page.Upto, Last: page.Last, Floor: page.Floor}
	for _, entry := range page.Entries {
		a.Log.Encoded = append(a.Log.Encoded, state.EncodeLogEntry(nil, q.Conversation, entry))
	}
	return nil
}
