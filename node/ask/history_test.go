package ask

import (
	"strings"
	"testing"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

func bodies(messages []Message) string {
	var all []string
	for _, m := range messages {
		all = append(all, string(m.Body))
	}
	return strings.Join(all, " ")
}

// TestLM082_IntervalsOfHistory is the truth table of the REST interface, whose
// newest-first answers are turned around here.
func TestLM082_IntervalsOfHistory(t *testing.T) {
	w := newWorld(t)
	w.pair()
	at := map[string]state.Result{}
	for _, body := range []string{"a", "b", "c"} {
		at[body] = w.say("ann", body)
	}
	for _, c := range []struct {
		start, end     string
		first, last    bool // start and end included
		newer          bool
		want, wantTime string // by id and time, by time alone
	}{
		{start: "c", end: "a", want: "b"},
		{start: "c", end: "a", first: true, want: "b c"},
		{start: "c", end: "a", last: true, want: "a b"},
		{start: "a", end: "c", newer: true, want: "b"},
		{start: "a", end: "c", first: true, newer: true, want: "a b"},
		{start: "a", end: "c", last: true, newer: true, want: "b c"},
		{start: "a", end: "c", want: ""},
		{start: "b", want: "a"},
		{start: "a", want: ""},
		{start: "b", newer: true, want: "c"},
		{newer: true, want: "a b c"},
		{end: "b", want: "c"},
		{want: "a b c"},
	} {
		for _, byID := range []bool{true, false} {
			place := func(name string, included bool) Place {
				if name == "" {
					return Place{}
				}
				p := Place{Time: at[name].Timestamp, Included: included}
				if byID {
					p.Message = at[name].MessageID
				}
				return p
			}
			q := &History{Conversation: "tea", Start: place(c.start, c.first), End: place(c.end, c.last), Newer: c.newer, Limit: 10}
			got := bodies(w.mustAsk("ben", &Request{History: q}).History.Messages)
			if got != c.want {
				t.Errorf("%+v, by id %t: %q, want %q", c, byID, got, c.want)
			}
		}
	}
}

func TestLM082_PagesAmongMessagesOfOneMillisecond(t *testing.T) {
	w := newWorld(t)
	w.pair()
	var sent []state.Result
	for _, body := range []string{"1", "2", "3", "4", "5"} {
		sent = append(sent, w.same("ann", &state.SendMessage{Conversation: "tea", Body: []byte(body)}))
	}
	var pages []string
	start := Place{}
	for {
		page := w.mustAsk("ben", &Request{History: &History{Conversation: "tea", Start: start, Limit: 2}}).History.Messages
		if len(page) == 0 {
			break
		}
		pages = append(pages, bodies(page))
		start = Place{Message: page[0].ID, Time: page[0].Timestamp}
	}
	if got := strings.Join(pages, " | "); got != "4 5 | 2 3 | 1" {
		t.Errorf("pages %q", got)
	}
	// Without an id the time is compared alone.
	page := w.mustAsk("ben", &Request{History: &History{Conversation: "tea", Start: Place{Time: sent[2].Timestamp}, Limit: 9}}).History.Messages
	if len(page) != 0 {
		t.Errorf("before their millisecond: %q", bodies(page))
	}
	page = w.mustAsk("ben", &Request{History: &History{Conversation: "tea", Start: Place{Time: sent[2].Timestamp, Included: true}, Limit: 9}}).History.Messages
	if bodies(page) != "1 2 3 4 5" {
		t.Errorf("with their millisecond: %q", bodies(page))
	}
}

func TestLM082_HistoryOfAType(t *testing.T) {
	w := newWorld(t)
	w.pair()
	for _, body := range []string{`{"_lctype":-1,"_lctext":"x"}`, `plain`, `{"_lctype":2}`, `{"_lctext":"none"}`, `{"_lctype":-1}`, `{"_lctype":"-1"}`} {
		w.say("ann", body)
	}
	gone := w.say("ann", `{"_lctype":-1,"gone":1}`)
	w.do("ann", &state.RecallMessage{Conversation: "tea", ID: gone.MessageID})
	for want, n := range map[int64]int{-1: 2, 2: 1, 0: 0, Recalled: 1} {
		page := w.mustAsk("ben", &Request{History: &History{Conversation: "tea", Type: &want, Limit: 10}}).History
		if len(page.Messages) != n {
			t.Errorf("type %d: %q, want %d messages", want, bodies(page.Messages), n)
		}
	}
	text := int64(-1)
	page := w.mustAsk("ben", &Request{History: &History{Conversation: "tea", Type: &text, Limit: 1}}).History
	if bodies(page.Messages) != `{"_lctype":-1}` {
		t.Errorf("the newest of the type: %q", bodies(page.Messages))
	}
}

func TestLM080_HistoryBounds(t *testing.T) {
	w := newWorld(t)
	w.pair()
	for range 250 {
		w.say("ann", strings.Repeat("x", wire.MaxBodyBytes))
	}
	for limit, want := range map[int]int{0: 0, -1: 0, 1: 1, 100: 100, 1000: 250} {
		page := w.mustAsk("ben", &Request{History: &History{Conversation: "tea", Limit: limit}}).History
		if len(page.Messages) != want {
			t.Errorf("limit %d: %d messages, want %d", limit, len(page.Messages), want)
		}
	}
}

func TestLM081_OnlyMembersReadHistory(t *testing.T) {
	w := newWorld(t)
	w.pair()
	w.say("ann", "hi")
	w.do("ann", &state.CreateConversation{ID: "lobby", Preset: state.PresetRoom})
	w.do("ann", &state.SendMessage{Conversation: "lobby", Body: []byte("in the room")})
	if _, err := w.ask("eve", &Request{History: &History{Conversation: "tea", Limit: 1}}); refusal(err) != state.NotMember {
		t.Errorf("eve reads tea: %v, want a refusal", err)
	}
	if _, err := w.ask("eve", &Request{History: &History{Conversation: "nowhere", Limit: 1}}); refusal(err) != state.NotFound {
		t.Errorf("eve reads nowhere: %v, want a refusal", err)
	}
	if got := bodies(w.mustAsk("eve", &Request{History: &History{Conversation: "lobby", Limit: 1}}).History.Messages); got != "in the room" {
		t.Errorf("eve reads the room: %q", got)
	}
	if got := bodies(w.mustAsk("", &Request{History: &History{Conversation: "tea", Limit: 1}}).History.Messages); got != "hi" {
		t.Errorf("the app reads tea: %q", got)
	}
}

func TestLM068_HistorySaysWhatTheOtherHasGot(t *testing.T) {
	w := newWorld(t)
	w.pair()
	w.say("ann", "one")
	w.say("ann", "two")
	w.say("ben", "mine")
	w.say("ann", "three")
	w.do("ben", &state.MoveCursors{Moves: []state.CursorMove{{Conversation: "tea", User: "ben", Delivered: 3, Read: 1}}})
	moved := w.now
	check := func(want ...int64) {
		t.Helper()
		page := w.mustAsk("ann", &Request{History: &History{Conversation: "tea", Limit: 10}}).History
		for i, m := range page.Messages {
			if m.AckAt != want[2*i] || m.ReadAt != want[2*i+1] {
				t.Errorf("%q: got at %d, read at %d, want %v", m.Body, m.AckAt, m.ReadAt, want[2*i:2*i+2])
			}
		}
	}
	check(moved, moved, moved, 0, 0, 0, 0, 0)
	w.do("ann", &state.AddMembers{Conversation: "tea", Users: []wire.UserID{"eve"}})
	check(0, 0, 0, 0, 0, 0, 0, 0)
}
