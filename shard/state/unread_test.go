package state

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/wire"
)

// unreadModel folds unread from everything that happened, the slow way.
type unreadModel struct {
	messages []modelMessage // by sequence - 1
	read     map[wire.UserID]wire.Seq
	joined   map[wire.UserID]wire.Seq // of present members: the last message then
	floor    wire.Seq
}

type modelMessage struct {
	id         wire.MessageID
	from       wire.UserID
	targets    []wire.UserID
	mentions   []wire.UserID
	mentionAll bool
	recalled   bool
	deleted    bool
}

func (m *modelMessage) isFor(user wire.UserID) bool {
	return len(m.targets) == 0 || slices.Contains(m.targets, user)
}

func (m *modelMessage) mentionsUser(user wire.UserID) bool {
	if m.recalled || m.deleted || m.from == user || !m.isFor(user) {
		return false
	}
	return m.mentionAll || slices.Contains(m.mentions, user)
}

func (m *unreadModel) unread(user wire.UserID) Unread {
	read := max(m.read[user], m.joined[user])
	u := Unread{Read: read, Last: wire.Seq(len(m.messages))}
	for seq := max(read, m.floor) + 1; seq <= u.Last; seq++ {
		one := &m.messages[seq-1]
		if !one.recalled && !one.deleted && one.from != user && one.isFor(user) {
			u.Count++
		}
		u.Mentioned = u.Mentioned || one.mentionsUser(user)
	}
	return u
}

// TestUnreadIsArithmetic plays random conversations and compares the arithmetic
// with a count of the messages one by one, after every step and for every member.
func TestUnreadIsArithmetic(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			p := newUnreadPlay(t, rng)
			for step := range 300 {
				what := p.step()
				for user := range p.model.joined {
					got, err := p.w.ofConversation(p.id).Unread(worldApp, p.id, user)
					if err != nil {
						t.Fatal(err)
					}
					c, err := p.w.ofConversation(p.id).Conversation(worldApp, p.id)
					if err != nil {
						t.Fatal(err)
					}
					want := p.model.unread(user)
					want.Offset = c.LastOffset
					if diff := cmp.Diff(want, got); diff != "" {
						t.Fatalf("step %d, %s: unread of %s (-want +got):\n%s", step, what, user, diff)
					}
				}
			}
			if diff := cmp.Diff(p.w.dump(), p.w.replay(p.rng).dump()); diff != "" {
				t.Errorf("rows of the replay differ:\n%s", diff)
			}
		})
	}
}

type unreadPlay struct {
	w     *world
	rng   *rand.Rand
	id    wire.ConversationID
	model unreadModel
	users []wire.UserID
}

func newUnreadPlay(t *testing.T, rng *rand.Rand) *unreadPlay {
	p := &unreadPlay{
		w: newWorld(t, 1), rng: rng, id: "tea", users: []wire.UserID{"ann", "bob", "cyd", "dan"},
		model: unreadModel{read: map[wire.UserID]wire.Seq{}, joined: map[wire.UserID]wire.Seq{}},
	}
	p.w.done("", &CreateConversation{ID: p.id, Preset: PresetBasic, Members: p.users[:2]})
	p.model.joined["ann"], p.model.joined["bob"] = 0, 0
	return p
}

func (p *unreadPlay) member() wire.UserID {
	for {
		u := p.users[p.rng.IntN(len(p.users))]
		if _, ok := p.model.joined[u]; ok {
			return u
		}
	}
}

func (p *unreadPlay) some() []wire.UserID {
	var some []wire.UserID
	for _, u := range p.users {
		if _, ok := p.model.joined[u]; ok && p.rng.IntN(3) == 0 {
			some = append(some, u)
		}
	}
	return some
}

func (p *unreadPlay) step() string {
	p.w.stamp += int64(p.rng.IntN(5))
	last := len(p.model.messages)
	switch n := p.rng.IntN(100); {
	case n < 50:
		return p.send()
	case n < 70:
		// Mostly a little further: what is unread must have time to be changed.
		user := p.member()
		seq := p.model.read[user] + wire.Seq(p.rng.IntN(10))
		if p.rng.IntN(10) == 0 {
			seq = wire.Seq(p.rng.IntN(last + 3))
		}
		p.w.done(user, &MoveCursors{Moves: []CursorMove{{Conversation: p.id, User: user, Read: seq}}})
		p.model.read[user] = max(p.model.read[user], min(seq, wire.Seq(last)))
		return fmt.Sprintf("%s reads up to %d", user, seq)
	case n < 80:
		return p.change(last, true)
	case n < 86:
		return p.change(last, false)
	case n < 97:
		return p.comeOrGo(last)
	default:
		upto := wire.Seq(p.rng.IntN(last + 1))
		if p.rng.IntN(4) > 0 {
			upto = wire.Seq(int(upto) / 4)
		}
		p.w.done("", &Trim{Conversation: p.id, Upto: upto})
		p.model.floor = max(p.model.floor, upto)
		return fmt.Sprintf("trim up to %d", upto)
	}
}

func (p *unreadPlay) send() string {
	m := modelMessage{from: p.member()}
	if p.rng.IntN(10) == 0 {
		m.from = "" // the app
	}
	if p.rng.IntN(4) == 0 {
		m.targets = p.some()
	}
	m.mentions, m.mentionAll = p.mentions()
	r := p.w.done(m.from, &SendMessage{
		Conversation: p.id, Body: []byte("hi"), Mentions: m.mentions, MentionAll: m.mentionAll, Targets: m.targets,
	})
	m.id = r.MessageID
	p.model.messages = append(p.model.messages, m)
	return fmt.Sprintf("send %d %+v", r.Seq, m)
}

func (p *unreadPlay) mentions() (users []wire.UserID, all bool) {
	switch p.rng.IntN(5) {
	case 0:
		return p.some(), false
	case 1:
		return p.some(), true
	default:
		return nil, false
	}
}

// change recalls, edits or deletes a message that is still there.
func (p *unreadPlay) change(last int, recall bool) string {
	if last == int(p.model.floor) {
		return "nothing to change"
	}
	seq := last - 1 - min(p.rng.IntN(last-int(p.model.floor)), p.rng.IntN(30))
	m := &p.model.messages[seq]
	switch {
	case p.rng.IntN(4) == 0:
		p.w.done("", &DeleteMessage{Conversation: p.id, ID: m.id})
		m.deleted = true
		return fmt.Sprintf("delete %d", seq+1)
	case m.deleted:
		return "nobody changes what is deleted"
	case recall:
		p.w.done("", &RecallMessage{Conversation: p.id, ID: m.id})
		m.recalled = true
		return fmt.Sprintf("recall %d", seq+1)
	}
	mentions, all := p.mentions()
	r := p.w.do("", &EditMessage{Conversation: p.id, ID: m.id, Body: []byte("ho"), Mentions: mentions, MentionAll: all})
	if m.recalled != (r.Refusal == Gone) {
		p.w.t.Fatalf("edit of message %d, recalled %v: %v", seq+1, m.recalled, r.Refusal)
	}
	m.mentions, m.mentionAll = mentions, all
	return fmt.Sprintf("edit %d", seq+1)
}

func (p *unreadPlay) comeOrGo(last int) string {
	user := p.users[p.rng.IntN(len(p.users))]
	if _, in := p.model.joined[user]; !in {
		p.w.done("", &AddMembers{Conversation: p.id, Users: []wire.UserID{user}})
		p.model.joined[user] = wire.Seq(last)
		return fmt.Sprintf("%s comes", user)
	}
	if len(p.model.joined) == 1 {
		return "the last one stays"
	}
	p.w.done("", &RemoveMembers{Conversation: p.id, Users: []wire.UserID{user}})
	delete(p.model.joined, user)
	delete(p.model.read, user)
	return fmt.Sprintf("%s goes", user)
}
