package tail

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/quorate/quorate/mutant"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// maxWishBytes bounds one message of wishes.
const maxWishBytes = 64 << 10

// shardTail is what an edge follows in one shard. Everything but its constant
// fields is guarded by mu.
type shardTail struct {
	edge  *Edge
	shard wire.ShardID
	wake  chan struct{} // there are wishes to send

	mu      sync.Mutex
	logs    map[state.LogKey]*follow
	waiting map[uint64]*Subscription // registrations without an answer
	doubted []doubt                  // asked again a little later
	nextID  uint64
	wishes  [][]byte
	online  bool
	met     bool // there was a stream
}

// doubt is a subscription that has seen more than the hub has: until a leader
// knows that it is none any more, it is behind.
type doubt struct {
	sub *Subscription
	at  time.Time // when the hub is asked again
}

// doubtFor is how long a hub is doubted before it is believed that a position is
// not in the log: longer than an unseated leader takes to notice.
const doubtFor = 1500 * time.Millisecond

func newShardTail(e *Edge, s wire.ShardID) *shardTail {
	return &shardTail{
		edge: e, shard: s, wake: make(chan struct{}, 1),
		logs: map[state.LogKey]*follow{}, waiting: map[uint64]*Subscription{},
	}
}

func (t *shardTail) follows() (logs, subscriptions int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.logs {
		subscriptions += len(f.subs)
	}
	return len(t.logs), subscriptions
}

func (t *shardTail) subscribe(r Request) (*Subscription, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.logs[r.Log]
	if f == nil {
		f = &follow{tail: t, log: r.Log}
	}
	sub := r.Into
	if sub == nil {
		sub = new(Subscription)
	}
	sub.set, sub.follow = r.Set, f
	sub.waiting = &wait{after: r.After, fromEnd: r.FromEnd, done: r.Done}
	if err := r.Set.add(sub, r.User, r.Sink); err != nil {
		return nil, err
	}
	t.logs[r.Log] = f
	f.subs = append(f.subs, sub)
	t.registerLocked(sub)
	return sub, nil
}

func (t *shardTail) unsubscribe(sub *Subscription) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.removeLocked(sub)
}

func (t *shardTail) removeLocked(sub *Subscription) {
	f := sub.follow
	if sub.waiting != nil {
		delete(t.waiting, sub.waiting.id)
		sub.waiting = nil
	}
	sub.status = ended
	t.leftLocked(sub)
	sub.set.remove(sub)
	f.subs = slices.DeleteFunc(f.subs, func(o *Subscription) bool { return o == sub })
	if len(f.subs) == 0 && t.logs[f.log] == f {
		delete(t.logs, f.log)
		t.wishLocked(appendDrop(nil, f.log))
	}
}

// registerLocked asks the hub whether the subscription's user may follow.
func (t *shardTail) registerLocked(sub *Subscription) {
	if sub.waiting == nil {
		sub.waiting = &wait{willed: sub.follow.lastWill()}
	}
	delete(t.waiting, sub.waiting.id)
	t.nextID++
	sub.waiting.id, sub.waiting.removed = t.nextID, 0
	t.waiting[t.nextID] = sub
	t.wishLocked(register{id: t.nextID, log: sub.follow.log, user: sub.set.user}.append(nil))
}

// wishLocked queues a wish. Without a stream there is no need to: everything is
// registered when there is one.
func (t *shardTail) wishLocked(wish []byte) {
	if !t.online {
		return
	}
	t.wishes = append(t.wishes, wish)
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

func (t *shardTail) takeWishes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	var message []byte
	n := 0
	for n < len(t.wishes) && len(message) < maxWishBytes {
		message = append(message, t.wishes[n]...)
		n++
	}
	t.wishes = slices.Delete(t.wishes, 0, n)
	return message
}

// connected registers everything anew with a hub that knows nothing of it. It
// tells whether there was a stream before.
func (t *shardTail) connected() (again bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	again, t.met = t.met, true
	t.online = true
	t.recountLocked()
	t.registerAllLocked()
	return again
}

// registerAllLocked asks the hub anew about every subscription. What else it was
// to be told, it is told first.
func (t *shardTail) registerAllLocked() {
	t.wishes = slices.DeleteFunc(t.wishes, func(wish []byte) bool { return wish[0] == recordRegister })
	for _, f := range t.logs {
		for _, sub := range f.subs {
			t.registerLocked(sub)
		}
	}
}

func (t *shardTail) disconnected() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.online, t.wishes = false, nil
}

// message takes the hub's next message, which must have the number given.
func (t *shardTail) message(want uint64, b []byte) error {
	r := bin.NewReader(b)
	h := readHead(r)
	if err := r.Err(); err != nil {
		return err
	}
	if h.number != want {
		// One was dropped on the way: everything is compared anew. Nothing of this
		// one is told: a removal may have been in the other.
		return fmt.Errorf("%w: message %d after %d", errBadMessage, h.number, want-1)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if h.lost {
		t.registerAllLocked() // before the records, for the same reason
	}
	if err := readRecords(r, (*lockedTail)(t)); err != nil {
		return err
	}
	t.askAgainLocked()
	return nil
}

// lockedTail takes records while the tail's lock is held.
type lockedTail shardTail

func (l *lockedTail) pushed(p push) {
	t := (*shardTail)(l)
	f := t.logs[p.log]
	upto := p.after + wire.Offset(len(p.entries))
	if f == nil {
		return
	}
	f.last = max(f.last, upto)
	d := delivery{push: p, upto: upto, last: f.last, policy: state.Policy{Notices: f.notices}, selective: slices.ContainsFunc(p.entries, f.isSelective)}
	for _, sub := range slices.Backward(f.subs) { // backwards, since it may remove the one it is at
		t.deliverLocked(sub, &d)
	}
}

// answered takes what the state says of a registration.
func (l *lockedTail) answered(a answer) {
	t := (*shardTail)(l)
	sub := t.waiting[a.id]
	if sub == nil {
		return
	}
	delete(t.waiting, a.id)
	w := sub.waiting
	if t.doubtLocked(sub, a) {
		return
	}
	sub.waiting = nil

	// A removal that was applied after the state was asked may have been pushed
	// before the answer.
	if a.refusal == state.None && w.removed > a.last {
		a.refusal = state.NotMember
	}
	f := sub.follow
	if a.refusal == state.None {
		f.last = max(f.last, a.last)
		f.notices = a.notices
		sub.granted = a.last
	}
	switch {
	case sub.status == starting:
		t.startLocked(sub, w, a)
	case a.refusal != state.None:
		t.endLocked(sub, sub.sent)
	case !mutant.On(mutant.NoCatchUp): // a planted bug, see package mutant
		t.lateLocked(sub)
		sub.tellRead(max(a.read, w.read))
		sub.tellMissed(w.willed)
	}
	if a.present && sub.status == active {
		t.arrivedLocked(sub)
	}
}

// doubtLocked tells whether a registration is to be asked about again before its
// answer is believed, and notes that.
func (t *shardTail) doubtLocked(sub *Subscription, a answer) bool {
	w := sub.waiting
	if sub.status != starting || a.refusal != state.None || w.after <= a.last || w.doubted {
		return false
	}
	w.doubted = true
	t.doubted = append(t.doubted, doubt{sub, time.Now().Add(doubtFor)})
	return true
}

// askAgainLocked registers anew what was doubted long enough. A hub says
// something each second, so this needs no timer.
func (t *shardTail) askAgainLocked() {
	if len(t.doubted) == 0 {
		return
	}
	now := time.Now()
	t.doubted = slices.DeleteFunc(t.doubted, func(d doubt) bool {
		if d.sub.waiting == nil || !d.sub.waiting.doubted {
			return true // it has ended
		}
		if now.Before(d.at) {
			return false
		}
		t.registerLocked(d.sub)
		return true
	})
}

// startLocked begins a new subscription, or tells why not.
func (t *shardTail) startLocked(sub *Subscription, w *wait, a answer) {
	after := w.after
	if w.fromEnd {
		after = a.last
	}
	if a.refusal == state.None && (after > a.last || after < a.floor) {
		a.refusal = state.StartOver
	}
	if a.refusal != state.None {
		t.removeLocked(sub)
		w.done(Started{Last: a.last}, &state.RefusedError{Refusal: a.refusal})
		return
	}
	sub.status, sub.sent = active, max(after, a.from)
	sub.seen, sub.read = sub.sent, max(a.read, w.read)
	w.done(Started{Last: a.last, After: sub.sent, Read: sub.read}, nil)
	t.lateLocked(sub)
}

// lateLocked has the sink told what it has missed, if it has missed anything.
func (t *shardTail) lateLocked(sub *Subscription) {
	if sub.seen < sub.follow.last {
		sub.behind = true
		sub.set.sink.Late()
	}
}

// follows tells whether the state has granted the subscription on the present
// stream. What has no offset is told to no other: entries show by their offsets
// that no removal lies between, a transient message does not.
func (s *Subscription) follows() bool { return s.status == active && s.waiting == nil }

func (l *lockedTail) cursorMoved(c cursor) {
	t := (*shardTail)(l)
	f := t.logs[c.log]
	if f == nil {
		return
	}
	c.moved.Log = f.log
	for _, sub := range f.subs {
		switch own := sub.set.user == c.moved.User; {
		case own && sub.waiting != nil:
			sub.waiting.read = max(sub.waiting.read, c.moved.Read)
		case own && sub.follows():
			sub.read = max(sub.read, c.moved.Read)
			sub.deliverRead(c.moved)
		case c.receipts && sub.follows():
			sub.set.sink.DeliverCursor(c.moved)
		}
	}
}

// tellRead tells the sink how far its user has read, if it is further than the
// sink was told: while there was no stream he may have read elsewhere.
func (s *Subscription) tellRead(read wire.Seq) {
	if read > s.read {
		s.read = read
		s.deliverRead(s.ownCursor())
	}
}

// ownCursor is where the user is, as far as the edge knows.
func (s *Subscription) ownCursor() Cursor {
	return Cursor{Log: s.follow.log, User: s.set.user, Read: s.read}
}

func (s *Subscription) deliverRead(c Cursor) { s.unread = !s.set.sink.DeliverCursor(c) }

func (l *lockedTail) transient(one Transient) {
	t := (*shardTail)(l)
	f := t.logs[one.Log]
	if f == nil {
		return
	}
	one.Log = f.log
	for _, sub := range f.subs {
		if sub.follows() {
			sub.tell(&one)
		}
	}
}

// catchUp tells a session that it is behind, now that its queue has room.
func (t *shardTail) catchUp(sub *Subscription) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if sub.status != active {
		return
	}
	if sub.unread {
		sub.deliverRead(sub.ownCursor())
	}
	if !sub.behind {
		return
	}
	f := sub.follow
	b := &Batch{Log: f.log, After: sub.sent, Upto: f.last, Last: f.last, Behind: true}
	if sub.seen >= b.Upto {
		sub.behind = false
		return
	}
	if sub.set.sink.Deliver(b) {
		sub.sent, sub.seen, sub.behind = f.last, f.last, false
	}
}
