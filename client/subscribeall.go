package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/quorate/quorate/wire"
)

// Position is a place in a log.
type Position struct {
	Conversation wire.ConversationID // empty: the user's own log
	After        wire.Offset
}

// SubscribeAll follows many logs at once, with as few requests as it can: for a
// program that begins, and knows how far it has read. It waits until a node has
// agreed to each or refused it. A subscription that was refused is nil, and the
// error says why.
func (c *Client) SubscribeAll(ctx context.Context, positions ...Position) ([]*Subscription, error) {
	subs := make([]*Subscription, len(positions))
	for i, p := range positions {
		if p.Conversation != "" {
			if err := wire.ValidID(string(p.Conversation)); err != nil {
				return nil, wire.Errorf(wire.CodeInvalid, opSubscribe, "conversation %v", err)
			}
		}
		subs[i] = newSubscription(c.link, string(p.Conversation), p.After)
	}
	errs := c.link.mu.following.followAll(subs)
	for i, p := range positions {
		if errs[i] == nil {
			subs[i], errs[i] = subs[i].await(ctx)
		} else {
			subs[i] = nil
		}
		if errs[i] != nil {
			errs[i] = fmt.Errorf("follow %q: %w", p.Conversation, errs[i])
		}
	}
	return subs, errors.Join(errs...)
}
