package leanrest

import (
	"cmp"
	"context"
	"slices"
	"unicode/utf8"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/node/leandoc"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// maxMemberships is how many conversations of one user are looked at.
const maxMemberships = 10_000

// usersRequest is a request about users.
type usersRequest struct{ *request }

// checkOnline names those of the users who are online.
func checkOnline(q *request) (any, error) {
	var body clientIDs
	if err := q.decode(&body); err != nil {
		return nil, err
	}
	return usersRequest{q}.online(body.IDs)
}

// online answers about the first ids: the others are left out.
func (q usersRequest) online(ids []string) (any, error) {
	list, err := users("client_ids", ids[:min(len(ids), q.settings.Limit.OnlineQuery)])
	if err != nil {
		return nil, err
	}
	there, err := q.host.Online(q.ctx(), q.app.ID, list)
	if err != nil {
		return nil, err
	}
	slices.Sort(there)
	return map[string]any{"results": append([]wire.UserID{}, there...)}, nil
}

// present asks who is in a chat room now.
func (q usersRequest) present(shown string) (door.Presents, error) {
	id, err := q.conversationOf(shown, state.PresetRoom, codeConvNotFound)
	if err != nil {
		return door.Presents{}, err
	}
	return q.host.Present(q.ctx(), q.app.ID, id, q.settings.Limit.RoomSample)
}

// stats counts who is online. How many users there were today is not counted.
func stats(q *request) (any, error) {
	n, err := q.host.OnlineCount(q.ctx(), q.app.ID)
	return map[string]any{"result": map[string]any{"online_user_count": n}}, err
}

// kick ends all sessions of a user; what they came back with is void.
func kick(q *request) (any, error) {
	var body struct {
		Reason string `json:"reason"`
	}
	if err := q.decode(&body); err != nil {
		return nil, err
	}
	return usersRequest{q}.kickOne(q.http.PathValue("client"), body.Reason)
}

func (q usersRequest) kickOne(client, reason string) (any, error) {
	u, err := user("client_id", client)
	if err != nil {
		return nil, err
	}
	if n := utf8.RuneCountInString(reason); n > q.settings.Limit.KickReason {
		return nil, wrong(codeOther, "the reason has %d characters, want at most %d", n, q.settings.Limit.KickReason)
	}
	_, err = q.change(&state.Kick{User: u, Reason: reason})
	return struct{}{}, err
}

// unreadCount counts what a user has not read, in all or in one conversation.
func unreadCount(q *request) (any, error) {
	return usersRequest{q}.unread(q.http.PathValue("client"), q.parameter("conv_id"))
}

func (q usersRequest) unread(client, shown string) (any, error) {
	u, err := user("the user's id", client)
	if err != nil {
		return nil, err
	}
	var ids []string
	if shown != "" {
		id, err := q.conversationOf(shown, 0, codeConvNotFound)
		if err != nil {
			return nil, err
		}
		ids = []string{string(id)}
		if thread, ok := state.ThreadOf(id, u); ok { // a service's, if it is one
			ids = append(ids, string(thread))
		}
	} else if ids, err = q.conversationsOf(u); err != nil {
		return nil, err
	}
	answers, err := door.AskEach(q.ctx(), q.host, door.Asker{App: q.app.ID, User: u}, ids, func(roots []string) *ask.Request {
		return &ask.Request{Sync: &ask.Sync{Conversations: conversationIDs(roots), Unread: &ask.SyncUnread{}}}
	})
	if err != nil {
		return nil, err
	}
	var count uint64
	for _, a := range answers {
		for i := range a.Sync.Conversations {
			count += min(a.Sync.Conversations[i].Unread, uint64(q.settings.Limit.UnreadMessages))
		}
	}
	return map[string]any{"count": count}, nil
}

func conversationIDs(roots []string) []wire.ConversationID {
	ids := make([]wire.ConversationID, len(roots))
	for i, root := range roots {
		ids[i] = wire.ConversationID(root)
	}
	return ids
}

func (q usersRequest) conversationsOf(u wire.UserID) ([]string, error) {
	all, err := door.Memberships(q.ctx(), q.host, q.app.ID, u, ask.MaxSynced)
	ids := make([]string, len(all))
	for i := range all {
		ids[i] = string(all[i].Conversation)
	}
	return ids, err
}

// subscription is one user's stay in a service conversation.
type subscription struct {
	Timestamp    int64       `json:"timestamp"`
	Subscriber   wire.UserID `json:"subscriber"`
	Conversation string      `json:"conv_id"`
}

// subscriptionsOf lists the service conversations that a user is in.
func subscriptionsOf(q *request) (any, error) {
	return usersRequest{q}.subscriptions(q.http.PathValue("client"))
}

func (q usersRequest) subscriptions(client string) (any, error) {
	u, err := user("client_id", client)
	if err != nil {
		return nil, err
	}
	limit, err := q.number("limit", int64(q.settings.Limit.SubscriberPage), 1, mostFound)
	if err != nil {
		return nil, err
	}
	start, err := q.number("timestamp", 0, 0, mostTime)
	if err != nil {
		return nil, err
	}
	all, err := services(q.ctx(), q.request, u)
	if err != nil {
		return nil, err
	}
	order := func(a, b subscription) int {
		return cmp.Or(cmp.Compare(a.Timestamp, b.Timestamp), cmp.Compare(a.Conversation, b.Conversation))
	}
	switch direction := q.parameter("direction"); direction {
	case "", "new":
	case "old":
		ascending := order
		order = func(a, b subscription) int { return ascending(b, a) }
	default:
		return nil, wrong(codeOther, "direction is %q, want new or old", direction)
	}
	slices.SortFunc(all, order)
	page := []subscription{}
	for _, s := range all {
		after := start == 0 || order(s, subscription{Timestamp: start, Conversation: q.parameter("conv_id")}) > 0
		if after && len(page) < int(limit) {
			page = append(page, s)
		}
	}
	return page, nil
}

// services finds the service conversations among those that a user is in.
func services(ctx context.Context, q *request, u wire.UserID) ([]subscription, error) {
	memberships, err := door.Memberships(ctx, q.host, q.app.ID, u, maxMemberships)
	if err != nil {
		return nil, err
	}
	var ids []string
	joined := map[wire.ConversationID]int64{}
	for i := range memberships {
		ids = append(ids, string(memberships[i].Conversation))
		joined[memberships[i].Conversation] = memberships[i].Joined
	}
	answers, err := door.AskEach(ctx, q.host, door.Asker{App: q.app.ID}, ids, func(roots []string) *ask.Request {
		return &ask.Request{Find: &ask.Find{
			Where: []byte(`{"sys":true}`), Sort: leandoc.ColumnID, Limit: len(roots), Of: conversationIDs(roots), Compact: true,
		}}
	})
	if err != nil {
		return nil, err
	}
	var all []subscription
	for _, a := range answers {
		for i := range a.Find.Documents {
			id := a.Find.Documents[i].Conversation
			all = append(all, subscription{Timestamp: joined[id], Subscriber: u, Conversation: string(id)})
		}
	}
	return all, nil
}

// blockConversation says for a user that he does not want to be added to a
// conversation.
func blockConversation(q *request) (any, error) { return usersRequest{q}.blockIt(false) }

func unblockConversation(q *request) (any, error) { return usersRequest{q}.blockIt(true) }

func (q usersRequest) blockIt(not bool) (any, error) {
	if err := q.blacklists(); err != nil {
		return nil, err
	}
	u, err := user("the user's id", q.http.PathValue("client"))
	if err != nil {
		return nil, err
	}
	var body struct {
		Conversation string `json:"conv_id"`
	}
	if err := q.decode(&body); err != nil {
		return nil, err
	}
	if body.Conversation == "" {
		body.Conversation = q.parameter("conv_id")
	}
	id, err := q.conversationOf(body.Conversation, 0, codeConvNotFound)
	if err != nil {
		return nil, err
	}
	_, err = q.change(&state.BlockConversation{User: u, Conversation: id, Unblock: not})
	return struct{}{}, err
}
