package leanrest

import (
	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// subscribe adds a user to a service conversation.
func subscribe(q *request) (any, error) {
	var body struct {
		Client string `json:"client_id"`
	}
	if err := q.decode(&body); err != nil {
		return nil, err
	}
	return usersRequest{q}.subscribe(q.http.PathValue("id"), body.Client, true)
}

func unsubscribe(q *request) (any, error) {
	return usersRequest{q}.subscribe(q.http.PathValue("id"), q.http.PathValue("client"), false)
}

func (q usersRequest) subscribe(shown, client string, on bool) (any, error) {
	u, err := user("client_id", client)
	if err != nil {
		return nil, err
	}
	id, err := q.conversationOf(shown, state.PresetSystem, codeConvNotFound)
	if err != nil {
		return nil, err
	}
	var c state.Command = &state.RemoveMembers{Conversation: id, Users: []wire.UserID{u}}
	if on {
		c = &state.AddMembers{Conversation: id, Users: []wire.UserID{u}}
	}
	_, err = q.changeUsers(c, 1)
	return struct{}{}, err
}

func listSubscribers(q *request) (any, error) {
	return usersRequest{q}.subscribers(q.http.PathValue("id"))
}

// subscribers lists the users of a service conversation by their ids.
func (q usersRequest) subscribers(shown string) (any, error) {
	id, err := q.conversationOf(shown, state.PresetSystem, codeConvNotFound)
	if err != nil {
		return nil, err
	}
	most := int64(q.settings.Limit.SubscriberPage)
	limit, err := q.number("limit", most, 1, mostFound)
	if err != nil {
		return nil, err
	}
	page, err := q.membersPage(id, wire.UserID(q.parameter("client_id")), int(min(limit, most)))
	if err != nil {
		return nil, err
	}
	list := make([]subscription, len(page.Members))
	for i := range page.Members {
		list[i] = subscription{Timestamp: page.Members[i].Joined, Subscriber: page.Members[i].User, Conversation: shown}
	}
	return list, nil
}

func (q usersRequest) membersPage(id wire.ConversationID, after wire.UserID, limit int) (*ask.MemberPage, error) {
	a, err := q.host.Ask(q.ctx(), q.app.ID, "", string(id), &ask.Request{Members: &ask.Members{Conversation: id, After: after, Limit: limit}})
	if err != nil {
		return nil, err
	}
	return a.Members, nil
}

func countSubscribers(q *request) (any, error) {
	return usersRequest{q}.subscriberCount(q.http.PathValue("id"))
}

func (q usersRequest) subscriberCount(shown string) (any, error) {
	id, err := q.conversationOf(shown, state.PresetSystem, codeConvNotFound)
	if err != nil {
		return nil, err
	}
	page, err := q.membersPage(id, "", 0)
	if err != nil {
		return nil, err
	}
	return map[string]any{"count": page.Count}, nil
}
