package leanmessage

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/node/tail"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/leanpb"
)

const (
	// unreadMargin is how far the time that clients remember of a push of unread
	// counts lies back: what changed before it was told, but may be lost on its way,
	// or lie in the future of this node's clock. It is told again then.
	unreadMargin = time.Minute
	// unreadTries is how often a count is asked for that messages overtake.
	unreadTries = 5
	// unreadPatience is how long a count waits for its place: what it waits for may
	// be a message that is for somebody else.
	unreadPatience = time.Second
)

// placedUnread is a push of what is unread, as of an offset of a conversation's
// log: a client counts messages itself, so it must come right after that.
type placedUnread struct {
	offset wire.Offset
	push   outgoing
}

// unreadPush is a push of what is unread in conversations.
func (c progress) unreadPush(convs ...*leanpb.UnreadTuple) outgoing {
	m := c.pushOf(leanpb.CommandType_unread, 0)
	m.UnreadMessage = &leanpb.UnreadCommand{
		Convs: convs, NotifTime: new(c.host().Millis() - unreadMargin.Milliseconds()),
	}
	return pushed(m)
}

// cursorMoved pushes what a member's cursor says that has moved: to himself what
// is left, and receipts to others. It is called with a lock of the edge held.
func (c progress) cursorMoved(m tail.Cursor) {
	if m.User != c.user {
		c.send(c.receipts(m), true)
		return
	}
	if c.socket.offline {
		return
	}
	c.feed.turn.Lock()
	defer c.feed.turn.Unlock()
	l := c.feed.of(m.Log.Conversation)
	if l == nil || m.Read <= l.read {
		return
	}
	l.read = m.Read
	if m.Read != l.seq || l.reading || l.seq == 0 || services(c).parted(l.id) { // past it, it has missed messages, too
		c.run(func(ctx context.Context) { c.askUnread(ctx, []wire.ConversationID{l.id}) })
		return
	}
	l.unread = nil
	c.send([]outgoing{c.unreadPush(&leanpb.UnreadTuple{
		Cid: new(shownID(l.id, l.preset)), Unread: new(int32(0)), Mentioned: new(false), ConvType: new(int32(shownKind(l.preset))),
	})}, true)
}

// readMeanwhile notes how far the user had read when the session began to follow a
// conversation: further than it was told, if he read on another device since. It is
// called with a lock of the edge held.
func (c progress) readMeanwhile(l *followed, read wire.Seq) {
	c.feed.turn.Lock()
	told := l.seq > 0 && !c.socket.offline // else nothing was counted for it before
	if !told {
		l.read = max(l.read, read)
	}
	c.feed.turn.Unlock()
	if told {
		c.cursorMoved(tail.Cursor{Log: following(c).logKey(l), User: c.user, Read: read})
	}
}

// askUnread asks what is unread in conversations, and pushes it: where a shard does
// not answer, once it does, if ctx has not ended before.
func (c progress) askUnread(ctx context.Context, ids []wire.ConversationID) {
	if c.socket.offline {
		return
	}
	ids = services(c).tellUnread(ctx, ids)
	for try := 1; len(ids) > 0; try++ {
		states, err := following(c).sync(ctx, ids, ask.Sync{Unread: &ask.SyncUnread{}})
		ids = c.placeEach(ids, states, try >= unreadTries)
		pause := time.Duration(try) * 20 * time.Millisecond
		if err != nil {
			c.door().opts.Logger.Debug("a session is not told yet what is unread", "app", c.app, "error", err)
			pause = resumePause
		}
		if len(ids) > 0 && clock.Sleep(ctx, pause) != nil {
			return
		}
	}
}

// placeEach pushes what is unread of conversations. It returns those that are to be
// asked about again.
func (c progress) placeEach(ids []wire.ConversationID, states []ask.State, last bool) []wire.ConversationID {
	left := slices.Clone(ids)
	for i := range states {
		if s := &states[i]; s.Refusal != state.None || c.placeUnread(s, last) {
			left = slices.DeleteFunc(left, func(id wire.ConversationID) bool { return id == s.Conversation })
		}
	}
	return left
}

// placeUnread pushes what is unread of a conversation where it belongs: after
// what it knows of, and before what it does not. It returns false if the session
// was pushed more already, or told that he has read more, and then it is to be asked
// again.
func (c progress) placeUnread(s *ask.State, last bool) bool {
	push := c.unreadPush(unreadTuple(s, c.tenant().settings.Limit.UnreadMessages))
	c.feed.turn.Lock()
	defer c.feed.turn.Unlock()
	l := c.feed.of(s.Conversation)
	if l != nil && s.Read < l.read && !last {
		return false // it was asked before the user read on, and overtaken by the next answer
	}
	if l == nil || last || s.Seq == l.seq && !l.reading {
		c.send([]outgoing{push}, true)
		return true
	}
	if s.Offset < l.upto {
		return false
	}
	if s.Offset == l.upto {
		c.send([]outgoing{push}, true)
		return true
	}
	placed := &placedUnread{offset: s.Offset, push: push}
	l.unread = placed
	c.run(func(ctx context.Context) {
		if clock.Sleep(ctx, unreadPatience) == nil {
			c.pushOverdue(l, placed)
		}
	})
	return true
}

// pushOverdue pushes what still waits for its place.
func (c progress) pushOverdue(l *followed, placed *placedUnread) {
	c.feed.turn.Lock()
	defer c.feed.turn.Unlock()
	if l.unread == placed {
		l.unread = nil
		c.send([]outgoing{placed.push}, true)
	}
}

// newestFirst sorts what is unread by its newest message.
func newestFirst(states []*ask.State) {
	slices.SortStableFunc(states, func(a, b *ask.State) int { return cmp.Compare(newestTime(b), newestTime(a)) })
}

func newestTime(s *ask.State) int64 {
	if s.Newest == nil {
		return 0
	}
	return s.Newest.Timestamp
}
