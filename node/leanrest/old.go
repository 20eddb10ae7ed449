package leanrest

import (
	"encoding/base64"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// The requests of version 1.1: other names for what version 1.2 asks for.

// oldSend sends a message. What nobody says is transient, and of high priority.
func oldSend(q *request) (any, error) {
	n, c, err := servicesRequest{messagesRequest{q}}.spoken()
	if err != nil {
		return nil, err
	}
	id, kind, err := q.target(n.Conversation)
	if err != nil {
		return nil, err
	}
	transient := n.Transient == nil || *n.Transient
	var answer any
	if kind == state.PresetSystem {
		n.ToClients = n.ToClients[:min(len(n.ToClients), q.settings.Limit.Recipients)] // the others are left out
		answer, err = servicesRequest{messagesRequest{q}}.sayTo(id, n, c, transient)
	} else {
		c.Conversation = id
		answer, err = messagesRequest{q}.send(c, transient, n.NoSync || kind == state.PresetRoom)
	}
	if err == nil && q.settings.REST.Wrapped {
		answer = map[string]any{"result": answer}
	}
	return answer, err
}

// target finds the conversation that a message is about.
func (q *request) target(shown string) (wire.ConversationID, state.Preset, error) {
	if shown == "" {
		return "", 0, wrong(codeMissing, "conv_id is missing")
	}
	id, err := q.conversationOf(shown, 0, codeInvalidTarget)
	if err != nil {
		return "", 0, err
	}
	kind, err := q.presetOf(id)
	return id, kind, err
}

// oldHistory reads messages of a conversation, of one sender, or of the app.
func oldHistory(q *request) (any, error) {
	if shown := q.parameter("convid"); shown != "" {
		return messagesRequest{q}.history(shown)
	}
	return messagesRequest{q}.export(wire.UserID(q.parameter("from")))
}

func oldDelete(q *request) (any, error) {
	id, _, err := q.target(q.parameter("convid"))
	if err != nil {
		return nil, err
	}
	return messagesRequest{q}.deleteOne(id, q.parameter("msgid"), q.parameter("from"))
}

// oldReplace takes a message as it is listed, and puts what it says in the place
// of what the history has.
func oldReplace(q *request) (any, error) {
	var body struct {
		Conversation string `json:"conv-id"`
		ID           string `json:"msg-id"`
		Timestamp    int64  `json:"timestamp"`
		From         string `json:"from"`
		Data         string `json:"data"`
		Binary       bool   `json:"bin"`
	}
	if err := q.decode(&body); err != nil {
		return nil, err
	}
	id, _, err := q.target(body.Conversation)
	if err != nil {
		return nil, err
	}
	replace := &state.ReplaceMessage{Conversation: id, Body: []byte(body.Data)}
	if body.Binary {
		replace.ContentType = ask.BinaryContent
		if replace.Body, err = base64.StdEncoding.DecodeString(body.Data); err != nil {
			return nil, wrong(codeOther, "the data is no base64")
		}
	}
	m, err := messagesRequest{q}.message(id, body.ID, body.From, body.Timestamp)
	if err != nil {
		return nil, err
	}
	replace.ID = m.ID
	return struct{}{}, messagesRequest{q}.changeMessage(replace)
}

// oldPatch edits or recalls a message.
func oldPatch(q *request) (any, error) {
	var body struct {
		Conversation string   `json:"conv_id"`
		ID           string   `json:"msg_id"`
		Timestamp    int64    `json:"timestamp"`
		From         string   `json:"from_peer"`
		Message      string   `json:"message"`
		Recall       bool     `json:"recall"`
		To           []string `json:"to_peers"`
	}
	if err := q.decode(&body); err != nil {
		return nil, err
	}
	id, kind, err := q.target(body.Conversation)
	if err != nil {
		return nil, err
	}
	if kind == state.PresetSystem {
		c := &messageChange{From: body.From, Message: body.Message, Timestamp: body.Timestamp, ToClients: body.To}
		return servicesRequest{messagesRequest{q}}.changeOfService(id, body.ID, c, body.Recall)
	}
	m, err := messagesRequest{q}.message(id, body.ID, body.From, body.Timestamp)
	if err != nil {
		return nil, err
	}
	if body.Recall {
		return struct{}{}, messagesRequest{q}.changeMessage(&state.RecallMessage{Conversation: id, ID: m.ID, From: m.From})
	}
	return struct{}{}, messagesRequest{q}.edit(id, m, body.Message)
}

// oldToSubscribers sends a message to all subscribers of a service.
func oldToSubscribers(q *request) (any, error) {
	n, c, err := servicesRequest{messagesRequest{q}}.spoken()
	if err != nil {
		return nil, err
	}
	if c.Conversation, err = q.conversationOf(n.Conversation, state.PresetSystem, codeInvalidTarget); err != nil {
		return nil, err
	}
	return messagesRequest{q}.send(c, false, false)
}

func oldUnread(q *request) (any, error) {
	return usersRequest{q}.unread(q.http.PathValue("client"), q.http.PathValue("id"))
}

// named is what version 1.1 names in the body or, where there is none, in the
// query.
type named struct {
	Conversation string `json:"conv_id"`
	Client       string `json:"client_id"`
	TTL          int64  `json:"ttl"`
	Reason       string `json:"reason"`
}

func (q *request) named() (named, error) {
	n := named{Conversation: q.parameter("conv_id"), Client: q.parameter("client_id")}
	return n, q.decode(&n)
}

func oldSubscribe(q *request) (any, error) {
	n, err := q.named()
	if err != nil {
		return nil, err
	}
	return usersRequest{q}.subscribe(n.Conversation, n.Client, true)
}

func oldUnsubscribe(q *request) (any, error) {
	n, err := q.named()
	if err != nil {
		return nil, err
	}
	return usersRequest{q}.subscribe(n.Conversation, n.Client, false)
}

func oldSubscriptions(q *request) (any, error) {
	return usersRequest{q}.subscriptions(q.parameter("client_id"))
}

func oldSubscribers(q *request) (any, error) {
	return usersRequest{q}.subscribers(q.parameter("conv_id"))
}

func oldSubscriberCount(q *request) (any, error) {
	return usersRequest{q}.subscriberCount(q.parameter("conv_id"))
}

// oldSubscribed tells whether a user is subscribed.
func oldSubscribed(q *request) (any, error) {
	u, err := user("client_id", q.parameter("client_id"))
	if err != nil {
		return nil, err
	}
	id, err := q.conversationOf(q.parameter("conv_id"), state.PresetSystem, codeConvNotFound)
	if err != nil {
		return nil, err
	}
	return q.isMember(id, u)
}

func oldRoomCount(q *request) (any, error) {
	there, err := usersRequest{q}.present(q.parameter("gid"))
	return map[string]any{"result": there.Count}, err
}

func oldRoomMembers(q *request) (any, error) {
	there, err := usersRequest{q}.present(q.parameter("gid"))
	if err != nil {
		return nil, err
	}
	return map[string]any{"result": append([]wire.UserID{}, there.Users...)}, nil
}

func oldOnline(q *request) (any, error) {
	var body struct {
		Peers []string `json:"peers"`
	}
	if err := q.decode(&body); err != nil {
		return nil, err
	}
	return usersRequest{q}.online(body.Peers)
}

func oldSilence(q *request) (any, error) {
	n, err := q.named()
	if err != nil {
		return nil, err
	}
	id, err := q.conversationOf(n.Conversation, 0, codeConvNotFound)
	if err != nil {
		return nil, err
	}
	return struct{}{}, membersRequest{q}.silenceOne(id, n.Client, n.TTL)
}

func oldUnsilence(q *request) (any, error) {
	n, err := q.named()
	if err != nil {
		return nil, err
	}
	u, err := user("client_id", n.Client)
	if err != nil {
		return nil, err
	}
	id, err := q.conversationOf(n.Conversation, 0, codeConvNotFound)
	if err != nil {
		return nil, err
	}
	_, err = q.changeUsers(&state.Mute{Conversation: id, Users: []wire.UserID{u}, Unmute: true}, 1)
	return struct{}{}, err
}

func oldKick(q *request) (any, error) {
	n, err := q.named()
	if err != nil {
		return nil, err
	}
	return usersRequest{q}.kickOne(n.Client, n.Reason)
}
