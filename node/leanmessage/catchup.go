package leanmessage

import (
	"context"
	"errors"
	"time"

	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/node/tail"
	"github.com/quorate/quorate/shard/state"
)

const (
	// catchUpPause is between two questions for a log that got no answer.
	catchUpPause = 300 * time.Millisecond
	// catchUpPage is how many entries are read at once.
	catchUpPage = 200
	// catchUpBytes is about how large such a page is.
	catchUpBytes = 128 << 10
)

// readOn reads a log on from where the session is in it, and pushes what it
// reads, until it has reached what the edge has told of meanwhile.
func (c following) readOn(ctx context.Context, l *followed) {
	for !c.caughtUp(l) {
		one, cancel := context.WithTimeout(ctx, c.door().opts.RequestTimeout)
		err := c.readPage(one, l)
		cancel()
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return
		}
		if _, refused := errors.AsType[*state.RefusedError](err); refused {
			c.giveUp(l)
			return
		}
		if clock.Sleep(ctx, catchUpPause) != nil {
			return
		}
	}
}

// caughtUp ends reading when the goal is reached: what the edge tells from here on
// begins there.
func (c following) caughtUp(l *followed) bool {
	c.feed.turn.Lock()
	defer c.feed.turn.Unlock()
	if l.upto < l.goal {
		return false
	}
	c.endReadingLocked(l)
	return true
}

func (c following) endReadingLocked(l *followed) {
	l.reading = false
	if b := l.last; b != nil {
		l.last = nil
		c.send(c.pushesLocked(nil, l, b), true)
		c.reachedLocked(l, b)
	}
}

// giveUp ends reading a log that the user may not read any more, or that does not
// have what he missed: he goes on where the edge is.
func (c following) giveUp(l *followed) {
	c.feed.turn.Lock()
	defer c.feed.turn.Unlock()
	l.upto = max(l.upto, l.goal)
	c.endReadingLocked(l)
}

// readPage pushes the next page of a log, once there is room for it.
func (c following) readPage(ctx context.Context, l *followed) error {
	root := string(l.id)
	if root == "" {
		root = string(c.user)
	}
	c.feed.turn.Lock()
	goal := l.goal
	q := &ask.Log{Conversation: l.id, After: l.upto, Limit: catchUpPage, Bytes: catchUpBytes}
	c.feed.turn.Unlock()
	a, err := c.host().Ask(ctx, c.app, c.user, root, &ask.Request{Log: q})
	if err != nil {
		return err
	}
	if a.Log == nil {
		return errorf(CodeInternalError, "no answer about a log")
	}
	entries, err := a.Log.Entries(l.id)
	if err != nil {
		return err
	}
	c.awaitOwn(ctx, l, entries)
	if !c.socket.awaitRoom() {
		return context.Canceled
	}
	b := &tail.Batch{Log: c.logKey(l), After: a.Log.After, Upto: a.Log.Upto, Last: a.Log.Last, Entries: entries}
	c.feed.turn.Lock()
	defer c.feed.turn.Unlock()
	c.send(c.pushesLocked(nil, l, b), true)
	c.reachedLocked(l, b)
	// Nothing is missing, though the goal may say more of a log that was cut off;
	// but what the edge has told since the question is not in the answer.
	if a.Log.Upto >= a.Log.Last && l.goal == goal {
		l.goal = min(goal, max(l.upto, a.Log.Last))
	}
	return nil
}

func (c following) logKey(l *followed) state.LogKey {
	if l.id == "" {
		return state.LogKey{App: c.app, User: c.user}
	}
	return state.LogKey{App: c.app, Conversation: l.id}
}
