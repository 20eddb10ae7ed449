package leanrest

import (
	"slices"
	"time"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// month is how long a broadcast is news at most, and unless somebody says.
const month = 31 * 24 * time.Hour

// sendBroadcast says something to all users, as a service.
func sendBroadcast(q *request) (any, error) {
	n, c, err := servicesRequest{messagesRequest{q}}.spoken()
	if err != nil {
		return nil, err
	}
	id, err := q.conversationOf(n.Conversation, state.PresetSystem, codeInvalidTarget)
	if err != nil {
		return nil, err
	}
	till := q.host.Millis() + month.Milliseconds()
	switch {
	case n.ValidTill == 0:
	case n.ValidTill > till || n.ValidTill <= q.host.Millis():
		return nil, wrong(codeOther, "valid_till is %d, want a time within a month from now", n.ValidTill)
	default:
		till = n.ValidTill
	}
	b := state.Broadcast{Service: id, ValidTill: till}
	if n.Transient != nil && *n.Transient {
		return servicesRequest{messagesRequest{q}}.signalAll(b, c)
	}
	result, err := door.SendBroadcast(q.ctx(), q.host, q.header(), b, *c)
	if err == nil && result.Refusal != state.None {
		err = refused(result.Refusal, result.Text)
	}
	return sent(result.MessageID, result.Timestamp), err
}

func (q servicesRequest) signalAll(b state.Broadcast, c *state.SendMessage) (any, error) {
	m := q.transient(c)
	answer, err := q.awaitSignal(m, func(done func(error)) { door.SignalBroadcast(q.host, q.app.ID, b, *m, done) })
	if failure404(err) != nil { // nobody was ever there to be told anything
		err = nil
	}
	return answer, err
}

// deleteBroadcast takes a broadcast back from those who have not got it.
func deleteBroadcast(q *request) (any, error) {
	mid := q.http.PathValue("mid")
	if mid == "" {
		mid = q.parameter("mid") // of version 1.1
	}
	if wire.ValidID(mid) != nil {
		return nil, wrong(codeMissing, "mid is missing")
	}
	return struct{}{}, messagesRequest{q}.changeMessage(&state.DeleteMessage{Conversation: state.BroadcastLog, ID: wire.MessageID(mid)})
}

// broadcastItem is a broadcast as it is listed.
type broadcastItem struct {
	item

	ValidTill int64 `json:"valid_till"`
}

// listBroadcasts lists what a service has said to all that is still news.
func listBroadcasts(q *request) (any, error) {
	id, err := q.conversationOf(q.parameter("conv_id"), state.PresetSystem, codeConvNotFound)
	if err != nil {
		return nil, err
	}
	limit, err := q.number("limit", usualMessages, 1, mostMessages)
	if err != nil {
		return nil, err
	}
	skip, err := q.number("skip", 0, 0, maxSkip)
	if err != nil {
		return nil, err
	}
	page, err := servicesRequest{messagesRequest{q}}.broadcasts(&ask.Broadcasts{Service: id, ValidAt: q.host.Millis(), Limit: int(skip + limit)})
	if err != nil {
		return nil, err
	}
	slices.Reverse(page)
	items := []broadcastItem{}
	for _, b := range page[min(int(skip), len(page)):] {
		items = append(items, broadcastItem{itemOf(b.Message, string(id), state.PresetSystem), b.ValidTill})
	}
	return items, nil
}
