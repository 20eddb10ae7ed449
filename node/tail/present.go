package tail

import (
	"slices"
	"time"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// Who is there is known from who follows: an edge follows the log of each of its
// users, so a user whose log is followed is online. Of chat rooms, which have no
// stored members, the edges say which of their users follow, because there nobody
// else knows how many are present. All of it is in memory, and ends with the
// edge's stream or the hub's leadership.

// settleFor is how long a new leader's hub does not know yet who is there: the
// edges find it within that.
const settleFor = time.Second

// Online returns those of the users whose logs are followed. It is false while
// the hub does not lead, or not for long enough to know.
func (h *Hub) Online(app wire.AppID, users []wire.UserID) (online []wire.UserID, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, u := range users {
		if len(h.feedsLocked(state.LogKey{App: app, User: u})) > 0 {
			online = append(online, u)
		}
	}
	return online, h.settledLocked()
}

// OnlineCount returns how many users of an app are online whose logs are in the
// hub's shard.
func (h *Hub) OnlineCount(app wire.AppID) (count int, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.mu.online[app], h.settledLocked()
}

// Present returns how many users follow a log of which they are counted, and at
// most limit of them, no matter which.
func (h *Hub) Present(log state.LogKey, limit int) (count int, users []wire.UserID, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := h.mu.interests[log]
	if i == nil {
		return 0, nil, h.settledLocked()
	}
	for u := range i.present {
		if len(users) == limit {
			break
		}
		users = append(users, u)
	}
	return len(i.present), users, h.settledLocked()
}

// FollowedElsewhere tells whether an edge other than the given one follows a
// log. An edge follows the user log of each of its sessions' users, so of a user
// log it says whether the user is there. It is not known to a hub that does not
// lead, or not for long enough.
func (h *Hub) FollowedElsewhere(log state.LogKey, edge wire.NodeID) (elsewhere, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	elsewhere = slices.ContainsFunc(h.feedsLocked(log), func(f *feed) bool { return f.edge != edge })
	return elsewhere, elsewhere || h.settledLocked()
}

// Followed tells whether any edge follows a log, as far as it is known.
func (h *Hub) Followed(log state.LogKey) (followed, known bool) { return h.FollowedElsewhere(log, "") }

func (h *Hub) settledLocked() bool {
	return h.mu.leading && time.Since(h.mu.since) >= settleFor
}

// arrive notes that a user follows a log on an edge, once for all of his sessions
// there.
func (h *Hub) arrive(f *feed, log state.LogKey, user wire.UserID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := h.mu.interests[log]
	if i == nil {
		return
	}
	here, ok := f.logs[i]
	if _, there := here[user]; !ok || there {
		return // it has dropped the log, or said so before
	}
	if here == nil {
		here = map[wire.UserID]struct{}{}
		f.logs[i] = here
	}
	if i.present == nil {
		i.present = map[wire.UserID]int{}
	}
	here[user] = struct{}{}
	i.present[user]++
}

// leave notes that no session of a user on an edge follows a log any more.
func (h *Hub) leave(f *feed, log state.LogKey, user wire.UserID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := h.mu.interests[log]
	if i == nil {
		return
	}
	if _, there := f.logs[i][user]; there {
		delete(f.logs[i], user)
		i.gone(user)
	}
}

// gone notes that a user is not present on one edge any more.
func (i *interest) gone(user wire.UserID) {
	if i.present[user]--; i.present[user] <= 0 {
		delete(i.present, user)
	}
}

// arrivedLocked counts a subscription that was granted, and tells the hub of a
// user who follows with his first.
func (t *shardTail) arrivedLocked(sub *Subscription) {
	f, user := sub.follow, sub.set.user
	if sub.counted || user == "" {
		return
	}
	sub.counted = true
	if f.present == nil {
		f.present = map[wire.UserID]int{}
	}
	if f.present[user]++; f.present[user] == 1 {
		t.wishLocked(presence{arrives: true, log: f.log, user: user}.append(nil))
	}
}

// leftLocked undoes arrivedLocked.
func (t *shardTail) leftLocked(sub *Subscription) {
	f, user := sub.follow, sub.set.user
	if !sub.counted {
		return
	}
	sub.counted = false
	if f.present[user]--; f.present[user] == 0 {
		delete(f.present, user)
		t.wishLocked(presence{log: f.log, user: user}.append(nil))
	}
}

// recountLocked begins to count anew, for a hub that knows nothing.
func (t *shardTail) recountLocked() {
	for _, f := range t.logs {
		f.present = nil
		for _, sub := range f.subs {
			sub.counted = false
		}
	}
}
