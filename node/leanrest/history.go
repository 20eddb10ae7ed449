package leanrest

import (
	"encoding/base64"
	"errors"
	"net/http"
	"slices"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/node/leandoc"
	"github.com/quorate/quorate/node/leansign"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

const (
	usualMessages = 100
	mostMessages  = 1000
	mostTime      = 1 << 52
)

// span is which messages somebody wants: those after start, in the direction,
// up to end.
type span struct {
	start, end ask.Place
	newer      bool // oldest first
	limit      int
}

// span reads it from the query.
func (q messagesRequest) span() (span, error) {
	s := span{start: ask.Place{Message: wire.MessageID(q.parameter("msgid"))}, end: ask.Place{Message: wire.MessageID(q.parameter("till_msgid"))}}
	var errs [6]error
	var limit int64
	alias := "timestamp"
	if q.parameter(alias) == "" && q.parameter("max_ts") != "" {
		alias = "max_ts" // of old back ends
	}
	s.start.Time, errs[0] = q.number(alias, 0, 0, mostTime)
	s.end.Time, errs[1] = q.number("till_timestamp", 0, 0, mostTime)
	s.start.Included, errs[2] = q.toggle("include_start")
	s.end.Included, errs[3] = q.toggle("include_stop")
	s.newer, errs[4] = q.toggle("reversed")
	limit, errs[5] = q.number("limit", usualMessages, 1, mostMessages)
	s.limit = int(limit)
	if err := errors.Join(errs[:]...); err != nil {
		return s, firstFailure(errs[:])
	}
	for _, p := range []ask.Place{s.start, s.end} {
		if p.Message != "" && p.Time == 0 {
			return s, wrong(codeMissing, "a message is named by its id and its timestamp")
		}
	}
	return s, nil
}

func firstFailure(errs []error) error {
	i := slices.IndexFunc(errs, func(err error) bool { return err != nil })
	return errs[i]
}

// item is a message as it is listed.
type item struct {
	ID           wire.MessageID `json:"msg-id"`
	Conversation string         `json:"conv-id"`
	To           string         `json:"to"`
	From         wire.UserID    `json:"from"`
	Timestamp    int64          `json:"timestamp"`
	Data         string         `json:"data"`
	Binary       bool           `json:"bin"`
	IsConv       bool           `json:"is-conv"`
	IsRoom       bool           `json:"is-room"`
	FromIP       string         `json:"from-ip"` // not kept
	AckAt        int64          `json:"ack-at,omitempty"`
	PatchedAt    int64          `json:"patch-timestamp,omitempty"`
	Recalled     bool           `json:"recall,omitempty"`
	MentionAll   bool           `json:"mention-all,omitempty"`
	Mentions     []wire.UserID  `json:"mention-client-ids,omitempty"`
}

func itemOf(m *state.Message, shown string, preset state.Preset) item {
	i := item{
		ID: m.ID, Conversation: shown, To: shown, From: m.From, Timestamp: m.Timestamp, Data: string(m.Body),
		IsConv: preset != state.PresetRoom, IsRoom: preset == state.PresetRoom,
		PatchedAt: m.Edited, Recalled: m.Recalled, MentionAll: m.MentionAll, Mentions: m.Mentions,
	}
	switch {
	case m.Recalled:
		i.Data = ask.RecalledBody
	case m.ContentType == ask.BinaryContent:
		i.Data, i.Binary = base64.StdEncoding.EncodeToString(m.Body), true
	}
	return i
}

// listMessages reads messages of the conversation in the path.
func listMessages(q *request) (any, error) {
	return messagesRequest{q}.history(q.http.PathValue("id"))
}

// history reads messages of a conversation, for the app or for the user who has
// a signature for it.
func (q messagesRequest) history(shown string) (any, error) {
	s, err := q.span()
	if err != nil {
		return nil, err
	}
	reader, err := q.historyReader(shown)
	if err != nil {
		return nil, err
	}
	id, err := q.conversationOf(shown, q.route.kind, codeConvNotFound)
	if err != nil {
		return nil, err
	}
	a, err := q.host.Ask(q.ctx(), q.app.ID, reader, string(id), &ask.Request{
		History: &ask.History{Conversation: id, Start: s.start, End: s.end, Newer: s.newer, Limit: s.limit},
	})
	if err != nil {
		if e, ok := errors.AsType[*state.RefusedError](err); ok && e.Refusal == state.NotMember {
			return nil, &failure{status: http.StatusForbidden, code: codeLogRejected, text: "who signed is no member of the conversation"}
		}
		return nil, err
	}
	shown = leandoc.ShownID(id, a.History.Preset)
	items := make([]item, len(a.History.Messages))
	for i := range a.History.Messages {
		m := &a.History.Messages[i]
		items[i] = itemOf(m.Message, shown, a.History.Preset)
		items[i].AckAt = m.AckAt
	}
	if !s.newer {
		slices.Reverse(items)
	}
	return items, nil
}

// historyReader says for whom messages are read: for the app, with its master
// key, or for the user who is allowed by a signature, if the app wants one.
func (q messagesRequest) historyReader(shown string) (wire.UserID, error) {
	if q.role == leansign.Master {
		return "", nil
	}
	if !q.settings.Sign.History {
		return "", &failure{status: http.StatusForbidden, code: codeForbidden, text: "this wants the app's master key"}
	}
	client := q.parameter("client_id")
	if client == "" {
		client = q.parameter("peerid") // of version 1.1
	}
	reader, err := user("client_id", client)
	if err != nil {
		return "", err
	}
	at, err := q.number("signature_ts", 0, 0, mostTime)
	if err != nil {
		return "", err
	}
	after, err := q.validAfter(reader)
	if err != nil {
		return "", err
	}
	err = leansign.Check(string(q.app.MasterKey),
		leansign.Action{Verb: leansign.History, App: string(q.app.ID), Client: client, Conversation: shown},
		leansign.Given{Signature: q.parameter("signature"), Timestamp: at, Nonce: q.parameter("nonce")},
		leansign.Window{Now: q.host.Millis(), After: after})
	if err != nil {
		return "", &failure{status: http.StatusUnauthorized, code: codeHistorySignature, text: err.Error()}
	}
	return reader, nil
}

// validAfter asks since when what a user shows is good.
func (q *request) validAfter(u wire.UserID) (int64, error) {
	a, err := q.host.Ask(q.ctx(), q.app.ID, u, string(u), &ask.Request{Sessions: &ask.Sessions{}})
	if err != nil {
		return 0, err
	}
	return a.Sessions.ValidAfter, nil
}
