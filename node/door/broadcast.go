package door

import (
	"context"
	"errors"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// maxNews is how many broadcasts a user is told of that came while he was away,
// the newest ones.
const maxNews = 100

// SendBroadcast sends what a service says to all users of the app. The header is
// the app's.
func SendBroadcast(ctx context.Context, log Log, h state.Header, b state.Broadcast, send state.SendMessage) (state.Result, error) {
	wrap(&send, b)
	r, err := log.Change(ctx, h, &send)
	if err != nil || r.Refusal != state.NotFound {
		return r, err
	}
	if _, err := makeBroadcasts(ctx, log, h.App); err != nil {
		return state.Result{}, err
	}
	return log.Change(ctx, h, &send)
}

// SignalBroadcast tells what is not stored to the users who are there.
func SignalBroadcast(log Log, app wire.AppID, b state.Broadcast, m state.Message, done func(error)) {
	m.Body, m.ContentType = state.WrapBroadcast(b, m.ContentType, m.Body), state.BroadcastContent
	log.Signal(Signal{App: app, Conversation: state.BroadcastLog, Message: &m}, done)
}

// EditBroadcast changes a broadcast for those who have not read it yet: nobody is
// told. What it is shown as, and how long it is news, stays.
func EditBroadcast(ctx context.Context, log Log, h state.Header, edit state.EditMessage) (state.Result, error) {
	q := &ask.Broadcasts{Start: ask.Place{Message: edit.ID, Included: true}, Newer: true, Limit: 1}
	a, err := log.Ask(ctx, h.App, "", string(state.BroadcastLog), &ask.Request{Broadcasts: q})
	if err != nil {
		return state.Result{}, err
	}
	found := a.Broadcasts.Broadcasts
	if len(found) != 1 || found[0].Message.ID != edit.ID {
		return state.Result{Refusal: state.NotFound}, nil
	}
	edit.Conversation = state.BroadcastLog
	edit.Body, edit.ContentType = state.WrapBroadcast(found[0].Broadcast, edit.ContentType, edit.Body), state.BroadcastContent
	return log.Change(ctx, h, &edit)
}

func wrap(send *state.SendMessage, b state.Broadcast) {
	send.Conversation = state.BroadcastLog
	send.Body, send.ContentType = state.WrapBroadcast(b, send.ContentType, send.Body), state.BroadcastContent
}

// makeBroadcasts makes the conversation of an app's broadcasts, and returns where
// its log ends if it was not there.
func makeBroadcasts(ctx context.Context, log Log, app wire.AppID) (wire.Offset, error) {
	create := &state.CreateConversation{ID: state.BroadcastLog, Preset: state.PresetBroadcast}
	r, err := log.Change(ctx, state.Header{App: app}, create)
	if err == nil && r.Refusal != state.None && r.Refusal != state.Exists {
		err = wire.Errorf(wire.CodeInternal, "broadcast", "the broadcasts' conversation: %v", r.Refusal)
	}
	return r.Offset, err
}

// News is what a user was told to all while he was away.
type News struct {
	// After is where to follow the log of [state.BroadcastLog] from.
	After wire.Offset
	Seq   wire.Seq // the last message up to there
	// Unread are the broadcasts that are still valid and that the user has not read,
	// in ascending order. One who is new has at most the newest one.
	Unread []ask.Broadcast
	// Handed is the last one that he was handed, with [HandedBroadcasts].
	Handed wire.Seq
}

// OpenBroadcasts says what is to be told to a user who comes at a time, in
// milliseconds. In an app that has said something to all it notes when he came
// first.
func OpenBroadcasts(ctx context.Context, log Log, app wire.AppID, user wire.UserID, now int64) (News, error) {
	q := &ask.Broadcasts{ValidAt: now, Limit: maxNews}
	a, err := log.Ask(ctx, app, user, string(state.BroadcastLog), &ask.Request{Broadcasts: q})
	if err != nil {
		return News{}, err
	}
	page := a.Broadcasts
	if page.Missing {
		last, err := makeBroadcasts(ctx, log, app)
		return News{After: last}, err
	}
	news := News{After: page.Last, Seq: page.LastSeq}
	if page.LastSeq == 0 {
		return news, nil
	}
	places, err := placesOf(ctx, log, app, user, page)
	if err != nil {
		return News{}, err
	}
	news.Handed = places[state.PlaceHanded]
	for _, b := range page.Broadcasts {
		if b.Message.Seq > max(places[state.PlaceBegin], places[b.Service]) {
			news.Unread = append(news.Unread, b)
		}
	}
	return news, nil
}

// placesOf returns the places of a user among the broadcasts. One whom nobody has
// met begins before the newest that is valid still; one who was there before there
// were any, at the beginning.
func placesOf(ctx context.Context, log Log, app wire.AppID, user wire.UserID, page *ask.BroadcastPage) (map[wire.ConversationID]wire.Seq, error) {
	a, err := log.Ask(ctx, app, user, string(user), &ask.Request{BroadcastPlaces: &ask.BroadcastPlaces{}})
	if err != nil {
		return nil, err
	}
	places := map[wire.ConversationID]wire.Seq{}
	for _, p := range a.BroadcastPlaces.Places {
		places[p.Name] = p.Seq
	}
	if _, known := places[state.PlaceBegin]; known {
		return places, nil
	}
	begin := wire.Seq(0)
	if n := len(page.Broadcasts); !a.BroadcastPlaces.Met && n > 0 {
		begin = page.Broadcasts[n-1].Message.Seq - 1
	} else if !a.BroadcastPlaces.Met {
		begin = page.LastSeq
	}
	places[state.PlaceBegin] = begin
	return places, place(ctx, log, app, user, state.BroadcastPlace{Name: state.PlaceBegin, Seq: begin})
}

// HandedBroadcasts notes that a user was handed broadcasts up to one.
func HandedBroadcasts(ctx context.Context, log Log, app wire.AppID, user wire.UserID, upto wire.Seq) error {
	return place(ctx, log, app, user, state.BroadcastPlace{Name: state.PlaceHanded, Seq: upto})
}

func place(ctx context.Context, log Log, app wire.AppID, user wire.UserID, p state.BroadcastPlace) error {
	move := &state.PlaceBroadcasts{User: user, Places: []state.BroadcastPlace{p}}
	r, err := log.Change(ctx, state.Header{App: app, Actor: user}, move)
	if err == nil && r.Refusal != state.None {
		err = &state.RefusedError{Refusal: r.Refusal, Text: r.Text}
	}
	return err
}

// ReadService notes that a user has read what a service said, to all, to its
// subscribers and to him, up to a place: a message and whatever is older. The
// header is his.
func ReadService(ctx context.Context, log Log, h state.Header, service wire.ConversationID, at ask.Place) error {
	logs := []wire.ConversationID{service, state.BroadcastLog}
	if t, ok := state.ThreadOf(service, h.Actor); ok {
		logs = append(logs, t)
	}
	return together(logs, func(id wire.ConversationID) error {
		in := ask.PlaceIn{Conversation: id, Message: at.Message, Time: at.Time}
		a, err := log.Ask(ctx, h.App, h.Actor, string(id), &ask.Request{Places: &ask.Places{Of: []ask.PlaceIn{in}}})
		if err != nil {
			return err
		}
		seq := a.Places.Seqs[0]
		switch {
		case seq == 0:
			return nil // nothing of this log is read, or there is none
		case id == state.BroadcastLog:
			return place(ctx, log, h.App, h.Actor, state.BroadcastPlace{Name: service, Seq: seq})
		default:
			_, err = log.Change(ctx, h, &state.MoveCursors{Moves: []state.CursorMove{{Conversation: id, User: h.Actor, Read: seq}}})
			return err // who is no member has no place to move
		}
	})
}

// together calls f for each, all at once, and joins the errors.
func together(ids []wire.ConversationID, f func(wire.ConversationID) error) error {
	answers := make(chan error)
	for _, id := range ids {
		go func() { answers <- f(id) }()
	}
	var errs []error
	for range ids {
		errs = append(errs, <-answers)
	}
	return errors.Join(errs...)
}
