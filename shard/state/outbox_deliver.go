package state

import (
	"github.com/quorate/quorate/wire/bin"
)

// DeliverOutbox takes, on the target's side, rows of other slots' outboxes. Any
// order, doubled or late: the newest version wins.
type DeliverOutbox struct {
	Rows []OutboxRow
}

func (*DeliverOutbox) kind() Kind { return kindDeliverOutbox }

func (c *DeliverOutbox) subject() Subject {
	if len(c.Rows) == 0 {
		return Subject{}
	}
	return Subject{Slot: c.Rows[0].Target()}
}

func (c *DeliverOutbox) append(b []byte) []byte {
	b = bin.AppendUvarint(b, uint64(len(c.Rows)))
	for i := range c.Rows {
		b = c.Rows[i].encode(b)
	}
	return b
}

func (c *DeliverOutbox) decode(in *bin.Reader) {
	*c = DeliverOutbox{Rows: readMany(in, readOutboxRow)}
}

func (c *DeliverOutbox) apply(t *txn, _ *Header) Result {
	for i := range c.Rows {
		if !t.owns(c.Rows[i].Target()) {
			return refuse(Moved, "a row's target is another shard's")
		}
	}
	var result Result
	for i := range c.Rows {
		if t.take(&c.Rows[i]) {
			result.Count++
		}
	}
	return result
}

// take is the effect of one row. It writes no outbox row: an effect of an
// effect would let two slots call each other for ever.
func (t *txn) take(o *OutboxRow) bool {
	switch o.Kind {
	case OutboxMembership:
		return takeMembership(t, o)
	case OutboxBlock:
		return takeBlock(t, o)
	case OutboxWill:
		return takeWill(t, o)
	case OutboxBan:
		return takeBan(t, o)
	default:
		return takeOffer(t, o)
	}
}

// inboxKey is the key of the version taken last, for effects that leave no row
// of their own:
//
//	| slot, 2 | table, 1 | n, 1 | app, n | kind, 1 | m, 1 | conversation, m | user |
func inboxKey(o *OutboxRef) []byte {
	b := appendShort(appendTable(nil, o.Target(), tableInbox), o.App)
	b = appendShort(append(b, byte(o.Kind)), o.Conversation)
	return append(b, o.User...)
}

// news tells whether the row is newer than what was taken of its subject, and
// remembers it.
func (t *txn) news(o *OutboxRef) bool {
	key := inboxKey(o)
	if b := t.get(key); b != nil {
		r := openRow(b)
		taken := r.Uvarint()
		if err := closeRow(r, "inbox"); err != nil {
			t.fail(err)
			return false
		}
		if o.Version <= taken {
			return false
		}
	}
	t.put(key, bin.AppendUvarint([]byte{userVersion}, o.Version))
	return true
}
