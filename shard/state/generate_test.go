package state

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/quorate/quorate/wire"
)

// generator makes random entries, as a leader would: it applies each to a state
// of its own, and takes from there what later commands need to know.
type generator struct {
	t       testing.TB
	rng     *rand.Rand
	lead    *script
	n       map[wire.UserID]uint64 // native tokens used
	ids     map[wire.ConversationID][]wire.MessageID
	sent    []packed // for retries
	entries []LogEntry
	results [][]Result
	chains  []uint64
}

type packed struct {
	h Header
	c Command
}

func newGenerator(t testing.TB, seed uint64) *generator {
	return &generator{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), lead: newScript(t), n: map[wire.UserID]uint64{},
		ids: map[wire.ConversationID][]wire.MessageID{},
	}
}

// generate makes that many entries.
func (g *generator) generate(entries int) {
	for range entries {
		g.lead.index++
		e := LogEntry{Index: g.lead.index, Term: 1 + g.lead.index/100}
		switch g.rng.IntN(40) {
		case 0:
			e.Configuration, e.Data = true, fmt.Appendf(nil, "configuration %d", e.Index)
		case 1: // a barrier
		default:
			e.Data = g.pack()
		}
		results, err := g.lead.state.Apply([]LogEntry{e})
		if err != nil {
			g.t.Fatal(err)
		}
		g.entries, g.results = append(g.entries, e), append(g.results, results[0])
		g.chains = append(g.chains, g.lead.state.Record().Chain)
		g.learn(results[0])
	}
}

func (g *generator) pack() []byte {
	g.lead.now += g.time()
	g.sent = g.sent[:0:0]
	var commands [][]byte
	for range 1 + g.rng.IntN(8) {
		h, c := g.command()
		g.sent = append(g.sent, packed{h, c})
		commands = append(commands, EncodeCommand(nil, h, c))
		if h.Token != (Token{}) && g.rng.IntN(4) == 0 {
			commands = append(commands, EncodeCommand(nil, h, c)) // a retry, at once
			g.sent = append(g.sent, packed{h, c})
		}
	}
	for _, timer := range g.due() {
		g.sent = append(g.sent, packed{c: &Sweep{}})
		commands = append(commands, EncodeCommand(nil, Header{App: scriptApp}, &Sweep{Timers: []Timer{timer}}))
	}
	return AppendEntry(nil, g.lead.now, commands)
}

// time is how far the clock moves: mostly a little, at times back, at times days.
func (g *generator) time() int64 {
	switch g.rng.IntN(60) {
	case 0:
		return -g.rng.Int64N(1000)
	case 1:
		return g.rng.Int64N(2 * dayMillis)
	case 2:
		return g.rng.Int64N(60 * dayMillis)
	default:
		return g.rng.Int64N(100)
	}
}

func (g *generator) due() []Timer {
	if g.rng.IntN(3) > 0 {
		return nil
	}
	due, err := g.lead.state.DueTimers(g.lead.now, 20)
	if err != nil {
		g.t.Fatal(err)
	}
	return due
}

// learn takes ids of messages from the results.
func (g *generator) learn(results []Result) {
	for i, r := range results {
		if send, ok := g.sent[min(i, len(g.sent)-1)].c.(*SendMessage); ok && r.MessageID != "" {
			g.ids[send.Conversation] = append(g.ids[send.Conversation], r.MessageID)
		}
	}
}

func pick[T any](rng *rand.Rand, of ...T) T { return of[rng.IntN(len(of))] }

func (g *generator) user() wire.UserID {
	return pick[wire.UserID](g.rng, "ann", "bob", "cat", "dan", "eve", "fay")
}

func (g *generator) users() []wire.UserID {
	var users []wire.UserID
	for range 1 + g.rng.IntN(3) {
		users = append(users, g.user())
	}
	return users
}

func (g *generator) conversation() wire.ConversationID {
	// Others after a while, or most would be gone.
	name := pick(g.rng, "tea", "coffee", "room", "news", "chat")
	return wire.ConversationID(fmt.Sprint(name, len(g.entries)/100))
}

func (g *generator) message(in wire.ConversationID) wire.MessageID {
	ids := g.ids[in]
	if len(ids) == 0 {
		return "none"
	}
	return ids[max(0, len(ids)-1-g.rng.IntN(10))]
}

func (g *generator) header() Header {
	h := Header{App: scriptApp, Actor: g.user(), Origin: Origin{Node: "n1", Session: g.rng.Uint64N(9), Request: g.rng.Uint64N(99)}}
	if g.rng.IntN(8) == 0 {
		h.Actor = ""
	}
	switch g.rng.IntN(4) {
	case 0:
	case 1:
		h.Token.Random = fmt.Sprintf("r%d", g.rng.IntN(400))
	default:
		user := g.user()
		g.n[user] += pick[uint64](g.rng, 1, 1, 1, 1, 2, 3, 4, 100)
		copy(h.Token.Instance[:], user)
		h.Token.N = g.n[user]
		if g.rng.IntN(10) == 0 {
			h.Token.N = max(1, h.Token.N-min(h.Token.N-1, g.rng.Uint64N(300)))
		}
	}
	return h
}

// more is a command of those that came later.
func (g *generator) more(in wire.ConversationID) Command {
	switch g.rng.IntN(8) {
	case 0, 1:
		return &BlockMembers{Conversation: in, Users: g.users(), Unblock: g.rng.IntN(2) == 0}
	case 2:
		return &Quiet{Conversation: in, Users: g.users()[:1], Off: g.rng.IntN(2) == 0}
	case 3:
		if id := g.message(in); len(g.entries)%2 == 0 {
			return &DeleteMessage{Conversation: in, ID: id}
		} else {
			return &ReplaceMessage{Conversation: in, ID: id, Body: []byte("replaced")}
		}
	case 4:
		return &MoveDeviceCursor{Conversation: in, User: g.user(), Device: string(g.user()), Delivered: wire.Seq(g.rng.IntN(60))}
	case 5:
		return &BanUser{User: g.user(), Unban: g.rng.IntN(2) == 0}
	case 6:
		return &SendMessage{Conversation: in, Body: []byte("tell me"), Receipt: true}
	default:
		path := pick(g.rng, "attr.x", "attr.x.y", "attr", "name", "list", "list.z")
		op := ChangeOp(g.rng.IntN(11))
		value := pick(g.rng, `1`, `{"y":{}}`, `[1,"a"]`, `"s"`, `1.5`, `{`)
		return &UpdateConversation{ID: in, Changes: []Change{{path, op, []byte(value)}, {"n", ChangeIncrement, []byte("1")}}, Sent: []byte("sent")}
	}
}

func (g *generator) command() (Header, Command) {
	h, in := g.header(), g.conversation()
	body := fmt.Appendf(nil, "%x", g.rng.Uint64())
	if g.rng.IntN(6) == 0 {
		return h, g.more(in)
	}
	switch g.rng.IntN(24) {
	case 0, 1:
		preset := pick(g.rng, PresetBasic, PresetBasic, PresetRoom, PresetSystem, PresetTemporary)
		c := &CreateConversation{ID: in, Preset: preset, Unique: g.rng.IntN(3) == 0, Name: "a name", Properties: []Property{{"p", body}}}
		c.Rules = pick(g.rng, RulesPreset, RulesOpen, RulesRoles)
		if preset != PresetRoom {
			c.Members = g.users()
		}
		return h, c
	case 2:
		return h, &UpdateConversation{ID: in, SetName: true, Name: string(body), Unset: []string{"p"}, Muted: Switch(g.rng.IntN(3))}
	case 3:
		if g.rng.IntN(20) == 0 {
			return h, &DestroyConversation{ID: in}
		}
		return h, &SetRole{Conversation: in, User: g.user(), Role: Role(g.rng.IntN(4))}
	case 4, 5:
		return h, &AddMembers{Conversation: in, Users: g.users()}
	case 6:
		return h, &RemoveMembers{Conversation: in, Users: g.users()}
	case 7:
		return h, &Mute{Conversation: in, Users: g.users(), Millis: g.rng.Int64N(1000), Unmute: g.rng.IntN(2) == 0}
	case 8:
		return h, &EditMessage{Conversation: in, ID: g.message(in), Body: body, Mentions: g.users(), MentionAll: g.rng.IntN(5) == 0}
	case 9:
		return h, &RecallMessage{Conversation: in, ID: g.message(in)}
	case 10:
		if g.rng.IntN(4) == 0 {
			return Header{App: scriptApp}, &Trim{Conversation: in, Upto: wire.Seq(g.rng.IntN(100))}
		}
		return Header{App: scriptApp}, &MoveCursors{Moves: []CursorMove{{Conversation: in, User: g.user(), Read: wire.Seq(g.rng.IntN(60))}}}
	case 11:
		return h, &BlockConversation{User: g.user(), Conversation: in, Unblock: g.rng.IntN(2) == 0}
	case 12:
		return h, &Login{User: g.user(), Tag: pick(g.rng, "", "phone"), Session: fmt.Sprint(g.rng.IntN(9)), Node: "n1", Device: "d"}
	case 13:
		slot := wire.SlotOf(scriptApp, string(in))
		return h, &Scrub{Slots: wire.SlotRange{First: slot, Last: slot}, ID: g.rng.Uint64N(100)}
	default:
		c := &SendMessage{Conversation: in, Body: body, MentionAll: g.rng.IntN(9) == 0}
		if g.rng.IntN(4) == 0 {
			c.Mentions = g.users()
		}
		if g.rng.IntN(4) == 0 {
			c.Targets = g.users()
		}
		return h, c
	}
}
