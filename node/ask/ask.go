package ask

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// Request is one question. Exactly one field is set.
type Request struct {
	History *History `json:"history,omitempty"`
	Log     *Log     `json:"log,omitempty"`
	Sync    *Sync    `json:"sync,omitempty"`
	Places  *Places  `json:"places,omitempty"`
	Cursors *Cursors `json:"cursors,omitempty"`

	Sessions *Sessions `json:"sessions,omitempty"`

	Find        *Find        `json:"find,omitempty"`
	Memberships *Memberships `json:"memberships,omitempty"`
	Members     *Members     `json:"members,omitempty"`
}

// Answer answers it: the field that corresponds.
type Answer struct {
	History *HistoryPage `json:"history,omitempty"`
	Log     *LogPage     `json:"log,omitempty"`
	Sync    *Synced      `json:"sync,omitempty"`
	Places  *Found       `json:"places,omitempty"`
	Cursors *CursorList  `json:"cursors,omitempty"`

	Sessions *state.Sessions `json:"sessions,omitempty"`

	Find        *Matches        `json:"find,omitempty"`
	Memberships *MembershipPage `json:"memberships,omitempty"`
	Members     *MemberPage     `json:"members,omitempty"`
}

// question is one field of a request.
type question interface {
	// answer asks the state and fills the field that corresponds. Its errors are
	// the state's, or *wire.Error.
	answer(e executor, a *Answer) error
}

// set returns the field that is set; nil: none is that this node knows.
func (r *Request) set() question {
	switch {
	case r.History != nil:
		return r.History
	case r.Log != nil:
		return r.Log
	case r.Sync != nil:
		return r.Sync
	case r.Places != nil:
		return r.Places
	case r.Cursors != nil:
		return r.Cursors
	case r.Sessions != nil:
		return r.Sessions
	case r.Find != nil:
		return r.Find
	case r.Memberships != nil:
		return r.Memberships
	case r.Members != nil:
		return r.Members
	default:
		return nil
	}
}

// executor answers one user's questions from one state.
type executor struct {
	st   *state.State
	app  wire.AppID
	user wire.UserID // empty: the app
}

// Execute answers an encoded question from a shard's state, for a user of the
// app, or for the app itself when the user is empty. The error is a *wire.Error
// or a *state.RefusedError.
func Execute(st *state.State, app wire.AppID, user wire.UserID, question []byte) ([]byte, error) {
	var r Request
	if err := json.Unmarshal(question, &r); err != nil {
		return nil, wire.Errorf(wire.CodeInvalid, "", "decode a question: %v", err)
	}
	q := r.set()
	if q == nil {
		return nil, wire.Errorf(wire.CodeInvalid, "", "this node does not know the question")
	}
	var a Answer
	if err := q.answer(executor{st: st, app: app, user: user}, &a); err != nil {
		return nil, checked(err)
	}
	b, err := json.Marshal(&a)
	if err != nil {
		return nil, fmt.Errorf("encode an answer: %w", err)
	}
	return b, nil
}

// checked makes sure that an error is of a kind that a caller knows.
func checked(err error) error {
	if _, ok := errors.AsType[*state.RefusedError](err); ok {
		return err
	}
	if _, ok := errors.AsType[*wire.Error](err); ok {
		return err
	}
	return &wire.Error{Code: wire.CodeInternal, Text: "the shard's state cannot be read", Err: err}
}

// refusal returns why the state said no; None: it did not, and the error, if
// there is one, is something else.
func refusal(err error) state.Refusal {
	if refused, ok := errors.AsType[*state.RefusedError](err); ok {
		return refused.Refusal
	}
	return state.None
}
