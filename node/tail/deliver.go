package tail

import (
	"slices"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// delivery is one push on its way to a log's subscriptions. Those in step share
// one batch.
type delivery struct {
	push      push
	upto      wire.Offset
	last      wire.Offset
	policy    *state.Policy
	selective bool   // some entry is not for everybody, or not the same for all
	shared    *Batch // of all entries, for those who were told of everything before
}

func (f *follow) isSelective(e *state.Entry) bool {
	if e.Kind == state.EntryMembersAdded || e.Kind == state.EntryMembersRemoved {
		return !f.policy.Notices
	}
	return e.Message != nil && len(e.Message.Targets) > 0
}

// deliverLocked tells one subscription of a push.
func (t *shardTail) deliverLocked(sub *Subscription, d *delivery) {
	gone, back := membership(sub.user, d.push.entries)
	if sub.waiting != nil {
		if gone > 0 {
			sub.removed = gone
		} else if back {
			sub.removed = 0
		}
	}
	if sub.status != active || sub.sent >= d.upto {
		return
	}
	if sub.behind || sub.sent < d.push.after {
		// It is told "behind" when it has room, of this push too.
		if gone > 0 {
			t.endLocked(sub, gone)
			return
		}
		t.lateLocked(sub)
		return
	}
	b := d.batch(sub, gone)
	if len(b.Entries) == 0 && !b.Ended {
		return // nothing for this reader; the next batch begins where the last one ended
	}
	if !sub.sink.Deliver(b) {
		sub.behind = true
		return
	}
	sub.sent = b.Upto
	if b.Ended {
		t.removeLocked(sub)
	}
}

// batch returns what a subscription is told of the push.
func (d *delivery) batch(sub *Subscription, gone wire.Offset) *Batch {
	inStep := sub.sent == d.push.after && gone == 0
	if inStep && !d.selective {
		if d.shared == nil {
			d.shared = &Batch{Log: d.push.log, After: d.push.after, Upto: d.upto, Last: d.last, Entries: d.push.entries}
		}
		return d.shared
	}
	b := &Batch{Log: d.push.log, After: sub.sent, Upto: d.upto, Last: d.last}
	if gone > 0 {
		b.Upto, b.Ended = gone, true
	}
	for _, e := range d.push.entries {
		if e.Offset <= sub.sent || e.Offset > b.Upto {
			continue
		}
		if shown := e.For(sub.user, d.policy); shown != nil {
			b.Entries = append(b.Entries, shown)
		}
	}
	return b
}

// membership returns the offset at which entries end the user's membership, or
// 0, and whether they make him a member (again) after that.
func membership(user wire.UserID, entries []*state.Entry) (gone wire.Offset, back bool) {
	for _, e := range entries {
		switch e.Kind {
		case state.EntryMembersRemoved:
			if slices.Contains(e.Users, user) {
				gone, back = e.Offset, false
			}
		case state.EntryDestroyed:
			gone, back = e.Offset, false
		case state.EntryMembersAdded:
			if slices.Contains(e.Users, user) {
				gone, back = 0, true
			}
		default:
		}
	}
	return gone, back
}

// endLocked tells a subscription that it sees nothing past an offset, and
// removes it. Whatever was not told before that is left to be read.
func (t *shardTail) endLocked(sub *Subscription, upto wire.Offset) {
	b := &Batch{Log: sub.follow.log, After: sub.sent, Upto: max(upto, sub.sent), Last: sub.follow.last, Ended: true}
	b.Behind = b.Upto > b.After
	sub.sink.Deliver(b)
	t.removeLocked(sub)
}
