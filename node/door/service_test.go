package door

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/shard/state/statetest"
	"github.com/quorate/quorate/wire"
)

// oneShard is the part of a node that this is about, on one real state.
type oneShard struct {
	Log

	t testing.TB

	mu      sync.Mutex
	st      *statetest.State
	now     int64 // milliseconds; each command is a second later
	still   bool  // but not now
	signals []Signal
}

const (
	began   = 1_700_000_000_000
	testApp = wire.AppID("app")
	service = wire.ConversationID("5d3a9ff5c8dbcf0006d5d9c1")
)

func newShard(t testing.TB) *oneShard {
	t.Helper()
	s := &oneShard{t: t, st: statetest.Open(t, state.Options{}), now: began}
	s.do("", &state.CreateConversation{ID: service, Preset: state.PresetSystem, Name: "news"})
	return s
}

// Change implements Log.
func (s *oneShard) Change(_ context.Context, h state.Header, c state.Command) (state.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.still {
		s.now += 1000
	}
	return s.st.Do(s.now, h, c)
}

// Ask implements Log, in the encoded form that nodes exchange.
func (s *oneShard) Ask(ctx context.Context, app wire.AppID, user wire.UserID, _ string, r *ask.Request) (*ask.Answer, error) {
	question, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	b, err := ask.Execute(ctx, ask.Source{State: s.st.State}, app, user, question)
	if err != nil {
		return nil, err
	}
	a := &ask.Answer{}
	return a, json.Unmarshal(b, a)
}

// Signal implements Log.
func (s *oneShard) Signal(one Signal, done func(error)) {
	s.signals = append(s.signals, one)
	done(nil)
}

func (s *oneShard) do(actor wire.UserID, c state.Command) state.Result {
	s.t.Helper()
	r, err := s.Change(s.t.Context(), state.Header{App: testApp, Actor: actor}, c)
	if err != nil || r.Refusal != state.None {
		s.t.Fatalf("%T of %q: %v %s, %v", c, actor, r.Refusal, r.Text, err)
	}
	return r
}

func (s *oneShard) up(user wire.UserID, text string) state.Result {
	s.t.Helper()
	r, err := SendToService(s.t.Context(), s, state.Header{App: testApp, Actor: user}, service, &state.SendMessage{Body: []byte(text)})
	if err != nil || r.Refusal != state.None {
		s.t.Fatalf("%s says %q to the service: %v, %v", user, text, r.Refusal, err)
	}
	return r
}

func (s *oneShard) down(text string, users ...wire.UserID) SentToUsers {
	s.t.Helper()
	sent, err := SendToUsers(s.t.Context(), s, state.Header{App: testApp}, service, users, state.SendMessage{From: "bot", Body: []byte(text)})
	if err != nil {
		s.t.Fatal(err)
	}
	return sent
}

func (s *oneShard) toAll(text string, b state.Broadcast) state.Result {
	s.t.Helper()
	r, err := SendBroadcast(s.t.Context(), s, state.Header{App: testApp}, b, state.SendMessage{From: "bot", Body: []byte(text)})
	if err != nil || r.Refusal != state.None {
		s.t.Fatalf("broadcast: %v, %v", r.Refusal, err)
	}
	return r
}

func (s *oneShard) toSubscribers(text string) state.Result {
	s.t.Helper()
	return s.do("", &state.SendMessage{Conversation: service, From: "bot", Body: []byte(text)})
}

func (s *oneShard) history(user wire.UserID, q ask.History) []ask.Message {
	s.t.Helper()
	q.Conversation = service
	page, err := ServiceHistory(s.t.Context(), s, testApp, user, q)
	if err != nil {
		s.t.Fatal(err)
	}
	return page.Messages
}

func texts(messages []ask.Message) string {
	var all []string
	for _, m := range messages {
		all = append(all, string(m.Body))
	}
	return strings.Join(all, " ")
}

// TestLM057_ToAService: a user who is not subscribed writes to a service and is
// answered; nobody else sees it.
func TestLM057_ToAService(t *testing.T) {
	s := newShard(t)
	s.up("ann", "help")
	s.up("ben", "hello")
	s.down("how?", "ann")
	s.up("ann", "so")
	if got := texts(s.history("ann", ask.History{Limit: 10})); got != "help how? so" {
		t.Errorf("ann sees %q", got)
	}
	if got := texts(s.history("ben", ask.History{Limit: 10})); got != "hello" {
		t.Errorf("ben sees %q", got)
	}
	if got := texts(s.history("eve", ask.History{Limit: 10})); got != "" {
		t.Errorf("eve sees %q", got)
	}

	thread, _ := state.ThreadOf(service, "ann")
	s.do("", &state.RemoveMembers{Conversation: thread, Users: []wire.UserID{"ann"}})
	s.up("ann", "back")
	if got := texts(s.history("ann", ask.History{Limit: 10})); got != "help how? so back" {
		t.Errorf("ann, brought back, sees %q", got)
	}
	for _, id := range []wire.ConversationID{"none", thread, state.BroadcastLog} {
		r, err := SendToService(t.Context(), s, state.Header{App: testApp, Actor: "ann"}, id, &state.SendMessage{Body: []byte("hi")})
		if err != nil || r.Refusal != state.NotFound {
			t.Errorf("to %s, which is no service: %v, %v", id, r.Refusal, err)
		}
	}
}

// TestLM056_ToUsers: a message to some users has one id, and its repetition
// sends it to nobody twice.
func TestLM056_ToUsers(t *testing.T) {
	s := newShard(t)
	h := state.Header{App: testApp, Token: state.Token{Random: "once"}}
	send := state.SendMessage{From: "bot", Body: []byte("hi")}
	first, err := SendToUsers(t.Context(), s, h, service, []wire.UserID{"ann", ""}, send)
	if err != nil || len(first.Refused) != 1 || first.Refused[0] != (state.UserResult{User: "", Refusal: state.NotFound}) {
		t.Errorf("%+v, %v", first, err)
	}
	again, err := SendToUsers(t.Context(), s, h, service, []wire.UserID{"ann", "ben"}, send)
	if err != nil || again.ID != first.ID || len(again.Refused) > 0 {
		t.Errorf("%+v, %v; first %+v", again, err, first)
	}
	for _, u := range []wire.UserID{"ann", "ben"} {
		if got := s.history(u, ask.History{Limit: 10}); len(got) != 1 || got[0].ID != first.ID || got[0].From != "bot" {
			t.Errorf("%s sees %+v", u, got)
		}
	}
	if other := s.down("hi", "ann"); other.ID == first.ID || other.Sent.MessageID != other.ID {
		t.Errorf("another message: %+v", other)
	}
	many := make([]wire.UserID, MaxToUsers+1)
	if _, err := SendToUsers(t.Context(), s, h, service, many, send); wire.CodeOf(err) != wire.CodeLimit {
		t.Errorf("to too many: %v", err)
	}
}

// TestServiceHistory reads a history of three logs page by page, in both
// directions, with messages of one time in all of them.
func TestServiceHistory(t *testing.T) {
	s := newShard(t)
	s.do("ann", &state.AddMembers{Conversation: service, Users: []wire.UserID{"ann"}})
	s.up("ann", "0")
	s.toAll("1", state.Broadcast{Service: service})
	want := []string{"0", "1"}
	for i := range 30 {
		s.still = i%6 < 4 // some of one time
		text := fmt.Sprint(i + 2)
		switch i % 4 {
		case 0:
			s.toSubscribers(text)
		case 1:
			s.up("ann", text)
		case 2:
			s.down(text, "ann")
		default:
			s.toAll(text, state.Broadcast{Service: service})
		}
		want = append(want, text)
	}
	s.toAll("of another service", state.Broadcast{Service: "other"})
	all := s.history("ann", ask.History{Limit: 100})
	if len(all) != len(want) {
		t.Fatalf("%d messages, want %d: %q", len(all), len(want), texts(all))
	}
	for i, m := range all {
		if i > 0 && comparePlaces(placeOf(&all[i-1]), placeOf(&m)) >= 0 {
			t.Errorf("message %d, %s, is not in order", i, m.Body)
		}
	}
	whole := texts(all)
	for _, newer := range []bool{false, true} {
		for limit := 1; limit <= 5; limit++ {
			var got []ask.Message
			var at ask.Place
			for range 100 {
				page := s.history("ann", ask.History{Limit: limit, Newer: newer, Start: at})
				if len(page) == 0 {
					break
				}
				if newer {
					got, at = append(got, page...), placeOf(&page[len(page)-1])
				} else {
					got, at = append(slices.Clone(page), got...), placeOf(&page[0])
				}
			}
			if texts(got) != whole {
				t.Errorf("newer %v, %d at once:\n%s, want\n%s", newer, limit, texts(got), whole)
			}
		}
	}
	start, end := placeOf(&all[20]), placeOf(&all[10])
	start.Included = true
	if got := s.history("ann", ask.History{Limit: 100, Start: start, End: end}); texts(got) != texts(all[11:21]) {
		t.Errorf("between two: %q, want %q", texts(got), texts(all[11:21]))
	}
	if got := s.history("ann", ask.History{}); len(got) != 0 {
		t.Errorf("none: %q", texts(got))
	}
	if _, err := ServiceHistory(t.Context(), s, testApp, "ann", ask.History{Conversation: "none", Limit: 1}); err == nil {
		t.Error("the history of a service that is not there")
	}
}

func (s *oneShard) open(user wire.UserID) (News, string) {
	s.t.Helper()
	news, err := OpenBroadcasts(s.t.Context(), s, testApp, user, s.now)
	if err != nil {
		s.t.Fatal(err)
	}
	var all []string
	for _, b := range news.Unread {
		all = append(all, string(b.Message.Body))
	}
	return news, strings.Join(all, " ")
}

// TestLM056_News: a new user is told the newest broadcast that is valid, and
// everybody what came since he was told last, if it is valid still.
func TestLM056_News(t *testing.T) {
	s := newShard(t)
	s.do("old", &state.EnterRoom{User: "old", Conversation: "hall", Session: "s1"}) // so that he was met
	if news, got := s.open("old"); got != "" || news.After == 0 {
		t.Errorf("before there was any: %+v %q", news, got)
	}
	s.toAll("1", state.Broadcast{Service: service})
	s.toAll("2", state.Broadcast{Service: service, ValidTill: began + 10_000_000})
	s.toAll("3", state.Broadcast{Service: "other"})
	last := s.toAll("expired", state.Broadcast{Service: service, ValidTill: s.now + 1500})
	s.now += 5000
	news, got := s.open("new")
	if got != "3" || news.After != last.Offset {
		t.Errorf("a new user is told %q, and follows from %d", got, news.After)
	}
	if _, got := s.open("old"); got != "1 2 3" {
		t.Errorf("an old user is told %q", got)
	}

	read := func(service wire.ConversationID, at ask.Place) {
		t.Helper()
		if err := ReadService(t.Context(), s, state.Header{App: testApp, Actor: "old"}, service, at); err != nil {
			t.Fatal(err)
		}
	}
	read("other", ask.Place{Time: s.now})
	if _, got := s.open("old"); got != "1 2" {
		t.Errorf("who has read what the other said is told %q", got)
	}
	first := s.history("old", ask.History{Limit: 1, Newer: true})[0]
	read(service, ask.Place{Message: first.ID, Time: first.Timestamp})
	if _, got := s.open("old"); got != "2" {
		t.Errorf("who has read the first is told %q", got)
	}
	s.now = began + 10_000_000
	s.toAll("4", state.Broadcast{Service: service})
	if _, got := s.open("old"); got != "4" {
		t.Errorf("later he is told %q", got)
	}
	if _, got := s.open("new"); got != "3 4" {
		t.Errorf("the new one is told %q", got)
	}
	if err := HandedBroadcasts(t.Context(), s, testApp, "old", 5); err != nil {
		t.Fatal(err)
	}
	if news, _ := s.open("old"); news.Handed != 5 {
		t.Errorf("handed up to %d", news.Handed)
	}
}

// TestReadService: to read a service is to read all three of its logs.
func TestReadService(t *testing.T) {
	s := newShard(t)
	s.do("ann", &state.AddMembers{Conversation: service, Users: []wire.UserID{"ann"}})
	s.open("ann")
	s.toSubscribers("1")
	s.down("2", "ann")
	s.toAll("3", state.Broadcast{Service: service})
	s.toSubscribers("4")
	thread, _ := state.ThreadOf(service, "ann")
	unread := func() *ask.State {
		t.Helper()
		a, err := s.Ask(t.Context(), testApp, "ann", "", &ask.Request{Sync: &ask.Sync{
			Conversations: []wire.ConversationID{service, thread}, Unread: &ask.SyncUnread{},
		}})
		if err != nil {
			t.Fatal(err)
		}
		news, _ := s.open("ann")
		joined := JoinServices(a.Sync.Conversations, news.Unread)
		if len(joined) != 1 || joined[0].Conversation != service || joined[0].Preset != state.PresetSystem {
			t.Fatalf("joined: %+v", joined)
		}
		return &joined[0]
	}
	if u := unread(); u.Unread != 4 || !u.Told || string(u.Newest.Body) != "4" {
		t.Errorf("%+v", u)
	}
	third := s.history("ann", ask.History{Limit: 2})[0]
	if string(third.Body) != "3" {
		t.Fatalf("the third is %s", third.Body)
	}
	h := state.Header{App: testApp, Actor: "ann"}
	if err := ReadService(t.Context(), s, h, service, ask.Place{Message: third.ID, Time: third.Timestamp}); err != nil {
		t.Fatal(err)
	}
	if u := unread(); u.Unread != 1 {
		t.Errorf("%d unread, want the last alone", u.Unread)
	}
	if err := ReadService(t.Context(), s, h, service, ask.Place{Time: s.now}); err != nil {
		t.Fatal(err)
	}
	if u := unread(); u.Unread != 0 || u.Told {
		t.Errorf("%+v", u)
	}
}

func TestBroadcastsChange(t *testing.T) {
	s := newShard(t)
	id := s.toAll("1", state.Broadcast{Service: service, ValidTill: began + 10_000_000}).MessageID
	s.toAll("2", state.Broadcast{Service: service})
	h := state.Header{App: testApp}
	r, err := EditBroadcast(t.Context(), s, h, state.EditMessage{ID: id, Body: []byte("one"), ContentType: "text"})
	if err != nil || r.Refusal != state.None {
		t.Fatalf("edit: %v, %v", r.Refusal, err)
	}
	news, _ := s.open("ann")
	got := s.history("ann", ask.History{Limit: 10})
	if texts(got) != "one 2" || got[0].ContentType != "text" || len(news.Unread) != 1 {
		t.Errorf("%q, %+v", texts(got), news)
	}
	if r, err := EditBroadcast(t.Context(), s, h, state.EditMessage{ID: "none"}); err != nil || r.Refusal != state.NotFound {
		t.Errorf("one that is not there: %v, %v", r.Refusal, err)
	}
	SignalBroadcast(s, testApp, state.Broadcast{Service: service}, state.Message{From: "bot", Body: []byte("hi")}, func(error) {})
	want := state.Broadcast{Service: service}
	b, shown, err := state.UnwrapBroadcast(s.signals[0].Message)
	if d := cmp.Diff(want, b); d != "" || err != nil || string(shown.Body) != "hi" || s.signals[0].Conversation != state.BroadcastLog {
		t.Errorf("%+v, %v %s", s.signals[0], err, d)
	}
}
