package leanmessage

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/node/leandoc"
	"github.com/quorate/quorate/node/tail"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

const (
	// maxMoves is how many of a user's comings and goings may wait to be followed.
	// A session that falls behind further is closed: it begins anew.
	maxMoves = 4096
	// maxRecent is how many conversations are remembered as just come into.
	maxRecent = 64
	// maxMoving is how many requests are remembered that may bring a user into a
	// conversation.
	maxMoving = 16
)

// moves follows a user into conversations and out of them, as his log tells it: for
// each conversation one move after another.
type moves struct {
	mu      sync.Mutex
	waiting map[wire.ConversationID][]*state.Entry // of those that are being followed, guarded by mu
	count   int                                    // of waiting, guarded by mu
	since   *wire.Offset                           // of the user's log: what comes later is told here; guarded by mu

	recent  []wire.ConversationID         // just come into, guarded by mu
	moving  []uint64                      // requests that may cause moves, guarded by mu
	expires map[wire.ConversationID]int64 // of temporary conversations, in milliseconds; guarded by mu
}

// begin says from where on in the user's log the moves are told.
func (m *moves) begin(at wire.Offset) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.since == nil {
		m.since = &at
	}
}

// tells says whether an entry of the user's log is told here: then it is not for
// who brings the session up to date.
func (m *moves) tells(entry wire.Offset) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.since != nil && entry > *m.since
}

// came remembers that the client has come into a conversation, by its own command.
func (m *moves) came(id wire.ConversationID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if slices.Contains(m.recent, id) {
		return
	}
	m.recent = append(m.recent, id)
	if len(m.recent) > maxRecent {
		m.recent = m.recent[1:]
	}
}

func (m *moves) recently() []wire.ConversationID {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.recent)
}

// request remembers a request that may bring the user into a conversation or out
// of it: what his log tells of it has no origin.
func (m *moves) request(number uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.moving = append(m.moving, number); len(m.moving) > maxMoving {
		m.moving = m.moving[1:]
	}
}

func (m *moves) requests() []uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.moving)
}

// end is when a temporary conversation ends, in milliseconds; 0: it is not known.
func (m *moves) end(id wire.ConversationID) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.expires[id]
}

func (m *moves) setEnd(id wire.ConversationID, millis int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.expires == nil {
		m.expires = map[wire.ConversationID]int64{}
	}
	if millis == 0 {
		delete(m.expires, id)
	} else {
		m.expires[id] = millis
	}
}

// take queues a move, and tells whether nobody is following those of its
// conversation. It is false when there are too many.
func (m *moves) take(e *state.Entry) (start, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.count >= maxMoves {
		return false, false
	}
	if m.waiting == nil {
		m.waiting = map[wire.ConversationID][]*state.Entry{}
	}
	before, busy := m.waiting[e.Conversation]
	m.waiting[e.Conversation] = append(before, e)
	m.count++
	return !busy, true
}

// next returns the next move of a conversation; nil: there is none any more.
func (m *moves) next(id wire.ConversationID) *state.Entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	waiting := m.waiting[id]
	if len(waiting) == 0 {
		delete(m.waiting, id)
		return nil
	}
	m.waiting[id] = waiting[1:]
	m.count--
	return waiting[0]
}

// mover follows a session's user.
type mover struct{ *client }

// moved notes that the user's log says that he came or went. It is called with a
// lock of the edge held.
func (c mover) moved(e *state.Entry) {
	start, ok := c.moves.take(e)
	switch {
	case !ok:
		c.socket.close(statusSlow, "")
	case start:
		c.run(func(ctx context.Context) {
			for e := c.moves.next(e.Conversation); e != nil; e = c.moves.next(e.Conversation) {
				if ctx.Err() == nil {
					c.move(ctx, e)
				}
			}
		})
	}
}

// move follows the user into a conversation or out of it, and pushes that to the
// session. What others are told begins where he came.
func (c mover) move(ctx context.Context, e *state.Entry) {
	l := &followed{id: e.Conversation, preset: c.presetOf(e.Conversation), upto: max(e.ConversationOffset, 1) - 1}
	if e.Kind == state.EntryLeft {
		c.unfollow(e.Conversation)
	}
	if l.preset == 0 && !c.insist(ctx, func(ctx context.Context) error { return c.learn(ctx, l) }) {
		return
	}
	if l.preset == 0 || l.preset == state.PresetTemporary && !c.understands(bitTemporary) {
		return // it is gone again, or the client would not understand it
	}
	for _, event := range leandoc.OfUser(l.preset, e) {
		push := c.eventPush(&event, l.preset)
		if e.Actor == c.user {
			push.cause = c.moveCause()
		}
		c.send([]outgoing{push}, true)
	}
	if e.Kind != state.EntryJoined {
		c.moves.setEnd(e.Conversation, 0)
		return
	}
	c.insist(ctx, func(ctx context.Context) error { return c.followAll(ctx, []*followed{l}) })
}

// insist does something again until it is done, or can never be. It returns false
// if the session has ended before.
func (c mover) insist(ctx context.Context, do func(context.Context) error) bool {
	for ctx.Err() == nil {
		one, cancel := context.WithTimeout(ctx, c.door().opts.RequestTimeout)
		err := do(one)
		cancel()
		if err == nil || errors.Is(err, tail.ErrTooMany) {
			return true
		}
		c.door().opts.Logger.Debug("a user is not followed yet", "app", c.app, "error", err)
		if clock.Sleep(ctx, resumePause) != nil {
			return false
		}
	}
	return false
}

// learn asks what a conversation is, that is to be followed. Nothing is learned of
// one that is gone.
func (c mover) learn(ctx context.Context, l *followed) error {
	kind, err := convs(c).kindOf(ctx, l.id)
	if e, ok := errors.AsType[*Error](err); ok && e.Code == CodeConvNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	l.preset = kind.Preset
	c.moves.setEnd(l.id, kind.Expires)
	return nil
}

// moveCause returns a request of this session that may have brought the user where
// he is now, and that is not answered yet; 0: there is none.
func (c mover) moveCause() uint64 {
	for _, number := range c.moves.requests() {
		if c.out.isOpen(number) {
			return number
		}
	}
	return 0
}
