package native

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

// Limits of what one request may name; the state machine has its own.
const (
	maxNameBytes        = 1024
	maxProperties       = 100
	maxPropertyName     = 128
	maxPropertyBytes    = 16 << 10
	maxContentTypeBytes = 128
	maxMentions         = 100
	maxMuteSeconds      = 10 * 365 * 24 * 60 * 60
	maxTTLSeconds       = 30 * 24 * 60 * 60
)

// Asker is who asks.
type Asker struct {
	App      wire.AppID
	User     wire.UserID
	Instance [16]byte
	Origin   state.Origin
}

// Change is a request that changes something, translated.
type Change struct {
	Op      string
	Root    string // the conversation or user it concerns: its place in the leader's queue
	Slot    wire.Slot
	Encoded []byte
}

// header makes a command's header for a request.
func header(a Asker, req *pb.Request) state.Header {
	h := state.Header{App: a.App, Actor: a.User, Origin: a.Origin, Age: uint64(req.GetAgeMillis())}
	if req.GetN() > 0 {
		h.Token = state.Token{Instance: a.Instance, N: req.GetN()}
	}
	return h
}

// Encode encodes a command of the asker. It fails for one that no replica could
// read: what is in the raft log must be readable, or every replica stops.
func Encode(op, root string, h state.Header, c state.Command) (Change, error) {
	encoded := state.EncodeCommand(nil, h, c)
	if err := state.CheckCommand(encoded); err != nil {
		return Change{}, wire.Errorf(wire.CodeInvalid, op, "%v", err)
	}
	return Change{Op: op, Root: root, Slot: state.CommandSlot(h, c), Encoded: encoded}, nil
}

// Translate turns a request into a command. It returns false for a request that
// is not one command. The error is a *wire.Error.
func Translate(a Asker, req *pb.Request) (change Change, ok bool, err error) {
	op, root, command, err := command(a, req)
	if command == nil || err != nil {
		return Change{}, err != nil, err
	}
	if req.GetN() == 0 && !req.GetCreateConversation().GetUnique() {
		return Change{}, true, wire.Errorf(wire.CodeInvalid, op, "a command wants a token: n counts from 1")
	}
	change, err = Encode(op, root, header(a, req), command)
	return change, true, err
}

// command is the table of requests that are one command.
//
//nolint:revive // four results: what is asked, about whom, as which command, or why not
func command(a Asker, req *pb.Request) (op, root string, c state.Command, err error) {
	switch r := req.GetOp().(type) {
	case *pb.Request_CreateConversation:
		op, root = "conversation.create", r.CreateConversation.GetId()
		c, err = createConversation(r.CreateConversation)
	case *pb.Request_UpdateConversation:
		op, root = "conversation.update", r.UpdateConversation.GetConversation()
		c, err = updateConversation(r.UpdateConversation)
	case *pb.Request_DestroyConversation:
		op, root = "conversation.destroy", r.DestroyConversation.GetConversation()
		c, err = &state.DestroyConversation{ID: wire.ConversationID(root)}, checkConversation(op, root)
	case *pb.Request_AddMembers:
		op, root = "member.add", r.AddMembers.GetConversation()
		users, bad := checkUsers(op, root, r.AddMembers.GetUsers(), wire.MaxMembersAdded)
		c, err = &state.AddMembers{Conversation: wire.ConversationID(root), Users: users}, bad
	case *pb.Request_RemoveMembers:
		op, root = "member.remove", r.RemoveMembers.GetConversation()
		users, bad := checkUsers(op, root, r.RemoveMembers.GetUsers(), wire.MaxMembersAdded)
		c, err = &state.RemoveMembers{Conversation: wire.ConversationID(root), Users: users}, bad
	case *pb.Request_SetRole:
		op, root = "member.set_role", r.SetRole.GetConversation()
		c, err = setRole(op, r.SetRole)
	case *pb.Request_Mute:
		op, root = "member.mute", r.Mute.GetConversation()
		c, err = mute(op, r.Mute)
	case *pb.Request_SendMessage:
		op, root = "message.send", r.SendMessage.GetConversation()
		if r.SendMessage.GetTransient() {
			return op, root, nil, nil
		}
		c, err = sendMessage(op, r.SendMessage)
	case *pb.Request_EditMessage:
		op, root = "message.edit", r.EditMessage.GetConversation()
		c, err = editMessage(op, r.EditMessage)
	case *pb.Request_RecallMessage:
		op, root = "message.recall", r.RecallMessage.GetConversation()
		c, err = recallMessage(op, r.RecallMessage)
	case *pb.Request_BlockConversation:
		op, root = "conversation.block", string(a.User)
		id := r.BlockConversation.GetConversation()
		c, err = &state.BlockConversation{User: a.User, Conversation: wire.ConversationID(id), Unblock: r.BlockConversation.GetUnblock()}, errors.Join(checkUserLog(op, a), checkConversation(op, id))
	}
	return op, root, c, err
}

func checkConversation(op, id string) error {
	if err := wire.ValidID(id); err != nil {
		return wire.Errorf(wire.CodeInvalid, op, "conversation %v", err)
	}
	return nil
}

// checkUsers checks the conversation too, for commands that name both.
func checkUsers(op, conversation string, ids []string, limit int) ([]wire.UserID, error) {
	if err := checkConversation(op, conversation); err != nil {
		return nil, err
	}
	return userIDs(op, ids, limit)
}

func userIDs(op string, ids []string, limit int) ([]wire.UserID, error) {
	if len(ids) > limit {
		return nil, wire.Errorf(wire.CodeLimit, op, "%d users, want at most %d", len(ids), limit)
	}
	users := make([]wire.UserID, len(ids))
	for i, id := range ids {
		if err := wire.ValidID(id); err != nil {
			return nil, wire.Errorf(wire.CodeInvalid, op, "user %q %v", id, err)
		}
		users[i] = wire.UserID(id)
	}
	return users, nil
}

func checkText(op, what, text string, limit int) error {
	if len(text) > limit {
		return wire.Errorf(wire.CodeLimit, op, "%s has %d bytes, want at most %d", what, len(text), limit)
	}
	if !utf8.ValidString(text) {
		return wire.Errorf(wire.CodeInvalid, op, "%s is not UTF-8", what)
	}
	return nil
}

// properties checks that values are JSON, and sorts them by name: the same
// request is always the same command.
func properties(op string, set map[string][]byte) ([]state.Property, error) {
	if len(set) > maxProperties {
		return nil, wire.Errorf(wire.CodeLimit, op, "%d properties, want at most %d", len(set), maxProperties)
	}
	total := 0
	out := make([]state.Property, 0, len(set))
	for _, name := range slices.Sorted(maps.Keys(set)) {
		value := set[name]
		total += len(name) + len(value)
		if name == "" || len(name) > maxPropertyName {
			return nil, wire.Errorf(wire.CodeInvalid, op, "property name of %d bytes, want 1 to %d", len(name), maxPropertyName)
		}
		if total > maxPropertyBytes {
			return nil, wire.Errorf(wire.CodeLimit, op, "properties of more than %d bytes", maxPropertyBytes)
		}
		if !json.Valid(value) {
			return nil, wire.Errorf(wire.CodeInvalid, op, "property %q is not JSON", name)
		}
		out = append(out, state.Property{Name: name, Value: value})
	}
	return out, nil
}

func createConversation(r *pb.CreateConversation) (state.Command, error) {
	const op = "conversation.create"
	if err := checkConversation(op, r.GetId()); err != nil {
		return nil, err
	}
	users, err := userIDs(op, r.GetMembers(), wire.MaxMembersAdded)
	if err != nil {
		return nil, err
	}
	if err := checkText(op, "name", r.GetName(), maxNameBytes); err != nil {
		return nil, err
	}
	set, err := properties(op, r.GetProperties())
	if err != nil {
		return nil, err
	}
	preset, err := Preset(op, r.GetKind())
	if err != nil {
		return nil, err
	}
	if r.GetTtlSeconds() > maxTTLSeconds {
		return nil, wire.Errorf(wire.CodeLimit, op, "ttl of %d s, want at most %d", r.GetTtlSeconds(), maxTTLSeconds)
	}
	return &state.CreateConversation{
		ID: wire.ConversationID(r.GetId()), Preset: preset, Unique: r.GetUnique(), Name: r.GetName(), Members: users,
		Properties: set, TTLMillis: int64(r.GetTtlSeconds()) * 1000,
	}, nil
}

// Preset translates a kind of conversation.
func Preset(op string, k pb.Kind) (state.Preset, error) {
	switch k {
	case pb.Kind_KIND_UNSPECIFIED, pb.Kind_KIND_BASIC:
		return state.PresetBasic, nil
	case pb.Kind_KIND_ROOM:
		return state.PresetRoom, nil
	case pb.Kind_KIND_SYSTEM:
		return state.PresetSystem, nil
	case pb.Kind_KIND_TEMPORARY:
		return state.PresetTemporary, nil
	default:
		return 0, wire.Errorf(wire.CodeInvalid, op, "no such kind of conversation: %d", k)
	}
}

func updateConversation(r *pb.UpdateConversation) (state.Command, error) {
	const op = "conversation.update"
	if err := checkConversation(op, r.GetConversation()); err != nil {
		return nil, err
	}
	if err := checkText(op, "name", r.GetName(), maxNameBytes); err != nil {
		return nil, err
	}
	set, err := properties(op, r.GetSet())
	if err != nil {
		return nil, err
	}
	if len(r.GetUnset()) > maxProperties {
		return nil, wire.Errorf(wire.CodeLimit, op, "%d properties to unset, want at most %d", len(r.GetUnset()), maxProperties)
	}
	for _, name := range r.GetUnset() {
		if err := checkText(op, "property name", name, maxPropertyName); err != nil {
			return nil, err
		}
	}
	c := &state.UpdateConversation{
		ID: wire.ConversationID(r.GetConversation()), SetName: r.Name != nil, Name: r.GetName(), Set: set, Unset: r.GetUnset(),
	}
	if r.Muted != nil {
		c.Muted = state.SwitchOff
		if r.GetMuted() {
			c.Muted = state.SwitchOn
		}
	}
	return c, nil
}

func setRole(op string, r *pb.SetRole) (state.Command, error) {
	users, err := checkUsers(op, r.GetConversation(), []string{r.GetUser()}, 1)
	if err != nil {
		return nil, err
	}
	switch r.GetRole() {
	case pb.Role_ROLE_MEMBER, pb.Role_ROLE_MANAGER, pb.Role_ROLE_OWNER:
	default:
		return nil, wire.Errorf(wire.CodeInvalid, op, "no such role: %d", r.GetRole())
	}
	return &state.SetRole{Conversation: wire.ConversationID(r.GetConversation()), User: users[0], Role: state.Role(r.GetRole())}, nil
}

func mute(op string, r *pb.Mute) (state.Command, error) {
	users, err := checkUsers(op, r.GetConversation(), r.GetUsers(), wire.MaxMembersAdded)
	if err != nil {
		return nil, err
	}
	if r.GetSeconds() > maxMuteSeconds {
		return nil, wire.Errorf(wire.CodeLimit, op, "mute of %d s, want at most %d", r.GetSeconds(), maxMuteSeconds)
	}
	return &state.Mute{
		Conversation: wire.ConversationID(r.GetConversation()), Users: users,
		Millis: int64(r.GetSeconds()) * 1000, Unmute: r.GetUnmute(),
	}, nil
}
