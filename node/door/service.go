package door

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"sync"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// MaxToUsers is how many users one message of a service can be for that is not
// for all of its subscribers.
const MaxToUsers = 20

// SendToService sends what a user says to a service: into his thread with it,
// which is made if there is none. No other user sees it. A service that is not
// there refuses with NotFound.
func SendToService(ctx context.Context, log Log, h state.Header, service wire.ConversationID, send *state.SendMessage) (state.Result, error) {
	return sendInThread(ctx, log, h, thread{app: h.App, service: service, user: h.Actor}, send)
}

// SentToUsers is what became of a message to some users.
type SentToUsers struct {
	ID      wire.MessageID // the same for all of them
	Sent    state.Result   // to the first of those whom it was sent to
	Refused []state.UserResult
}

// SendToUsers sends what a service says to some users, to each into his thread.
// They need not be subscribed. The header is the app's; with a token, which it
// must have to be repeated, a repetition sends to those who have not got it.
func SendToUsers(ctx context.Context, log Log, h state.Header, service wire.ConversationID, users []wire.UserID, send state.SendMessage) (SentToUsers, error) { //nolint:revive // what is sent, by whom, as what, to whom
	if len(users) == 0 || len(users) > MaxToUsers {
		return SentToUsers{}, wire.Errorf(wire.CodeLimit, "message.send", "%d users, want 1 to %d", len(users), MaxToUsers)
	}
	id, err := idOf(h.Token)
	if err != nil {
		return SentToUsers{}, err
	}
	results, errs := make([]state.Result, len(users)), make([]error, len(users))
	var sending sync.WaitGroup
	for i, user := range users {
		sending.Go(func() {
			one := send
			one.ID = id
			results[i], errs[i] = sendInThread(ctx, log, h, thread{app: h.App, service: service, user: user}, &one)
		})
	}
	sending.Wait()
	sent := SentToUsers{ID: id}
	for i, r := range results {
		switch {
		case errs[i] != nil:
		case r.Refusal != state.None:
			sent.Refused = append(sent.Refused, state.UserResult{User: users[i], Refusal: r.Refusal})
		case sent.Sent.MessageID == "":
			sent.Sent = r
		}
	}
	return sent, errors.Join(errs...)
}

// idOf makes the id of a message that is sent into several conversations. One
// that is repeated with its token has the same id.
func idOf(token state.Token) (wire.MessageID, error) {
	var b [32]byte
	if token.Random != "" {
		b = sha256.Sum256([]byte(token.Random))
	} else if _, err := rand.Read(b[:]); err != nil {
		return "", wire.Errorf(wire.CodeInternal, "", "choose a message's id: %v", err)
	}
	return wire.MessageID(hex.EncodeToString(b[:12])), nil
}

// thread is a user's with a service.
type thread struct {
	app     wire.AppID
	service wire.ConversationID
	user    wire.UserID
}

// sendInThread sends into a thread, and makes it first if it is not there, or if
// its user is not in it any more.
func sendInThread(ctx context.Context, log Log, h state.Header, t thread, send *state.SendMessage) (state.Result, error) {
	id, ok := state.ThreadOf(t.service, t.user)
	if !ok || t.user == "" {
		return state.Result{Refusal: state.NotFound}, nil
	}
	send.Conversation = id
	r, err := log.Change(ctx, h, send)
	if err != nil || r.Refusal != state.NotFound && r.Refusal != state.NotMember {
		return r, err
	}
	if r, err := t.make(ctx, log, id); err != nil || r.Refusal != state.None {
		return r, err
	}
	return log.Change(ctx, h, send)
}

// make makes the thread, or brings its user back.
func (t thread) make(ctx context.Context, log Log, id wire.ConversationID) (state.Result, error) {
	a, err := log.Ask(ctx, t.app, "", string(t.service), &ask.Request{Kinds: &ask.Kinds{Of: []wire.ConversationID{t.service}}})
	if err != nil {
		return state.Result{}, err
	}
	if kinds := a.Kinds.Kinds; len(kinds) != 1 || kinds[0].Preset != state.PresetSystem {
		return state.Result{Refusal: state.NotFound, Text: "there is no such service"}, nil
	}
	app, user := state.Header{App: t.app}, []wire.UserID{t.user}
	r, err := log.Change(ctx, app, &state.CreateConversation{ID: id, Preset: state.PresetThread, Members: user})
	if err != nil || r.Refusal != state.Exists {
		return r, err
	}
	return log.Change(ctx, app, &state.AddMembers{Conversation: id, Users: user})
}
