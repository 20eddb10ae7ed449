package state

import (
	"bytes"
	"maps"
	"slices"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// membershipChange is what a conversation tells a user's slot. Its version is
// the offset of the entry that made it: a later change of the same member has
// a higher one.
type membershipChange struct {
	user   wire.UserID
	member bool        // true: is a member since offset; false: is none since
	offset wire.Offset // of the entry in the conversation log; the version
	stamp  int64
	by     wire.UserID // who did it; empty: the app or the cluster
	gone   bool        // the conversation was destroyed or expired
}

// outboxMembership writes the row that tells the user's slot of a change; an
// unsent older one is replaced.
func outboxMembership(t *txn, c *conversation, m membershipChange) {
	t.note(&OutboxRow{
		OutboxRef: OutboxRef{
			Kind: OutboxMembership, App: c.scope.app, Conversation: wire.ConversationID(c.scope.root), User: m.user,
			Version: uint64(m.offset),
		},
		OutboxNote: OutboxNote{On: m.member, Gone: m.gone, At: m.stamp, By: m.by},
	})
}

// outboxFull tells whether too many rows wait for the users' slots for more to
// be added: the command must be refused with Backlogged.
func outboxFull(t *txn, c *conversation, users []wire.UserID) bool {
	o := OutboxRef{Kind: OutboxMembership, App: c.scope.app, Conversation: wire.ConversationID(c.scope.root)}
	var adds [targetBlocks]int32
	for _, u := range users {
		o.User = u
		block := targetBlock(o.Target())
		// Near the limit only, the rows are looked at one by one: one that
		// replaces another adds none.
		if t.s.pending.rows[block]+int(adds[block])+len(users) <= maxOutboxRows {
			adds[block]++
			continue
		}
		if t.get(outboxKey(nil, &o)) == nil {
			adds[block]++
		}
		if adds[block] > 0 && t.s.pending.rows[block]+int(adds[block]) > maxOutboxRows {
			return true
		}
	}
	return false
}

// outboxFullFor is outboxFull for one row.
func (t *txn) outboxFullFor(o *OutboxRef) bool {
	return t.s.pending.rows[targetBlock(o.Target())] >= maxOutboxRows && t.get(outboxKey(nil, o)) == nil
}

// note writes an outbox row, in the place of an older one of its subject that
// was not sent.
func (t *txn) note(o *OutboxRow) {
	key := outboxKey(nil, &o.OutboxRef)
	if t.get(key) == nil {
		t.s.pending.rows[targetBlock(o.Target())]++
	}
	t.valBuf = appendOutboxValue(t.valBuf[:0], o.Version, &o.OutboxNote)
	t.put(key, t.valBuf)
	t.s.pending.added = append(t.s.pending.added, pendingChange{slot: keySlot(key)})
	if t.told != nil {
		t.told.Outbox = true
	}
}

// AckOutbox removes, on the source's side, the rows that were delivered: exactly
// these versions. Result.Count is how many it removed.
type AckOutbox struct {
	Rows []OutboxRef
}

func (*AckOutbox) kind() Kind { return kindAckOutbox }

func (c *AckOutbox) subject() Subject {
	if len(c.Rows) == 0 {
		return Subject{}
	}
	return Subject{Slot: c.Rows[0].Source()}
}

func (c *AckOutbox) append(b []byte) []byte {
	b = bin.AppendUvarint(b, uint64(len(c.Rows)))
	for i := range c.Rows {
		b = c.Rows[i].encode(b)
	}
	return b
}

func (c *AckOutbox) decode(in *bin.Reader) { c.Rows = readMany(in, readOutboxRef) }

func (c *AckOutbox) apply(t *txn, _ *Header) Result {
	for i := range c.Rows {
		if !t.owns(c.Rows[i].Source()) {
			return refuse(Moved, "a row's source is another shard's")
		}
	}
	var result Result
	for i := range c.Rows {
		o := &c.Rows[i]
		key := outboxKey(nil, o)
		v := t.get(key)
		if v == nil {
			continue
		}
		version, _, err := decodeOutboxValue(v)
		if err != nil {
			t.fail(err)
			return result
		}
		if version != o.Version {
			continue // what was delivered is older than what is to be said now
		}
		t.delete(key)
		t.s.pending.rows[targetBlock(o.Target())]--
		result.Count++
	}
	return result
}

// An OutboxBatch is what waits for one slot.
type OutboxBatch struct {
	Target wire.Slot
	Rows   []OutboxRow
}

// maxBatchRows is how many rows of one source slot for one target slot a batch
// holds.
const maxBatchRows = 500

// OutboxBatches returns about limit rows that wait to be delivered, by target
// slot in order; batches for slots of one shard can go in one [DeliverOutbox].
// It leaves out targets that skip says are being told already, or do not
// answer, so that one of them does not hold up the others.
func (s *State) OutboxBatches(limit int, skip func(target wire.Slot) bool) ([]OutboxBatch, error) {
	slots, before := s.pending.slots(pendingOutbox, 0)
	byTarget := map[wire.Slot][]OutboxRow{}
	for i, slot := range slots {
		if limit <= 0 {
			break
		}
		rows, some, err := s.outboxOf(slot, limit, skip)
		if err != nil {
			return nil, err
		}
		for _, o := range rows {
			byTarget[o.Target()] = append(byTarget[o.Target()], o)
		}
		limit -= len(rows)
		if !some {
			s.pending.looked(pendingOutbox, slot, before[i], never)
		}
	}
	batches := make([]OutboxBatch, 0, len(byTarget))
	for _, target := range slices.Sorted(maps.Keys(byTarget)) {
		batches = append(batches, OutboxBatch{Target: target, Rows: byTarget[target]})
	}
	return batches, nil
}

// outboxOf returns rows of one source slot, and whether there are any, skipped
// ones too. Each target's rows are a range of their own.
func (s *State) outboxOf(slot wire.Slot, limit int, skip func(wire.Slot) bool) (rows []OutboxRow, some bool, err error) {
	v, err := s.view()
	if err != nil {
		return nil, false, err
	}
	lo := appendTable(nil, slot, tableOutbox)
	end := prefixEnd(lo)
	for lo != nil && len(rows) < limit {
		var at []byte // the target's prefix
		n := 0
		v.scan(lo, end, func(key, value []byte) bool {
			if at == nil {
				at = slices.Clone(key[:5])
			}
			if !bytes.HasPrefix(key, at) || skip != nil && skip(outboxKeyTarget(key)) {
				return false
			}
			o, err := decodeOutboxRow(key, value)
			if err != nil {
				v.fail(err)
				return false
			}
			rows, n = append(rows, o), n+1
			return len(rows) < limit && n < maxBatchRows
		})
		if at == nil {
			break
		}
		some = true
		if lo = prefixEnd(at); bytes.Compare(lo, end) >= 0 {
			break
		}
	}
	return rows, some, v.close()
}

func decodeOutboxRow(key, value []byte) (OutboxRow, error) {
	ref, err := decodeOutboxKey(key)
	if err != nil {
		return OutboxRow{}, err
	}
	o := OutboxRow{OutboxRef: ref}
	o.Version, o.OutboxNote, err = decodeOutboxValue(value)
	return o, err
}
