package leanmessage

import (
	"context"
	"slices"
	"time"

	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/shard/state"
)

// ownPause is between two looks whether requests are answered.
const ownPause = 10 * time.Millisecond

// awaitOwn waits while entries that were read from a log may be the session's own:
// the user's, and of a request whose answer is on its way. Afterwards it is known
// which ones are.
func (c following) awaitOwn(ctx context.Context, l *followed, entries []*state.Entry) {
	maybe := func(e *state.Entry) bool { return c.byUser(e) && !c.feed.isOwn(l.id, e.Offset) }
	if !slices.ContainsFunc(entries, maybe) {
		return
	}
	upto := c.out.newest()
	for c.out.waitsUpto(upto) && clock.Sleep(ctx, ownPause) == nil {
	}
}

// byUser tells whether an entry is a message of the session's user, or a change of
// one.
func (c following) byUser(e *state.Entry) bool {
	switch e.Kind {
	case state.EntryMessage:
		return e.Message != nil && e.Message.From == c.user
	case state.EntryEdited, state.EntryRecalled:
		return e.Actor == c.user
	default:
		return false
	}
}

// newest returns the number of the last request.
func (o *outbox) newest() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.last
}

// waitsUpto tells whether a request up to a number is not answered.
func (o *outbox) waitsUpto(number uint64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for open := range o.open {
		if open <= number {
			return true
		}
	}
	return false
}
