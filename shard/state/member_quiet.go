package state

import (
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// Quiet says which members want no push notifications of a conversation. A user
// says it for himself only. Nobody is told, but the conversation was updated.
type Quiet struct {
	Conversation wire.ConversationID
	Users        []wire.UserID // at most 500
	Off          bool          // they want them again
}

func (*Quiet) kind() Kind { return kindQuiet }

func (c *Quiet) subject() Subject { return Subject{Conversation: c.Conversation} }

func (c *Quiet) append(b []byte) []byte {
	return bin.AppendBool(appendIDs(bin.AppendString(b, c.Conversation), c.Users), c.Off)
}

func (c *Quiet) decode(in *bin.Reader) {
	c.Conversation = readID[wire.ConversationID](in)
	c.Users = readIDs[wire.UserID](in, maxListed)
	c.Off = in.Bool()
}

func (c *Quiet) apply(t *txn, h *Header) Result {
	conv := t.conversation(conversationScope(h.App, c.Conversation))
	users := distinct(c.Users)
	if r := checkUsers(conv, t.stamp, users); r.Refusal != None {
		return r
	}
	if h.Actor != "" && (len(users) != 1 || users[0] != h.Actor) {
		return refuse(Forbidden, "a user is quiet for himself only")
	}
	result := Result{Conversation: c.Conversation, Timestamp: conv.info.Updated}
	if !conv.info.Policy.Members {
		result.Existed = true
		return result // nobody gets push notifications of it
	}
	for _, u := range users {
		switch m := t.member(conv.scope, u); {
		case m.User == "":
			result.Users = append(result.Users, UserResult{User: u, Refusal: NotMember})
		case m.Quiet == c.Off:
			m.Quiet = !c.Off
			t.writeMember(conv.scope, m)
			result.Count++
		}
	}
	if len(users) == 1 && len(result.Users) == 1 {
		return refuse(NotMember, "")
	}
	if result.Count > 0 {
		result.Timestamp = conv.update(t)
	}
	return result
}
