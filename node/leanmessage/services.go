package leanmessage

import (
	"context"
	"slices"
	"time"

	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/leanpb"
)

// services is a session that deals with services. What a client knows as one
// conversation lies in three: the service's own, the user's thread with it, and
// the broadcasts of the app. See [state.ThreadOf].
type services struct{ *client }

// shownKind is the kind of a conversation as clients know it.
func shownKind(p state.Preset) state.Preset {
	if p == state.PresetThread || p == state.PresetBroadcast {
		return state.PresetSystem
	}
	return p
}

// parted tells whether a conversation that the session follows is a part of a
// service.
func (c services) parted(id wire.ConversationID) bool {
	_, isThread := state.ServiceOf(id)
	return isThread || c.presetOf(id) == state.PresetSystem
}

// known tells whether the session knows that an id is a service's: the user has
// subscribed to it, or has spoken with it.
func (c services) known(id wire.ConversationID) bool {
	if c.presetOf(id) == state.PresetSystem {
		return true
	}
	thread, ok := state.ThreadOf(id, c.user)
	return ok && c.feed.of(thread) != nil
}

// is tells whether an id is a service's, and asks if it must.
func (c services) is(ctx context.Context, id wire.ConversationID) bool {
	if c.known(id) || c.presetOf(id) != 0 {
		return c.known(id)
	}
	kind, err := convs(c).kindOf(ctx, id)
	return err == nil && kind.Preset == state.PresetSystem
}

// within returns where a message of a conversation is: of a service that the
// session knows, in the user's thread.
func (c services) within(id wire.ConversationID) wire.ConversationID {
	if thread, ok := state.ThreadOf(id, c.user); ok && c.known(id) {
		return thread
	}
	return id
}

// places returns a place in each of the logs of a service, in which the user has
// places; of what is no service, the one.
func (c services) places(p ask.PlaceIn) []ask.PlaceIn {
	all := []ask.PlaceIn{p}
	if thread := c.within(p.Conversation); thread != p.Conversation {
		all = append(all, ask.PlaceIn{Conversation: thread, Message: p.Message, Time: p.Time})
	}
	return all
}

// mayBe tells whether a refused message may have been for a service.
func (services) mayBe(r state.Refusal) bool {
	return r == state.NotFound || r == state.NotMember || r == state.Forbidden
}

// send sends again what was refused, if it was for a service: into the thread,
// which may have to be made. Else done is told what was said before.
func (c services) send(h state.Header, service wire.ConversationID, send *state.SendMessage, refused state.Result, done func(state.Result, error)) {
	c.run(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, c.door().opts.RequestTimeout)
		defer cancel()
		if !c.is(ctx, service) {
			done(refused, nil)
			return
		}
		done(door.SendToService(ctx, c.host(), h, service, send))
	})
}

// history returns a page of what the user sees of a service.
func (c services) history(ctx context.Context, q *ask.History) (*ask.HistoryPage, error) {
	return door.ServiceHistory(ctx, c.host(), c.app, c.user, *q)
}

// read notes how far the user has read a service, or whatever else it is.
func (c services) read(ctx context.Context, p ask.PlaceIn) {
	ctx, cancel := context.WithTimeout(ctx, c.door().opts.RequestTimeout)
	defer cancel()
	if !c.is(ctx, p.Conversation) {
		progress(c).readUpto(ctx, progress(c).find(ctx, []ask.PlaceIn{p}))
		return
	}
	at := ask.Place{Message: p.Message, Time: p.Time}
	if err := door.ReadService(ctx, c.host(), state.Header{App: c.app, Actor: c.user}, p.Conversation, at); err != nil {
		c.door().opts.Logger.Debug("what was read of a service is not noted", "app", c.app, "error", err)
		return
	}
	c.tellUnread(ctx, []wire.ConversationID{p.Conversation})
}

// tellUnread pushes what is unread of services, of which some ids are parts, and
// returns the other ids.
func (c services) tellUnread(ctx context.Context, ids []wire.ConversationID) []wire.ConversationID {
	var of, others []wire.ConversationID
	for _, id := range ids {
		service, isThread := state.ServiceOf(id)
		switch {
		case !isThread && !c.known(id):
			others = append(others, id)
			continue
		case !isThread:
			service = id
		}
		if !slices.Contains(of, service) {
			of = append(of, service)
		}
	}
	if len(of) == 0 {
		return others
	}
	for err := c.pushUnread(ctx, of); err != nil; err = c.pushUnread(ctx, of) {
		c.door().opts.Logger.Debug("a session is not told yet what is unread of services", "app", c.app, "error", err)
		if clock.Sleep(ctx, resumePause) != nil {
			break
		}
	}
	return others
}

func (c services) pushUnread(ctx context.Context, of []wire.ConversationID) error {
	var parts []wire.ConversationID
	for _, service := range of {
		parts = append(parts, service)
		if thread, ok := state.ThreadOf(service, c.user); ok {
			parts = append(parts, thread)
		}
	}
	for try := 1; ; try++ {
		states, err := following(c).sync(ctx, parts, ask.Sync{Unread: &ask.SyncUnread{}})
		if err != nil {
			return err
		}
		states = slices.DeleteFunc(states, func(s ask.State) bool { return s.Refusal != state.None })
		news, err := door.OpenBroadcasts(ctx, c.host(), c.app, c.user, c.host().Millis())
		if err != nil {
			return err
		}
		states = append(states, ask.State{Conversation: state.BroadcastLog, Seq: news.Seq})
		if c.pushInStep(of, states, &news, try == unreadTries) {
			return nil
		}
		if clock.Sleep(ctx, time.Duration(try)*20*time.Millisecond) != nil {
			return ctx.Err()
		}
	}
}

// pushInStep pushes what is unread, if the session was pushed as many messages as
// the answers know: a client counts itself what it is pushed. The last try pushes
// in any case.
func (c services) pushInStep(of []wire.ConversationID, states []ask.State, news *door.News, last bool) bool {
	joined := door.JoinServices(states, news.Unread)
	tuples := make([]*leanpb.UnreadTuple, len(of))
	for i, service := range of {
		one := &ask.State{Conversation: service, Preset: state.PresetSystem}
		if at := slices.IndexFunc(joined, func(s ask.State) bool { return s.Conversation == service }); at >= 0 {
			one = &joined[at]
		}
		tuples[i] = unreadTuple(one, c.tenant().settings.Limit.UnreadMessages)
	}
	c.feed.turn.Lock()
	defer c.feed.turn.Unlock()
	for i := range states {
		if l := c.feed.of(states[i].Conversation); l != nil && (l.reading || l.seq != states[i].Seq) && !last {
			return false
		}
	}
	c.client.send([]outgoing{progress(c).unreadPush(tuples...)}, true)
	return true
}

// missedOfServices is what services have said while the user was away.
type missedOfServices struct {
	unread []ask.State // to be told, each of a service
	missed []*ask.State
	follow *followed
	upto   wire.Seq // the last broadcast among them
}

// away asks what the user has missed of broadcasts, and joins it to what he has
// missed in the services' own logs and in his threads.
func (c services) away(ctx context.Context, parts []ask.State) (missedOfServices, error) {
	news, err := door.OpenBroadcasts(ctx, c.host(), c.app, c.user, c.host().Millis())
	if err != nil {
		return missedOfServices{}, err
	}
	m := missedOfServices{follow: &followed{id: state.BroadcastLog, preset: state.PresetSystem, upto: news.After, seq: news.Seq}}
	if !c.socket.offline {
		m.unread = slices.DeleteFunc(door.JoinServices(parts, news.Unread), func(s ask.State) bool { return !s.Told })
		return m, nil
	}
	for _, b := range news.Unread {
		if b.Message.Seq > news.Handed {
			m.missed = append(m.missed, &ask.State{Conversation: b.Service, Preset: state.PresetSystem, Missed: []*state.Message{b.Message}})
			m.upto = b.Message.Seq
		}
	}
	return m, nil
}

// handed notes that broadcasts were replayed.
func (c services) handed(ctx context.Context, upto wire.Seq) {
	if upto == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, c.door().opts.RequestTimeout)
	defer cancel()
	if err := door.HandedBroadcasts(ctx, c.host(), c.app, c.user, upto); err != nil {
		c.door().opts.Logger.Debug("broadcasts will be replayed again", "app", c.app, "error", err)
	}
}

// shownMessage returns a message of a log as clients are shown it, with the id of
// its conversation; false: it says nothing to them.
func shownMessage(log wire.ConversationID, preset state.Preset, m *state.Message) (*state.Message, string, bool) {
	if log != state.BroadcastLog {
		return m, shownID(log, preset), true
	}
	b, shown, err := state.UnwrapBroadcast(m)
	return shown, string(b.Service), err == nil
}
