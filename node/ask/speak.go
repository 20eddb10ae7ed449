package ask

import "github.com/quorate/quorate/wire"

// Speak asks whether the asker may say something in a conversation now. Nothing is
// answered but a refusal, if he may not.
type Speak struct {
	Conversation wire.ConversationID `json:"conversation"`
}

func (q *Speak) answer(e executor, _ *Answer) error {
	return e.st.MaySpeak(e.app, q.Conversation, e.user)
}
