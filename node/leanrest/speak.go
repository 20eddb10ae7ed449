package leanrest

import (
	"net/http"
	"slices"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// What services say: to some users, to all of their subscribers, and as one of
// them to all users of the app.

// servicesRequest is a request about what services say.
type servicesRequest struct{ messagesRequest }

// spoken reads a message that a service says.
func (q servicesRequest) spoken() (*newMessage, *state.SendMessage, error) {
	n := &newMessage{}
	if err := q.decode(n); err != nil {
		return nil, nil, err
	}
	if n.From == "" {
		n.From = n.FromPeer // of version 1.1
	}
	if len(n.ToClients) == 0 {
		n.ToClients = n.ToPeers
	}
	c, err := n.check(&q.settings)
	return n, c, err
}

// sendToUsers sends a message of a service to some users.
func sendToUsers(q *request) (any, error) {
	n, c, err := servicesRequest{messagesRequest{q}}.spoken()
	if err != nil {
		return nil, err
	}
	id, err := q.conversation(codeInvalidTarget)
	if err != nil {
		return nil, err
	}
	return servicesRequest{messagesRequest{q}}.sayTo(id, n, c, n.Transient != nil && *n.Transient)
}

func (q servicesRequest) sayTo(service wire.ConversationID, n *newMessage, c *state.SendMessage, transient bool) (any, error) {
	to, err := users("to_clients", n.ToClients)
	if err != nil {
		return nil, err
	}
	if most := min(q.settings.Limit.Recipients, door.MaxToUsers); len(to) > most {
		return nil, wrong(codeOther, "%d to_clients, want at most %d", len(to), most)
	}
	if transient {
		return q.signalTo(service, to, c)
	}
	result, err := door.SendToUsers(q.ctx(), q.host, q.header(), service, to, *c)
	if err == nil && len(result.Refused) == len(to) {
		err = targetRefused(state.Result{Refusal: result.Refused[0].Refusal})
	}
	return sent(result.ID, result.Sent.Timestamp), err
}

// signalTo tells users who have a thread with the service what is not stored.
func (q servicesRequest) signalTo(service wire.ConversationID, to []wire.UserID, c *state.SendMessage) (any, error) {
	var answer any = sent(wire.MessageID(randomText()), q.host.Millis())
	for _, u := range to {
		thread, ok := state.ThreadOf(service, u)
		if !ok {
			continue
		}
		one := *c
		one.Conversation = thread
		told, err := q.signal(&one, q.header().Origin)
		if err != nil && failure404(err) == nil {
			return nil, err
		}
		if err == nil {
			answer = told
		}
	}
	return answer, nil
}

// sendToSubscribers sends a message to all subscribers of a service.
func sendToSubscribers(q *request) (any, error) {
	_, c, err := servicesRequest{messagesRequest{q}}.spoken()
	if err != nil {
		return nil, err
	}
	if c.Conversation, err = q.conversation(codeInvalidTarget); err != nil {
		return nil, err
	}
	return messagesRequest{q}.send(c, false, false)
}

// named finds the message of a service that a request is about: of its own log,
// or, with broadcast, of what it said to all users.
func (q servicesRequest) ofService(id wire.ConversationID, mid string, c *messageChange) (m *ask.Message, broadcast bool, err error) {
	m, err = q.message(id, mid, c.From, c.Timestamp)
	if f := failure404(err); f == nil || f.code != codeMessageNotFound {
		return m, false, err
	}
	said, berr := q.broadcast(id, mid)
	switch {
	case berr != nil:
		return nil, false, berr
	case said == nil || said.Message.Timestamp != c.Timestamp:
		return nil, false, err
	case string(said.Message.From) != c.From:
		return nil, false, &failure{status: http.StatusForbidden, code: codeOwnershipRequired, text: "the message was sent by somebody else"}
	default:
		return &ask.Message{Message: said.Message}, true, nil
	}
}

// broadcast finds a broadcast, of a service if one is named; nil: there is none.
func (q servicesRequest) broadcast(service wire.ConversationID, mid string) (*ask.Broadcast, error) {
	here := ask.Place{Message: wire.MessageID(mid), Included: true}
	page, err := q.broadcasts(&ask.Broadcasts{Service: service, Start: here, Newer: true, Limit: 1})
	if err != nil || len(page) == 0 || string(page[0].Message.ID) != mid {
		return nil, err
	}
	return &page[0], nil
}

func (q servicesRequest) broadcasts(question *ask.Broadcasts) ([]ask.Broadcast, error) {
	a, err := q.host.Ask(q.ctx(), q.app.ID, "", string(state.BroadcastLog), &ask.Request{Broadcasts: question})
	if err != nil {
		return nil, err
	}
	return a.Broadcasts.Broadcasts, nil
}

// changeOfService edits or recalls what a service has said: to some users, to
// subscribers, or to all.
func changeOfService(recall bool) func(*request) (any, error) {
	return func(q *request) (any, error) {
		var c messageChange
		if err := q.decode(&c); err != nil {
			return nil, err
		}
		id, err := q.conversation(codeInvalidTarget)
		if err != nil {
			return nil, err
		}
		return servicesRequest{messagesRequest{q}}.changeOfService(id, q.http.PathValue("mid"), &c, recall)
	}
}

func (q servicesRequest) changeOfService(id wire.ConversationID, mid string, c *messageChange, recall bool) (any, error) {
	if !recall && c.Message == "" {
		return nil, wrong(codeMissing, "message is missing")
	}
	if len(c.ToClients) > 0 {
		return struct{}{}, q.changeForUsers(id, mid, c, recall)
	}
	m, broadcast, err := q.ofService(id, mid, c)
	switch {
	case err != nil:
		return nil, err
	case recall && broadcast:
		return nil, wrong(codeOther, "what was said to all users cannot be recalled, but changed or deleted")
	case recall:
		return struct{}{}, q.changeMessage(&state.RecallMessage{Conversation: id, ID: m.ID, From: m.From})
	case broadcast:
		result, err := door.EditBroadcast(q.ctx(), q.host, q.header(), state.EditMessage{ID: m.ID, Body: []byte(c.Message), From: m.From})
		if err == nil && result.Refusal != state.None {
			err = refused(result.Refusal, result.Text)
		}
		return struct{}{}, err
	default:
		return struct{}{}, q.edit(id, m, c.Message)
	}
}

// changeForUsers changes a message in the threads of some users: of those who
// were sent it, and at least one must be.
func (q servicesRequest) changeForUsers(service wire.ConversationID, mid string, c *messageChange, recall bool) error {
	to, err := users("to_clients", c.ToClients[:min(len(c.ToClients), q.settings.Limit.Recipients)])
	if err != nil {
		return err
	}
	found := false
	for _, u := range to {
		thread, ok := state.ThreadOf(service, u)
		if !ok {
			continue
		}
		m, err := q.messageByID(thread, mid, c.From)
		if f := failure404(err); f != nil {
			continue
		}
		if err == nil && recall {
			err = q.changeMessage(&state.RecallMessage{Conversation: thread, ID: m.ID, From: m.From})
		} else if err == nil {
			err = q.edit(thread, m, c.Message)
		}
		if err != nil {
			return err
		}
		found = true
	}
	if !found {
		return &failure{status: http.StatusNotFound, code: codeMessageNotFound, text: "none of these users was sent the message"}
	}
	return nil
}

// deleteForUser takes a message out of a user's thread with a service.
func deleteForUser(q *request) (any, error) {
	u, err := user("the user's id", q.http.PathValue("client"))
	if err != nil {
		return nil, err
	}
	id, err := q.conversation(codeInvalidTarget)
	if err != nil {
		return nil, err
	}
	thread, _ := state.ThreadOf(id, u)
	m, err := messagesRequest{q}.messageByID(thread, q.http.PathValue("mid"), q.parameter("from_client"))
	if f := failure404(err); f != nil {
		f.code = codeMessageNotFound
		return nil, f
	}
	if err != nil {
		return nil, err
	}
	return struct{}{}, messagesRequest{q}.changeMessage(&state.DeleteMessage{Conversation: thread, ID: m.ID})
}

// listForUser reads what a user sees of a service.
func listForUser(q *request) (any, error) {
	s, err := messagesRequest{q}.span()
	if err != nil {
		return nil, err
	}
	u, err := user("the user's id", q.http.PathValue("client"))
	if err != nil {
		return nil, err
	}
	id, err := q.conversation(codeConvNotFound)
	if err != nil {
		return nil, err
	}
	page, err := door.ServiceHistory(q.ctx(), q.host, q.app.ID, u, ask.History{
		Conversation: id, Start: s.start, End: s.end, Newer: s.newer, Limit: s.limit,
	})
	if err != nil {
		return nil, err
	}
	items := make([]item, len(page.Messages))
	for i := range page.Messages {
		items[i] = itemOf(page.Messages[i].Message, string(id), state.PresetSystem)
		items[i].AckAt = page.Messages[i].AckAt
	}
	if !s.newer {
		slices.Reverse(items)
	}
	return items, nil
}
