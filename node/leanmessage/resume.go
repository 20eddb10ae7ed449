package leanmessage

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/node/tail"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/leanpb"
)

const (
	// resumePause is between two tries to bring a session up to date.
	resumePause = 500 * time.Millisecond
	// maxFollowed is how many conversations a session follows: the newest.
	maxFollowed = tail.MaxSubscriptions - 10
	// syncPart is how many conversations are asked about at once.
	syncPart = 200
	// syncsAtOnce is how many such questions a session has at once.
	syncsAtOnce = 4
)

// resume brings a session that has opened, or opened again, up to date: it
// pushes what it has missed and follows what it has not followed yet. It runs in
// a goroutine of its own, and ctx ends with the session.
func (c *client) resume(ctx context.Context) {
	if c.feed.resumes.Add(1) > 1 {
		return // who is at it does it again
	}
	for {
		n := c.feed.resumes.Load()
		if !(following{c}).upToDate(ctx) {
			return
		}
		if c.feed.resumes.CompareAndSwap(n, 0) {
			return
		}
	}
}

// upToDate does it: again for the conversations whose shards did not answer, until
// they do. It returns false if ctx has ended.
func (c following) upToDate(ctx context.Context) bool {
	var missed []*ask.State
	for again := false; ; again = true {
		one, cancel := context.WithTimeout(ctx, c.door().opts.RequestTimeout)
		more, err := c.catchUp(one, again)
		cancel()
		missed = append(missed, more...)
		if err == nil {
			break
		}
		c.door().opts.Logger.Debug("a session is not up to date yet", "app", c.app, "error", err)
		if clock.Sleep(ctx, resumePause) != nil {
			return false
		}
	}
	c.feed.once.Do(func() { close(c.feed.settled) })
	c.replay(ctx, missed)
	services(c).handed(ctx, wire.Seq(c.feed.news.Swap(0)))
	return true
}

// catchUp does it once, and again only for what is not followed. It returns where
// there are messages to be replayed. With an error something is left to be done.
func (c following) catchUp(ctx context.Context, again bool) ([]*ask.State, error) {
	if err := rooming(c).rejoinRoom(ctx); err != nil {
		return nil, err
	}
	in, err := door.Memberships(ctx, c.host(), c.app, c.user, maxFollowed)
	if err != nil {
		return nil, err
	}
	ids := make([]wire.ConversationID, 0, len(in))
	for i := range in {
		// Where the user has come since the session is open, he is followed from his
		// coming on.
		if followed := c.feed.of(in[i].Conversation) != nil; followed && !again || !followed && !c.moves.tells(in[i].Entry) {
			ids = append(ids, in[i].Conversation)
		}
	}
	now := c.now()
	q := ask.Sync{}
	if c.socket.offline {
		q.Missed = &ask.SyncMissed{Device: progress(c).deviceName(), Limit: c.tenant().settings.Limit.Replay}
	} else {
		q.Unread = now.unreadOf()
	}
	if now.bitmap&bitPatch != 0 && now.patchSince > 0 {
		q.Changed = &ask.SyncChanged{Since: now.patchSince}
	}
	states, failed := c.sync(ctx, ids, q)
	missed, err := c.tellMissed(ctx, states, now.bitmap, again)
	return missed, errors.Join(failed, err)
}

// unreadOf says what a client is to be told of what is not read. One that was
// never told anything counts itself what it is pushed: when it comes back, it is
// told what has changed since it had its token.
func (s *session) unreadOf() *ask.SyncUnread {
	if s.unreadSince == 0 && s.back && s.issued != 0 {
		return &ask.SyncUnread{Since: s.issued - unreadMargin.Milliseconds(), All: true}
	}
	return &ask.SyncUnread{Since: s.unreadSince}
}

// answers is what the shards say of conversations, by what is to be done with it.
type answers struct {
	fresh  []*followed           // to be followed from where the answer ends
	unread []*ask.State          // to be told
	missed []*ask.State          // to be replayed
	again  []wire.ConversationID // that are followed already, to be asked about again
	parts  []ask.State           // of services
}

func (c following) sort(states []ask.State, bitmap int64) *answers {
	a := &answers{}
	for i := range states {
		s := &states[i]
		if s.Refusal != state.None || s.Preset == state.PresetTemporary && bitmap&bitTemporary == 0 {
			continue
		}
		if len(s.Missed) > 0 {
			a.missed = append(a.missed, s)
		}
		_, isThread := state.ServiceOf(s.Conversation)
		switch known := c.feed.of(s.Conversation) != nil; {
		case known && s.Told:
			a.again = append(a.again, s.Conversation)
		case isThread || s.Preset == state.PresetSystem:
			a.parts = append(a.parts, *s)
		case s.Told:
			a.unread = append(a.unread, s)
		}
		a.fresh = append(a.fresh, followedAt(s))
	}
	return a
}

// addServices adds what a user has missed of services. When it is not the first
// time, some of their parts were told: then they are asked for as a whole.
func (c following) addServices(ctx context.Context, a *answers, again bool) error {
	if again && c.feed.of(state.BroadcastLog) != nil {
		for i := range a.parts {
			a.again = append(a.again, a.parts[i].Conversation)
		}
		return nil
	}
	away, err := services(c).away(ctx, a.parts)
	if err != nil {
		return err
	}
	for i := range away.unread {
		a.unread = append(a.unread, &away.unread[i])
	}
	a.missed, a.fresh = append(a.missed, away.missed...), append(a.fresh, away.follow)
	c.feed.news.Store(uint64(away.upto))
	return nil
}

// tellMissed pushes what the answers say, and follows on from there.
func (c following) tellMissed(ctx context.Context, states []ask.State, bitmap int64, again bool) ([]*ask.State, error) {
	a := c.sort(states, bitmap)
	if err := c.addServices(ctx, a, again); err != nil {
		return nil, err
	}
	if len(a.unread) > 0 && !c.tell(ctx, c.unreadOf(a.unread)) {
		return nil, nil
	}
	for i := range states {
		for _, m := range states[i].Changed {
			push := patchPush(m, shownID(states[i].Conversation, states[i].Preset), c.host().Millis())
			if !c.tell(ctx, outgoing{head: c.peer, body: encode(push)}) {
				return nil, nil
			}
		}
	}
	err := c.followAll(ctx, a.fresh)
	if len(a.again) > 0 {
		progress(c).askUnread(ctx, a.again)
	}
	return a.missed, err
}

// unreadOf is the push of what is unread: of the newest conversations.
func (c following) unreadOf(states []*ask.State) outgoing {
	limits := &c.tenant().settings.Limit
	newestFirst(states)
	states = states[:min(len(states), limits.UnreadConversations)]
	tuples := make([]*leanpb.UnreadTuple, len(states))
	for i, s := range states {
		tuples[i] = unreadTuple(s, limits.UnreadMessages)
	}
	return progress(c).unreadPush(tuples...)
}

// followedAt is a conversation as it is followed on from an answer.
func followedAt(s *ask.State) *followed {
	l := &followed{id: s.Conversation, preset: s.Preset, upto: s.Offset, seq: s.Seq, read: s.Read}
	if s.Newest != nil && s.Newest.Seq == s.Seq {
		l.time = s.Newest.Timestamp
	}
	return l
}

// sync asks about conversations, each at its shard.
func (c following) sync(ctx context.Context, ids []wire.ConversationID, q ask.Sync) ([]ask.State, error) {
	roots := make([]string, len(ids))
	for i, id := range ids {
		roots[i] = string(id)
	}
	var parts [][]string
	for _, group := range c.host().Divide(c.app, roots) {
		for len(group) > 0 {
			n := min(len(group), syncPart)
			parts = append(parts, group[:n])
			group = group[n:]
		}
	}
	var (
		mu     sync.Mutex
		states []ask.State
		failed error
		all    sync.WaitGroup
	)
	places := make(chan struct{}, syncsAtOnce)
	for _, part := range parts {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			one, err := c.syncPart(ctx, part, q)
			mu.Lock()
			defer mu.Unlock()
			states, failed = append(states, one...), errors.Join(failed, err)
		})
	}
	all.Wait()
	return states, failed
}

func (c following) syncPart(ctx context.Context, roots []string, q ask.Sync) ([]ask.State, error) {
	for _, root := range roots {
		q.Conversations = append(q.Conversations, wire.ConversationID(root))
	}
	a, err := c.host().Ask(ctx, c.app, c.user, roots[0], &ask.Request{Sync: &q})
	if err != nil {
		return nil, err
	}
	if a.Sync == nil {
		return nil, errorf(CodeInternalError, "no answer about conversations")
	}
	return a.Sync.Conversations, nil
}

// followAll follows conversations that are not followed yet. It must not be called
// with a lock of the edge held.
func (c *client) followAll(ctx context.Context, all []*followed) error {
	fresh := all[:0:0]
	for _, l := range all {
		switch ok, ending := c.feed.put(l); {
		case ok:
			fresh = append(fresh, l)
		case ending:
			c.run(func(ctx context.Context) {
				if clock.Sleep(ctx, catchUpPause) == nil {
					_ = c.followAll(ctx, []*followed{l}) // it is tried until it ends, and once
				}
			})
		}
	}
	c.logs.Grow(len(fresh))
	started := make(chan error, len(fresh))
	var failed error
	for _, l := range fresh {
		_, err := c.host().Follow(tail.Request{
			Log: following{c}.logKey(l), User: c.user, After: l.upto, FromEnd: l.fromEnd, Sink: c, Set: &c.logs,
			Done: func(at tail.Started, err error) {
				if err != nil {
					c.feed.drop(l)
				} else {
					progress{c}.readMeanwhile(l, at.Read)
				}
				started <- err
			},
		})
		if err != nil {
			c.feed.drop(l)
			started <- err
		}
	}
	for range fresh {
		select {
		case err := <-started:
			if _, refused := errors.AsType[*state.RefusedError](err); err != nil && !refused {
				failed = err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return failed
}
