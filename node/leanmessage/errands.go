package leanmessage

import (
	"context"
	"sync"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/wire"
)

const (
	// maxErrands is how many conversations may wait in a list of errands. Beyond it
	// they are dropped, for a client says them faster than they are done.
	maxErrands = ask.MaxPlaces
	// errandsAtOnce is how many errands are done in one go.
	errandsAtOnce = 200
)

// errands are places of which a client has said that it has got them, or read
// them, and that shards must be asked about. Nothing is answered to that, and it
// is not counted, so nothing but this list keeps a client from having more done
// than the node can: of each conversation the latest place waits, and one
// goroutine of the session goes through them.
type errands struct {
	mu      sync.Mutex
	waiting map[wire.ConversationID]errand // guarded by mu
	running bool                           // guarded by mu
}

// errand is a place, and the sequence that it stands for if that is known.
type errand struct {
	ask.PlaceIn

	seq wire.Seq
}

// before tells whether another errand in the same conversation says as much, and
// more.
func (e errand) before(other errand) bool {
	if e.seq > 0 && other.seq > 0 {
		return e.seq < other.seq
	}
	return e.Time < other.Time
}

// errandLists are a session's errands, by what is to be done.
type errandLists struct {
	got, read errands
	services  errands // read, of what is a service or may be one
}

// put has a place wait. It tells whether nobody is at the list.
func (e *errands) put(one errand) (start bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	old, there := e.waiting[one.Conversation]
	switch {
	case !there && len(e.waiting) >= maxErrands, there && one.before(old):
		return false
	case e.waiting == nil:
		e.waiting = map[wire.ConversationID]errand{}
	}
	e.waiting[one.Conversation] = one
	start, e.running = !e.running, true
	return start
}

// take returns some of what waits; nothing: it is not for the caller any more.
func (e *errands) take() []errand {
	e.mu.Lock()
	defer e.mu.Unlock()
	some := make([]errand, 0, min(len(e.waiting), errandsAtOnce))
	for id, one := range e.waiting {
		if len(some) == errandsAtOnce {
			break
		}
		some = append(some, one)
		delete(e.waiting, id)
	}
	if len(some) == 0 {
		e.running, e.waiting = false, nil
	}
	return some
}

// later has an errand done, with others that wait.
func (c *client) later(e *errands, one errand, do func(ctx context.Context, some []errand)) {
	if !e.put(one) {
		return
	}
	c.run(func(ctx context.Context) {
		for some := e.take(); len(some) > 0; some = e.take() {
			if ctx.Err() == nil {
				do(ctx, some)
			}
		}
	})
}
