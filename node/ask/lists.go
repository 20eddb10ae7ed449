package ask

import (
	"slices"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// List names a list of users that a conversation has.
type List string

// The lists.
const (
	ListBlocked List = "blocked" // who is kept out
	ListMuted   List = "muted"   // who may not speak, for ever
)

// MaxListed is how many users of a list one question returns.
const MaxListed = 1000

// Listed asks for some users of a list: a page of it, or those of a few who are
// on it. A user who asks is a member, where there are any.
type Listed struct {
	Conversation wire.ConversationID `json:"conversation"`
	List         List                `json:"list"`
	Skip         int                 `json:"skip,omitempty"`
	Limit        int                 `json:"limit,omitempty"`
	Of           []wire.UserID       `json:"of,omitempty"`
}

// UserPage is some users of a list, by id.
type UserPage struct {
	Users []wire.UserID `json:"users,omitempty"`
	Next  int           `json:"next,omitempty"` // the Skip of the next page; 0: this was the last
}

func (q *Listed) answer(e executor, a *Answer) error {
	if q.List != ListBlocked && q.List != ListMuted {
		return wire.Errorf(wire.CodeInvalid, "", "there is no list %q", q.List)
	}
	access, err := e.st.CanRead(e.app, q.Conversation, e.user)
	if err != nil {
		return err
	}
	if e.user != "" && access.Policy.Members && access.Role == state.RoleNone {
		return &state.RefusedError{Refusal: state.NotMember}
	}
	a.Listed = &UserPage{}
	if len(q.Of) > 0 {
		a.Listed.Users, err = q.among(e)
		return err
	}
	limit := min(max(q.Limit, 0), MaxListed)
	place := 0
	err = q.each(e, func(user wire.UserID) bool {
		if place++; place <= q.Skip {
			return true
		}
		if len(a.Listed.Users) == limit {
			a.Listed.Next = place - 1
			return false
		}
		a.Listed.Users = append(a.Listed.Users, user)
		return true
	})
	return err
}

// among returns those of a few users who are on the list, in their order.
func (q *Listed) among(e executor) ([]wire.UserID, error) {
	if q.List == ListBlocked {
		return e.st.IsBlocked(e.app, q.Conversation, q.Of)
	}
	on := map[wire.UserID]bool{}
	err := q.each(e, func(user wire.UserID) bool {
		on[user] = true
		return true
	})
	return slices.DeleteFunc(slices.Clone(q.Of), func(u wire.UserID) bool { return !on[u] }), err
}

// each calls f with the users of the list, until it returns false.
func (q *Listed) each(e executor, f func(wire.UserID) bool) error {
	after := wire.UserID("")
	for {
		if err := e.awaited(); err != nil {
			return err
		}
		users, last, err := q.page(e, after)
		if err != nil {
			return err
		}
		for _, user := range users {
			if !f(user) {
				return nil
			}
		}
		if last == "" {
			return nil
		}
		after = last
	}
}

// page returns some users of the list, and the last one that was looked at if
// there are more.
func (q *Listed) page(e executor, after wire.UserID) (users []wire.UserID, last wire.UserID, err error) {
	if q.List == ListBlocked {
		page, err := e.st.Blocked(e.app, q.Conversation, after, MaxListed)
		if err == nil && page.More && len(page.Users) > 0 {
			last = page.Users[len(page.Users)-1]
		}
		return page.Users, last, err
	}
	page, err := e.st.MutedMembers(e.app, q.Conversation, after, MaxListed)
	for _, m := range page.Members {
		if m.Until == 0 {
			users = append(users, m.User)
		}
	}
	if err == nil && page.More && len(page.Members) > 0 {
		last = page.Members[len(page.Members)-1].User
	}
	return users, last, err
}

// Blocks asks which conversations the asker does not want to be added to.
type Blocks struct{}

// ConversationList is some conversations.
type ConversationList struct {
	Conversations []wire.ConversationID `json:"conversations,omitempty"`
}

func (*Blocks) answer(e executor, a *Answer) error {
	info, err := e.st.User(e.app, e.user)
	a.Blocks = &ConversationList{Conversations: info.Blocked}
	return err
}
