package node

import (
	"sync"
	"time"

	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/node/session"
	"github.com/quorate/quorate/wire"
)

// userKey names a user of an app.
type userKey struct {
	app  wire.AppID
	user wire.UserID
}

// sessions is every session of this node. Its zero value is empty.
type sessions struct {
	mu      sync.Mutex
	all     map[uint64]*session.Session // by ID
	doors   map[string]door.Session     // those of other doors, by name
	user    map[userKey]int             // how many each user has here
	crowded int                         // sessions that have begun since dense was told last
}

const (
	// A collection is due after so many sign-ins, and after one for so many
	// sessions that are there: then its cost, over all sign-ins, stays the same.
	crowd      = 64
	crowdShare = 8
)

// dense tells whether a collection is due. A sign-in allocates ten times of what
// the session keeps. What is kept lies among that, and the runtime moves nothing:
// of a thousand clients that come at once, each would take twice its memory, for
// as long as it stays.
func (l *sessions) dense() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.crowded++
	if l.crowded < max(crowd, (len(l.all)+len(l.doors))/crowdShare) {
		return false
	}
	l.crowded = 0
	return true
}

func keyOf(s *session.Session) userKey { return userKey{s.Identity.App, s.Identity.User} }

func (l *sessions) add(s *session.Session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.beginLocked()
	l.all[s.ID] = s
	l.user[keyOf(s)]++
}

func (l *sessions) beginLocked() {
	if l.all == nil {
		l.all, l.doors, l.user = map[uint64]*session.Session{}, map[string]door.Session{}, map[userKey]int{}
	}
}

func (l *sessions) remove(s *session.Session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all[s.ID] == nil {
		return
	}
	delete(l.all, s.ID)
	l.goneLocked(keyOf(s))
}

func (l *sessions) goneLocked(k userKey) {
	if l.user[k] > 1 {
		l.user[k]--
	} else {
		delete(l.user, k)
	}
}

// open notes a session of another door, or what has changed of it. It tells
// whether it is new.
func (l *sessions) open(s door.Session) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.beginLocked()
	_, again := l.doors[s.Name]
	if !again {
		l.user[userKey{s.App, s.User}]++
	}
	l.doors[s.Name] = s
	return !again
}

// end forgets a session of another door. It returns false when there is none.
func (l *sessions) end(s door.Session) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, there := l.doors[s.Name]; !there {
		return false
	}
	delete(l.doors, s.Name)
	l.goneLocked(userKey{s.App, s.User})
	return true
}

// count returns how many sessions a user has on this node.
func (l *sessions) count(app wire.AppID, user wire.UserID) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.user[userKey{app, user}]
}

// withTag returns the sessions that have taken a tag.
func (l *sessions) withTag() (native []*session.Session, others []door.Session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.all {
		if s.Tag != "" {
			native = append(native, s)
		}
	}
	for _, s := range l.doors {
		if s.Tag != "" {
			others = append(others, s)
		}
	}
	return native, others
}

func (l *sessions) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all)
}

// goaway asks all clients to move, spread over the time given.
func (l *sessions) goaway(within time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, i := len(l.all), 0
	for _, s := range l.all {
		s.Goaway(within * time.Duration(i) / time.Duration(n))
		i++
	}
}
