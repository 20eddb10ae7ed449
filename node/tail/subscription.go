package tail

import (
	"errors"
	"slices"
	"sync"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// Sink takes what a subscription is told. Its methods are called with a lock of
// the edge held: they queue and return.
type Sink interface {
	// Deliver queues a batch, or returns false when there is no room: then it
	// has taken nothing, and calls Set.CatchUp once there is room. A batch that
	// says "ended" is small and always taken.
	Deliver(b *Batch) bool
	// DeliverCursor queues a cursor, or returns false when there is no room, and
	// calls Set.CatchUp once there is: the reader's own is delivered again then,
	// another's is lost.
	DeliverCursor(c Cursor) bool
	// DeliverTransient queues what may be dropped.
	DeliverTransient(t *Transient)
	// Late makes the sink call Set.CatchUp soon.
	Late()
}

// Batch says everything about (After, Upto] of a log that is for its reader.
type Batch struct {
	Log     state.LogKey
	After   wire.Offset
	Upto    wire.Offset
	Last    wire.Offset    // the log's last offset that the edge knows
	Entries []*state.Entry // shared, never changed
	Behind  bool           // nothing is said of (After, Upto]: read it
	Ended   bool           // the reader may not see anything past Upto

	// Frame is the batch as the native door has encoded it, and Lean what the
	// LeanMessage door has made of it: one batch is handed to all subscriptions that
	// are in step, one after another, so the first of them encodes for all.
	Frame []byte
	Lean  any
}

// Cursor is where a member's cursors in a conversation are now.
type Cursor struct {
	Log             state.LogKey
	User            wire.UserID
	Read, Delivered wire.Seq

	ReadStamp, DeliveredStamp int64         // milliseconds since 1970
	Asked                     []state.Asked // messages that this move has passed and whose senders asked to be told; shared, never changed
	Origin                    state.Origin
}

// Transient is a message that is not stored. It is shared, and never changed but
// for what doors make of it, as of a Batch.
type Transient struct {
	Log     state.LogKey
	Origin  state.Origin
	Message *state.Message // without a place in the log
	Frame   []byte
	Lean    any
}

// Subscription is one session's interest in one log.
type Subscription struct {
	set *Set

	// Guarded by the shard tail's lock.
	follow  *follow
	sent    wire.Offset // what the sink has been told of
	seen    wire.Offset // at or past sent: what lies between is not for the reader
	granted wire.Offset // the state has said at this offset that the user may
	read    wire.Seq    // how far the user has read, as far as the edge knows
	waiting *wait       // the registration without an answer
	status  status      // what becomes of it
	behind  bool        // the sink is to be told "behind"
	unread  bool        // the sink is to be told read
	counted bool        // among those present
}

// status is where a subscription is in its life. It never goes back.
type status uint8

const (
	starting status = iota // the state has not said yet whether the user may
	active
	ended
)

// wait is a registration without an answer.
type wait struct {
	id      uint64
	after   wire.Offset // where to begin
	fromEnd bool        // or at the log's end
	removed wire.Offset // a push has removed the user at this offset
	read    wire.Seq    // how far a push said that the user has read
	doubted bool        // the log ended before it, and the hub is asked again
	willed  uint64      // of one that was granted before: up to which will it was told
	done    func(Started, error)
}

// Started is where a subscription stands once the state has granted it.
type Started struct {
	Last  wire.Offset // the log's last offset
	After wire.Offset // what follows this is told
	Read  wire.Seq    // the last message that the user has read; whenever he reads on is told
}

// Log returns the log that is followed.
func (s *Subscription) Log() state.LogKey { return s.follow.log }

// follow is one log that an edge follows.
type follow struct {
	tail *shardTail
	log  state.LogKey
	last wire.Offset // the last offset the edge knows
	subs []*Subscription

	notices bool                // members are told who comes and goes
	present map[wire.UserID]int // where the hub counts who follows: each user's subscriptions
	wills   *heardWills         // nil: none
}

// MaxSubscriptions is how many logs one session may follow.
const MaxSubscriptions = 2000

// ErrTwice is returned for a second subscription of a session to one log.
var ErrTwice = errors.New("tail: the session follows this log already")

// ErrTooMany is returned beyond MaxSubscriptions.
var ErrTooMany = errors.New("tail: the session follows too many logs")

// Set is the subscriptions of one session: they have one user and one sink. Its
// zero value is empty.
type Set struct {
	user wire.UserID // set with the first subscription, and then constant
	sink Sink

	mu   sync.Mutex
	subs []*Subscription
}

// Grow makes room for n more subscriptions at once.
func (s *Set) Grow(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subs = slices.Grow(s.subs, n)
}

func (s *Set) add(sub *Subscription, user wire.UserID, sink Sink) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sink == nil {
		s.user, s.sink = user, sink
	}
	switch {
	case s.find(sub.follow.log) >= 0:
		return ErrTwice
	case len(s.subs) >= MaxSubscriptions:
		return ErrTooMany
	}
	s.subs = append(s.subs, sub)
	return nil
}

func (s *Set) find(log state.LogKey) int {
	return slices.IndexFunc(s.subs, func(o *Subscription) bool { return o.follow.log == log })
}

func (s *Set) remove(sub *Subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subs = slices.DeleteFunc(s.subs, func(o *Subscription) bool { return o == sub })
}

// Of returns the subscription to a log; nil: there is none.
func (s *Set) Of(log state.LogKey) *Subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.find(log); i >= 0 {
		return s.subs[i]
	}
	return nil
}

func (s *Set) all() []*Subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.subs)
}

// CatchUp tells the session of each log that it is behind in.
func (s *Set) CatchUp() {
	for _, sub := range s.all() {
		sub.follow.tail.catchUp(sub)
	}
}

// Close ends all subscriptions.
func (s *Set) Close() {
	for _, sub := range s.all() {
		sub.follow.tail.unsubscribe(sub)
	}
}
