package ask

import (
	"github.com/quorate/quorate/node/leandoc"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// MaxSince is how many entries of one log a question about what a user has missed
// looks at: the newest.
const MaxSince = 1000

// UserSince asks, as a user, what his log tells that is younger than a time.
type UserSince struct {
	Since int64 `json:"since"` // milliseconds since 1970
}

// UserEntries is his coming and going, in the log's order.
type UserEntries struct {
	Entries []UserEntry `json:"entries,omitempty"`
	Missing bool        `json:"missing,omitempty"` // there were more, before these
}

// UserEntry says that the user came into a conversation, or that he has left it.
type UserEntry struct {
	Conversation wire.ConversationID `json:"conversation"`
	Offset       wire.Offset         `json:"offset"` // in the conversation's log
	Joined       bool                `json:"joined,omitempty"`
	Expired      bool                `json:"expired,omitempty"` // he left since it is gone
	By           wire.UserID         `json:"by,omitempty"`
	Millis       int64               `json:"millis"`
}

func (q *UserSince) answer(e executor, a *Answer) error {
	entries, err := e.st.UserLogSince(e.app, e.user, q.Since, MaxSince)
	if err != nil {
		return err
	}
	a.UserSince = &UserEntries{Missing: len(entries) == MaxSince}
	for _, entry := range entries {
		if entry.Kind != state.EntryJoined && entry.Kind != state.EntryLeft {
			continue
		}
		a.UserSince.Entries = append(a.UserSince.Entries, UserEntry{
			Conversation: entry.Conversation, Offset: entry.ConversationOffset, Joined: entry.Kind == state.EntryJoined,
			Expired: entry.Expired, By: entry.Actor, Millis: entry.Stamp,
		})
	}
	return nil
}

// Since asks, as a user, what was told in conversations, but for messages, that is
// younger than a time.
type Since struct {
	Of    []SinceIn `json:"of"`
	Since int64     `json:"since"` // milliseconds since 1970
}

// SinceIn is a conversation that the user is in, or that he has left.
type SinceIn struct {
	Conversation wire.ConversationID `json:"conversation"`
	Left         wire.Offset         `json:"left,omitempty"` // of the entry of his leaving; 0: he has not
}

// EventList is what the user was told, or would have been.
type EventList struct {
	Events  []EventIn `json:"events,omitempty"`
	Missing bool      `json:"missing,omitempty"` // there were more, before these
}

// EventIn is an event in a conversation of a kind, or a receipt.
type EventIn struct {
	leandoc.Event

	Preset  state.Preset `json:"preset"`
	Expires int64        `json:"expires,omitempty"` // the conversation, in milliseconds since 1970; 0: never
	Receipt *Receipt     `json:"receipt,omitempty"`
}

// Receipt says that the other member has got, or read, what the asker sent.
type Receipt struct {
	Message wire.MessageID `json:"message"` // the last one that it is about
	From    wire.UserID    `json:"from"`    // who has
	Millis  int64          `json:"millis"`
	Read    bool           `json:"read,omitempty"`
}

func (q *Since) answer(e executor, a *Answer) error {
	if len(q.Of) > MaxCandidates {
		return wire.Errorf(wire.CodeLimit, "", "%d conversations, want at most %d", len(q.Of), MaxCandidates)
	}
	a.Since = &EventList{}
	for _, in := range q.Of {
		err := q.in(e, in, a.Since)
		if err != nil && refusal(err) == state.None {
			return err
		}
	}
	return nil
}

// in adds what happened in one conversation while the user was in it.
func (q *Since) in(e executor, in SinceIn, list *EventList) error {
	c, err := e.st.Conversation(e.app, in.Conversation)
	if err != nil {
		return err
	}
	first, last := wire.Offset(1), in.Left
	m, err := e.st.Member(e.app, in.Conversation, e.user)
	switch {
	case err == nil:
		first, last = m.JoinedOffset, c.LastOffset
	case refusal(err) != state.NotMember || in.Left == 0:
		return err
	}
	entries, err := e.st.LogSince(e.app, in.Conversation, q.Since, MaxSince)
	if err != nil {
		return err
	}
	list.Missing = list.Missing || len(entries) == MaxSince
	for _, entry := range entries {
		if entry.Offset < first || entry.Offset > last {
			continue
		}
		entry = entry.For(e.user, &c.Policy)
		if entry == nil {
			continue
		}
		for _, event := range leandoc.OfConversation(in.Conversation, c.Policy.Preset, entry, e.user) {
			list.Events = append(list.Events, EventIn{Event: event, Preset: c.Policy.Preset, Expires: c.Expires})
		}
	}
	if m.User == "" {
		return nil
	}
	return q.receipts(e, &c, list)
}

// receipts adds what the other one of two members has got and read since.
func (q *Since) receipts(e executor, c *state.Conversation, list *EventList) error {
	if c.Policy.Receipts == 0 || c.MemberCount > maxPair {
		return nil
	}
	cursors, err := e.st.Cursors(e.app, c.ID, "", maxPair)
	if err != nil {
		return err
	}
	for _, at := range cursors {
		if at.User == e.user {
			continue
		}
		moves := []struct {
			seq    wire.Seq
			millis int64
			read   bool
		}{{at.Delivered, at.DeliveredStamp, false}, {at.Read, at.ReadStamp, true}}
		for _, move := range moves {
			if move.seq == 0 || move.millis <= q.Since {
				continue
			}
			message, err := e.asked(c.ID, move.seq)
			if err != nil {
				return err
			}
			if message != "" {
				list.Events = append(list.Events, EventIn{
					Event: leandoc.Event{Conversation: c.ID, Millis: move.millis}, Preset: c.Policy.Preset,
					Receipt: &Receipt{Message: message, From: at.User, Millis: move.millis, Read: move.read},
				})
			}
		}
	}
	return nil
}

// asked returns the user's last message up to a sequence that asked for a receipt;
// empty: there is none among the newest.
func (e executor) asked(id wire.ConversationID, upto wire.Seq) (wire.MessageID, error) {
	page, err := e.st.History(state.HistoryQuery{App: e.app, Conversation: id, Reader: e.user, From: upto, Limit: 100})
	if err != nil {
		return "", err
	}
	for _, m := range page.Messages {
		if m.From == e.user && m.Receipt {
			return m.ID, nil
		}
	}
	return "", nil
}
