package client

import (
	"time"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

// EntryKind says what a log entry tells.
type EntryKind int

// The kinds of entry, with the fields of Entry that they set.
const (
	EntryOther          EntryKind = iota // of a newer cluster than this client
	EntryMessage                         // Message
	EntryEdited                          // Message, as it is now
	EntryRecalled                        // Message, without its body
	EntryMembersAdded                    // Users
	EntryMembersRemoved                  // Users
	EntryRoleChanged                     // Users (one), Role
	EntryCreated                         // Info
	EntryUpdated                         // Info
	EntryDestroyed                       // Expired
	EntryMuted                           // Users (none: everybody), Until
	EntryUnmuted                         // Users
	EntryJoined                          // user log: Conversation, At, By
	EntryLeft                            // user log: Conversation, At, By, Destroyed
	EntryTagTaken                        // user log: Device, Text (the tag)
	EntryKicked                          // user log: Device, Text (the reason)
	EntryBlocked                         // user log: Conversation
	EntryUnblocked                       // user log: Conversation
)

// Entry is one entry of a conversation's log or of the user's own.
type Entry struct {
	Offset wire.Offset
	Time   time.Time
	Actor  wire.UserID // who did it; empty: the app or the cluster
	Kind   EntryKind

	Message *Message
	Info    *Info
	Users   []wire.UserID
	Role    Role
	Until   time.Time // zero: for ever
	Expired bool      // of a destroyed one: its time was over

	Conversation wire.ConversationID // what the entry is about; in a conversation's log that conversation
	At           wire.Offset         // where in the conversation's log the user joined or left
	By           wire.UserID         // who added or removed the user
	Destroyed    bool                // left, because the conversation is gone
	Device       string
	Text         string
}

// size is what an entry weighs in a queue, about.
func (e *Entry) size() int {
	size := 200 + 24*len(e.Users)
	if e.Message != nil {
		size += len(e.Message.Body)
	}
	return size
}

func entryOf(p *pb.LogEntry, log string) Entry {
	e := Entry{
		Offset: wire.Offset(p.GetOffset()), Time: timeOf(p.GetTimestampMillis()), Actor: wire.UserID(p.GetActor()),
		Conversation: wire.ConversationID(log),
	}
	message := func(kind EntryKind, m *pb.Message) {
		said := messageOf(m, log)
		if said.Offset == 0 {
			said.Offset = e.Offset
		}
		e.Kind, e.Message = kind, &said
	}
	switch what := p.GetWhat().(type) {
	case *pb.LogEntry_Message:
		message(EntryMessage, what.Message)
	case *pb.LogEntry_Edited:
		message(EntryEdited, what.Edited)
	case *pb.LogEntry_Recalled:
		message(EntryRecalled, what.Recalled)
	case *pb.LogEntry_MembersAdded:
		e.Kind, e.Users = EntryMembersAdded, idsOf(what.MembersAdded.GetUsers())
	case *pb.LogEntry_MembersRemoved:
		e.Kind, e.Users = EntryMembersRemoved, idsOf(what.MembersRemoved.GetUsers())
	case *pb.LogEntry_RoleChanged:
		e.Kind, e.Users = EntryRoleChanged, []wire.UserID{wire.UserID(what.RoleChanged.GetUser())}
		e.Role = Role(what.RoleChanged.GetRole())
	case *pb.LogEntry_Created:
		e.Kind, e.Info = EntryCreated, infoOf(what.Created)
	case *pb.LogEntry_Updated:
		e.Kind, e.Info = EntryUpdated, infoOf(what.Updated)
	case *pb.LogEntry_Destroyed:
		e.Kind, e.Expired = EntryDestroyed, what.Destroyed.GetExpired()
	case *pb.LogEntry_Muted:
		e.Kind, e.Users, e.Until = EntryMuted, idsOf(what.Muted.GetUsers()), untilOf(what.Muted.GetUntilMillis())
	case *pb.LogEntry_Unmuted:
		e.Kind, e.Users = EntryUnmuted, idsOf(what.Unmuted.GetUsers())
	default:
		e.ofUserLog(p)
	}
	return e
}

// ofUserLog reads what stands only in a user log.
func (e *Entry) ofUserLog(p *pb.LogEntry) {
	switch what := p.GetWhat().(type) {
	case *pb.LogEntry_Joined:
		e.Kind, e.Conversation = EntryJoined, wire.ConversationID(what.Joined.GetConversation())
		e.At, e.By = wire.Offset(what.Joined.GetOffset()), wire.UserID(what.Joined.GetBy())
	case *pb.LogEntry_Left:
		e.Kind, e.Conversation = EntryLeft, wire.ConversationID(what.Left.GetConversation())
		e.At, e.By = wire.Offset(what.Left.GetOffset()), wire.UserID(what.Left.GetBy())
		e.Destroyed = what.Left.GetDestroyed()
	case *pb.LogEntry_TagTaken:
		e.Kind, e.Device, e.Text = EntryTagTaken, what.TagTaken.GetDevice(), what.TagTaken.GetTag()
	case *pb.LogEntry_Kicked:
		e.Kind, e.Device, e.Text = EntryKicked, what.Kicked.GetDevice(), what.Kicked.GetReason()
	case *pb.LogEntry_Blocked:
		e.Kind, e.Conversation = EntryBlocked, wire.ConversationID(what.Blocked.GetConversation())
		if what.Blocked.GetUnblocked() {
			e.Kind = EntryUnblocked
		}
	}
}

func timeOf(millis int64) time.Time {
	if millis == 0 {
		return time.Time{}
	}
	return time.UnixMilli(millis)
}

// untilOf is timeOf for the end of a mute: for ever is the zero time.
func untilOf(millis int64) time.Time { return timeOf(max(millis, 0)) }

func idsOf(users []string) []wire.UserID {
	if len(users) == 0 {
		return nil
	}
	ids := make([]wire.UserID, len(users))
	for i, u := range users {
		ids[i] = wire.UserID(u)
	}
	return ids
}

func textsOf(users []wire.UserID) []string {
	texts := make([]string, len(users))
	for i, u := range users {
		texts[i] = string(u)
	}
	return texts
}
