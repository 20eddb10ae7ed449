package ask

import (
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// History asks for messages of a conversation between two places: those nearest
// to Start.
type History struct {
	Conversation wire.ConversationID `json:"conversation"`
	Start        Place               `json:"start"`
	End          Place               `json:"end"`
	Newer        bool                `json:"newer,omitempty"` // from Start on; else what is before it
	Type         *int64              `json:"type,omitempty"`  // only messages of this type, see [TypeOf]
	Limit        int                 `json:"limit"`           // 0: none
}

// Place is a place between messages: a message, or a time. The zero value is
// open: it bounds nothing.
type Place struct {
	Message  wire.MessageID `json:"message,omitempty"` // empty: the time says it
	Time     int64          `json:"time,omitempty"`    // milliseconds since 1970
	Included bool           `json:"included,omitempty"`
}

// HistoryPage is messages in ascending order, whatever was asked for.
type HistoryPage struct {
	Messages []Message    `json:"messages,omitempty"`
	Preset   state.Preset `json:"preset"`
	Last     wire.Offset  `json:"last"` // the log's last offset
}

// Message is a message and how far it came.
type Message struct {
	*state.Message

	// AckAt and ReadAt say when the other member's cursors passed the message, in
	// milliseconds since 1970; 0: they have not, or there are more than two members.
	AckAt  int64 `json:",omitempty"`
	ReadAt int64 `json:",omitempty"`
}

const (
	maxTime = 1 << 48 // milliseconds; no time is later

	// maxLooked is how many messages one question about a type looks at. A page
	// may be short of its limit then, but is never empty without being at the end.
	maxLooked = 20_000
	// maxHistoryBytes is where a page stops, about.
	maxHistoryBytes = 6 << 20
)

func (q *History) answer(e executor, a *Answer) error {
	c, err := e.st.Conversation(e.app, q.Conversation)
	if err != nil {
		return err
	}
	page := &HistoryPage{Preset: c.Policy.Preset}
	a.History = page
	query := state.HistoryQuery{App: e.app, Conversation: q.Conversation, Reader: e.user, OldestFirst: q.Newer}
	some, err := q.bounds(e, &query)
	if err != nil {
		return err
	}
	access, err := e.st.CanRead(e.app, q.Conversation, e.user)
	if err != nil {
		return err
	}
	page.Last = access.Last
	if !some || q.Limit <= 0 {
		return nil
	}
	messages, err := q.read(e, &query)
	if err != nil {
		return err
	}
	if !q.Newer {
		for i, j := 0, len(messages)-1; i < j; i, j = i+1, j-1 {
			messages[i], messages[j] = messages[j], messages[i]
		}
	}
	page.Messages, err = e.withReceipts(&c, messages)
	return err
}

// bounds turns the two places into what the query begins and ends with. It is
// false if nothing can lie between them.
func (q *History) bounds(e executor, query *state.HistoryQuery) (bool, error) {
	low, high := q.End, q.Start
	if q.Newer {
		low, high = q.Start, q.End
	}
	lowSeq, lowTime, err := e.place(q.Conversation, low)
	if err != nil {
		return false, err
	}
	highSeq, highTime, err := e.place(q.Conversation, high)
	if err != nil {
		return false, err
	}
	switch {
	case lowSeq > 0 && !low.Included:
		lowSeq++
	case lowTime > 0 && !low.Included:
		lowTime++
	}
	switch {
	case highSeq > 0 && !high.Included:
		if highSeq--; highSeq == 0 {
			return false, nil
		}
	case highTime > 0 && !high.Included:
		if highTime--; highTime == 0 {
			return false, nil
		}
	}
	query.From, query.FromTime, query.Upto, query.UptoTime = highSeq, highTime, lowSeq, lowTime
	if q.Newer {
		query.From, query.FromTime, query.Upto, query.UptoTime = lowSeq, lowTime, highSeq, highTime
	}
	return true, nil
}

// place resolves a place: to the sequence of its message, or to its time. A
// message that is not there any more has its place still: its id says it.
func (e executor) place(id wire.ConversationID, p Place) (wire.Seq, int64, error) {
	if p.Message != "" {
		if seq, ok := p.Message.Seq(id); ok {
			return seq, 0, nil
		}
		m, err := e.st.Message(e.app, id, p.Message, e.user)
		switch {
		case err == nil:
			return m.Seq, 0, nil
		case refusal(err) != state.NotFound:
			return 0, 0, err
		}
	}
	return 0, min(max(p.Time, 0), maxTime), nil
}

// read reads the messages in the query's direction.
func (q *History) read(e executor, query *state.HistoryQuery) ([]*state.Message, error) {
	var messages []*state.Message
	looked, size := 0, 0
	for {
		query.Limit = q.Limit - len(messages)
		if q.Type != nil {
			query.Limit = wire.MaxPageEntries
		}
		if err := e.awaited(); err != nil {
			return nil, err
		}
		page, err := e.st.History(*query)
		if err != nil {
			return nil, err
		}
		for _, m := range page.Messages {
			looked++
			size += len(m.Body)
			if q.Type != nil && !isType(m, *q.Type) {
				continue
			}
			messages = append(messages, m)
			if len(messages) == q.Limit {
				return messages, nil
			}
		}
		if !page.More || looked >= maxLooked || q.Type == nil && size >= maxHistoryBytes {
			return messages, nil
		}
		query.From, query.FromTime = page.Next, 0
	}
}
