package leanrest

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/quorate/quorate/node/leandoc"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// The class _Conversation of version 1.1: conversations of all kinds as objects.

// createObject makes a conversation, of the kind that the object says.
func createObject(q *request) (any, error) {
	var n newConversation
	if err := q.decode(&n); err != nil {
		return nil, err
	}
	kind := state.PresetBasic
	switch {
	case n.System && n.Room:
		return nil, wrong(codeOther, "a conversation cannot be a chat room and a service")
	case n.System:
		kind = state.PresetSystem
	case n.Room:
		kind = state.PresetRoom
	}
	made, err := q.create(kind, &n)
	return map[string]any{"objectId": made.Conversation, "createdAt": leandoc.Time(made.Timestamp)}, err
}

func getObject(q *request) (any, error) {
	id, err := q.conversation(101)
	if err != nil {
		return nil, err
	}
	return q.document(id)
}

// listObjects looks for conversations of all kinds.
func listObjects(q *request) (any, error) { return listConversations(q) }

// updateObject changes columns, and members and who is muted where the object
// has an operation for them.
func updateObject(q *request) (any, error) {
	columns := map[string]json.RawMessage{}
	if err := q.decode(&columns); err != nil {
		return nil, err
	}
	id, err := q.conversation(101)
	if err != nil {
		return nil, err
	}
	at := int64(0)
	for _, column := range []string{leandoc.ColumnMembers, leandoc.ColumnMuted} {
		value, ok := columns[column]
		if !ok {
			continue
		}
		delete(columns, column)
		c, n, err := listChange(id, column, value)
		if err != nil {
			return nil, err
		}
		result, err := q.changeUsers(c, n)
		if err != nil {
			return nil, err
		}
		at = max(at, result.Timestamp)
	}
	if len(columns) > 0 && slices.ContainsFunc(slices.Collect(maps.Keys(columns)), func(c string) bool { return !leandoc.ReadOnly(c) }) || at == 0 {
		rest, err := json.Marshal(columns)
		if err != nil {
			return nil, err
		}
		if at, err = q.update(id, rest); err != nil {
			return nil, err
		}
	}
	return updated(id, at), nil
}

// listChange turns an operation on a list of users into a command about them.
func listChange(id wire.ConversationID, column string, value json.RawMessage) (state.Command, int, error) {
	var op struct {
		Op      string   `json:"__op"`
		Objects []string `json:"objects"`
	}
	if json.Unmarshal(value, &op) != nil || op.Op != "Add" && op.Op != "AddUnique" && op.Op != "Remove" {
		return nil, 0, wrong(codeOther, "%s wants the operation AddUnique or Remove", column)
	}
	list, err := users(column, op.Objects)
	if err != nil {
		return nil, 0, err
	}
	if len(list) > wire.MaxMembersAdded {
		return nil, 0, wrong(codeConvFull, "%d users, want at most %d", len(list), wire.MaxMembersAdded)
	}
	remove := op.Op == "Remove"
	switch {
	case column == leandoc.ColumnMuted:
		return &state.Quiet{Conversation: id, Users: list, Off: remove}, len(list), nil
	case remove:
		return &state.RemoveMembers{Conversation: id, Users: list}, len(list), nil
	default:
		return &state.AddMembers{Conversation: id, Users: list}, len(list), nil
	}
}
