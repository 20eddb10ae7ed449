package state

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/wire"
)

// TestModel plays random sends, edits, recalls, member changes and retries
// against a model of some slices and maps, and compares every answer and, now
// and then, every read of every user.
func TestModel(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			p := newModelPlay(t, seed)
			for step := range 400 {
				p.step()
				if step%20 == 19 {
					p.checkReads()
				}
			}
			if p.done < 100 || p.again < 10 || p.refused < 30 {
				t.Errorf("%d done, %d again, %d refused: the test tests little", p.done, p.again, p.refused)
			}
		})
	}
}

// modelEntry is an entry of the model's log. A message is in it by reference, so
// it is always in its present form.
type modelEntry struct {
	kind  EntryKind
	actor wire.UserID
	users []wire.UserID
	m     *Message
}

type modelPlay struct {
	t   *testing.T
	rng *rand.Rand
	s   *script

	members  map[wire.UserID]Role
	messages []*Message
	log      []modelEntry
	answers  map[Token]Result
	next     map[wire.UserID]uint64 // native tokens

	updated, patched int64 // the conversation's clock of changes

	done, again, refused int
}

func newModelPlay(t *testing.T, seed uint64) *modelPlay {
	p := &modelPlay{
		t: t, rng: rand.New(rand.NewPCG(seed, 3)), s: newScript(t), members: map[wire.UserID]Role{"ann": RoleOwner, "bob": RoleMember},
		answers: map[Token]Result{}, next: map[wire.UserID]uint64{}, updated: scriptStart,
	}
	p.s.do(t, Header{Actor: "ann"}, &CreateConversation{ID: "tea", Preset: PresetBasic, Members: []wire.UserID{"bob"}})
	p.log = []modelEntry{
		{kind: EntryCreated, actor: "ann"},
		{kind: EntryMembersAdded, actor: "ann", users: []wire.UserID{"ann", "bob"}},
	}
	return p
}

func (p *modelPlay) user() wire.UserID {
	return pick[wire.UserID](p.rng, "ann", "bob", "cat", "dan", "eve")
}

// step does one command and compares its answer with the model's. The model
// changes only if it has not seen the token.
func (p *modelPlay) step() {
	p.s.now += p.rng.Int64N(3) - 1
	actor := p.user()
	h := Header{Actor: actor, Token: p.token(actor)}
	c, model := p.command(actor)
	want, seen := p.answers[h.Token]
	if seen {
		want.Again = true
	} else {
		want = model()
	}
	got := p.s.do(p.t, h, c)
	got.Text = ""
	if diff := cmp.Diff(want, got); diff != "" {
		p.t.Fatalf("%s: %T%+v with %+v (-model +state):\n%s", actor, c, c, h.Token, diff)
	}
	switch {
	case seen:
		p.again++
	case got.Refusal != None:
		p.refused++
	default:
		p.done++
		if h.Token != (Token{}) {
			p.answers[h.Token] = got
		}
	}
}

// token is at times an old one, whose command must not be done again.
func (p *modelPlay) token(actor wire.UserID) Token {
	var token Token
	copy(token.Instance[:], actor)
	switch n := p.next[actor]; {
	case p.rng.IntN(3) == 0:
		return Token{}
	case p.rng.IntN(3) == 0:
		return Token{Random: fmt.Sprint("r", p.rng.IntN(200))}
	case n > 0 && p.rng.IntN(4) == 0:
		token.N = 1 + p.rng.Uint64N(n)
	default:
		p.next[actor]++
		token.N = n + 1
	}
	return token
}

func (p *modelPlay) command(actor wire.UserID) (Command, func() Result) {
	body := fmt.Appendf(nil, "%x", p.rng.Uint32())
	other := p.user()
	switch p.rng.IntN(10) {
	case 0:
		return &AddMembers{Conversation: "tea", Users: []wire.UserID{other}}, func() Result { return p.add(actor, other) }
	case 1:
		return &RemoveMembers{Conversation: "tea", Users: []wire.UserID{other}}, func() Result { return p.remove(actor, other) }
	case 2, 3:
		m, id := p.message()
		return &EditMessage{Conversation: "tea", ID: id, Body: body}, func() Result { return p.edit(actor, m, body) }
	case 4:
		m, id := p.message()
		return &RecallMessage{Conversation: "tea", ID: id}, func() Result { return p.recall(actor, m) }
	default:
		c := &SendMessage{Conversation: "tea", Body: body}
		if p.rng.IntN(4) == 0 {
			c.Targets = []wire.UserID{other}
		}
		return c, func() Result { return p.send(actor, c) }
	}
}

func (p *modelPlay) message() (*Message, wire.MessageID) {
	if len(p.messages) == 0 {
		return nil, "none"
	}
	m := p.messages[max(0, len(p.messages)-1-p.rng.IntN(8))]
	return m, m.ID
}

func (p *modelPlay) append(e modelEntry) wire.Offset {
	p.log = append(p.log, e)
	return wire.Offset(len(p.log))
}

// stamp is the time of the state's entries: it does not go back.
func (p *modelPlay) stamp() int64 { return max(p.s.now, p.s.state.Record().Stamp) }

// now is the time of a change or a patch: after all that were before.
func (p *modelPlay) now() int64 { return max(p.stamp(), p.updated+1, p.patched+1) }

func (p *modelPlay) update() int64 {
	p.updated = p.now()
	return p.updated
}

func (p *modelPlay) add(actor, user wire.UserID) Result {
	_, in := p.members[user]
	switch {
	case actor == user && in:
		return p.joinedAlready(user)
	case actor != user && p.members[actor] == RoleNone:
		return Result{Refusal: NotMember}
	case in:
		return Result{Conversation: "tea", Timestamp: p.updated, Users: []UserResult{{user, Exists}}}
	}
	p.members[user] = RoleMember
	offset := p.append(modelEntry{kind: EntryMembersAdded, actor: actor, users: []wire.UserID{user}})
	return Result{Conversation: "tea", Offset: offset, Timestamp: p.update()}
}

// joinedAlready takes offset and time of the joining from the state's member
// row, but checks in the model's log that the user was added there.
func (p *modelPlay) joinedAlready(user wire.UserID) Result {
	m, err := p.s.state.Member(scriptApp, "tea", user)
	if err != nil {
		p.t.Fatal(err)
	}
	if e := p.log[m.JoinedOffset-1]; e.kind != EntryMembersAdded || !slices.Contains(e.users, user) {
		p.t.Fatalf("%s joined at %d, where the log has %+v", user, m.JoinedOffset, e)
	}
	return Result{Conversation: "tea", Existed: true, Offset: m.JoinedOffset, Timestamp: m.Joined}
}

func (p *modelPlay) remove(actor, user wire.UserID) Result {
	role, in := p.members[user]
	switch {
	case actor != user && p.members[actor] == RoleNone:
		return Result{Refusal: NotMember}
	case actor != user && p.members[actor] < RoleManager:
		return Result{Refusal: Forbidden}
	case !in:
		return Result{Refusal: NotMember}
	case actor != user && role >= p.members[actor] && p.members[actor] != RoleOwner:
		return Result{Refusal: Forbidden}
	}
	delete(p.members, user)
	offset := p.append(modelEntry{kind: EntryMembersRemoved, actor: actor, users: []wire.UserID{user}})
	return Result{Conversation: "tea", Offset: offset, Timestamp: p.update()}
}

func (p *modelPlay) send(actor wire.UserID, c *SendMessage) Result {
	if p.members[actor] == RoleNone {
		return Result{Refusal: NotMember}
	}
	for _, u := range c.Targets {
		if p.members[u] == RoleNone {
			return Result{Refusal: NotMember}
		}
	}
	m := &Message{Seq: wire.Seq(len(p.messages) + 1), From: actor, Body: c.Body, Targets: c.Targets, Timestamp: p.stamp()}
	m.ID = wire.NewMessageID("tea", m.Timestamp, m.Seq)
	p.messages = append(p.messages, m)
	m.Offset = p.append(modelEntry{kind: EntryMessage, actor: actor, m: m})
	return Result{MessageID: m.ID, Seq: m.Seq, Offset: m.Offset, Timestamp: m.Timestamp}
}

func (p *modelPlay) edit(actor wire.UserID, m *Message, body []byte) Result {
	switch {
	case p.members[actor] == RoleNone:
		return Result{Refusal: NotMember}
	case m == nil || !m.visibleTo(actor):
		return Result{Refusal: NotFound}
	case m.From != actor:
		return Result{Refusal: Forbidden}
	case m.Recalled:
		return Result{Refusal: Gone}
	}
	m.Body = body
	return p.changed(actor, EntryEdited, m)
}

func (p *modelPlay) recall(actor wire.UserID, m *Message) Result {
	switch {
	case p.members[actor] == RoleNone:
		return Result{Refusal: NotMember}
	case m == nil || !m.visibleTo(actor):
		return Result{Refusal: NotFound}
	case m.From != actor && p.members[actor] < RoleManager:
		return Result{Refusal: Forbidden}
	case m.Recalled:
		return Result{Existed: true, MessageID: m.ID, Seq: m.Seq, Timestamp: m.Edited}
	}
	m.Body, m.Recalled = nil, true
	return p.changed(actor, EntryRecalled, m)
}

func (p *modelPlay) changed(actor wire.UserID, kind EntryKind, m *Message) Result {
	p.patched = max(p.now(), m.Edited+1, m.Timestamp+1)
	m.Edited = p.patched
	offset := p.append(modelEntry{kind: kind, actor: actor, m: m})
	return Result{MessageID: m.ID, Seq: m.Seq, Offset: offset, Timestamp: m.Edited}
}

// checkReads compares history, a page of the log and the members, as each user
// sees them.
func (p *modelPlay) checkReads() {
	for _, user := range []wire.UserID{"", "ann", "bob", "cat", "dan", "eve"} {
		after := wire.Offset(p.rng.IntN(len(p.log) + 1))
		limit := 1 + p.rng.IntN(30)
		page, err := p.s.state.ReadLog(LogQuery{
			Log: LogKey{App: scriptApp, Conversation: "tea"}, Reader: user, After: after, Limit: limit,
		})
		if user != "" && p.members[user] == RoleNone {
			if err == nil {
				p.t.Fatalf("%s is no member and reads the log", user)
			}
			continue
		}
		if err != nil {
			p.t.Fatal(err)
		}
		p.checkPage(user, after, limit, page)
		p.checkHistory(user)
	}
}

func (p *modelPlay) checkPage(user wire.UserID, after wire.Offset, limit int, page LogPage) {
	p.t.Helper()
	upto := min(after+wire.Offset(limit), wire.Offset(len(p.log)))
	var want, got []string
	for offset := after + 1; offset <= upto; offset++ {
		if e := p.log[offset-1]; e.m == nil || e.m.visibleTo(user) {
			want = append(want, fmt.Sprint(offset, e.kind, e.actor, e.users, p.form(e.m)))
		}
	}
	for _, e := range page.Entries {
		got = append(got, fmt.Sprint(e.Offset, e.Kind, e.Actor, e.Users, p.form(e.Message)))
	}
	if diff := cmp.Diff(want, got); diff != "" || page.Upto != upto || page.After != after || page.Last != wire.Offset(len(p.log)) {
		p.t.Fatalf("%s reads (%d, %d] of %d, want (%d, %d] of %d (-model +state):\n%s",
			user, page.After, page.Upto, page.Last, after, upto, len(p.log), diff)
	}
}

func (p *modelPlay) form(m *Message) string {
	if m == nil {
		return "-"
	}
	return fmt.Sprintf("#%d/%d %s %s %v %d %d %v %s", m.Seq, m.Offset, m.ID, m.From, m.Targets, m.Timestamp, m.Edited, m.Recalled, m.Body)
}

// checkHistory reads all pages in one direction and compares them.
func (p *modelPlay) checkHistory(user wire.UserID) {
	p.t.Helper()
	var want, got []string
	for _, m := range p.messages {
		if m.visibleTo(user) {
			want = append(want, p.form(m))
		}
	}
	q := HistoryQuery{
		App: scriptApp, Conversation: "tea", Reader: user, OldestFirst: p.rng.IntN(2) == 0, Limit: 1 + p.rng.IntN(20),
	}
	for more := true; more; {
		page, err := p.s.state.History(q)
		if err != nil {
			p.t.Fatal(err)
		}
		for _, m := range page.Messages {
			got = append(got, p.form(m))
		}
		more, q.From = page.More, page.Next
	}
	if !q.OldestFirst {
		slices.Reverse(got)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		p.t.Fatalf("%s reads history (-model +state):\n%s", user, diff)
	}
}
