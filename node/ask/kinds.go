package ask

import (
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// Kinds asks what kind some conversations are of, and where the asker stands in
// them. Those that are not there are left out.
type Kinds struct {
	Of []wire.ConversationID `json:"of"`
}

// KindList answers Kinds, in the order of the question.
type KindList struct {
	Kinds []Kind `json:"kinds,omitempty"`
}

// Kind is what a door must know of a conversation to speak of it.
type Kind struct {
	Conversation wire.ConversationID `json:"conversation"`
	Preset       state.Preset        `json:"preset"`
	Created      int64               `json:"created"`           // milliseconds since 1970
	Expires      int64               `json:"expires,omitempty"` // 0: never
	Members      uint32              `json:"members,omitempty"`
	Role         state.Role          `json:"role,omitempty"` // the asker's; none: he is no member
}

func (q *Kinds) answer(e executor, a *Answer) error {
	if len(q.Of) > MaxCandidates {
		return wire.Errorf(wire.CodeLimit, "", "%d conversations, want at most %d", len(q.Of), MaxCandidates)
	}
	a.Kinds = &KindList{}
	for _, id := range q.Of {
		c, err := e.st.Conversation(e.app, id)
		if refusal(err) != state.None {
			continue
		}
		if err != nil {
			return err
		}
		k := Kind{Conversation: id, Preset: c.Policy.Preset, Created: c.Created, Expires: c.Expires, Members: c.MemberCount}
		if e.user != "" && c.Policy.Members {
			m, err := e.st.Member(e.app, id, e.user)
			if err != nil && refusal(err) == state.None {
				return err
			}
			k.Role = m.Role
		}
		a.Kinds.Kinds = append(a.Kinds.Kinds, k)
	}
	return nil
}
