package ask

import (
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// MaxPlaces is how many places one question asks for.
const MaxPlaces = 1000

// Places asks for the sequences that places stand for: what a client has read
// or got it names by message and time.
type Places struct {
	Of []PlaceIn `json:"of"`
}

// PlaceIn is a place in a conversation: its message, and whatever is older than
// its time. Of a place without a message the time itself is in it.
type PlaceIn struct {
	Conversation wire.ConversationID `json:"conversation"`
	Message      wire.MessageID      `json:"message,omitempty"`
	Time         int64               `json:"time,omitempty"` // milliseconds since 1970
}

// Found is the last sequence of each place, in the order of the question; 0: the
// place is before all messages, or the asker may not read the conversation.
type Found struct {
	Seqs []wire.Seq `json:"seqs"`
}

func (q *Places) answer(e executor, a *Answer) error {
	if len(q.Of) > MaxPlaces {
		return wire.Errorf(wire.CodeLimit, "", "%d places, want at most %d", len(q.Of), MaxPlaces)
	}
	found := &Found{Seqs: make([]wire.Seq, len(q.Of))}
	for i, p := range q.Of {
		seq, err := e.lastOf(p)
		if err != nil && refusal(err) == state.None {
			return err
		}
		found.Seqs[i] = seq
	}
	a.Places = found
	return nil
}

// lastOf returns the last sequence that lies within a place.
func (e executor) lastOf(p PlaceIn) (wire.Seq, error) {
	access, err := e.st.CanRead(e.app, p.Conversation, e.user)
	if err != nil {
		return 0, err
	}
	named, _, err := e.place(p.Conversation, Place{Message: p.Message})
	if err != nil {
		return 0, err
	}
	until := min(p.Time, maxTime)
	if named > 0 {
		until-- // messages of one millisecond are told apart by their ids
	}
	var timed wire.Seq
	if until > 0 {
		page, err := e.st.History(state.HistoryQuery{App: e.app, Conversation: p.Conversation, FromTime: until, Limit: 1})
		if err != nil {
			return 0, err
		}
		if len(page.Messages) > 0 {
			timed = page.Messages[0].Seq
		}
	}
	return min(max(named, timed), access.LastSeq), nil
}
