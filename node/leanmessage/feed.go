package leanmessage

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/quorate/quorate/node/tail"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// feed is what a session knows of the logs that it follows.
type feed struct {
	// turn is held while a log's batch is pushed, and while something is pushed
	// that has its place between two entries of a log.
	turn sync.Mutex

	mu    sync.Mutex
	byID  map[wire.ConversationID]*followed // guarded by mu; the empty id is the user's own log
	owned []ownEntry                        // guarded by mu: a ring, once it is full
	next  int                               // of owned, guarded by mu

	news    atomic.Uint64 // the last broadcast that is being replayed; 0: none is
	awaited *awaited      // guarded by mu; nil: nothing is replayed
	settled chan struct{} // closed when the session follows what its user is in
	once    sync.Once     // closes it
	room    roomTurn
	resumes atomic.Int32 // how often the session is to be brought up to date; the first one does it
}

// followed is what a session knows of one log. Its fields are guarded by the
// feed's turn, but for the constant ones.
type followed struct {
	id      wire.ConversationID
	preset  state.Preset // 0 of the user's own log
	fromEnd bool         // it is followed from wherever it ended

	upto wire.Offset // everything up to here was pushed
	seq  wire.Seq    // the last message up to here
	time int64       // and its time, in milliseconds; 0: it is not known
	read wire.Seq    // how far the user has read, as far as the session was told

	reading bool          // what was missed is being read; what comes meanwhile is left to be read, too
	goal    wire.Offset   // how far, with reading
	last    *tail.Batch   // that ended the subscription while reading
	unread  *placedUnread // to be pushed when its place is reached

	ending bool // guarded by the feed's mu: the subscription has ended while reading
}

// maxOwned is how many of its own entries a session remembers.
const maxOwned = 256

// ownEntry is an entry that a request of the session has made. One that is read
// from the log does not say so itself.
type ownEntry struct {
	id     wire.ConversationID
	offset wire.Offset
}

// own remembers an entry that the session has made.
func (f *feed) own(id wire.ConversationID, offset wire.Offset) {
	if offset == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.owned) < maxOwned { // most sessions only listen
		f.owned = append(f.owned, ownEntry{id, offset})
		return
	}
	f.owned[f.next] = ownEntry{id, offset}
	f.next = (f.next + 1) % maxOwned
}

func (f *feed) isOwn(id wire.ConversationID, offset wire.Offset) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.owned {
		if f.owned[i].offset == offset && f.owned[i].id == id {
			return true
		}
	}
	return false
}

// of returns what is known of a log; nil: it is not followed.
func (f *feed) of(id wire.ConversationID) *followed {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.byID[id]
}

// at returns what is known of a log, beginning with a batch that ends before an
// offset.
func (f *feed) at(id wire.ConversationID, after wire.Offset) *followed {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l := f.byID[id]; l != nil {
		return l
	}
	l := &followed{id: id, upto: after}
	f.putLocked(l)
	return l
}

// put begins to know of a log. It returns false if it is known already; ending
// says that it will not be soon.
func (f *feed) put(l *followed) (fresh, ending bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if old := f.byID[l.id]; old != nil {
		return false, old.ending
	}
	f.putLocked(l)
	return true, false
}

// end says that a log is not followed any more, once what was missed is read.
func (f *feed) end(l *followed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l.ending = true
}

func (f *feed) putLocked(l *followed) {
	if f.byID == nil {
		f.byID = map[wire.ConversationID]*followed{}
	}
	f.byID[l.id] = l
}

func (f *feed) drop(l *followed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byID[l.id] == l {
		delete(f.byID, l.id)
	}
}

// all returns what is known of conversations.
func (f *feed) all() []*followed {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]*followed, 0, len(f.byID))
	for id, l := range f.byID {
		if id != "" {
			all = append(all, l)
		}
	}
	return all
}

// presetOf returns the kind of a conversation that the session follows; 0: it
// does not.
func (c *client) presetOf(id wire.ConversationID) state.Preset {
	if l := c.feed.of(id); l != nil {
		return l.preset
	}
	return 0
}

// Deliver implements tail.Sink.
func (c *client) Deliver(b *tail.Batch) bool {
	c.feed.turn.Lock()
	defer c.feed.turn.Unlock()
	l := c.feed.at(b.Log.Conversation, b.After)
	switch {
	case l.reading:
		l.goal = max(l.goal, b.Upto)
		if b.Ended {
			l.last = b
			c.feed.end(l)
		}
		return true
	case b.Behind && b.Ended:
		c.feed.drop(l) // and nobody may read any more what was missed
		return true
	case b.Behind:
		if l.id == "" {
			watch{c}.doubt()
		}
		l.upto, l.goal, l.reading = max(l.upto, b.After), b.Upto, true
		c.run(func(ctx context.Context) { following{c}.readOn(ctx, l) })
		return true
	}
	var few [16]outgoing
	out := following{c}.pushesLocked(few[:0], l, b)
	if !c.send(out, b.Ended) {
		return false
	}
	following{c}.reachedLocked(l, b)
	return true
}

// following is a session that follows logs, and catches up with them.
type following struct{ *client }

// pushesLocked appends what a batch is to the session, and whatever else has its
// place there.
func (c following) pushesLocked(out []outgoing, l *followed, b *tail.Batch) []outgoing {
	unread := l.unread
	for _, e := range b.Entries {
		if e.Offset <= l.upto {
			continue // it was read meanwhile: the edge began before what was read ended
		}
		if unread != nil && e.Offset > unread.offset {
			out, unread = append(out, unread.push), nil
		}
		if c.isOwn(b.Log.Conversation, e) {
			continue
		}
		out = c.translate(out, l, b, e)
	}
	if unread != nil && b.Upto >= unread.offset {
		out = append(out, unread.push)
	}
	return out
}

// isOwn tells whether an entry is a message of this session, or a change of one:
// it was told in the reply.
func (c following) isOwn(id wire.ConversationID, e *state.Entry) bool {
	switch e.Kind {
	case state.EntryMessage, state.EntryEdited, state.EntryRecalled:
		return c.causeOf(e.Origin) != 0 || e.Origin.Node == "" && c.feed.isOwn(id, e.Offset)
	default:
		return false
	}
}

// reachedLocked notes that a batch was pushed.
func (c following) reachedLocked(l *followed, b *tail.Batch) {
	l.upto = max(l.upto, b.Upto)
	for _, e := range b.Entries {
		if e.Kind == state.EntryMessage && e.Message != nil {
			l.seq, l.time = e.Message.Seq, e.Message.Timestamp
		}
	}
	if l.unread != nil && l.upto >= l.unread.offset {
		l.unread = nil
	}
	if b.Ended {
		c.feed.drop(l)
	}
}

// unfollow ends following a conversation. It must not be called with a lock of
// the edge held.
func (c *client) unfollow(id wire.ConversationID) {
	l := c.feed.of(id)
	if l == nil || id == "" {
		return
	}
	if sub := c.logs.Of(state.LogKey{App: c.app, Conversation: id}); sub != nil {
		c.host().Unfollow(sub)
	}
	c.feed.drop(l)
}
