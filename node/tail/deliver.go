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
	policy    state.Policy // as much of it as decides who sees what
	selective bool         // some entry is not for everybody, or not the same for all
	shared    []*Batch     // of all entries, each for those who were told of everything up to its After
}

func (f *follow) isSelective(e *state.Entry) bool {
	switch {
	case e.Kind.IsNotice():
		return !f.notices
	case e.Message == nil:
		return e.Target != 0
	default:
		return len(e.Message.Targets) > 0
	}
}

// deliverLocked tells one subscription of a push.
func (t *shardTail) deliverLocked(sub *Subscription, d *delivery) {
	if sub.waiting != nil {
		sub.noteRemoval(d.push.entries)
	}
	if sub.status != active || sub.seen >= d.upto {
		return
	}
	gone := removal(sub.set.user, max(sub.seen, sub.granted), d.push.entries)
	if sub.behind || sub.seen < d.push.after {
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
		sub.seen = b.Upto // nothing for this reader; the next batch begins where the last one ended
		return
	}
	if !sub.set.sink.Deliver(b) {
		sub.behind = true
		return
	}
	sub.sent, sub.seen = b.Upto, b.Upto
	if b.Ended {
		t.removeLocked(sub)
	}
}

// batch returns what a subscription is told of the push.
func (d *delivery) batch(sub *Subscription, gone wire.Offset) *Batch {
	if sub.seen == d.push.after && gone == 0 && !d.selective {
		return d.sharedAfter(sub.sent)
	}
	b := &Batch{Log: d.push.log, After: sub.sent, Upto: d.upto, Last: d.last}
	if gone > 0 {
		b.Upto, b.Ended = gone, true
	}
	for _, e := range d.push.entries {
		if e.Offset <= sub.seen || e.Offset > b.Upto {
			continue
		}
		if shown := e.For(sub.set.user, &d.policy); shown != nil {
			b.Entries = append(b.Entries, shown)
		}
	}
	return b
}

// sharedAfter returns the batch of all entries for those who were told of
// everything up to an offset: where the push begins or, for some, where the last
// entry was that was for them.
func (d *delivery) sharedAfter(after wire.Offset) *Batch {
	for _, b := range d.shared {
		if b.After == after {
			return b
		}
	}
	b := &Batch{Log: d.push.log, After: after, Upto: d.upto, Last: d.last, Entries: d.push.entries}
	d.shared = append(d.shared, b)
	return b
}

// noteRemoval notes what entries say of the user's membership while the state's
// answer is awaited.
func (s *Subscription) noteRemoval(entries []*state.Entry) {
	for _, e := range entries {
		switch {
		case removes(e, s.set.user):
			s.waiting.removed = e.Offset
		case e.Kind == state.EntryMembersAdded && slices.Contains(e.Users, s.set.user):
			s.waiting.removed = 0
		}
	}
}

// removal returns the offset past the given one at which entries end the user's
// membership, or 0. One who is added again in the same push begins anew.
func removal(user wire.UserID, after wire.Offset, entries []*state.Entry) wire.Offset {
	for _, e := range entries {
		if e.Offset > after && removes(e, user) {
			return e.Offset
		}
	}
	return 0
}

func removes(e *state.Entry, user wire.UserID) bool {
	return e.Kind == state.EntryDestroyed || e.Kind == state.EntryMembersRemoved && slices.Contains(e.Users, user)
}

// endLocked tells a subscription that it sees nothing past an offset, and
// removes it. Whatever was not told before that is left to be read.
func (t *shardTail) endLocked(sub *Subscription, upto wire.Offset) {
	b := &Batch{Log: sub.follow.log, After: sub.sent, Upto: max(upto, sub.sent), Last: sub.follow.last, Ended: true}
	b.Behind = b.Upto > b.After
	sub.set.sink.Deliver(b)
	t.removeLocked(sub)
}
