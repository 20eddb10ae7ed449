package client

import (
	"context"
	"time"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

// Join makes the user a member.
func (c *Client) Join(ctx context.Context, id wire.ConversationID) error {
	return c.Conversation(id).join(ctx, c.user)
}

// Leave ends the user's membership.
func (c *Client) Leave(ctx context.Context, id wire.ConversationID) error {
	return onlySkip(c.Conversation(id).Remove(ctx, c.user))
}

// Block keeps others from adding the user to the conversation.
func (c *Client) Block(ctx context.Context, id wire.ConversationID) error {
	return c.block(ctx, id, false)
}

// Unblock lets others add the user again.
func (c *Client) Unblock(ctx context.Context, id wire.ConversationID) error {
	return c.block(ctx, id, true)
}

func (c *Client) block(ctx context.Context, id wire.ConversationID, unblock bool) error {
	_, err := c.link.change(ctx, "conversation.block", "", &pb.Request{Op: &pb.Request_BlockConversation{
		BlockConversation: &pb.BlockConversation{Conversation: string(id), Unblock: unblock},
	}})
	return err
}

// EnterRoom makes this client present in a chat room until LeaveRoom or Close, or
// until it enters another: a user is in one room at a time. After a reconnect it
// enters again by itself.
func (c *Client) EnterRoom(ctx context.Context, id wire.ConversationID) error {
	_, err := c.link.change(ctx, opEnterRoom, "", enterRoom(string(id)))
	if err != nil {
		return err
	}
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	clear(c.link.mu.rooms)
	c.link.mu.rooms[string(id)] = true
	return nil
}

// LeaveRoom ends the presence in a chat room.
func (c *Client) LeaveRoom(ctx context.Context, id wire.ConversationID) error {
	c.link.mu.Lock()
	delete(c.link.mu.rooms, string(id))
	c.link.mu.Unlock()
	_, err := c.link.change(ctx, "room.leave", "", &pb.Request{Op: &pb.Request_LeaveRoom{
		LeaveRoom: &pb.LeaveRoom{Conversation: string(id)},
	}})
	return err
}

const opEnterRoom = "room.enter"

func enterRoom(id string) *pb.Request {
	return &pb.Request{Op: &pb.Request_EnterRoom{EnterRoom: &pb.EnterRoom{Conversation: id}}}
}

// enterAgainLocked makes a new session present in a room. To be present twice
// is to be present, so the request needs no number.
func enterAgainLocked(l *link, room string) {
	payload, err := encode(opEnterRoom, enterRoom(room))
	if err != nil {
		return // it was entered before, so its name is text
	}
	s, failed := l.mu.session, 1
	l.boundLocked(payload, func(_ *pb.Response, err error) {
		if err == nil {
			return
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if !wire.CodeOf(err).Retryable() {
			delete(l.mu.rooms, room)
			return
		}
		l.pauseLocked(pause{due: time.Now().Add(backoff(failed)), resume: func() {
			if l.mu.session == s && l.mu.rooms[room] {
				enterAgainLocked(l, room)
			}
		}})
	})
}
