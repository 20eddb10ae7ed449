package state

import "github.com/quorate/quorate/wire"

// loadWill reads a user's will; nil when there is none.
func loadWill(r reader, s scope) *willRow {
	b := r.get(s.key(nil, tableWill))
	if b == nil {
		return nil
	}
	row, err := decodeWillRow(b)
	if err != nil {
		r.fail(err)
		return nil
	}
	return &row
}

func (c *SetWill) apply(t *txn, h *Header) Result {
	switch {
	case len(c.Body) > wire.MaxBodyBytes:
		return refuse(Limit, "the will's body is too large")
	case len(c.ContentType) > maxContentType:
		return refuse(Limit, "the will's content type is too long")
	case len(c.Mentions) > maxMentions:
		return refuse(Limit, "too many mentions")
	}
	key := userScope(h.App, c.User).key(nil, tableWill)
	if c.Conversation == "" {
		t.delete(key)
		return Result{Timestamp: t.stamp}
	}
	row := willRow{
		Session: c.Session, Node: c.Node, Conversation: c.Conversation, ContentType: c.ContentType, Body: c.Body,
		willMore: c.more(),
	}
	t.put(key, row.encode(nil))
	return Result{Timestamp: t.stamp}
}

// fireWill moves the user's will, if he left one, to the outbox.
func (u *user) fireWill(t *txn) Refusal {
	will := loadWill(t, u.scope)
	if will == nil {
		return None
	}
	o := OutboxRow{
		OutboxRef: OutboxRef{
			Kind: OutboxWill, App: u.scope.app, Conversation: will.Conversation, User: u.id, Version: u.head.Wills + 1,
		},
		OutboxNote: OutboxNote{On: true, At: t.stamp, ContentType: will.ContentType, Body: will.Body, willMore: will.willMore},
	}
	if t.outboxFullFor(&o.OutboxRef) {
		return Backlogged
	}
	u.head.Wills++
	u.write(t)
	t.delete(u.scope.key(nil, tableWill))
	t.note(&o)
	return None
}

// takeWill sends a user's will to the conversation. It is transient: told to who
// is there, never stored; only its version is kept, so that it is told once.
func takeWill(t *txn, o *OutboxRow) bool {
	s := conversationScope(o.App, o.Conversation)
	if !t.news(&o.OutboxRef) {
		return false
	}
	c := t.conversation(s)
	if c.live(t.stamp) != None {
		return false
	}
	if c.speechOf(t, o.User) != None {
		return false
	}
	if t.told != nil {
		t.told.Transients = append(t.told.Transients, Transient{
			Log: c.log(),
			Message: &Message{
				ID: o.ID, Imported: o.ID != "", From: o.User, Timestamp: o.At, ContentType: o.ContentType, Body: o.Body,
				Mentions: o.Mentions, MentionAll: o.MentionAll,
			},
		})
	}
	return true
}
