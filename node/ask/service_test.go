package ask

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// broadcast says something to all users as a service.
func (w *world) broadcast(service wire.ConversationID, validTill int64, text string) state.Result {
	w.t.Helper()
	return w.do("", &state.SendMessage{
		Conversation: state.BroadcastLog, From: "bot", ContentType: state.BroadcastContent,
		Body: state.WrapBroadcast(state.Broadcast{Service: service, ValidTill: validTill}, "", []byte(text)),
	})
}

func (w *world) broadcasts(q Broadcasts) (*BroadcastPage, []string) {
	w.t.Helper()
	a, err := w.ask("ann", &Request{Broadcasts: &q})
	if err != nil {
		w.t.Fatal(err)
	}
	var texts []string
	for _, b := range a.Broadcasts.Broadcasts {
		texts = append(texts, string(b.Message.Body))
	}
	return a.Broadcasts, texts
}

func TestLM056_Broadcasts(t *testing.T) {
	w := newWorld(t)
	if page, _ := w.broadcasts(Broadcasts{Limit: 10}); !page.Missing {
		t.Errorf("of an app that has said nothing: %+v", page)
	}
	w.do("", &state.CreateConversation{ID: state.BroadcastLog, Preset: state.PresetBroadcast})
	w.broadcast("news", 0, `{"_lctype":-1,"n":1}`)
	old := w.broadcast("shop", w.now+2500, "2")
	w.broadcast("news", w.now+1_000_000, "3")
	last := w.broadcast("shop", 0, "4")
	w.do("", &state.DeleteMessage{Conversation: state.BroadcastLog, ID: w.broadcast("news", 0, "gone").MessageID})

	text := int64(-1)
	for _, c := range []struct {
		name string
		q    Broadcasts
		want []string
	}{
		{"all", Broadcasts{Limit: 10}, []string{`{"_lctype":-1,"n":1}`, "2", "3", "4"}},
		{"the newest", Broadcasts{Limit: 1}, []string{"4"}},
		{"of a service", Broadcasts{Limit: 10, Service: "shop"}, []string{"2", "4"}},
		{"of a type", Broadcasts{Limit: 10, Type: &text}, []string{`{"_lctype":-1,"n":1}`}},
		{"still valid", Broadcasts{Limit: 10, ValidAt: w.now}, []string{`{"_lctype":-1,"n":1}`, "3", "4"}},
		{"after one", Broadcasts{Limit: 10, After: old.Seq}, []string{"3", "4"}},
		{"after one, the oldest first", Broadcasts{Limit: 1, After: old.Seq, Newer: true}, []string{"3"}},
		{"before one", Broadcasts{Limit: 10, Start: Place{Message: last.MessageID}}, []string{`{"_lctype":-1,"n":1}`, "2", "3"}},
		{"from a time on", Broadcasts{Limit: 1, Newer: true, Start: Place{Time: old.Timestamp, Included: true}}, []string{"2"}},
		{"none", Broadcasts{}, nil},
	} {
		page, got := w.broadcasts(c.q)
		if d := cmp.Diff(c.want, got); d != "" || page.Missing || page.LastSeq != last.Seq+1 {
			t.Errorf("%s: %+v %s", c.name, page, d)
		}
	}
	page, _ := w.broadcasts(Broadcasts{Limit: 10, Service: "shop"})
	if b := page.Broadcasts[0]; b.Service != "shop" || b.ValidTill == 0 || b.Message.ContentType != "" || b.Message.From != "bot" {
		t.Errorf("%+v", b)
	}
}

func TestBroadcastPlaces(t *testing.T) {
	w := newWorld(t)
	want := []state.BroadcastPlace{{Name: "news", Seq: 3}, {Name: state.PlaceBegin, Seq: 1}}
	w.do("ann", &state.PlaceBroadcasts{User: "ann", Places: want})
	for user, want := range map[wire.UserID][]state.BroadcastPlace{"ann": want, "ben": nil} {
		a, err := w.ask(user, &Request{BroadcastPlaces: &BroadcastPlaces{}})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, a.BroadcastPlaces.Places); d != "" {
			t.Errorf("%s: %s", user, d)
		}
	}
}

func TestLM055_Subscribers(t *testing.T) {
	w := newWorld(t)
	w.do("", &state.CreateConversation{ID: "news", Preset: state.PresetSystem})
	var want []Subscriber
	for i := range 2500 / 5 { // more than a page of members; ids in another order than times
		var users []wire.UserID
		for j := range 5 { // of one time
			users = append(users, wire.UserID(fmt.Sprintf("u%d", ((5*i+j)*7919)%2500)))
		}
		since := w.do("", &state.AddMembers{Conversation: "news", Users: users}).Timestamp
		for _, u := range users {
			want = append(want, Subscriber{u, since})
		}
	}
	for _, newest := range []bool{false, true} {
		var got []Subscriber
		q := Subscribers{Service: "news", Newest: newest, Limit: 700}
		for {
			a, err := w.ask("", &Request{Subscribers: &q})
			if err != nil {
				t.Fatal(err)
			}
			page := a.Subscribers
			if page.Count != 2500 {
				t.Fatalf("%d subscribers", page.Count)
			}
			got = append(got, page.Subscribers...)
			if !page.More {
				break
			}
			q.After = &got[len(got)-1]
		}
		if len(got) != len(want) {
			t.Fatalf("%d subscribers on all pages, want %d", len(got), len(want))
		}
		for i := range got {
			at := i
			if newest {
				at = len(got) - 1 - i
			}
			if got[i].Since != want[at].Since {
				t.Fatalf("newest first %v: number %d is %v, want the time of %v", newest, i, got[i], want[at])
			}
			if i > 0 && got[i].Since == got[i-1].Since && (got[i].User > got[i-1].User) == newest {
				t.Fatalf("newest first %v: %v after %v", newest, got[i], got[i-1])
			}
		}
	}
	if _, err := w.ask("u1", &Request{Subscribers: &Subscribers{Service: "news", Limit: 1}}); refusal(err) != state.Forbidden {
		t.Errorf("a user asks: %v", err)
	}
	w.do("ann", &state.CreateConversation{ID: "tea", Preset: state.PresetBasic})
	if _, err := w.ask("", &Request{Subscribers: &Subscribers{Service: "tea", Limit: 1}}); refusal(err) != state.NotFound {
		t.Errorf("of no service: %v", err)
	}
}
