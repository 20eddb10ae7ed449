package state

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/quorate/quorate/wire"
)

var scriptRules = map[string]Rules{"": RulesPreset, "open": RulesOpen, "roles": RulesRoles}

var scriptOps = map[string]ChangeOp{
	"set": ChangeSet, "delete": ChangeDelete, "add": ChangeAdd, "add-unique": ChangeAddUnique, "remove": ChangeRemove,
	"increment": ChangeIncrement, "and": ChangeBitAnd, "or": ChangeBitOr, "xor": ChangeBitXor,
}

// changes reads the lines below an update: path, operation and JSON.
func changes(t *testing.T, d *datadriven.TestData) []Change {
	var all []Change
	for line := range strings.Lines(d.Input) {
		path, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		name, value, _ := strings.Cut(rest, " ")
		op, ok := scriptOps[name]
		if !ok {
			d.Fatalf(t, "no such operation: %q", line)
		}
		all = append(all, Change{Path: path, Op: op, Value: []byte(value)})
	}
	return all
}

// parseMore is parse for more directives.
func (s *script) parseMore(t *testing.T, d *datadriven.TestData, in wire.ConversationID) Command {
	users := list[wire.UserID](d, "users")
	switch d.Cmd {
	case "block":
		return &BlockMembers{Conversation: in, Users: users, Unblock: d.HasArg("off")}
	case "quiet":
		return &Quiet{Conversation: in, Users: users, Off: d.HasArg("off")}
	case "delete":
		return &DeleteMessage{Conversation: in, ID: s.messageID(t, d, in)}
	case "end-idle":
		return &EndIdle{ID: in, Before: number(t, d, "before")}
	case "replace":
		return &ReplaceMessage{Conversation: in, ID: s.messageID(t, d, in), Body: []byte(d.Input)}
	case "device":
		return &MoveDeviceCursor{
			Conversation: in, User: wire.UserID(arg(t, d, "user")), Device: arg(t, d, "device"), Delivered: wire.Seq(number(t, d, "seq")),
		}
	default:
		d.Fatalf(t, "no such directive")
		return nil
	}
}

// queryMore is query for more directives.
func (s *script) queryMore(t *testing.T, d *datadriven.TestData, in wire.ConversationID) (string, bool) {
	limit, after := orDefault(int(number(t, d, "limit")), 10), wire.UserID(arg(t, d, "after"))
	switch d.Cmd {
	case "blocked":
		page, err := s.state.Blocked(scriptApp, in, after, limit)
		return orError(err, func() string { return fmt.Sprintf("%v more=%v", page.Users, page.More) }), true
	case "is-blocked":
		users, err := s.state.IsBlocked(scriptApp, in, list[wire.UserID](d, "users"))
		return orError(err, func() string { return fmt.Sprint(users) }), true
	case "muted":
		page, err := s.state.MutedMembers(scriptApp, in, after, limit)
		return orError(err, func() string { return fmt.Sprintf("%v more=%v", page.Members, page.More) }), true
	case "quiet-members":
		c, err := s.state.ConversationDetail(scriptApp, in, WithQuiet)
		return orError(err, func() string { return fmt.Sprint(c.Quiet) }), true
	case "may-speak":
		return orError(s.state.MaySpeak(scriptApp, in, wire.UserID(arg(t, d, "as"))), func() string { return "yes" }), true
	case "device-cursor":
		seq, err := s.state.DeviceCursor(scriptApp, in, wire.UserID(arg(t, d, "user")), arg(t, d, "device"))
		return orError(err, func() string { return fmt.Sprint(seq) }), true
	case "last":
		m, err := s.state.LastMessageFor(scriptApp, in, wire.UserID(arg(t, d, "as")))
		return orError(err, func() string { return describeMessage(m) }), true
	case "since":
		entries, err := s.state.LogSince(scriptApp, in, number(t, d, "at"), limit)
		return orError(err, func() string {
			var lines []string
			for _, e := range entries {
				lines = append(lines, describeEntry(e))
			}
			return strings.Join(lines, "\n")
		}), true
	default:
		return "", false
	}
}
