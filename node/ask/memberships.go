package ask

import (
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// MaxMemberships is how many conversations of a user one question lists.
const MaxMemberships = 1000

// Memberships asks in which conversations a user is, the newest first. Only he
// and the app may ask.
type Memberships struct {
	User   wire.UserID `json:"user"`
	Before wire.Offset `json:"before,omitempty"` // the entry of the last one of the page before; 0: none
	Limit  int         `json:"limit"`
}

// MembershipPage is some of them, as the user's own slot knows them: it may be
// behind the conversations.
type MembershipPage struct {
	Memberships []state.Membership `json:"memberships,omitempty"`
	More        bool               `json:"more,omitempty"`
}

func (q *Memberships) answer(e executor, a *Answer) error {
	if e.user != "" && e.user != q.User {
		return &state.RefusedError{Refusal: state.Forbidden}
	}
	page, more, err := e.st.UserConversations(e.app, q.User, q.Before, min(max(q.Limit, 1), MaxMemberships))
	a.Memberships = &MembershipPage{Memberships: page, More: more}
	return err
}

// Members asks who is in a conversation, in the order of their ids.
type Members struct {
	Conversation wire.ConversationID `json:"conversation"`
	After        wire.UserID         `json:"after,omitempty"`
	Limit        int                 `json:"limit"`
}

// MemberPage is some of them, and of what kind the conversation is.
type MemberPage struct {
	state.MemberPage

	Preset state.Preset `json:"preset"`
	Count  uint32       `json:"count"` // of all members
}

func (q *Members) answer(e executor, a *Answer) error {
	c, err := e.st.Conversation(e.app, q.Conversation)
	if err != nil {
		return err
	}
	page := &MemberPage{Preset: c.Policy.Preset, Count: c.MemberCount}
	if q.Limit > 0 {
		page.MemberPage, err = e.st.Members(e.app, q.Conversation, q.After, min(q.Limit, wire.MaxPageEntries))
	}
	a.Members = page
	return err
}
