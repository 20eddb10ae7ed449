package tail

import (
	"slices"
	"time"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire/bin"
)

// A will is transient, but it is said when a node has died, and then leaders have
// just changed: the hub that tells it may have no edges yet. So the hubs of all
// replicas keep it for a while, and tell it to edges that begin to follow its log
// meanwhile; an edge tells each subscription that was there before, once.

const (
	// keepWills is how long a hub keeps a will: longer than edges take to find a
	// new leader, and that one to be elected.
	keepWills = 15 * time.Second
	// maxKeptWills and maxKeptBytes bound what a hub keeps. Beyond it the oldest
	// are forgotten: who follows a hub that leads was told of them.
	maxKeptWills = 1000
	maxKeptBytes = 1 << 20
	// maxRecentWills is how many wills of a log an edge keeps for subscriptions
	// that have no answer yet.
	maxRecentWills = 16
)

// Will is a transient message that was applied, and so is known to all replicas.
type Will struct {
	Log     state.LogKey
	Number  uint64 // the same on all replicas, and higher than that of the log's will before
	Message *state.Message
	Age     time.Duration // since it was applied first: a replica may do it again when it starts
}

// Tell sends a will to the edges that follow its log, and keeps it for those that
// will soon. It is called on the goroutine of apply, whether the replica leads or
// not.
func (h *Hub) Tell(w Will) {
	record := appendWill(nil, w.Log, w.Number, EncodeTransient(nil, w.Message))
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range h.feedsLocked(w.Log) {
		f.add(record)
	}
	h.mu.wills.keep(w.Log, record, keepWills-max(w.Age, 0))
}

// keptWills is what a hub keeps.
type keptWills struct {
	all   []keptWill
	bytes int
}

type keptWill struct {
	log    state.LogKey
	record []byte
	until  time.Time
}

func (k *keptWills) keep(log state.LogKey, record []byte, life time.Duration) {
	now := time.Now()
	k.expire(now)
	if life <= 0 {
		return
	}
	k.all = append(k.all, keptWill{log, record, now.Add(life)})
	k.bytes += len(record)
	for len(k.all) > maxKeptWills || k.bytes > maxKeptBytes {
		k.bytes -= len(k.all[0].record)
		k.all = slices.Delete(k.all, 0, 1)
	}
}

func (k *keptWills) expire(now time.Time) {
	k.all = slices.DeleteFunc(k.all, func(w keptWill) bool {
		if now.Before(w.until) {
			return false
		}
		k.bytes -= len(w.record)
		return true
	})
}

// tidy forgets what is over, now and then: it looks only at the oldest.
func (k *keptWills) tidy() {
	if len(k.all) == 0 {
		return
	}
	if now := time.Now(); !now.Before(k.all[0].until) {
		k.expire(now)
	}
}

// appendTo appends the records of the kept wills of those logs that are wanted.
func (k *keptWills) appendTo(b []byte, wanted func(state.LogKey) bool) []byte {
	if len(k.all) == 0 {
		return b
	}
	k.expire(time.Now())
	for i := range k.all {
		if w := &k.all[i]; wanted(w.log) {
			b = append(b, w.record...)
		}
	}
	return b
}

// will is what an edge is told.
type will struct {
	number uint64
	Transient
}

// appendWill appends the record of a will, whose message is encoded.
func appendWill(b []byte, log state.LogKey, number uint64, message []byte) []byte {
	b = bin.AppendUvarint(appendLog(append(b, recordWill), log), number)
	return bin.AppendString(b, message)
}

func readWill(r *bin.Reader) will {
	w := will{Transient: Transient{Log: readLog(r)}}
	w.number = r.Uvarint()
	w.Message = readTransientMessage(r)
	return w
}

// heardWills is what an edge has heard of the wills of a log that it follows.
type heardWills struct {
	last   uint64  // the highest number: whoever followed was told up to it
	recent []*will // that some subscription waits for
}

// lastWill is up to which will those who follow the log were told.
func (f *follow) lastWill() uint64 {
	if f.wills == nil {
		return 0
	}
	return f.wills.last
}

// willed tells a will that was not heard of before to whoever follows, and keeps
// it for those whom the hub is asked about again.
func (l *lockedTail) willed(w will) {
	t := (*shardTail)(l)
	f := t.logs[w.Log]
	if f == nil || w.number <= f.lastWill() {
		return
	}
	if f.wills == nil {
		f.wills = &heardWills{}
	}
	f.wills.last = w.number
	w.Log = f.log
	waited := false
	for _, sub := range f.subs {
		if sub.follows() {
			sub.tell(&w.Transient)
		} else if sub.status == active {
			waited = true
		}
	}
	if !waited {
		f.wills.recent = nil
		return
	}
	f.wills.recent = append(f.wills.recent, &w)
	if len(f.wills.recent) > maxRecentWills {
		f.wills.recent = f.wills.recent[1:]
	}
}

// tellMissed tells a subscription that is granted again the wills after one that
// came while it was not.
func (s *Subscription) tellMissed(after uint64) {
	if s.follow.wills == nil {
		return
	}
	for _, w := range s.follow.wills.recent {
		if w.number > after {
			s.tell(&w.Transient)
		}
	}
}

// tell tells a subscription of something transient, if it is for its user.
func (s *Subscription) tell(one *Transient) {
	entry := state.Entry{Kind: state.EntryMessage, Message: one.Message}
	if entry.For(s.set.user, &state.Policy{}) != nil {
		s.set.sink.DeliverTransient(one)
	}
}
