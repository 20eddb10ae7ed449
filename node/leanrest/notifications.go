package leanrest

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/node/leandoc"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// notificationPage is how many notifications one answer has, about.
const notificationPage = 100

// absenceRequest asks for what a user was not there for.
type absenceRequest struct{ *request }

// notifications tells a client that comes back what it was not there for: who
// came and went, what was changed, and how far its messages came.
func notifications(q *request) (any, error) {
	u, err := q.session()
	if err != nil {
		return nil, err
	}
	since, err := q.number("start_ts", 0, 0, mostTime)
	if err != nil {
		return nil, err
	}
	n, err := absenceRequest{q}.missed(u, since)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(n.events, func(a, b ask.EventIn) int { return cmp.Compare(a.Millis, b.Millis) })
	switch kind := q.parameter("notification_type"); kind {
	case "permanent":
		events, more := n.page(func(e *ask.EventIn) bool { return e.Receipt == nil })
		return map[string]any{"notifications": form{}.all(events, q.host.Millis()), "hasMore": more}, nil
	case "droppable":
		return form{}.droppable(n, q.host.Millis()), nil
	case "":
		events, more := n.page(func(e *ask.EventIn) bool { return e.Receipt == nil })
		return map[string]any{
			"permanent": map[string]any{"notifications": form{nested: true}.all(events, q.host.Millis()), "hasMore": more},
			"droppable": form{nested: true}.droppable(n, q.host.Millis()),
		}, nil
	default:
		return nil, &failure{status: http.StatusBadRequest, code: codeOther, text: "notification_type is " + kind + ", want permanent or droppable"}
	}
}

// missed is what a user was not there for.
type missed struct {
	events     []ask.EventIn
	incomplete bool // some of it is not known any more
}

// missed asks the user's own log, and then the logs of what he is in or was in.
func (q absenceRequest) missed(u wire.UserID, since int64) (missed, error) {
	var n missed
	a, err := q.host.Ask(q.ctx(), q.app.ID, u, string(u), &ask.Request{UserSince: &ask.UserSince{Since: since}})
	if err != nil {
		return n, err
	}
	moves := a.UserSince
	n.incomplete = moves.Missing
	memberships, err := door.Memberships(q.ctx(), q.host, q.app.ID, u, ask.MaxSynced)
	if err != nil {
		return n, err
	}
	of := map[wire.ConversationID]ask.SinceIn{}
	for i := range memberships {
		id := memberships[i].Conversation
		of[id] = ask.SinceIn{Conversation: id}
	}
	for i := range moves.Entries {
		m := &moves.Entries[i]
		if in, ok := of[m.Conversation]; !ok || in.Left != 0 {
			in = ask.SinceIn{Conversation: m.Conversation}
			if !m.Joined {
				in.Left = m.Offset
			}
			of[m.Conversation] = in
		}
	}
	kinds, err := q.kindsOf(of)
	if err != nil {
		return n, err
	}
	for i := range moves.Entries {
		n.addMove(&moves.Entries[i], kinds)
	}
	return n, q.eventsIn(&n, u, of, since)
}

// addMove adds that the user came or went.
func (n *missed) addMove(m *ask.UserEntry, kinds map[wire.ConversationID]ask.Kind) {
	k, known := kinds[m.Conversation]
	if !known {
		k.Preset = state.PresetBasic // it has ended: then he has left
	}
	e := &state.Entry{Kind: state.EntryLeft, Conversation: m.Conversation, ConversationOffset: m.Offset, Actor: m.By, Stamp: m.Millis, Expired: m.Expired}
	if m.Joined {
		e.Kind = state.EntryJoined
	}
	if m.Joined && !known {
		return
	}
	for _, event := range leandoc.OfUser(k.Preset, e) {
		n.events = append(n.events, ask.EventIn{Event: event, Preset: k.Preset, Expires: k.Expires})
	}
}

func (q absenceRequest) kindsOf(of map[wire.ConversationID]ask.SinceIn) (map[wire.ConversationID]ask.Kind, error) {
	answers, err := door.AskEach(q.ctx(), q.host, door.Asker{App: q.app.ID}, rootsOf(of), func(roots []string) *ask.Request {
		return &ask.Request{Kinds: &ask.Kinds{Of: conversationIDs(roots)}}
	})
	if err != nil {
		return nil, err
	}
	kinds := map[wire.ConversationID]ask.Kind{}
	for _, a := range answers {
		for _, k := range a.Kinds.Kinds {
			kinds[k.Conversation] = k
		}
	}
	return kinds, nil
}

func rootsOf(of map[wire.ConversationID]ask.SinceIn) []string {
	roots := make([]string, 0, len(of))
	for id := range of {
		roots = append(roots, string(id))
	}
	slices.Sort(roots)
	return roots
}

// eventsIn adds what happened in conversations.
func (q absenceRequest) eventsIn(n *missed, u wire.UserID, of map[wire.ConversationID]ask.SinceIn, since int64) error {
	answers, err := door.AskEach(q.ctx(), q.host, door.Asker{App: q.app.ID, User: u}, rootsOf(of), func(roots []string) *ask.Request {
		one := &ask.Since{Since: since}
		for _, root := range roots {
			one.Of = append(one.Of, of[wire.ConversationID(root)])
		}
		return &ask.Request{Since: one}
	})
	if err != nil {
		return err
	}
	for _, a := range answers {
		n.events = append(n.events, a.Since.Events...)
		n.incomplete = n.incomplete || a.Since.Missing
	}
	return nil
}

// page returns the first events of a class, and whether there are more: then the
// client asks again from the time of the last one, so a page ends where the time
// changes.
func (n *missed) page(class func(*ask.EventIn) bool) (events []ask.EventIn, more bool) {
	for i := range n.events {
		e := &n.events[i]
		if !class(e) {
			continue
		}
		if len(events) >= notificationPage && e.Millis > events[len(events)-1].Millis {
			return events, true
		}
		events = append(events, *e)
	}
	return events, false
}

// form is how notifications are written: for clients that decode them as the
// commands of the socket or, nested, for those that have classes for them.
type form struct{ nested bool }

func (s form) all(events []ask.EventIn, now int64) []map[string]any {
	list := make([]map[string]any, len(events))
	for i := range events {
		list[i] = s.one(&events[i], now)
	}
	return list
}

// droppable is what may be replaced by the hint that a client's cache is stale.
func (s form) droppable(n missed, now int64) map[string]any {
	receipts, _ := n.page(func(e *ask.EventIn) bool { return e.Receipt != nil })
	answer := map[string]any{"notifications": s.all(receipts, now), "invalidLocalConvCache": n.incomplete}
	if !s.nested {
		answer["hasMore"] = false
	}
	return answer
}

func (s form) one(e *ask.EventIn, now int64) map[string]any {
	o := map[string]any{
		"cmd": "conv", "cid": leandoc.ShownID(e.Conversation, e.Preset), "serverTs": e.Millis, "notificationType": 1,
	}
	if r := e.Receipt; r != nil {
		o["cmd"], o["id"], o["t"], o["from"], o["read"], o["notificationType"] = "rcp", r.Message, r.Millis, r.From, r.Read, 2
		return o
	}
	o["op"], o["udate"], o["initBy"] = string(e.Op), leandoc.Time(e.Millis), e.By
	if s.nested {
		o["op"] = strings.ReplaceAll(string(e.Op), "_", "-")
	}
	if e.Members != nil {
		o["m"] = e.Members
	}
	switch e.Op {
	case leandoc.OpUpdated:
		o["attr"], o["attrModified"] = s.document(e.Sent), s.document(e.Changed)
	case leandoc.OpMemberInfo:
		o["info"] = map[string]any{"pid": e.Member, "role": leandoc.RoleName(e.Role)}
	default:
	}
	if e.Preset == state.PresetTemporary {
		o["tempConv"] = true
		if e.Expires != 0 {
			o["tempConvTTL"] = max(0, e.Expires-now) / 1000
		}
	}
	return o
}

// document writes JSON as text within an object or, nested, as it is.
func (s form) document(text []byte) any {
	if !s.nested {
		return map[string]any{"data": string(text)}
	}
	return json.RawMessage(text)
}
