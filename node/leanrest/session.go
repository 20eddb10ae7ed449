package leanrest

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/node/auth"
	"github.com/quorate/quorate/node/leandoc"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// session returns the user whose open session a request belongs to.
func (q *request) session() (wire.UserID, error) {
	token := q.http.Header.Get("X-LC-IM-Session-Token")
	if token == "" {
		return "", &failure{status: http.StatusUnauthorized, code: codeMissing, text: "send X-LC-IM-Session-Token"}
	}
	keys := auth.Keys{Key: string(q.app.Key), MasterKey: string(q.app.MasterKey)}
	s, err := auth.VerifyLean(q.app.ID, keys, token, time.UnixMilli(q.host.Millis()))
	if err == nil {
		var after int64
		if after, err = q.validAfter(s.User); err == nil && s.Issued.UnixMilli() < after {
			err = auth.ErrRefused
		}
	}
	switch {
	case errors.Is(err, auth.ErrRefused):
		return "", &failure{status: http.StatusUnauthorized, code: codeTokenExpired, text: "the session token is not good, or not any more: open the session again"}
	case err != nil:
		return "", err
	}
	if client := q.parameter("client_id"); client != "" && client != string(s.User) {
		return "", &failure{status: http.StatusForbidden, code: codeForbidden, text: "the session token is of somebody else"}
	}
	return s.User, nil
}

// sessionMemberInfos lists the roles in a conversation for one of its members.
func sessionMemberInfos(q *request) (any, error) {
	if err := q.roles(); err != nil {
		return nil, err
	}
	u, err := q.session()
	if err != nil {
		return nil, err
	}
	wanted, err := q.memberInfosWanted()
	if err != nil {
		return nil, err
	}
	id, _ := leandoc.StoredID(wanted.Conversation)
	member, err := q.isMember(id, u)
	if err != nil {
		return nil, err
	}
	if !member {
		return nil, &failure{status: http.StatusForbidden, code: codeMembershipRequired, text: "the user is no member of the conversation"}
	}
	all, err := q.members(id)
	if err != nil {
		return nil, err
	}
	// Clients know by the creator who the owner is; some know no such role.
	rows := infoRows(id, all, func(m *state.Member, _ string) bool {
		return m.Role != state.RoleOwner && (wanted.User == "" || wanted.User == string(m.User))
	})
	told := []sessionInfoRow{}
	for _, row := range rows[min(wanted.skip, len(rows)):min(wanted.skip+wanted.limit, len(rows))] {
		told = append(told, sessionInfoRow{infoRow: row, ConversationID: row.Conversation, PeerID: row.Client, InfoID: row.ID})
	}
	return map[string]any{"results": told}, nil
}

// sessionInfoRow is a row with the names that version 6 of the SDK for Java looks
// for beside those that all others do.
type sessionInfoRow struct {
	infoRow

	ConversationID wire.ConversationID `json:"conversationId"`
	PeerID         wire.UserID         `json:"peerId"`
	InfoID         string              `json:"infoId"`
}

// infosWanted says which roles somebody wants to know.
type infosWanted struct {
	Conversation string `json:"cid"`
	User         string `json:"peerId"`
	Client       string `json:"clientId"` // another name of it

	skip, limit int
}

func (q *request) memberInfosWanted() (infosWanted, error) {
	w := infosWanted{Conversation: q.parameter("cid")}
	if text := q.parameter("where"); text != "" {
		if err := json.Unmarshal([]byte(text), &w); err != nil {
			return w, wrong(codeQuery, "where wants a cid and, if it is about one user, a peerId")
		}
	}
	if w.User == "" {
		w.User = w.Client
	}
	if wire.ValidID(w.Conversation) != nil {
		return w, wrong(codeMissing, "cid is missing")
	}
	limit, err := q.number("limit", usualFound, 0, mostFound)
	if err != nil {
		return w, err
	}
	skip, err := q.number("skip", 0, 0, maxSkip)
	w.skip, w.limit = int(skip), int(limit)
	return w, err
}

// isMember tells whether a user is in a conversation.
func (q *request) isMember(id wire.ConversationID, u wire.UserID) (bool, error) {
	a, err := q.host.Ask(q.ctx(), q.app.ID, u, string(id), &ask.Request{Kinds: &ask.Kinds{Of: []wire.ConversationID{id}}})
	return err == nil && len(a.Kinds.Kinds) == 1 && a.Kinds.Kinds[0].Role != state.RoleNone, err
}
