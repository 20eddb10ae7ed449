package leanrest

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"slices"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/node/leandoc"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

const (
	usualFound = 100
	mostFound  = 1000
)

// conversation returns the conversation that the path names, of the route's
// kind. missing is the code if there is none.
func (q *request) conversation(missing int) (wire.ConversationID, error) {
	return q.conversationOf(q.http.PathValue("id"), q.route.kind, missing)
}

// conversationOf checks that there is a conversation, of a kind if one is given.
func (q *request) conversationOf(shown string, kind state.Preset, missing int) (wire.ConversationID, error) {
	id, temporary := leandoc.StoredID(shown)
	if err := wire.ValidID(string(id)); err != nil {
		return "", wrong(codeMissing, "the conversation's id %v", err)
	}
	found, err := q.presetOf(id)
	if f := failure404(err); f != nil {
		f.code = missing
		return "", f
	}
	switch {
	case err != nil:
		return "", err
	case temporary != (found == state.PresetTemporary), found > state.PresetTemporary: // no id that anybody was told
		return "", &failure{status: http.StatusNotFound, code: missing, text: "there is no conversation " + shown}
	case kind == 0 || kind == found || kind == state.PresetBasic && found == state.PresetTemporary:
		return id, nil
	case kind == state.PresetSystem:
		return "", wrong(codeSystemRequired, "%s is no service conversation", shown)
	case kind == state.PresetRoom:
		return "", wrong(codeRoomRequired, "%s is no chat room", shown)
	default:
		return "", wrong(codeNormalRequired, "%s is a chat room or a service conversation", shown)
	}
}

// presetOf asks of what kind a conversation is.
func (q *request) presetOf(id wire.ConversationID) (state.Preset, error) {
	a, err := q.host.Ask(q.ctx(), q.app.ID, "", string(id), &ask.Request{Members: &ask.Members{Conversation: id}})
	if err != nil {
		return 0, err
	}
	return a.Members.Preset, nil
}

// newConversation is what is sent for one, beside its columns.
type newConversation struct {
	Members []string `json:"m"`
	Unique  bool     `json:"unique"`
	Creator string   `json:"c"`
	Room    bool     `json:"tr"`
	System  bool     `json:"sys"`
}

// createConversation makes a conversation of the route's kind.
func createConversation(q *request) (any, error) {
	var n newConversation
	if err := q.decode(&n); err != nil {
		return nil, err
	}
	made, err := q.create(q.route.kind, &n)
	if err != nil {
		return nil, err
	}
	if q.route.kind != state.PresetBasic {
		return map[string]any{"objectId": made.Conversation, "createdAt": leandoc.Time(made.Timestamp)}, nil
	}
	return q.document(made.Conversation)
}

// create makes a conversation.
func (q *request) create(kind state.Preset, n *newConversation) (state.Result, error) {
	attributes, err := leandoc.ParseAttributes(q.body)
	if err != nil {
		return state.Result{}, wrong(codeJSON, "%v", err)
	}
	h := q.header()
	if n.Creator != "" && kind != state.PresetSystem {
		if h.Actor, err = user("c", n.Creator); err != nil {
			return state.Result{}, err
		}
	}
	c := &state.CreateConversation{Preset: kind, Name: attributes.Name, Properties: attributes.Properties, Rules: state.RulesOpen}
	if q.settings.Allow.Roles {
		c.Rules = state.RulesRoles
	}
	if kind == state.PresetBasic {
		if c.Members, err = n.members(h.Actor); err != nil {
			return state.Result{}, err
		}
	}
	var result state.Result
	if c.Unique = n.Unique && kind == state.PresetBasic; c.Unique {
		set := slices.Clone(c.Members)
		if h.Actor != "" {
			set = append(set, h.Actor)
		}
		c.Properties = append(c.Properties, state.Property{Name: leandoc.ColumnUniqueID, Value: []byte(`"` + leandoc.UniqueID(set) + `"`)})
		result, err = q.host.Unique(q.ctx(), h, c)
	} else {
		c.ID = wire.NewConversationID(q.host.Millis()/1000, rand.Uint64())
		result, err = q.host.Change(q.ctx(), h, c)
	}
	if err == nil && result.Refusal != state.None {
		err = refused(result.Refusal, result.Text)
	}
	return result, err
}

// members checks who is to be in it beside its creator. Of ids beyond the limit,
// only the first count.
func (n *newConversation) members(creator wire.UserID) ([]wire.UserID, error) {
	if len(n.Members) == 0 {
		return nil, nil
	}
	list, err := users("m", n.Members)
	room := wire.MaxMembersAdded
	if creator != "" && !slices.Contains(list, creator) {
		room--
	}
	return list[:min(len(list), room)], err
}

// document reads one conversation.
func (q *request) document(id wire.ConversationID) (map[string]any, error) {
	text, err := json.Marshal(map[string]string{leandoc.ColumnID: string(id)})
	if err != nil {
		return nil, err
	}
	found, err := q.find(search{where: text, limit: 1})
	if err == nil && len(found) == 0 {
		err = &failure{status: http.StatusNotFound, code: codeConvNotFound, text: "there is no conversation " + string(id)}
	}
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// listConversations looks for conversations of the route's kind.
func listConversations(q *request) (any, error) {
	s := search{where: json.RawMessage(q.parameter("where")), kind: q.route.kind, sort: q.parameter("order")}
	limit, err := q.number("limit", usualFound, 0, mostFound)
	if err != nil {
		return nil, err
	}
	skip, err := q.number("skip", 0, 0, maxSkip)
	if err != nil {
		return nil, err
	}
	if s.limit, s.skip = min(int(limit), q.settings.Limit.ConversationPage), int(skip); s.sort == "" {
		s.sort = "createdAt"
	}
	found, err := q.find(s)
	if err != nil {
		return nil, err
	}
	return map[string]any{"results": found}, nil
}

// updateConversation changes columns of a conversation, but for its members.
func updateConversation(q *request) (any, error) {
	id, err := q.conversation(codeConvNotFound)
	if err != nil {
		return nil, err
	}
	at, err := q.update(id, q.body)
	return updated(id, at), err
}

// update changes columns, and returns the time of the change.
func (q *request) update(id wire.ConversationID, columns []byte) (int64, error) {
	changes, err := leandoc.ParseUpdate(columns)
	if err != nil {
		return 0, wrong(codeJSON, "%v", err)
	}
	if len(changes) == 0 {
		return 0, wrong(codeMissing, "nothing in the body can be changed")
	}
	result, err := q.host.Change(q.ctx(), q.header(), &state.UpdateConversation{ID: id, Changes: changes, Sent: columns})
	switch {
	case err != nil:
		return 0, err
	case result.Refusal == state.Limit || result.Refusal == state.Invalid:
		return 0, wrong(codeUpdateFailed, "%s", result.Text)
	case result.Refusal != state.None:
		return 0, refused(result.Refusal, result.Text)
	}
	return result.Timestamp, nil
}

func updated(id wire.ConversationID, millis int64) map[string]any {
	return map[string]any{"objectId": id, "updatedAt": leandoc.Time(millis)}
}

// deleteConversation ends a conversation; its messages go with it.
func deleteConversation(q *request) (any, error) {
	id, err := q.conversation(codeConvNotFound)
	if err != nil {
		return nil, err
	}
	_, err = q.change(&state.DestroyConversation{ID: id})
	return struct{}{}, err
}
