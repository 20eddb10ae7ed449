package ask

import (
	"cmp"
	"strings"
	"time"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// maxAppTime is how long one question about an app's messages looks for them.
const maxAppTime = 2 * time.Second

// AppMessages asks for messages of all conversations of the app, between two
// places in the order of their times and, at one time, of their ids: those nearest
// to Start. Only the app may ask.
type AppMessages struct {
	Start Place       `json:"start"`
	End   Place       `json:"end"`
	Newer bool        `json:"newer,omitempty"` // from Start on; else what is before it
	From  wire.UserID `json:"from,omitempty"`  // only what this user has sent, to people and not to services
	Limit int         `json:"limit"`
}

// AppMessagePage is messages in the order that was asked for. With Cut there may
// be more in this shard than the question was answered with, after Next.
type AppMessagePage struct {
	Messages []AppMessage           `json:"messages,omitempty"`
	Cut      bool                   `json:"cut,omitempty"`
	Next     state.AppMessagesPlace `json:"next,omitzero"`
}

// AppMessage is a message with where it is.
type AppMessage struct {
	Conversation wire.ConversationID `json:"conversation"`
	Preset       state.Preset        `json:"preset"`
	Message      *state.Message      `json:"message"`
}

// ComparePlaces orders two messages of an app.
func ComparePlaces(a, b state.AppMessagesPlace) int {
	return cmp.Or(cmp.Compare(a.Timestamp, b.Timestamp), strings.Compare(string(a.ID), string(b.ID)))
}

func (q *AppMessages) answer(e executor, a *Answer) error {
	if e.user != "" {
		return &state.RefusedError{Refusal: state.Forbidden}
	}
	r := appReader{executor: e, q: q, page: &AppMessagePage{}, presets: map[wire.ConversationID]state.Preset{}}
	a.AppMessages = r.page
	return r.read(time.Now().Add(maxAppTime))
}

// appReader answers one AppMessages.
type appReader struct {
	executor

	q       *AppMessages
	page    *AppMessagePage
	presets map[wire.ConversationID]state.Preset
	size    int
}

func (r *appReader) read(until time.Time) error {
	low, high := r.q.End, r.q.Start
	if r.q.Newer {
		low, high = r.q.Start, r.q.End
	}
	query := state.AppMessagesQuery{
		App: r.app, From: max(low.Time, 0), Upto: min(max(high.Time, 0), maxTime), NewestFirst: !r.q.Newer, Limit: min(max(r.q.Limit, 1), wire.MaxPageEntries),
	}
	for {
		if err := r.awaited(); err != nil {
			return err
		}
		page, err := r.st.AppMessages(query)
		if err != nil {
			return err
		}
		for _, m := range page.Messages {
			if !inside(m.Message, low, high) || r.q.From != "" && m.From != r.q.From {
				continue
			}
			done, err := r.take(m)
			if done || err != nil {
				return err
			}
		}
		switch {
		case !page.More:
			return nil
		case time.Now().After(until):
			r.page.Cut, r.page.Next = true, page.Next
			return nil
		}
		query.After = &page.Next
	}
}

// inside tells whether a message is between two places.
func inside(m *state.Message, low, high Place) bool {
	at := state.AppMessagesPlace{Timestamp: m.Timestamp, ID: m.ID}
	after := func(p Place, sign int) bool {
		if p.Time <= 0 {
			return true
		}
		order := sign * cmp.Compare(at.Timestamp, p.Time)
		if p.Message != "" {
			order = sign * ComparePlaces(at, state.AppMessagesPlace{Timestamp: p.Time, ID: p.Message})
		}
		return order > 0 || order == 0 && p.Included
	}
	return after(low, 1) && after(high, -1)
}

// take adds a message to the page, and tells whether the page is full.
func (r *appReader) take(m state.AppMessage) (full bool, err error) {
	preset, known := r.presets[m.Conversation]
	if !known {
		c, err := r.st.Conversation(r.app, m.Conversation)
		if refusal(err) != state.None {
			return false, nil // it has ended meanwhile
		}
		if err != nil {
			return false, err
		}
		preset = c.Policy.Preset
		r.presets[m.Conversation] = preset
	}
	if r.q.From != "" && (preset == state.PresetSystem || preset > state.PresetTemporary) {
		return false, nil
	}
	r.page.Messages = append(r.page.Messages, AppMessage{Conversation: m.Conversation, Preset: preset, Message: m.Message})
	if r.size += len(m.Body); r.size >= maxHistoryBytes {
		r.page.Cut, r.page.Next = true, state.AppMessagesPlace{Timestamp: m.Timestamp, ID: m.ID}
		return true, nil
	}
	return len(r.page.Messages) >= r.q.Limit, nil
}
