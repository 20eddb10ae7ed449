package state

import "github.com/quorate/quorate/wire"

// mention writes the rows by which the mentioned members find the message: one
// for each member named, or one for all. Those whom a targeted message is not
// for are not mentioned by it, and nobody mentions himself.
func mention(t *txn, s scope, m *Message) {
	if !m.MentionAll && len(m.Mentions) == 0 {
		return
	}
	row := mentionRow{From: m.From}.encode(nil)
	if m.MentionAll {
		if len(m.Targets) == 0 {
			t.put(s.number(nil, tableMentionAll, uint64(m.Seq)), row)
			return
		}
		for _, user := range m.Targets {
			if user != m.From {
				t.put(s.nameNumber(nil, tableMention, string(user), uint64(m.Seq)), row)
			}
		}
		return
	}
	for _, user := range m.Mentions {
		if user != m.From && m.visibleTo(user) {
			t.put(s.nameNumber(nil, tableMention, string(user), uint64(m.Seq)), row)
		}
	}
}

// unmention removes the rows that mention wrote for the message as it was.
func unmention(t *txn, s scope, m *Message) {
	if m.MentionAll && len(m.Targets) == 0 {
		t.delete(s.number(nil, tableMentionAll, uint64(m.Seq)))
		return
	}
	users := m.Mentions
	if m.MentionAll {
		users = m.Targets
	}
	for _, user := range users {
		t.delete(s.nameNumber(nil, tableMention, string(user), uint64(m.Seq)))
	}
}

// mentionedAfter tells whether the user is mentioned after a sequence, by name
// or with all others.
func mentionedAfter(r reader, s scope, user wire.UserID, after wire.Seq) bool {
	found := false
	lo := s.nameNumber(nil, tableMention, string(user), uint64(after)+1)
	hi := s.nameNumber(nil, tableMention, string(user), 1<<63)
	r.scan(lo, hi, func(_, _ []byte) bool {
		found = true
		return false
	})
	if found {
		return true
	}
	left := maxMentionScan
	r.scan(s.number(nil, tableMentionAll, uint64(after)+1), prefixEnd(s.key(nil, tableMentionAll)), func(_, v []byte) bool {
		row, err := decodeMentionRow(v)
		if err != nil {
			r.fail(err)
			return false
		}
		found = row.From != user
		left--
		return !found && left > 0
	})
	return found
}
