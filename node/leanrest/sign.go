package leanrest

import (
	"net/http"
	"time"

	"github.com/quorate/quorate/node/auth"
	"github.com/quorate/quorate/node/leansign"
)

// signLogin makes the signature with which a user opens a session.
func signLogin(q *request) (any, error) {
	var body struct {
		Token string `json:"session_token"`
	}
	if err := q.decode(&body); err != nil {
		return nil, err
	}
	if body.Token == "" {
		body.Token = q.parameter("session_token")
	}
	if body.Token == "" {
		return nil, wrong(codeMissing, "session_token is missing")
	}
	// What the app's key has signed does not count: clients have that key.
	now := q.host.Millis()
	id, err := auth.Verify(q.app.ID, auth.Keys{MasterKey: string(q.app.MasterKey)}, body.Token, time.UnixMilli(now))
	if err == nil && id.User != "" {
		var after int64
		if after, err = q.validAfter(id.User); err == nil && id.Issued.UnixMilli() < after {
			err = auth.ErrRefused
		}
	}
	if err != nil || id.User == "" {
		return nil, &failure{
			status: http.StatusBadRequest, code: codeNoUser,
			text: "session_token is of no user: there are no user accounts here; it must be a token for the user that the app's back end has signed with the master key",
		}
	}
	nonce := randomText()
	action := leansign.Action{Verb: leansign.Login, App: string(q.app.ID), Client: string(id.User)}
	return map[string]any{
		"signature": leansign.Sign(string(q.app.MasterKey), action, now, nonce), "timestamp": now, "nonce": nonce, "client_id": id.User,
	}, nil
}
