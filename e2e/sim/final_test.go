package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/e2e/sim/history"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

const (
	// servesWithin bounds how long nodes may take to serve after all faults have
	// ended: they start, elect, and read what they have missed.
	servesWithin = 20 * time.Second
	// agreesWithin bounds how long replicas may differ after the clients are quiet.
	agreesWithin = 10 * time.Second
	// voters is how many replicas a shard has, where there are enough nodes.
	voters = 3
)

// heal ends all faults, starts every node, and waits until they serve.
func (w *world) heal() {
	w.over.Store(true) // what is to start later starts now
	w.mend(true)
	began := time.Now()
	for time.Since(began) < servesWithin {
		up := 0
		for _, m := range w.nodes {
			m.start() // a node whose disk had hung may only now end
			if m.running() != nil {
				up++
			}
		}
		if up == len(w.nodes) {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	for _, m := range w.nodes {
		if m.running() == nil {
			w.problem("A14: %s does not serve %v after all faults have ended", m.id, servesWithin)
		}
	}
}

// awaitAgreement waits until all replicas of each shard have applied the same.
func (w *world) awaitAgreement() {
	began := time.Now()
	for {
		text := w.disagreement()
		if text == "" {
			return
		}
		if time.Since(began) > agreesWithin {
			w.problem("A14: %v after the clients are quiet %s", agreesWithin, text)
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// disagreement says which replicas are not at the same entry, or "".
func (w *world) disagreement() string {
	applied := map[wire.ShardID]uint64{}
	replicas := 0
	for _, m := range w.nodes {
		up := m.running()
		if up == nil {
			return fmt.Sprintf("%s does not serve", m.id)
		}
		for _, r := range up.Replicas() {
			at := r.State().Record().Applied
			if other, ok := applied[r.Shard()]; ok && other != at {
				return fmt.Sprintf("%s has applied shard %d up to %d, and another node up to %d", m.id, r.Shard(), at, other)
			}
			applied[r.Shard()] = at
			replicas++
		}
	}
	if want := w.plan.shards * min(len(w.nodes), voters); replicas != want {
		return fmt.Sprintf("there are %d replicas, want %d", replicas, want)
	}
	return ""
}

// sample notes each replica's chain from time to time, until ctx ends: at one
// index it is the same for all, at any time.
func (w *world) sample(ctx context.Context) {
	for clock.Sleep(ctx, 500*time.Millisecond) == nil {
		for _, m := range w.nodes {
			l := m.alive()
			if l == nil {
				continue
			}
			up := l.running()
			if up == nil {
				continue
			}
			for _, r := range up.Replicas() {
				at := r.State().Record()
				if at.Applied > 0 && !l.died.Load() {
					w.rec.Add(history.Event{Op: history.OpChain, Node: m.id, Raft: &history.Raft{Shard: r.Shard(), Index: at.Applied, Hash: at.Chain}})
				}
			}
		}
	}
}

// readAll reads what each replica holds, from its own state, into the history.
func (w *world) readAll() {
	conversations, users := w.known()
	for _, m := range w.nodes {
		up := m.running()
		if up == nil {
			continue
		}
		for _, r := range up.Replicas() {
			one, err := readReplica(r, conversations, users)
			if err != nil {
				w.problem("read the replica of shard %d on %s: %v", r.Shard(), m.id, err)
				continue
			}
			one.Node = m.id
			w.rec.Replica(one)
		}
	}
}

// known returns the conversations and users that the history names.
func (w *world) known() ([]wire.ConversationID, []wire.UserID) {
	var conversations []wire.ConversationID
	var users []wire.UserID
	see := func(c wire.ConversationID) {
		if c != "" {
			conversations = append(conversations, c)
		}
	}
	h := w.rec.History()
	for i := range h.Events {
		e := &h.Events[i]
		see(e.Conversation)
		users = append(users, e.User)
		users = append(users, e.Users...)
		if e.Page != nil {
			for j := range e.Page.Entries {
				see(e.Page.Entries[j].Conversation)
			}
		}
	}
	slices.Sort(conversations)
	slices.Sort(users)
	users = slices.DeleteFunc(slices.Compact(users), func(u wire.UserID) bool { return u == "" })
	return slices.Compact(conversations), users
}

func readReplica(r node.Replica, conversations []wire.ConversationID, users []wire.UserID) (history.Replica, error) {
	status := r.Status()
	one := history.Replica{Shard: r.Shard(), Applied: status.Applied, Chain: status.Chain}
	for _, c := range status.Checkpoints {
		one.Checkpoints = append(one.Checkpoints, history.Checkpoint{Index: c.Index, Chain: c.Chain})
	}
	for _, id := range conversations {
		if !r.Slots().Contains(wire.SlotOf(theApp, string(id))) {
			continue
		}
		log, err := readConversation(r.State(), id)
		if _, gone := errors.AsType[*state.RefusedError](err); gone {
			continue // it was destroyed
		}
		if err != nil {
			return one, fmt.Errorf("read conversation %s: %w", id, err)
		}
		one.Conversations = append(one.Conversations, log)
	}
	for _, u := range users {
		if !r.Slots().Contains(wire.SlotOf(theApp, string(u))) {
			continue
		}
		page, _, err := r.State().UserConversations(theApp, u, 0, wire.MaxPageEntries)
		if err != nil {
			return one, fmt.Errorf("read the conversations of %s: %w", u, err)
		}
		own := history.UserReplica{User: u}
		for _, m := range page {
			own.Conversations = append(own.Conversations, history.Member{User: string(m.Conversation), JoinedAt: m.JoinedOffset})
		}
		one.Users = append(one.Users, own)
	}
	return one, nil
}

// readConversation reads all of a conversation, as the app sees it.
func readConversation(s *state.State, id wire.ConversationID) (history.Log, error) {
	c, err := s.Conversation(theApp, id)
	if err != nil {
		return history.Log{}, err
	}
	log := history.Log{Conversation: id, LastSeq: c.LastSeq, LastOffset: c.LastOffset, Kind: presets[c.Policy.Preset]}
	for after := c.FloorOffset; after < c.LastOffset; {
		page, err := s.ReadLog(state.LogQuery{Log: state.LogKey{App: theApp, Conversation: id}, After: after, Limit: wire.MaxPageEntries})
		if err != nil {
			return log, err
		}
		for _, e := range page.Entries {
			log.Entries = append(log.Entries, entryOf(e))
		}
		if page.Upto == after {
			return log, fmt.Errorf("its log ends at %d, and should go on to %d", after, c.LastOffset)
		}
		after = page.Upto
	}
	for from := c.FloorSeq + 1; from <= c.LastSeq; {
		page, err := s.History(state.HistoryQuery{App: theApp, Conversation: id, From: from, OldestFirst: true, Limit: wire.MaxPageEntries})
		if err != nil {
			return log, err
		}
		for _, m := range page.Messages {
			log.Messages = append(log.Messages, *messageOf(m))
		}
		if !page.More {
			break
		}
		from = page.Next
	}
	return log, readMembers(s, &log)
}

func readMembers(s *state.State, log *history.Log) error {
	members, err := s.Members(theApp, log.Conversation, "", 10_000)
	if err != nil {
		return err
	}
	for _, m := range members.Members {
		log.Members = append(log.Members, history.Member{User: string(m.User), JoinedAt: m.JoinedOffset, Role: int(m.Role)})
	}
	cursors, err := s.Cursors(theApp, log.Conversation, "", 10_000)
	if err != nil {
		return err
	}
	for _, c := range cursors {
		log.Cursors = append(log.Cursors, history.Cursor{User: c.User, Read: c.Read, Delivered: c.Delivered})
	}
	return nil
}

var presets = map[state.Preset]string{
	state.PresetBasic: "basic", state.PresetRoom: "room", state.PresetSystem: "system", state.PresetTemporary: "temporary",
}

var entryKinds = map[state.EntryKind]history.EntryKind{
	state.EntryMessage: history.EntryMessage, state.EntryEdited: history.EntryEdited, state.EntryRecalled: history.EntryRecalled,
	state.EntryMembersAdded: history.EntryAdded, state.EntryMembersRemoved: history.EntryRemoved, state.EntryRoleChanged: history.EntryRole,
	state.EntryCreated: history.EntryCreated, state.EntryUpdated: history.EntryUpdated, state.EntryDestroyed: history.EntryDestroyed,
	state.EntryMuted: history.EntryMuted, state.EntryUnmuted: history.EntryUnmuted,
	state.EntryJoined: history.EntryJoined, state.EntryLeft: history.EntryLeft,
}

func entryOf(e *state.Entry) history.Entry {
	kind, ok := entryKinds[e.Kind]
	if !ok {
		kind = history.EntryOther
	}
	out := history.Entry{Offset: e.Offset, Kind: kind, Actor: e.Actor, Users: e.Users, Conversation: e.Conversation, At: e.ConversationOffset}
	if e.Message != nil {
		out.Message = messageOf(e.Message)
	}
	return out
}

func messageOf(m *state.Message) *history.Message {
	mentions := slices.Clone(m.Mentions)
	if m.MentionAll {
		mentions = append(mentions, history.Everybody)
	}
	return &history.Message{
		ID: m.ID, Seq: m.Seq, Offset: m.Offset, From: m.From, Time: m.Timestamp, Body: history.Text(m.Body), Edited: m.Edited,
		Recalled: m.Recalled, Targets: m.Targets, Mentions: mentions,
	}
}
