package door

import (
	"context"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// Memberships lists what a user is in, the newest first, and at most so many. It
// may be behind the conversations.
func Memberships(ctx context.Context, log Log, app wire.AppID, user wire.UserID, limit int) ([]state.Membership, error) {
	var all []state.Membership
	q := &ask.Memberships{User: user, Limit: ask.MaxMemberships}
	for {
		a, err := log.Ask(ctx, app, "", string(user), &ask.Request{Memberships: q})
		if err != nil {
			return nil, err
		}
		page := a.Memberships
		all = append(all, page.Memberships...)
		if !page.More || len(page.Memberships) == 0 {
			return all, nil
		}
		if len(all) >= limit {
			return all[:limit], nil
		}
		q.Before = page.Memberships[len(page.Memberships)-1].Entry
	}
}
