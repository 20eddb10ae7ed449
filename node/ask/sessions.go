package ask

import "github.com/quorate/quorate/shard/state"

// Sessions asks the user's own shard what outlives his sessions' sockets: who
// holds his tags, his will and the chat room he is in.
type Sessions struct{}

func (*Sessions) answer(e executor, a *Answer) error {
	held, err := e.st.Sessions(e.app, e.user)
	if err != nil {
		return err
	}
	if held.Will != nil {
		held.Will.Body = nil // nobody needs it
	}
	a.Sessions = &held
	return nil
}

// Holder returns the session that holds a tag; false: none does.
func Holder(held *state.Sessions, tag string) (state.TagHolder, bool) {
	for _, h := range held.Tags {
		if h.Tag == tag {
			return h, true
		}
	}
	return state.TagHolder{}, false
}
