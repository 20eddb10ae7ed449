package leanmessage

import (
	"context"
	"sync"
	"time"

	"github.com/quorate/quorate/node/tail"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// roomGrace is how long the user's shard remembers the room of a client that was
// cut off: the app may set less.
const roomGrace = 30 * time.Minute

// roomTurn is a session's turn to come into a chat room or out of it. What the
// user's shard says of his room is as old as the question: so one is asked, changed
// and followed at a time.
type roomTurn struct {
	mu   sync.Mutex
	free chan struct{} // guarded by mu; nil until it is taken first: few sessions are ever in a room
}

// take waits for the turn, and returns what ends it.
func (t *roomTurn) take(ctx context.Context) (end func(), err error) {
	t.mu.Lock()
	if t.free == nil {
		t.free = make(chan struct{}, 1)
	}
	free := t.free
	t.mu.Unlock()
	select {
	case free <- struct{}{}:
		return func() { <-free }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// enterRoom brings the session into a chat room, and out of the one that it was
// in: one is in a room while one follows it. The user's shard remembers it, for
// when the session is lost.
func (c *client) enterRoom(ctx context.Context, id wire.ConversationID) error {
	end, err := c.feed.room.take(ctx)
	if err != nil {
		return err
	}
	defer end()
	r, err := c.host().Change(ctx, c.header(ctx), &state.EnterRoom{
		User: c.user, Conversation: id, Session: c.name, Node: c.host().Place(),
	})
	switch {
	case err != nil:
		return err
	case r.Refusal != state.None:
		return messageCodes.refused(r.Refusal, r.Text)
	}
	for _, l := range c.feed.all() {
		if l.preset == state.PresetRoom && l.id != id {
			c.unfollow(l.id)
		}
	}
	c.change(func(s *session) { s.inRoom = true })
	return c.followAll(ctx, []*followed{{id: id, preset: state.PresetRoom, fromEnd: true}})
}

// leaveRoom takes the session out of a chat room.
func (c *client) leaveRoom(ctx context.Context, id wire.ConversationID) error {
	end, err := c.feed.room.take(ctx)
	if err != nil {
		return err
	}
	defer end()
	r, err := c.host().Change(ctx, c.header(ctx), &state.LeaveRoom{User: c.user, Conversation: id})
	switch {
	case err != nil:
		return err
	case r.Refusal != state.None:
		return messageCodes.refused(r.Refusal, r.Text)
	}
	c.unfollow(id)
	c.change(func(s *session) { s.inRoom = false })
	return nil
}

// rooming is a session that comes back to chat rooms, and out of them.
type rooming struct{ *client }

// rejoinRoom brings a client that has come back into the room that it was cut off
// from.
func (c rooming) rejoinRoom(ctx context.Context) error {
	if c.now().inRoom {
		return nil
	}
	held, err := heldBy(ctx, c.client)
	if err != nil {
		return err
	}
	if held.Room == nil || held.Room.Deadline == 0 && !c.now().back {
		return nil
	}
	over := roomGrace - c.tenant().settings.Time.RoomRejoin
	if held.Room.Deadline != 0 && c.host().Millis() > held.Room.Deadline-over.Milliseconds() {
		return nil
	}
	return c.enterRoom(ctx, held.Room.Conversation)
}

// roomChanged has a session out of its chat room when the user has left it, or has
// entered another, with another session.
func roomChanged(c *client, _ *tail.Batch, e *state.Entry) []outgoing {
	for _, l := range c.feed.all() {
		if l.preset == state.PresetRoom && (l.id == e.Conversation) == (e.Kind == state.EntryRoomLeft) {
			c.run(rooming{c}.leaveOldRooms)
			break
		}
	}
	return nil
}

// leaveOldRooms has the session out of the rooms that its user is not in any more.
func (c rooming) leaveOldRooms(ctx context.Context) { mover(c).insist(ctx, c.followNoOther) }

// followNoOther asks which room the user is in, since he may have come back, and
// follows no other.
func (c rooming) followNoOther(ctx context.Context) error {
	end, err := c.feed.room.take(ctx)
	if err != nil {
		return err
	}
	defer end()
	held, err := heldBy(ctx, c.client)
	if err != nil {
		return err
	}
	in := false
	for _, l := range c.feed.all() {
		if l.preset != state.PresetRoom {
			continue
		}
		if held.Room != nil && held.Room.Conversation == l.id {
			in = true
			continue
		}
		c.unfollow(l.id)
	}
	if !in && c.now().inRoom {
		c.change(func(s *session) { s.inRoom = false })
	}
	return nil
}
