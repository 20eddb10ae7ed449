package leanrest

import (
	"strconv"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/wire"
)

const (
	usualListed = 10
	mostListed  = 100
)

func listSilenced(q *request) (any, error) { return membersRequest{q}.list(ask.ListMuted) }

func listBlocked(q *request) (any, error) {
	if err := q.blacklists(); err != nil {
		return nil, err
	}
	return membersRequest{q}.list(ask.ListBlocked)
}

// pageOf reads which page of a list is wanted.
func (q membersRequest) pageOf() (skip, limit int, err error) {
	l, err := q.number("limit", usualListed, 1, mostListed)
	if err != nil {
		return 0, 0, err
	}
	s, err := q.number("next", 0, 0, mostTime)
	return int(s), int(l), err
}

// list answers a page of a list that a conversation has of users.
func (q membersRequest) list(which ask.List) (any, error) {
	skip, limit, err := q.pageOf()
	if err != nil {
		return nil, err
	}
	id, err := q.conversation(codeConvNotFound)
	if err != nil {
		return nil, err
	}
	a, err := q.host.Ask(q.ctx(), q.app.ID, "", string(id), &ask.Request{
		Listed: &ask.Listed{Conversation: id, List: which, Skip: skip, Limit: limit},
	})
	if err != nil {
		return nil, err
	}
	answer := map[string]any{"client_ids": append([]wire.UserID{}, a.Listed.Users...)}
	if a.Listed.Next > 0 {
		answer["next"] = strconv.Itoa(a.Listed.Next)
	}
	return answer, nil
}

// listBlocks answers which conversations a user does not want to be added to.
func listBlocks(q *request) (any, error) {
	if err := q.blacklists(); err != nil {
		return nil, err
	}
	skip, limit, err := membersRequest{q}.pageOf()
	if err != nil {
		return nil, err
	}
	u, err := user("the user's id", q.http.PathValue("client"))
	if err != nil {
		return nil, err
	}
	a, err := q.host.Ask(q.ctx(), q.app.ID, u, string(u), &ask.Request{Blocks: &ask.Blocks{}})
	if err != nil {
		return nil, err
	}
	all := a.Blocks.Conversations
	from := min(skip, len(all))
	upto := min(from+limit, len(all))
	answer := map[string]any{"conv_ids": append([]wire.ConversationID{}, all[from:upto]...)}
	if upto < len(all) {
		answer["next"] = strconv.Itoa(upto)
	}
	return answer, nil
}
