package load

import (
	"slices"
	"time"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/e2e/sim/history"
	"github.com/quorate/quorate/wire"
)

func mentionsOf(users []wire.UserID, all bool) []wire.UserID {
	users = slices.Clone(users)
	if all {
		users = append(users, history.Everybody)
	}
	return users
}

func messageOf(m *client.Message) history.Message {
	return history.Message{
		ID: m.ID, Seq: m.Seq, Offset: m.Offset, From: m.From, Time: millisOf(m.Time), Body: history.Text(m.Body),
		Edited: millisOf(m.Edited), Recalled: m.Recalled, Targets: m.Targets, Mentions: mentionsOf(m.Mentions, m.MentionAll),
	}
}

func millisOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func entryOf(e *client.Entry) history.Entry {
	kinds := map[client.EntryKind]history.EntryKind{
		client.EntryMessage: history.EntryMessage, client.EntryEdited: history.EntryEdited, client.EntryRecalled: history.EntryRecalled,
		client.EntryMembersAdded: history.EntryAdded, client.EntryMembersRemoved: history.EntryRemoved,
		client.EntryCreated: history.EntryCreated, client.EntryUpdated: history.EntryUpdated, client.EntryDestroyed: history.EntryDestroyed,
		client.EntryMuted: history.EntryMuted, client.EntryUnmuted: history.EntryUnmuted, client.EntryRoleChanged: history.EntryRole,
		client.EntryJoined: history.EntryJoined, client.EntryLeft: history.EntryLeft,
	}
	kind, known := kinds[e.Kind]
	if !known {
		kind = history.EntryOther
	}
	out := history.Entry{Offset: e.Offset, Kind: kind, Actor: e.Actor, Users: e.Users}
	if e.Message != nil {
		m := messageOf(e.Message)
		out.Message = &m
	}
	if kind == history.EntryJoined || kind == history.EntryLeft {
		out.Conversation, out.At = e.Conversation, e.At
	}
	return out
}

func logPageOf(p *client.LogPage) *history.Page {
	page := &history.Page{After: p.After, Upto: p.Upto, Last: p.Last, Ended: p.Ended}
	for i := range p.Entries {
		page.Entries = append(page.Entries, entryOf(&p.Entries[i]))
	}
	return page
}

func historyPageOf(r *client.Range, p *client.Page) *history.Page {
	page := &history.Page{From: r.FromSeq, Limit: r.Limit, OldestFirst: r.OldestFirst, More: p.More, LastSeq: p.LastSeq, Last: p.LastOffset}
	for i := range p.Messages {
		page.Messages = append(page.Messages, messageOf(&p.Messages[i]))
	}
	return page
}
