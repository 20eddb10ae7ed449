package leanrest

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// messagesRequest is a request about messages.
type messagesRequest struct{ *request }

// newMessage is what is sent for a message, by version 1.2 or by 1.1.
type newMessage struct {
	From         string          `json:"from_client"`
	Message      string          `json:"message"`
	Transient    *bool           `json:"transient"`
	NoSync       bool            `json:"no_sync"`
	PushData     json.RawMessage `json:"push_data"`
	Priority     string          `json:"priority"`
	MentionAll   bool            `json:"mention_all"`
	Mentions     []string        `json:"mention_client_ids"`
	Binary       bool            `json:"bin"` // the message is bytes in base64
	ToClients    []string        `json:"to_clients"`
	Conversation string          `json:"conv_id"`
	FromPeer     string          `json:"from_peer"`
	ToPeers      []string        `json:"to_peers"`
	ValidTill    int64           `json:"valid_till"` // of a broadcast
}

// check refuses what can be no message, and returns it with its body.
func (n *newMessage) check(s *door.Settings) (*state.SendMessage, error) {
	from, err := user("from_client", n.From)
	if err != nil {
		return nil, err
	}
	if n.Message == "" {
		return nil, wrong(codeMissing, "message is missing")
	}
	if size := len(n.Message) + len(n.PushData); size > s.Limit.MessageBytes {
		return nil, wrong(codeFrameTooLong, "the message has %d bytes, want at most %d", size, s.Limit.MessageBytes)
	}
	if len(n.Mentions) > s.Limit.Recipients {
		return nil, wrong(codeOther, "%d mention_client_ids, want at most %d", len(n.Mentions), s.Limit.Recipients)
	}
	if !slices.Contains([]string{"", "high", "normal", "low"}, strings.ToLower(n.Priority)) {
		return nil, wrong(codeOther, "priority is %q, want high, normal or low", n.Priority)
	}
	c := &state.SendMessage{From: from, Body: []byte(n.Message), MentionAll: n.MentionAll}
	if len(n.Mentions) > 0 {
		if c.Mentions, err = users("mention_client_ids", n.Mentions); err != nil {
			return nil, err
		}
	}
	if n.Binary {
		c.ContentType = ask.BinaryContent
		if c.Body, err = base64.StdEncoding.DecodeString(n.Message); err != nil {
			return nil, wrong(codeOther, "the message is no base64")
		}
	}
	return c, nil
}

// sendMessage sends a message into a conversation or a chat room.
func sendMessage(q *request) (any, error) {
	var n newMessage
	if err := q.decode(&n); err != nil {
		return nil, err
	}
	c, err := n.check(&q.settings)
	if err != nil {
		return nil, err
	}
	if c.Conversation, err = q.conversation(codeInvalidTarget); err != nil {
		return nil, err
	}
	return messagesRequest{q}.send(c, n.Transient != nil && *n.Transient, n.NoSync || q.route.kind == state.PresetRoom)
}

// send sends a message, and says its id and time.
func (q messagesRequest) send(c *state.SendMessage, transient, silent bool) (any, error) {
	h := q.header()
	if silent {
		h.Origin.Session = door.NoEcho
	}
	if transient {
		return q.signal(c, h.Origin)
	}
	result, err := q.host.Change(q.ctx(), h, c)
	if err == nil && result.Refusal != state.None {
		err = targetRefused(result)
	}
	return sent(result.MessageID, result.Timestamp), err
}

func sent(id wire.MessageID, millis int64) map[string]any {
	return map[string]any{"msg-id": id, "timestamp": millis}
}

// targetRefused is why a message was not sent.
func targetRefused(result state.Result) error {
	if result.Refusal == state.NotFound || result.Refusal == state.Gone {
		return &failure{status: http.StatusNotFound, code: codeInvalidTarget, text: "there is no such conversation"}
	}
	return refused(result.Refusal, result.Text)
}

// signal tells a message to those who are there.
func (q messagesRequest) signal(c *state.SendMessage, from state.Origin) (any, error) {
	m := q.transient(c)
	return q.awaitSignal(m, func(done func(error)) {
		q.host.Signal(door.Signal{App: q.app.ID, Conversation: c.Conversation, Origin: from, Message: m}, done)
	})
}

// transient is what is sent as a message that is not stored.
func (q messagesRequest) transient(c *state.SendMessage) *state.Message {
	return &state.Message{
		ID: wire.MessageID(randomText()), Imported: true, From: c.From, Timestamp: q.host.Millis(), Body: c.Body, ContentType: c.ContentType,
		Mentions: c.Mentions, MentionAll: c.MentionAll,
	}
}

func (q messagesRequest) awaitSignal(m *state.Message, signal func(done func(error))) (any, error) {
	done := make(chan error, 1)
	signal(func(err error) { done <- err })
	select {
	case err := <-done:
		return sent(m.ID, m.Timestamp), err
	case <-q.ctx().Done():
		return nil, q.ctx().Err()
	}
}

// messageChange is what is sent to change a message.
type messageChange struct {
	From      string   `json:"from_client"`
	Message   string   `json:"message"`
	Timestamp int64    `json:"timestamp"`
	ToClients []string `json:"to_clients"`
}

// changed reads which message a request of version 1.2 is about.
func (q messagesRequest) changed() (messageChange, *ask.Message, wire.ConversationID, error) { //nolint:revive // the four are one thing
	var c messageChange
	if err := q.decode(&c); err != nil {
		return c, nil, "", err
	}
	id, err := q.conversation(codeInvalidTarget)
	if err != nil {
		return c, nil, "", err
	}
	m, err := q.message(id, q.http.PathValue("mid"), c.From, c.Timestamp)
	return c, m, id, err
}

// message reads a message that is named by its id, its time and its sender.
func (q messagesRequest) message(id wire.ConversationID, mid, from string, timestamp int64) (*ask.Message, error) {
	if timestamp <= 0 {
		return nil, wrong(codeMissing, "timestamp is missing")
	}
	m, err := q.messageByID(id, mid, from)
	if err == nil && m.Timestamp != timestamp {
		err = noMessage()
	}
	return m, err
}

func noMessage() *failure {
	return &failure{status: http.StatusNotFound, code: codeMessageNotFound, text: "there is no such message with this timestamp"}
}

// messageByID reads a message of a sender.
func (q messagesRequest) messageByID(id wire.ConversationID, mid, from string) (*ask.Message, error) {
	if _, err := user("the sender", from); err != nil {
		return nil, err
	}
	here := ask.Place{Message: wire.MessageID(mid), Included: true}
	a, err := q.host.Ask(q.ctx(), q.app.ID, "", string(id), &ask.Request{
		History: &ask.History{Conversation: id, Start: here, End: here, Limit: 1},
	})
	if err != nil {
		return nil, err
	}
	for i := range a.History.Messages {
		m := &a.History.Messages[i]
		switch {
		case string(m.ID) != mid:
		case string(m.From) != from:
			return nil, &failure{status: http.StatusForbidden, code: codeOwnershipRequired, text: "the message was sent by somebody else"}
		default:
			return m, nil
		}
	}
	return nil, noMessage()
}

func editMessage(q *request) (any, error) {
	c, m, id, err := messagesRequest{q}.changed()
	if err != nil {
		return nil, err
	}
	return struct{}{}, messagesRequest{q}.edit(id, m, c.Message)
}

// edit replaces a message's text; its mentions stay.
func (q messagesRequest) edit(id wire.ConversationID, m *ask.Message, text string) error {
	if text == "" {
		return wrong(codeMissing, "message is missing")
	}
	if len(text) > q.settings.Limit.MessageBytes {
		return wrong(codeFrameTooLong, "the message has %d bytes, want at most %d", len(text), q.settings.Limit.MessageBytes)
	}
	return q.changeMessage(&state.EditMessage{
		Conversation: id, ID: m.ID, Body: []byte(text), Mentions: m.Mentions, MentionAll: m.MentionAll, From: m.From,
	})
}

func recallMessage(q *request) (any, error) {
	_, m, id, err := messagesRequest{q}.changed()
	if err != nil {
		return nil, err
	}
	return struct{}{}, messagesRequest{q}.changeMessage(&state.RecallMessage{Conversation: id, ID: m.ID, From: m.From})
}

// changeMessage changes a message, of which somebody has just looked that it is
// there.
func (q messagesRequest) changeMessage(c state.Command) error {
	result, err := q.host.Change(q.ctx(), q.header(), c)
	switch {
	case err != nil:
		return err
	case result.Refusal == state.NotFound, result.Refusal == state.Gone:
		return &failure{status: http.StatusNotFound, code: codeMessageNotFound, text: "the message is not there any more"}
	case result.Refusal == state.Forbidden:
		return &failure{status: http.StatusForbidden, code: codeOwnershipRequired, text: result.Text}
	case result.Refusal != state.None:
		return refused(result.Refusal, result.Text)
	}
	return nil
}

// deleteMessage takes a message away without a word to clients.
func deleteMessage(q *request) (any, error) {
	id, err := q.conversation(codeInvalidTarget)
	if err != nil {
		return nil, err
	}
	return messagesRequest{q}.deleteOne(id, q.http.PathValue("mid"), q.parameter("from_client"))
}

func (q messagesRequest) deleteOne(id wire.ConversationID, mid, from string) (any, error) {
	timestamp, err := q.number("timestamp", 0, 0, 1<<52)
	if err != nil {
		return nil, err
	}
	m, err := q.message(id, mid, from, timestamp)
	if err != nil {
		return nil, err
	}
	return struct{}{}, q.changeMessage(&state.DeleteMessage{Conversation: id, ID: m.ID})
}
