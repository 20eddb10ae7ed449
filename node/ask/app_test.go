package ask

import (
	"errors"
	"slices"
	"testing"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// TestAppMessages reads what three conversations have, as one list.
func TestAppMessages(t *testing.T) {
	w := newWorld(t)
	var all []*state.Result
	for _, id := range []wire.ConversationID{"tea", "coffee", "water"} {
		w.do("ann", &state.CreateConversation{ID: id, Preset: state.PresetBasic, Members: []wire.UserID{"ben"}})
	}
	for i := range 12 {
		id := []wire.ConversationID{"tea", "coffee", "water"}[i%3]
		from := []wire.UserID{"ann", "ben"}[i%2]
		r := w.do(from, &state.SendMessage{Conversation: id, Body: []byte{byte('a' + i)}})
		all = append(all, &r)
	}
	at := func(i int, included bool) Place {
		return Place{Message: all[i].MessageID, Time: all[i].Timestamp, Included: included}
	}
	for _, c := range []struct {
		name string
		q    AppMessages
		want string
	}{
		{"the newest", AppMessages{Limit: 3}, "lkj"},
		{"all", AppMessages{Limit: 100}, "lkjihgfedcba"},
		{"the oldest", AppMessages{Limit: 3, Newer: true}, "abc"},
		{"after one", AppMessages{Limit: 3, Newer: true, Start: at(2, false)}, "def"},
		{"from one", AppMessages{Limit: 3, Newer: true, Start: at(2, true)}, "cde"},
		{"before one", AppMessages{Limit: 3, Start: at(2, false)}, "ba"},
		{"between", AppMessages{Limit: 9, Start: at(5, true), End: at(2, false)}, "fed"},
		{"up to", AppMessages{Limit: 9, Newer: true, Start: at(2, false), End: at(5, true)}, "def"},
		{"before a time", AppMessages{Limit: 2, Start: Place{Time: all[4].Timestamp}}, "dc"},
		{"up to a time", AppMessages{Limit: 2, Start: Place{Time: all[4].Timestamp, Included: true}}, "ed"},
		{"of one", AppMessages{Limit: 3, From: "ben"}, "ljh"},
		{"of nobody", AppMessages{Limit: 3, From: "eve"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			page := w.mustAsk("", &Request{AppMessages: &c.q}).AppMessages
			got := ""
			for _, m := range page.Messages {
				got += string(m.Message.Body)
				if m.Preset != state.PresetBasic || m.Conversation == "" {
					t.Errorf("message %+v does not say where it is", m)
				}
			}
			if got != c.want || page.Cut {
				t.Errorf("messages %q, want %q", got, c.want)
			}
		})
	}
	if _, err := w.ask("ann", &Request{AppMessages: &AppMessages{Limit: 1}}); refusal(err) != state.Forbidden {
		t.Errorf("as a user: %v, want it to be forbidden", err)
	}
	if !slices.IsSortedFunc(w.mustAsk("", &Request{AppMessages: &AppMessages{Limit: 99, Newer: true}}).AppMessages.Messages, func(a, b AppMessage) int {
		return ComparePlaces(state.AppMessagesPlace{Timestamp: a.Message.Timestamp, ID: a.Message.ID}, state.AppMessagesPlace{Timestamp: b.Message.Timestamp, ID: b.Message.ID})
	}) {
		t.Error(errors.New("the messages are not in order"))
	}
}
