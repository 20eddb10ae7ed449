package node

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/quorate/quorate/wire"
)

const (
	// maxScans is how many questions of a node go to all shards at once: each of
	// them may be work for a second.
	maxScans = 2
	// maxWaiting is how many such questions of an app wait, and maxAskerWaiting how
	// many of one of its users: whoever asks for more is refused at once.
	maxWaiting      = 64
	maxAskerWaiting = 8
)

// errCrowded is returned for a question that is one too many.
var errCrowded = &wire.Error{Code: wire.CodeUnavailable, Text: "too many questions to all shards wait, ask again"}

// turns hands out a few places for work that takes long. As long as nobody waits,
// whoever comes gets one. Else the next one goes to the app that holds the fewest,
// or of several to the one whose turn is the longest ago; and within an app so
// among its users. So a flood of one app, or of one user, makes others wait for
// one of its places at most.
type turns struct {
	mu      sync.Mutex
	free    int
	now     uint64 // counts the turns
	apps    map[wire.AppID]*share
	askers  map[asker]*share
	waiting []*waiter // in the order in which they came
}

// asker is who wants a place: a user of an app, or with an empty user the app.
type asker struct {
	app  wire.AppID
	user wire.UserID
}

// share is what somebody has of the places. Who holds none and waits for none is
// forgotten.
type share struct {
	held, waiting int
	last          uint64 // turn; of one who has had none, as if he had had the last but one when he came
}

// waiter waits for a place.
type waiter struct {
	by   asker
	came chan struct{} // closed when it has one
}

func newTurns(places int) *turns {
	return &turns{free: places, apps: map[wire.AppID]*share{}, askers: map[asker]*share{}}
}

// take waits for a place, which is to be given back with give.
func (t *turns) take(ctx context.Context, by asker) error {
	w, err := t.begin(by)
	if err != nil {
		return err
	}
	select {
	case <-w.came:
		return nil
	case <-ctx.Done():
	}
	if t.giveUp(w) {
		return &wire.Error{Code: wire.CodeUnavailable, Text: errCrowded.Text, Err: ctx.Err()}
	}
	return nil // a place has come meanwhile
}

func (t *turns) begin(by asker) (*waiter, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := &waiter{by: by, came: make(chan struct{})}
	if t.free > 0 { // then nobody waits
		t.free--
		t.hold(w)
		return w, nil
	}
	shares := t.sharesOf(by)
	if shares[0].waiting >= maxWaiting || by.user != "" && shares[1].waiting >= maxAskerWaiting {
		t.forget(by)
		return nil, errCrowded
	}
	for _, s := range shares {
		s.waiting++
	}
	t.waiting = append(t.waiting, w)
	return w, nil
}

// giveUp ends waiting; false: the place is there.
func (t *turns) giveUp(w *waiter) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.waiting, w)
	if i >= 0 {
		t.leave(i)
		t.forget(w.by)
	}
	return i >= 0
}

// give gives a place back.
func (t *turns) give(by asker) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.sharesOf(by) {
		s.held--
	}
	if len(t.waiting) == 0 {
		t.free++
	} else {
		t.hold(t.leave(t.next()))
	}
	t.forget(by)
}

// hold lets a waiter have a place.
func (t *turns) hold(w *waiter) {
	t.now++
	for _, s := range t.sharesOf(w.by) {
		s.held++
		s.last = t.now
	}
	close(w.came)
}

// leave takes one out of those that wait.
func (t *turns) leave(i int) *waiter {
	w := t.waiting[i]
	t.waiting = slices.Delete(t.waiting, i, i+1)
	for _, s := range t.sharesOf(w.by) {
		s.waiting--
	}
	return w
}

// next says whose turn it is. There are not many that wait.
func (t *turns) next() int {
	best := 0
	for i := 1; i < len(t.waiting); i++ {
		if t.before(t.waiting[i].by, t.waiting[best].by) {
			best = i
		}
	}
	return best
}

func (t *turns) before(a, b asker) bool {
	x, y := t.sharesOf(a), t.sharesOf(b)
	order := 0
	for i := range x {
		order = cmp.Or(order, cmp.Compare(x[i].held, y[i].held), cmp.Compare(x[i].last, y[i].last))
	}
	return order < 0
}

// sharesOf returns what an asker's app has, and what he has himself.
func (t *turns) sharesOf(by asker) [2]*share {
	app, own := t.apps[by.app], t.askers[by]
	if app == nil {
		app = &share{last: t.now - 1}
		t.apps[by.app] = app
	}
	if own == nil {
		own = &share{last: t.now - 1}
		t.askers[by] = own
	}
	return [2]*share{app, own}
}

// forget forgets who has nothing.
func (t *turns) forget(by asker) {
	if s := t.apps[by.app]; s != nil && s.held == 0 && s.waiting == 0 {
		delete(t.apps, by.app)
	}
	if s := t.askers[by]; s != nil && s.held == 0 && s.waiting == 0 {
		delete(t.askers, by)
	}
}
