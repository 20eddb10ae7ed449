package door

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// moreForTies is how many messages more than asked for each log is asked for:
// those of the very time of a place may turn out to lie beyond it.
const moreForTies = 50

// ServiceHistory returns the history of a service as a user sees it: what it said
// to its subscribers, if he is one, to him and to all, and what he said to it, by
// time and id. The app names a user too. The question is about the service.
func ServiceHistory(ctx context.Context, log Log, app wire.AppID, user wire.UserID, q ask.History) (*ask.HistoryPage, error) {
	view := &serviceView{History: q, log: log, app: app, user: user}
	thread, ok := state.ThreadOf(q.Conversation, user)
	var reading sync.WaitGroup
	errs := make([]error, 3)
	reading.Go(func() { errs[0] = view.conversation(ctx, q.Conversation) })
	reading.Go(func() { errs[1] = view.broadcasts(ctx) })
	if ok && user != "" {
		reading.Go(func() { errs[2] = view.conversation(ctx, thread) })
	}
	reading.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &ask.HistoryPage{Messages: view.page(), Preset: state.PresetSystem}, nil
}

// serviceView gathers what a user sees of a service.
type serviceView struct {
	ask.History

	log  Log
	app  wire.AppID
	user wire.UserID

	mu       sync.Mutex
	messages []ask.Message
}

// conversation reads the service's own log, or the user's thread. Who may not
// read it, or who has none, sees nothing of it.
func (v *serviceView) conversation(ctx context.Context, id wire.ConversationID) error {
	q := v.History
	q.Conversation, q.Limit = id, v.asked()
	q.Start, q.End = v.placeIn(id, q.Start), v.placeIn(id, q.End)
	a, err := v.log.Ask(ctx, v.app, v.user, string(id), &ask.Request{History: &q})
	if refused, ok := errors.AsType[*state.RefusedError](err); ok {
		if refused.Refusal == state.NotMember || refused.Refusal == state.NotFound && id != v.Conversation {
			return nil
		}
	}
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.messages = append(v.messages, a.History.Messages...)
	return nil
}

func (v *serviceView) broadcasts(ctx context.Context) error {
	q := &ask.Broadcasts{
		Service: v.Conversation, Newer: v.Newer, Type: v.Type, Limit: v.asked(),
		Start: v.placeIn(state.BroadcastLog, v.Start), End: v.placeIn(state.BroadcastLog, v.End),
	}
	a, err := v.log.Ask(ctx, v.app, v.user, string(state.BroadcastLog), &ask.Request{Broadcasts: q})
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, b := range a.Broadcasts.Broadcasts {
		v.messages = append(v.messages, ask.Message{Message: b.Message})
	}
	return nil
}

func (v *serviceView) asked() int {
	if v.Limit <= 0 {
		return 0
	}
	return v.Limit + moreForTies
}

// placeIn is a place as one log is asked about it. Messages of one time stand in
// the view by their ids, which in a log need not be their order: so the log is
// asked for all of the time, and page decides what of it lies beyond the place.
func (v *serviceView) placeIn(id wire.ConversationID, p ask.Place) ask.Place {
	if p.Message == "" {
		return p
	}
	if p.Time != 0 {
		return ask.Place{Time: p.Time, Included: true}
	}
	if _, ok := p.Message.Seq(id); ok {
		return p
	}
	return ask.Place{}
}

// page returns the messages between the places that are nearest to the start.
func (v *serviceView) page() []ask.Message {
	slices.SortFunc(v.messages, func(a, b ask.Message) int { return comparePlaces(placeOf(&a), placeOf(&b)) })
	low, high := v.End, v.Start
	if v.Newer {
		low, high = v.Start, v.End
	}
	v.messages = slices.DeleteFunc(v.messages, func(m ask.Message) bool {
		at := placeOf(&m)
		return beyond(comparePlaces(low, at), low) || beyond(comparePlaces(at, high), high)
	})
	switch n := len(v.messages) - v.Limit; {
	case v.Limit <= 0:
		return nil
	case n <= 0:
		return v.messages
	case v.Newer:
		return v.messages[:v.Limit]
	default:
		return v.messages[n:]
	}
}

// beyond tells whether a message lies beyond a bound to which it compares so.
func beyond(order int, bound ask.Place) bool {
	if bound.Time == 0 {
		return false
	}
	return order > 0 || order == 0 && !bound.Included
}

func placeOf(m *ask.Message) ask.Place { return ask.Place{Time: m.Timestamp, Message: m.ID} }

// comparePlaces compares by time and id. A place without an id is all of its
// time.
func comparePlaces(a, b ask.Place) int {
	if a.Message == "" || b.Message == "" {
		return cmp.Compare(a.Time, b.Time)
	}
	return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Message, b.Message))
}

// JoinServices joins what is told of services to a user who comes: of their own
// logs, of his threads with them and of broadcasts, to one state for each service.
// Of other conversations nothing changes.
func JoinServices(states []ask.State, news []ask.Broadcast) []ask.State {
	var joined []ask.State
	at := map[wire.ConversationID]int{}
	of := func(service wire.ConversationID) *ask.State {
		i, ok := at[service]
		if !ok {
			i = len(joined)
			at[service] = i
			joined = append(joined, ask.State{Conversation: service, Preset: state.PresetSystem})
		}
		return &joined[i]
	}
	for i := range states {
		s := &states[i]
		service, isThread := state.ServiceOf(s.Conversation)
		switch {
		case s.Preset == state.PresetSystem:
			join(of(s.Conversation), s)
		case isThread:
			join(of(service), s)
		default:
			joined = append(joined, *s)
		}
	}
	for i := range news {
		b := &news[i]
		one := &ask.State{Told: true, Unread: 1, Newest: b.Message, Mentioned: b.Message.MentionAll}
		join(of(b.Service), one)
	}
	return joined
}

// join adds one log's state to a service's.
func join(to, s *ask.State) {
	if s.Refusal != state.None {
		return
	}
	to.Told, to.Mentioned = to.Told || s.Told, to.Mentioned || s.Mentioned
	to.Unread += s.Unread
	if s.Newest != nil && (to.Newest == nil || newer(s.Newest, to.Newest)) {
		to.Newest = s.Newest
	}
	to.Changed, to.Missed = append(to.Changed, s.Changed...), append(to.Missed, s.Missed...)
	slices.SortStableFunc(to.Changed, func(a, b *state.Message) int { return cmp.Compare(a.Edited, b.Edited) })
	slices.SortStableFunc(to.Missed, func(a, b *state.Message) int { return cmp.Compare(a.Timestamp, b.Timestamp) })
}

func newer(a, b *state.Message) bool {
	return comparePlaces(placeOf(&ask.Message{Message: a}), placeOf(&ask.Message{Message: b})) > 0
}
