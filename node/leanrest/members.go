package leanrest

import (
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// clientIDs is what is sent about several users.
type clientIDs struct {
	IDs []string `json:"client_ids"`
}

// concerned reads the conversation and the users that a request is about.
func (q *request) concerned() (wire.ConversationID, []wire.UserID, error) {
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
func (q *request) about(command func(wire.ConversationID, []wire.UserID) state.Command) (wire.ConversationID, state.Result, error) {
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
	id, result, err := q.about(func(id wire.ConversationID, list []wire.UserID) state.Command {
		return &state.AddMembers{Conversation: id, Users: list}
	})
	return updated(id, result.Timestamp), err
}

func removeMembers(q *request) (any, error) {
	id, result, err := q.about(func(id wire.ConversationID, list []wire.UserID) state.Command {
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
	return q.listed(func(*state.Member) bool { return true })
}

func listMutes(q *request) (any, error) {
	return q.listed(func(m *state.Member) bool { return m.Quiet })
}

func (q *request) listed(wanted func(*state.Member) bool) (any, error) {
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
	id, result, err := q.about(func(id wire.ConversationID, list []wire.UserID) state.Command {
		return &state.Quiet{Conversation: id, Users: list}
	})
	return updated(id, result.Timestamp), err
}

func unmutePushes(q *request) (any, error) {
	id, result, err := q.about(func(id wire.ConversationID, list []wire.UserID) state.Command {
		return &state.Quiet{Conversation: id, Users: list, Off: true}
	})
	return updated(id, result.Timestamp), err
}

// roomMembers names some of those who are in a chat room now.
func roomMembers(q *request) (any, error) {
	there, err := q.present(q.http.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return map[string]any{"result": append([]wire.UserID{}, there.Users...)}, nil
}

func roomCount(q *request) (any, error) {
	there, err := q.present(q.http.PathValue("id"))
	return map[string]any{"result": there.Count}, err
}

func silence(q *request) (any, error) {
	_, _, err := q.about(func(id wire.ConversationID, list []wire.UserID) state.Command {
		return &state.Mute{Conversation: id, Users: list}
	})
	return struct{}{}, err
}

func unsilence(q *request) (any, error) {
	_, _, err := q.about(func(id wire.ConversationID, list []wire.UserID) state.Command {
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
	return struct{}{}, q.silenceOne(id, body.Client, body.TTL)
}

func (q *request) silenceOne(id wire.ConversationID, client string, seconds int64) error {
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

func blockMembers(q *request) (any, error) { return q.blockThem(false) }

func unblockMembers(q *request) (any, error) { return q.blockThem(true) }

func (q *request) blockThem(not bool) (any, error) {
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

// memberInfo is what is sent of a member's role.
type memberInfo struct {
	Client string `json:"clientId"`
	Role   string `json:"role"`
}

// roleNames are the roles that can be given, by their names.
func roleOf(name string) (state.Role, bool) {
	switch name {
	case "Member":
		return state.RoleMember, true
	case "Manager":
		return state.RoleManager, true
	case "Owner":
		return state.RoleOwner, true
	default:
		return state.RoleNone, false
	}
}

func roleName(r state.Role) string {
	switch r {
	case state.RoleManager:
		return "Manager"
	case state.RoleOwner:
		return "Owner"
	default:
		return "Member"
	}
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

func createMemberInfo(q *request) (any, error) { return q.putMemberInfo("") }

func updateMemberInfo(q *request) (any, error) { return q.putMemberInfo(q.http.PathValue("info")) }

func deleteMemberInfo(q *request) (any, error) {
	_, err := q.setRole(q.http.PathValue("info"), memberInfo{Role: "Member"})
	return struct{}{}, err
}

func (q *request) putMemberInfo(info string) (any, error) {
	var body memberInfo
	if err := q.decode(&body); err != nil {
		return nil, err
	}
	return q.setRole(info, body)
}

// setRole gives a member a role: the one of the row, or the one named.
func (q *request) setRole(info string, m memberInfo) (any, error) {
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
	role, ok := roleOf(m.Role)
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
		if role := roleName(m.Role); m.Role > state.RoleMember && wanted(m, role) {
			rows = append(rows, infoRow{ID: infoID(id, m.User), Conversation: id, Client: m.User, Role: role})
		}
	}
	return rows
}
