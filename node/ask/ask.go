package ask

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/quorate/quorate/node/columns"
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
	Kinds       *Kinds       `json:"kinds,omitempty"`
	Listed      *Listed      `json:"listed,omitempty"`
	Blocks      *Blocks      `json:"blocks,omitempty"`
	UserSince   *UserSince   `json:"user_since,omitempty"`
	Since       *Since       `json:"since,omitempty"`

	AppMessages *AppMessages `json:"app_messages,omitempty"`
	Speak       *Speak       `json:"speak,omitempty"`

	Broadcasts      *Broadcasts      `json:"broadcasts,omitempty"`
	BroadcastPlaces *BroadcastPlaces `json:"broadcast_places,omitempty"`
	Subscribers     *Subscribers     `json:"subscribers,omitempty"`
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

	Kinds     *KindList         `json:"kinds,omitempty"`
	Listed    *UserPage         `json:"listed,omitempty"`
	Blocks    *ConversationList `json:"blocks,omitempty"`
	UserSince *UserEntries      `json:"user_since,omitempty"`
	Since     *EventList        `json:"since,omitempty"`

	AppMessages *AppMessagePage `json:"app_messages,omitempty"`

	Broadcasts      *BroadcastPage      `json:"broadcasts,omitempty"`
	BroadcastPlaces *BroadcastPlaceList `json:"broadcast_places,omitempty"`
	Subscribers     *SubscriberPage     `json:"subscribers,omitempty"`
}

// question is one field of a request.
type question interface {
	// answer asks the state and fills the field that corresponds. Its errors are
	// the state's, or *wire.Error.
	answer(e executor, a *Answer) error
}

// set returns the field that is set; nil: none is that this node knows.
func (r *Request) set() question {
	for _, q := range []struct {
		question
		set bool
	}{
		{r.History, r.History != nil},
		{r.Log, r.Log != nil},
		{r.Sync, r.Sync != nil},
		{r.Places, r.Places != nil},
		{r.Cursors, r.Cursors != nil},
		{r.Sessions, r.Sessions != nil},
		{r.Find, r.Find != nil},
		{r.Memberships, r.Memberships != nil},
		{r.Members, r.Members != nil},
		{r.Kinds, r.Kinds != nil},
		{r.Listed, r.Listed != nil},
		{r.Blocks, r.Blocks != nil},
		{r.UserSince, r.UserSince != nil},
		{r.Since, r.Since != nil},
		{r.AppMessages, r.AppMessages != nil},
		{r.Speak, r.Speak != nil},
		{r.Broadcasts, r.Broadcasts != nil},
		{r.BroadcastPlaces, r.BroadcastPlaces != nil},
		{r.Subscribers, r.Subscribers != nil},
	} {
		if q.set {
			return q.question
		}
	}
	return nil
}

// Source is what questions are answered from: a shard's state, and what is known
// of its columns. Without an index searches go through all conversations.
type Source struct {
	State   *state.State
	Columns *columns.Index
}

// executor answers one user's questions from one state.
type executor struct {
	ctx     context.Context //nolint:containedctx // of one question, for what goes through many rows
	st      *state.State
	columns *columns.Index
	app     wire.AppID
	user    wire.UserID // empty: the app
}

// Execute answers an encoded question from a shard, for a user of the app, or for
// the app itself when the user is empty. The error is a *wire.Error or a
// *state.RefusedError. What may take long ends when ctx is done.
func Execute(ctx context.Context, from Source, app wire.AppID, user wire.UserID, question []byte) ([]byte, error) {
	var r Request
	if err := json.Unmarshal(question, &r); err != nil {
		return nil, wire.Errorf(wire.CodeInvalid, "", "decode a question: %v", err)
	}
	q := r.set()
	if q == nil {
		return nil, wire.Errorf(wire.CodeInvalid, "", "this node does not know the question")
	}
	var a Answer
	if err := q.answer(executor{ctx: ctx, st: from.State, columns: from.Columns, app: app, user: user}, &a); err != nil {
		return nil, checked(err)
	}
	b, err := json.Marshal(&a)
	if err != nil {
		return nil, fmt.Errorf("encode an answer: %w", err)
	}
	return b, nil
}

// awaited is an error when nobody waits for the answer any more.
func (e executor) awaited() error {
	if err := e.ctx.Err(); err != nil {
		return &wire.Error{Code: wire.CodeUnavailable, Text: "not answered in time, ask again", Err: err}
	}
	return nil
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
