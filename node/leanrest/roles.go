package leanrest

import (
	"encoding/hex"
	"net/http"
	"strings"

	"github.com/quorate/quorate/node/leandoc"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// memberInfo is what is sent of a member's role.
type memberInfo struct {
	Client string `json:"clientId"`
	Role   string `json:"role"`
}

// infoID is the id of the row that says a member's role.
func infoID(id wire.ConversationID, u wire.UserID) string {
	return string(id) + hex.EncodeToString([]byte(u))
}

func userOfInfo(id wire.ConversationID, info string) (wire.UserID, error) {
	text, ok := strings.CutPrefix(info, string(id))
	u, err := hex.DecodeString(text)
	if !ok || err != nil || wire.ValidID(string(u)) != nil {
		return "", &failure{status: http.StatusNotFound, code: 101, text: "there is no member info " + info}
	}
	return wire.UserID(u), nil
}

// roles refuses when the app has none.
func (q *request) roles() error {
	if q.settings.Allow.Roles {
		return nil
	}
	return &failure{status: http.StatusForbidden, code: codeMemberInfoDisabled, text: "the app has no roles: see the setting leanmessage.roles"}
}

func createMemberInfo(q *request) (any, error) { return membersRequest{q}.putMemberInfo("") }

func updateMemberInfo(q *request) (any, error) {
	return membersRequest{q}.putMemberInfo(q.http.PathValue("info"))
}

func deleteMemberInfo(q *request) (any, error) {
	_, err := membersRequest{q}.setRole(q.http.PathValue("info"), memberInfo{Role: "Member"})
	return struct{}{}, err
}

func (q membersRequest) putMemberInfo(info string) (any, error) {
	var body memberInfo
	if err := q.decode(&body); err != nil {
		return nil, err
	}
	return q.setRole(info, body)
}

// setRole gives a member a role: the one of the row, or the one named.
func (q membersRequest) setRole(info string, m memberInfo) (any, error) {
	if err := q.roles(); err != nil {
		return nil, err
	}
	id, err := q.conversation(codeConvNotFound)
	if err != nil {
		return nil, err
	}
	var u wire.UserID
	if info != "" {
		u, err = userOfInfo(id, info)
	} else {
		u, err = user("clientId", m.Client)
	}
	if err != nil {
		return nil, err
	}
	role, ok := leandoc.RoleNamed(m.Role)
	if !ok {
		return nil, wrong(codeUnknownRole, "role is %q, want Member, Manager or Owner", m.Role)
	}
	result, err := q.change(&state.SetRole{Conversation: id, User: u, Role: role})
	if err != nil {
		return nil, err
	}
	answer := updated(id, result.Timestamp)
	answer["objectId"] = infoID(id, u)
	return answer, nil
}

func listMemberInfos(q *request) (any, error) {
	if err := q.roles(); err != nil {
		return nil, err
	}
	id, err := q.conversation(codeConvNotFound)
	if err != nil {
		return nil, err
	}
	skip, err := q.number("skip", 0, 0, maxSkip)
	if err != nil {
		return nil, err
	}
	limit, err := q.number("limit", usualFound, 0, mostFound)
	if err != nil {
		return nil, err
	}
	all, err := q.members(id)
	if err != nil {
		return nil, err
	}
	rows := infoRows(id, all, func(_ *state.Member, role string) bool {
		return q.parameter("role") == "" || q.parameter("role") == role
	})
	rows = rows[min(int(skip), len(rows)):]
	return map[string]any{"results": rows[:min(int(limit), len(rows))]}, nil
}

// infoRow says the role of one member. Who has none above the others has no row.
type infoRow struct {
	ID           string              `json:"objectId"`
	Conversation wire.ConversationID `json:"cid"`
	Client       wire.UserID         `json:"clientId"`
	Role         string              `json:"role"`
}

func infoRows(id wire.ConversationID, all []state.Member, wanted func(m *state.Member, role string) bool) []infoRow {
	rows := []infoRow{}
	for i := range all {
		m := &all[i]
		if role := leandoc.RoleName(m.Role); m.Role > state.RoleMember && wanted(m, role) {
			rows = append(rows, infoRow{ID: infoID(id, m.User), Conversation: id, Client: m.User, Role: role})
		}
	}
	return rows
}
