package leanrest

import (
	"net/http"
	"time"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// membersRequest is a request about the members of a conversation.
type membersRequest struct{ *request }

// clientIDs is what is sent about several users.
type clientIDs struct {
	IDs []string `json:"client_ids"`
}

// concerned reads the conversation and the users that a request is about.
func (q membersRequest) concerned() (wire.ConversationID, []wire.UserID, error) {
	var body clientIDs
	if err := q.decode(&body); err != nil {
		return "", nil, err
	}
	list, err := users("client_ids", body.IDs)
	if err != nil {
		return "", nil, err
	}
	if len(list) > wire.MaxMembersAdded {
		return "", nil, wrong(codeConvFull, "%d client_ids, want at most %d", len(list), wire.MaxMembersAdded)
	}
	id, err := q.conversation(codeConvNotFound)
	return id, list, err
}

// about has something done to several users of a conversation.
func (q membersRequest) about(command func(wire.ConversationID, []wire.UserID) state.Command) (wire.ConversationID, state.Result, error) {
	id, list, err := q.concerned()
	if err != nil {
		return "", state.Result{}, err
	}
	result, err := q.changeUsers(command(id, list), len(list))
	return id, result, err
}

// changeUsers has something done to some users. It fails if it was done for
// none of them, but not because it was so already.
func (q *request) changeUsers(c state.Command, asked int) (state.Result, error) {
	result, err := q.host.Change(q.ctx(), q.header(), c)
	if err != nil {
		return result, err
	}
	already := func(r state.Refusal) bool { return r == state.Exists || r == state.NotMember }
	if result.Refusal != state.None && !already(result.Refusal) {
		return result, refused(result.Refusal, result.Text)
	}
	if len(result.Users) == asked && asked > 0 {
		for _, u := range result.Users {
			if !already(u.Refusal) {
				return result, refused(u.Refusal, "")
			}
		}
	}
	if result.Timestamp == 0 {
		result.Timestamp = q.host.Millis()
	}
	return result, nil
}

func addMembers(q *request) (any, error) {
	id, result, err := membersRequest{q}.about(func(id wire.ConversationID, list []wire.UserID) state.Command {
		return &state.AddMembers{Conversation: id, Users: list}
	})
	return updated(id, result.Timestamp), err
}

func removeMembers(q *request) (any, error) {
	id, result, err := membersRequest{q}.about(func(id wire.ConversationID, list []wire.UserID) state.Command {
		return &state.RemoveMembers{Conversation: id, Users: list}
	})
	return updated(id, result.Timestamp), err
}

// members reads all members of a conversation.
func (q *request) members(id wire.ConversationID) ([]state.Member, error) {
	var all []state.Member
	for {
		one := &ask.Members{Conversation: id, Limit: wire.MaxPageEntries}
		if len(all) > 0 {
			one.After = all[len(all)-1].User
		}
		a, err := q.host.Ask(q.ctx(), q.app.ID, "", string(id), &ask.Request{Members: one})
		if err != nil {
			return nil, err
		}
		all = append(all, a.Members.Members...)
		if !a.Members.More || len(a.Members.Members) == 0 {
			return all, nil
		}
	}
}

func listMembers(q *request) (any, error) {
	return membersRequest{q}.listed(func(*state.Member) bool { return true })
}

func listMutes(q *request) (any, error) {
	return membersRequest{q}.listed(func(m *state.Member) bool { return m.Quiet })
}

func (q membersRequest) listed(wanted func(*state.Member) bool) (any, error) {
	id, err := q.conversation(codeConvNotFound)
	if err != nil {
		return nil, err
	}
	all, err := q.members(id)
	ids := []wire.UserID{}
	for i := range all {
		if wanted(&all[i]) {
			ids = append(ids, all[i].User)
		}
	}
	return map[string]any{"result": ids}, err
}

func mutePushes(q *request) (any, error) {
	id, result, err := membersRequest{q}.about(func(id wire.ConversationID, list []wire.UserID) state.Command {
		return &state.Quiet{Conversation: id, Users: list}
	})
	return updated(id, result.Timestamp), err
}

func unmutePushes(q *request) (any, error) {
	id, result, err := membersRequest{q}.about(func(id wire.ConversationID, list []wire.UserID) state.Command {
		return &state.Quiet{Conversation: id, Users: list, Off: true}
	})
	return updated(id, result.Timestamp), err
}

// roomMembers names some of those who are in a chat room now.
func roomMembers(q *request) (any, error) {
	there, err := usersRequest{q}.present(q.http.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return map[string]any{"result": append([]wire.UserID{}, there.Users...)}, nil
}

func roomCount(q *request) (any, error) {
	there, err := usersRequest{q}.present(q.http.PathValue("id"))
	return map[string]any{"result": there.Count}, err
}

func silence(q *request) (any, error) {
	_, _, err := membersRequest{q}.about(func(id wire.ConversationID, list []wire.UserID) state.Command {
		return &state.Mute{Conversation: id, Users: list}
	})
	return struct{}{}, err
}

func unsilence(q *request) (any, error) {
	_, _, err := membersRequest{q}.about(func(id wire.ConversationID, list []wire.UserID) state.Command {
		return &state.Mute{Conversation: id, Users: list, Unmute: true}
	})
	return struct{}{}, err
}

// silenceForNow mutes one user for some seconds.
func silenceForNow(q *request) (any, error) {
	var body struct {
		Client string `json:"client_id"`
		TTL    int64  `json:"ttl"`
	}
	if err := q.decode(&body); err != nil {
		return nil, err
	}
	id, err := q.conversation(codeConvNotFound)
	if err != nil {
		return nil, err
	}
	return struct{}{}, membersRequest{q}.silenceOne(id, body.Client, body.TTL)
}

func (q membersRequest) silenceOne(id wire.ConversationID, client string, seconds int64) error {
	u, err := user("client_id", client)
	if err != nil {
		return err
	}
	if most := int64(q.settings.Time.MuteLife / time.Second); seconds < 1 || seconds > most {
		return wrong(codeOther, "ttl is %d, want 1 to %d seconds", seconds, most)
	}
	_, err = q.change(&state.Mute{Conversation: id, Users: []wire.UserID{u}, Millis: seconds * 1000})
	return err
}

func unsilenceForNow(q *request) (any, error) {
	id, err := q.conversation(codeConvNotFound)
	if err != nil {
		return nil, err
	}
	u, err := user("client_id", q.parameter("client_id"))
	if err != nil {
		return nil, err
	}
	_, err = q.changeUsers(&state.Mute{Conversation: id, Users: []wire.UserID{u}, Unmute: true}, 1)
	return struct{}{}, err
}

func blockMembers(q *request) (any, error) { return membersRequest{q}.blockThem(false) }

func unblockMembers(q *request) (any, error) { return membersRequest{q}.blockThem(true) }

func (q membersRequest) blockThem(not bool) (any, error) {
	if err := q.blacklists(); err != nil {
		return nil, err
	}
	_, _, err := q.about(func(id wire.ConversationID, list []wire.UserID) state.Command {
		return &state.BlockMembers{Conversation: id, Users: list, Unblock: not}
	})
	return struct{}{}, err
}

// blacklists refuses when the app has none.
func (q *request) blacklists() error {
	if q.settings.Allow.Blacklist {
		return nil
	}
	return &failure{status: http.StatusForbidden, code: codeBlockListDisabled, text: "the app has no blacklists: see the setting leanmessage.blacklist"}
}
