package node

import (
	"context"
	"net/http"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// UserInfo is what is said of a user whom the app bans, or lets in again.
type UserInfo struct {
	ID     wire.UserID `json:"id"`
	Banned bool        `json:"banned"`
}

// ban keeps a user of the app from signing in and ends his sessions, or lets him
// sign in again.
func (w *web) ban(rw http.ResponseWriter, r *http.Request) {
	const op = "user.ban"
	info := UserInfo{ID: wire.UserID(r.PathValue("user")), Banned: r.Method == http.MethodPut}
	if err := wire.ValidID(string(info.ID)); err != nil {
		refuseWeb(rw, http.StatusBadRequest, wire.Errorf(wire.CodeInvalid, op, "user %v", err))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), appTimeout)
	defer cancel()
	h := state.Header{App: wire.AppID(r.Header.Get("X-Quorate-App"))} // master has found it
	commands := []state.Command{&state.BanUser{User: info.ID, Unban: !info.Banned}}
	if info.Banned {
		commands = append(commands, &state.Kick{User: info.ID, Reason: "banned"})
	}
	for _, c := range commands {
		result, err := w.n.host().Change(ctx, h, c)
		switch {
		case err != nil:
			refuseWeb(rw, http.StatusServiceUnavailable, err)
			return
		case result.Refusal != state.None:
			refuseWeb(rw, http.StatusConflict, &state.RefusedError{Refusal: result.Refusal, Text: result.Text})
			return
		}
	}
	answer(rw, http.StatusOK, info)
}
