package state

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// TimerKind says what is due. Its numbers are durable.
type TimerKind byte

// The kinds of timers; the key is that of the row named.
const (
	timerTokens    TimerKind = 8 // random tokens of half a day: the key is the beginning of their rows; with sweepTokens. 1 was one for each
	timerTokenRing TimerKind = 6 // a client instance's native tokens: the key is the beginning of their rows; with sweepTokenRing
	timerExpire    TimerKind = 2 // a conversation's head: its time to live is over, with sweepConversation
	timerRemove    TimerKind = 3 // a destroyed conversation's head: remove the next slice of its rows, with sweepConversation
	timerRoom      TimerKind = 4 // a room's row in the user's slot
	timerRetention TimerKind = 5 // a conversation's head: messages are past retention
	timerMuted     TimerKind = 7 // the row of a user who is muted for a time
)

// timerKindEnd is above all kinds.
const timerKindEnd = 9

const timerRowVersion = 1

// maxTimerKeyBytes bounds the key of the row that a timer is about: two names
// and an id of 64 bytes each, with what is around them.
const maxTimerKeyBytes = 256

// A Timer is something to be done when its time has come. It lies under the
// slot of the row it is about, and a slot's timers in the order they are due:
//
//	| slot, 2 | table, 1 | due, 8 | kind, 1 | key of the row without its slot |
type Timer struct {
	Due  int64 // milliseconds
	Kind TimerKind
	Row  []byte // key of the row it is about, slot included
}

func (w Timer) key(b []byte) []byte {
	b = appendTable(b, keySlot(w.Row), tableTimer)
	b = append(appendUint64(b, uint64(w.Due)), byte(w.Kind))
	return append(b, w.Row[2:]...)
}

// decodeTimerKey reads a timer from its own key. It shares nothing with it.
func decodeTimerKey(key []byte) (Timer, error) {
	const head = 3 + 8 + 1
	if len(key) <= head || keyTable(key) != tableTimer {
		return Timer{}, fmt.Errorf("read the key of a timer: %w: %x", bin.ErrShort, key)
	}
	w := Timer{
		Due:  int64(binary.BigEndian.Uint64(key[3:])),
		Kind: TimerKind(key[11]),
		Row:  slices.Concat(key[:2], key[head:]),
	}
	if w.Kind == 0 || w.Kind >= timerKindEnd {
		return Timer{}, fmt.Errorf("read the key of a timer: %w: kind %d", bin.ErrRange, w.Kind)
	}
	return w, nil
}

func (w Timer) encode(dst []byte) []byte {
	dst = bin.AppendVarint(dst, w.Due)
	dst = append(dst, byte(w.Kind))
	return bin.AppendString(dst, w.Row)
}

func readTimer(in *bin.Reader) Timer {
	w := Timer{Due: in.Varint(), Kind: TimerKind(in.Byte()), Row: in.Bytes()}
	switch {
	case in.Err() != nil:
	case w.Kind == 0 || w.Kind >= timerKindEnd:
		in.Fail(fmt.Errorf("%w: timer of kind %d", bin.ErrRange, w.Kind))
	case len(w.Row) < 3 || len(w.Row) > maxTimerKeyBytes:
		in.Fail(fmt.Errorf("%w: timer for a key of %d bytes", bin.ErrRange, len(w.Row)))
	}
	return w
}

// setTimer writes a timer's row under the slot of the row it is about. The key
// is the whole key of that row, slot included.
func setTimer(t *txn, due int64, kind TimerKind, key []byte) {
	w := Timer{Due: due, Kind: kind, Row: key}
	t.put(w.key(nil), []byte{timerRowVersion})
	t.s.pending.added = append(t.s.pending.added, pendingChange{slot: keySlot(key), timer: true, due: due})
	if t.told != nil {
		t.told.Timers = true
	}
}

// clearTimer removes a timer's row, whether it is there or not.
func clearTimer(t *txn, due int64, kind TimerKind, key []byte) {
	t.delete(Timer{Due: due, Kind: kind, Row: key}.key(nil))
}

// Sweep does what is due: it names timers, and does nothing for one that is not
// there or not due by the entry's stamp. Result.Count is how many it did.
type Sweep struct {
	Timers []Timer
}

func (*Sweep) kind() Kind { return kindSweep }

func (c *Sweep) subject() Subject {
	if len(c.Timers) == 0 {
		return Subject{}
	}
	return Subject{Slot: keySlot(c.Timers[0].Row)}
}

func (c *Sweep) append(b []byte) []byte {
	b = bin.AppendUvarint(b, uint64(len(c.Timers)))
	for _, w := range c.Timers {
		b = w.encode(b)
	}
	return b
}

func (c *Sweep) decode(in *bin.Reader) { c.Timers = readMany(in, readTimer) }

func (c *Sweep) apply(t *txn, _ *Header) Result {
	for _, w := range c.Timers {
		if !t.owns(keySlot(w.Row)) {
			return refuse(Moved, "a timer's slot is another shard's")
		}
	}
	var result Result
	for _, w := range c.Timers {
		key := w.key(nil)
		if w.Due > t.stamp || t.get(key) == nil {
			continue
		}
		refusal := w.sweep(t)
		t.delete(key)
		if refusal != None {
			// What cannot be done now must not stand before what can.
			setTimer(t, t.stamp+sweepAgainMillis, w.Kind, w.Row)
			continue
		}
		result.Count++
	}
	return result
}

// sweepAgainMillis is when a sweep that was refused is tried again.
const sweepAgainMillis = 10_000

// sweep does what one timer is for.
func (w Timer) sweep(t *txn) Refusal {
	switch w.Kind {
	case timerTokens:
		sweepTokens(t, w.Row)
	case timerTokenRing:
		sweepTokenRing(t, w.Row)
	case timerRoom:
		sweepRoom(t, w.Row)
	case timerExpire:
		return sweepExpired(t, w.Row)
	case timerRemove:
		return sweepRemoved(t, w.Row)
	case timerRetention:
		sweepRetention(t, w.Row)
	case timerMuted:
		sweepMuted(t, w.Row)
	}
	return None
}

// DueTimers returns timers that are due, oldest first within a slot, at most
// limit of them. Give them to [Sweep].
func (s *State) DueTimers(now int64, limit int) ([]Timer, error) {
	slots, before := s.pending.slots(pendingTimers, now)
	var due []Timer
	for i, slot := range slots {
		if len(due) >= limit {
			break
		}
		found, first, err := s.dueTimersOf(slot, now, limit-len(due))
		if err != nil {
			return nil, err
		}
		due = append(due, found...)
		s.pending.looked(pendingTimers, slot, before[i], first)
	}
	return due, nil
}

// dueTimersOf returns a slot's timers that are due, and when its first one is,
// or has been; never, when it has none.
func (s *State) dueTimersOf(slot wire.Slot, now int64, limit int) (due []Timer, first int64, err error) {
	v, err := s.view()
	if err != nil {
		return nil, 0, err
	}
	first = never
	prefix := appendTable(nil, slot, tableTimer)
	v.scan(prefix, prefixEnd(prefix), func(key, _ []byte) bool {
		w, err := decodeTimerKey(key)
		if err != nil {
			v.fail(err)
			return false
		}
		first = min(first, w.Due)
		if w.Due > now || len(due) >= limit {
			return false
		}
		due = append(due, w)
		return true
	})
	return due, first, v.close()
}
