package leandoc

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// TemporaryPrefix begins the ids of temporary conversations, as clients know them:
// what is stored has none.
const TemporaryPrefix = "_tmp:"

// ShownID returns a conversation's id as clients know it.
func ShownID(id wire.ConversationID, preset state.Preset) string {
	if preset == state.PresetTemporary {
		return TemporaryPrefix + string(id)
	}
	return string(id)
}

// StoredID returns the id that is meant by what clients know, and whether it is
// a temporary conversation's.
func StoredID(shown string) (id wire.ConversationID, temporary bool) {
	stored, temporary := strings.CutPrefix(shown, TemporaryPrefix)
	return wire.ConversationID(stored), temporary
}

// The columns that everybody knows.
const (
	ColumnID        = "objectId"
	ColumnName      = "name"
	ColumnMembers   = "m"
	ColumnMuted     = "mu" // who gets no push
	ColumnAttr      = "attr"
	ColumnUniqueID  = "uniqueId"
	ColumnKind      = "conv_type"
	ColumnTemporary = "temp"
	ColumnLast      = "lm"
)

// ReadOnly tells whether a column is not for clients to set.
func ReadOnly(column string) bool {
	switch column {
	case ColumnID, "c", ColumnMembers, ColumnMuted, ColumnLast, "tr", "sys", "unique", ColumnUniqueID, "createdAt", "updatedAt", "ACL",
		ColumnKind, ColumnTemporary, "tempConv", "tempConvTTL", "ttl", "joined", "joinedAt", "muted",
		"msg", "bin", "msg_mid", "msg_from", "msg_timestamp", "patch_timestamp", "mention_all", "mention_pids":
		return true
	default:
		return false
	}
}

// Time writes a time as texts do, in milliseconds since 1970.
func Time(millis int64) string {
	return time.UnixMilli(millis).UTC().Format("2006-01-02T15:04:05.000Z")
}

// Date writes a time as a value of its own type.
func Date(millis int64) map[string]any {
	return map[string]any{"__type": "Date", "iso": Time(millis)}
}

// Columns returns the wanted columns of a conversation, values as package
// encoding/json decodes them. Properties are left as JSON unless they are to be
// decoded.
//
// A property that is no JSON, or has the name of a column that is something else,
// is not shown: other dialects may store what this one cannot write.
func Columns(c *state.ConversationDetail, wanted func(column string) bool, decode bool) map[string]any {
	all := map[string]any{}
	for _, p := range c.Properties {
		if !wanted(p.Name) || !json.Valid(p.Value) {
			continue
		}
		all[p.Name] = json.RawMessage(p.Value)
		if decode {
			var v any
			_ = json.Unmarshal(p.Value, &v) // it is valid
			all[p.Name] = v
		}
	}
	preset := c.Policy.Preset
	set := func(column string, is bool, v any) {
		if is && wanted(column) {
			all[column] = v
		} else if !is {
			delete(all, column)
		}
	}
	set(ColumnID, true, ShownID(c.ID, preset))
	set(ColumnName, c.Name != "", c.Name)
	set("c", c.Creator != "", string(c.Creator))
	set("createdAt", true, Time(c.Created))
	set("updatedAt", true, Time(c.Updated))
	set(ColumnLast, c.LastMessage != 0, Date(c.LastMessage))
	set("tr", true, preset == state.PresetRoom)
	set("sys", true, preset == state.PresetSystem)
	set("unique", true, c.Unique)
	set(ColumnKind, true, float64(preset))
	set(ColumnTemporary, preset == state.PresetTemporary, true)
	set(ColumnMembers, true, names(c, c.Members))
	set(ColumnMuted, true, names(c, c.Quiet))
	return all
}

// names lists users, where the conversation is about who is in it.
func names(c *state.ConversationDetail, users []wire.UserID) []any {
	listed := make([]any, 0, len(users))
	if c.Policy.Preset == state.PresetSystem {
		return listed
	}
	for _, u := range users {
		listed = append(listed, string(u))
	}
	return listed
}
