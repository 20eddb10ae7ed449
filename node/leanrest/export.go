package leanrest

import (
	"slices"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/node/leandoc"
	"github.com/quorate/quorate/node/leansign"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// listAppMessages reads messages of all conversations of the app.
func listAppMessages(q *request) (any, error) { return q.export("") }

// listSentMessages reads what one user has sent.
func listSentMessages(q *request) (any, error) {
	from, err := user("the user's id", q.http.PathValue("client"))
	if err != nil {
		return nil, err
	}
	return q.export(from)
}

// export reads messages of all conversations, or of them those of one sender.
func (q *request) export(from wire.UserID) (any, error) {
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
	for _, m := range merged(answers, s) {
		items = append(items, itemOf(m.Message, leandoc.ShownID(m.Conversation, m.Preset), m.Preset))
	}
	return items, nil
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
