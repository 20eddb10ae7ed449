package native

import (
	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/node/tail"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

// EncodeBatch encodes the frame that tells a batch of a log's entries.
func EncodeBatch(b *tail.Batch) ([]byte, error) {
	log := &pb.LogBatch{
		Log: LogRef(b.Log), After: uint64(b.After), Upto: uint64(b.Upto), Last: uint64(b.Last), Behind: b.Behind, Ended: b.Ended,
		Entries: make([]*pb.LogEntry, 0, len(b.Entries)),
	}
	for _, e := range b.Entries {
		log.Entries = append(log.Entries, Entry(e))
	}
	return encodeEvents(&pb.Events{Logs: []*pb.LogBatch{log}})
}

// EncodeCursor encodes the frame that tells where a member's cursors are.
func EncodeCursor(c tail.Cursor) ([]byte, error) {
	return encodeEvents(&pb.Events{Cursors: []*pb.CursorMoved{{
		Conversation: string(c.Log.Conversation), User: string(c.User),
		ReadSeq: uint64(c.Read), DeliveredSeq: uint64(c.Delivered),
	}}})
}

// EncodeTransient encodes the frame of a transient message.
func EncodeTransient(t *tail.Transient) ([]byte, error) {
	m := Message(t.Message)
	m.Conversation, m.Transient = string(t.Log.Conversation), true
	return encodeEvents(&pb.Events{Transients: []*pb.Message{m}})
}

func encodeEvents(e *pb.Events) ([]byte, error) {
	return proto.Marshal(&pb.ServerFrame{Body: &pb.ServerFrame_Events{Events: e}})
}

// LogRef names a log to a client.
func LogRef(log state.LogKey) *pb.LogRef { return &pb.LogRef{Conversation: string(log.Conversation)} }

// Message translates a message as it is now.
func Message(m *state.Message) *pb.Message {
	return &pb.Message{
		Id: string(m.ID), Seq: uint64(m.Seq), Offset: uint64(m.Offset), From: string(m.From), TimestampMillis: m.Timestamp,
		Body: m.Body, ContentType: m.ContentType, Mentions: strs(m.Mentions), MentionAll: m.MentionAll, Targets: strs(m.Targets),
		EditedMillis: m.Edited, Recalled: m.Recalled,
	}
}

// Entry translates an entry of a conversation log or a user log. An entry whose
// message is not kept any more says nothing but its offset.
func Entry(e *state.Entry) *pb.LogEntry {
	out := &pb.LogEntry{Offset: uint64(e.Offset), TimestampMillis: e.Stamp, Actor: string(e.Actor)}
	switch e.Kind {
	case state.EntryMessage, state.EntryEdited, state.EntryRecalled:
		messageEntry(out, e)
	case state.EntryMembersAdded:
		out.What = &pb.LogEntry_MembersAdded{MembersAdded: &pb.MembersChanged{Users: strs(e.Users)}}
	case state.EntryMembersRemoved:
		out.What = &pb.LogEntry_MembersRemoved{MembersRemoved: &pb.MembersChanged{Users: strs(e.Users)}}
	case state.EntryRoleChanged:
		changed := &pb.RoleChanged{Role: pb.Role(e.Role)}
		if len(e.Users) > 0 {
			changed.User = string(e.Users[0])
		}
		out.What = &pb.LogEntry_RoleChanged{RoleChanged: changed}
	case state.EntryCreated:
		out.What = &pb.LogEntry_Created{Created: &pb.Conversation{Creator: string(e.Actor), CreatedMillis: e.Stamp, Members: strs(e.Users)}}
	case state.EntryUpdated:
		out.What = &pb.LogEntry_Updated{Updated: &pb.Conversation{UpdatedMillis: e.Stamp}}
	case state.EntryDestroyed:
		out.What = &pb.LogEntry_Destroyed{Destroyed: &pb.Destroyed{Expired: e.Expired}}
	case state.EntryMuted:
		out.What = &pb.LogEntry_Muted{Muted: &pb.MutesChanged{Users: strs(e.Users), UntilMillis: e.Until}}
	case state.EntryUnmuted:
		out.What = &pb.LogEntry_Unmuted{Unmuted: &pb.MutesChanged{Users: strs(e.Users)}}
	default:
		userEntry(out, e)
	}
	return out
}

func messageEntry(out *pb.LogEntry, e *state.Entry) {
	if e.Message == nil {
		return
	}
	m := Message(e.Message)
	switch e.Kind {
	case state.EntryEdited:
		out.What = &pb.LogEntry_Edited{Edited: m}
	case state.EntryRecalled:
		out.What = &pb.LogEntry_Recalled{Recalled: m}
	default:
		out.What = &pb.LogEntry_Message{Message: m}
	}
}

func userEntry(out *pb.LogEntry, e *state.Entry) {
	id := string(e.Conversation)
	switch e.Kind {
	case state.EntryJoined:
		out.What = &pb.LogEntry_Joined{Joined: &pb.Joined{Conversation: id, Offset: uint64(e.ConversationOffset), By: string(e.Actor)}}
	case state.EntryLeft:
		out.What = &pb.LogEntry_Left{Left: &pb.Left{Conversation: id, Offset: uint64(e.ConversationOffset), By: string(e.Actor), Destroyed: e.Expired}}
	case state.EntryTagTaken:
		out.What = &pb.LogEntry_TagTaken{TagTaken: &pb.TagTaken{Tag: e.Tag, Login: e.Login, Device: e.Device}}
	case state.EntryKicked:
		out.What = &pb.LogEntry_Kicked{Kicked: &pb.Kicked{Device: e.Device, Reason: e.Reason}}
	case state.EntryBlocked:
		out.What = &pb.LogEntry_Blocked{Blocked: &pb.Blocked{Conversation: id}}
	case state.EntryUnblocked:
		out.What = &pb.LogEntry_Blocked{Blocked: &pb.Blocked{Conversation: id, Unblocked: true}}
	default: // a kind that clients need not know: its offset alone
	}
}

func strs[S ~string](ids []S) []string {
	if len(ids) == 0 {
		return nil
	}
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = string(id)
	}
	return out
}

// codes says which code a client gets for which refusal.
//
//nolint:gochecknoglobals // a lookup table
var codes = map[state.Refusal]wire.Code{
	state.NotFound: wire.CodeNotFound, state.NotMember: wire.CodeNotMember, state.Forbidden: wire.CodeForbidden,
	state.Exists: wire.CodeExists, state.Gone: wire.CodeGone, state.Limit: wire.CodeLimit, state.TooOld: wire.CodeTooOld,
	state.Conflict: wire.CodeConflict, state.Muted: wire.CodeMuted, state.Invalid: wire.CodeInvalid,
	state.StartOver: wire.CodeStartOver, state.Moved: wire.CodeStaleRoute, state.Blocked: wire.CodeForbidden,
	state.Backlogged: wire.CodeUnavailable, state.SignedOut: wire.CodeUnauthenticated,
	state.NeedOwner: wire.CodeForbidden, state.Banned: wire.CodeForbidden, state.BannedUser: wire.CodeForbidden,
	state.BlockListFull: wire.CodeLimit, state.MuteListFull: wire.CodeLimit, state.MutedForNow: wire.CodeMuted,
}

// Refused turns a refusal into an error for a client.
func Refused(op string, r state.Refusal, text string) *wire.Error {
	code, ok := codes[r]
	if !ok {
		code = wire.CodeInternal
	}
	if text == "" {
		text = r.String()
	}
	return &wire.Error{Code: code, Op: op, Text: text}
}
