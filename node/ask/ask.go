package ask

import (
	"encoding/json"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// Request is one question. Exactly one field is set.
type Request struct{}

// Answer answers it: the field that corresponds.
type Answer struct{}

// Execute answers an encoded question from a shard's state, for a user of the
// app, or for the app itself when the user is empty. The error is a *wire.Error
// or a *state.RefusedError.
func Execute(st *state.State, app wire.AppID, user wire.UserID, question []byte) ([]byte, error) {
	var r Request
	if err := json.Unmarshal(question, &r); err != nil {
		return nil, wire.Errorf(wire.CodeInvalid, "", "decode a question: %v", err)
	}
	a, err := answer(st, app, user, &r)
	if err != nil {
		return nil, err
	}
	return json.Marshal(a)
}

func answer(_ *state.State, _ wire.AppID, _ wire.UserID, _ *Request) (*Answer, error) {
	return nil, wire.Errorf(wire.CodeInvalid, "", "this node does not know the question")
}
