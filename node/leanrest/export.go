package leanrest

import (
	"crypto/md5" //nolint:gosec // the dialect's name of a thread
	"encoding/hex"
	"slices"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/node/leandoc"
	"github.com/quorate/quorate/node/leansign"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// listAppMessages reads messages of all conversations of the app.
func listAppMessages(q *request) (any, error) { return messagesRequest{q}.export("") }

// listSentMessages reads what one user has sent.
func listSentMessages(q *request) (any, error) {
	from, err := user("the user's id", q.http.PathValue("client"))
	if err != nil {
		return nil, err
	}
	return messagesRequest{q}.export(from)
}

// export reads messages of all conversations, or of them those of one sender.
func (q messagesRequest) export(from wire.UserID) (any, error) {
	if q.role != leansign.Master {
		return nil, &failure{status: 403, code: codeForbidden, text: "this wants the app's master key"}
	}
	s, err := q.span()
	if err != nil {
		return nil, err
	}
	answers, err := q.host.AskAll(q.ctx(), q.app.ID, "", &ask.Request{
		AppMessages: &ask.AppMessages{Start: s.start, End: s.end, Newer: s.newer, Limit: s.limit, From: from},
	})
	if err != nil {
		return nil, err
	}
	items := []item{}
	e := exporter{request: q.request, users: map[wire.ConversationID]wire.UserID{}}
	for _, m := range merged(answers, s) {
		if items, err = e.add(items, &m); err != nil {
			return nil, err
		}
	}
	return items, nil
}

// exporter shows messages of all kinds of conversations.
type exporter struct {
	*request

	users map[wire.ConversationID]wire.UserID // of threads
}

// add adds a message as it is listed. What services say to all users is shown as
// theirs; version 1.1 leaves it out. What a user and a service say to each other
// has an id of its own in lists: a digest of the two.
func (e *exporter) add(items []item, m *ask.AppMessage) ([]item, error) {
	switch m.Preset {
	case state.PresetBroadcast:
		b, shown, err := state.UnwrapBroadcast(m.Message)
		if err != nil || e.route.path == v1+"/messages/history" {
			return items, nil //nolint:nilerr // it was taken back, and says nothing
		}
		return append(items, itemOf(shown, string(b.Service), state.PresetSystem)), nil
	case state.PresetThread:
		user, err := e.userOf(m.Conversation)
		if err != nil {
			return nil, err
		}
		service, _ := state.ServiceOf(m.Conversation)
		one := itemOf(m.Message, threadShown(service, user), state.PresetSystem)
		one.To = string(service)
		return append(items, one), nil
	default:
		return append(items, itemOf(m.Message, leandoc.ShownID(m.Conversation, m.Preset), m.Preset)), nil
	}
}

// threadShown is the id of a thread in lists of messages.
func threadShown(service wire.ConversationID, user wire.UserID) string {
	sum := md5.Sum([]byte(string(service) + ":" + string(user))) //nolint:gosec // the dialect's name of it, and no secret
	return hex.EncodeToString(sum[:])
}

// userOf returns the user of a thread; empty: he is not in it any more.
func (e *exporter) userOf(thread wire.ConversationID) (wire.UserID, error) {
	if u, ok := e.users[thread]; ok {
		return u, nil
	}
	page, err := usersRequest{e.request}.membersPage(thread, "", 1)
	if err != nil && failure404(err) == nil {
		return "", err
	}
	if err == nil && len(page.Members) > 0 {
		e.users[thread] = page.Members[0].User
	}
	return e.users[thread], nil
}

// merged brings what the shards have answered into one order. Where one of them
// was cut short, what the others have beyond that is left for the next request.
func merged(answers []*ask.Answer, s span) []ask.AppMessage {
	place := func(m *ask.AppMessage) state.AppMessagesPlace {
		return state.AppMessagesPlace{Timestamp: m.Message.Timestamp, ID: m.Message.ID}
	}
	sign := -1
	if s.newer {
		sign = 1
	}
	order := func(a, b state.AppMessagesPlace) int { return sign * ask.ComparePlaces(a, b) }
	var all []ask.AppMessage
	var cut *state.AppMessagesPlace
	for _, a := range answers {
		page := a.AppMessages
		all = append(all, page.Messages...)
		if page.Cut && (cut == nil || order(page.Next, *cut) < 0) {
			cut = &page.Next
		}
	}
	slices.SortFunc(all, func(a, b ask.AppMessage) int { return order(place(&a), place(&b)) })
	if cut != nil {
		all = slices.DeleteFunc(all, func(m ask.AppMessage) bool { return order(place(&m), *cut) > 0 })
	}
	return all[:min(len(all), s.limit)]
}
