package leanrest

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// object is a conversation as it is answered.
type object struct {
	ID        string         `json:"objectId"`
	Name      string         `json:"name"`
	Members   []string       `json:"m"`
	Muted     []string       `json:"mu"`
	Creator   string         `json:"c"`
	Unique    bool           `json:"unique"`
	UniqueID  string         `json:"uniqueId"`
	Room      bool           `json:"tr"`
	System    bool           `json:"sys"`
	Attr      map[string]any `json:"attr"`
	Mood      string         `json:"mood"`
	CreatedAt string         `json:"createdAt"`
	UpdatedAt string         `json:"updatedAt"`
}

type objects struct {
	Results []object `json:"results"`
}

func (w *world) read(id string) object {
	w.t.Helper()
	var o object
	w.master(get, "/1.1/classes/_Conversation/"+id, "").ok(&o)
	return o
}

func sameIDs(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestLM105_Create(t *testing.T) {
	w := newWorld(t)
	var o object
	w.master(post, "/1.2/rtm/conversations", `{"name":"tea","m":["Tom","Jerry"],"attr":{"at":5},"mood":"fine","lm":1,"createdAt":"never"}`).ok(&o)
	sameIDs(t, "members", o.Members, "Jerry", "Tom")
	if o.Name != "tea" || o.Attr["at"] != 5.0 || o.Mood != "fine" || o.Unique || len(o.ID) != 24 || !strings.HasSuffix(o.CreatedAt, "Z") || o.CreatedAt != o.UpdatedAt {
		t.Errorf("made %+v", o)
	}
	var again, first object
	w.master(post, "/1.2/rtm/conversations", `{"name":"pair","m":["Tom","Jerry"],"unique":true}`).ok(&first)
	w.master(post, "/1.2/rtm/conversations", `{"name":"other","m":["Jerry","Tom","Tom"],"unique":true}`).ok(&again)
	if first.ID == o.ID || again.ID != first.ID || again.Name != "pair" || !again.Unique || again.UniqueID != "09c6a05661878de43defe4ec0e8aca24" {
		t.Errorf("unique: %+v, then %+v", first, again)
	}
	w.master(post, "/1.2/rtm/conversations", `{"m":[""]}`).no(http.StatusBadRequest, 1)
	typed := w.master(post, "/1.2/rtm/conversations", `{"m":5}`)
	typed.no(http.StatusBadRequest, 107)
	if !strings.Contains(typed.text, "m is of the wrong type: number, want array") {
		t.Errorf("the members are a number: %s, want words for somebody who writes JSON", typed.text)
	}
	w.master(post, "/1.2/rtm/conversations", `{"unique":true}`).no(http.StatusBadRequest, 1)
}

func TestLM105_MemberLimit(t *testing.T) {
	w := newWorld(t)
	ids := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(`"u%03d"`, i))
		}
		return strings.Join(list, ",")
	}
	// Of ids beyond the limit only the first count.
	id := w.make("conversations", `{"m":[`+ids(501)+`]}`)
	if n := len(w.read(id).Members); n != 500 {
		t.Errorf("%d members, want 500", n)
	}
	if o := w.read(w.make("conversations", `{"m":[`+ids(501)+`],"c":"Ann"}`)); len(o.Members) != 500 || !slices.Contains(o.Members, "Ann") {
		t.Errorf("%d members, want 500 with their creator", len(o.Members))
	}
	w.master(post, "/1.2/rtm/conversations/"+id+"/members", `{"client_ids":["one-more"]}`).no(http.StatusBadRequest, 4304)
	w.master(post, "/1.2/rtm/conversations/"+id+"/members", `{"client_ids":[`+ids(501)+`]}`).no(http.StatusBadRequest, 4304)
}

func TestLM105_Query(t *testing.T) {
	w := newWorld(t)
	for i := range 5 {
		w.make("conversations", fmt.Sprintf(`{"name":"c%d","m":["Tom"],"n":%d}`, i, i))
	}
	w.make("conversations", `{"name":"hers","m":["Mary"]}`)
	room, service := w.make("chatrooms", `{"name":"room"}`), w.make("service-conversations", `{"name":"news"}`)
	find := func(path, where, more string) []string {
		t.Helper()
		var found objects
		w.master(get, path+"?where="+url.QueryEscape(where)+more, "").ok(&found)
		var names []string
		for _, o := range found.Results {
			names = append(names, o.Name)
		}
		return names
	}
	for _, c := range []struct{ path, where, more, want string }{
		{"/1.2/rtm/conversations", "", "", "c0 c1 c2 c3 c4 hers"},
		{"/1.2/rtm/conversations", `{"m":"Tom"}`, "", "c0 c1 c2 c3 c4"},
		{"/1.2/rtm/conversations", `{"m":"Tom"}`, "&limit=2&skip=1", "c1 c2"},
		{"/1.2/rtm/conversations", `{"n":{"$gte":3}}`, "&order=-n", "c4 c3"},
		{"/1.2/rtm/conversations", `{"n":{"$gte":3}}`, "&limit=0", ""},
		{"/1.2/rtm/conversations", `{"objectId":"` + room + `"}`, "", ""},
		{"/1.2/rtm/conversations", `{"conv_type":3}`, "", ""},
		{"/1.2/rtm/chatrooms", "", "", "room"},
		{"/1.2/rtm/service-conversations", "", "", "news"},
		{"/1.2/rtm/all-conversations", "", "", "c0 c1 c2 c3 c4 hers room news"},
		{"/1.2/rtm/all-conversations", `{"tr":true}`, "", "room"},
		{"/1.1/classes/_Conversation", `{"objectId":{"$in":["` + room + `","` + service + `"]}}`, "&order=name", "news room"},
	} {
		if got := strings.Join(find(c.path, c.where, c.more), " "); got != c.want {
			t.Errorf("%s %s %s: %q, want %q", c.path, c.where, c.more, got, c.want)
		}
	}
	w.master(get, "/1.2/rtm/conversations?where="+url.QueryEscape(`{"n":{"$what":1}}`), "").no(http.StatusBadRequest, 102)
	w.master(get, "/1.2/rtm/conversations?where=[", "").no(http.StatusBadRequest, 102)
	w.master(get, "/1.2/rtm/conversations?skip=1000000", "").no(http.StatusBadRequest, 1)
}

func TestLM105_UpdateAndDelete(t *testing.T) {
	w := newWorld(t)
	id := w.make("conversations", `{"name":"tea","m":["Tom"],"attr":{"a":1}}`)
	before := w.read(id)
	var at struct {
		ID        string `json:"objectId"`
		UpdatedAt string `json:"updatedAt"`
	}
	w.master(put, "/1.2/rtm/conversations/"+id, `{"name":"coffee","attr.b":2,"n":{"__op":"Increment","amount":3},"m":["Eve"]}`).ok(&at)
	after := w.read(id)
	sameIDs(t, "members, which cannot be set so", after.Members, "Tom")
	if at.ID != id || after.UpdatedAt != at.UpdatedAt || at.UpdatedAt <= before.UpdatedAt || after.Name != "coffee" || after.Attr["a"] != 1.0 || after.Attr["b"] != 2.0 {
		t.Errorf("answered %+v, is %+v", at, after)
	}
	large := strings.Repeat("x", 10<<10)
	w.master(put, "/1.2/rtm/conversations/"+id, `{"a":"`+large+`","b":"`+large+`"}`).no(http.StatusBadRequest, 4306) // for one change
	w.master(put, "/1.2/rtm/conversations/"+id, `{"a":"`+large+`"}`).ok(nil)
	w.master(put, "/1.2/rtm/conversations/"+id, `{"b":"`+large+`"}`).no(http.StatusBadRequest, 4306) // for one conversation
	w.master(put, "/1.2/rtm/conversations/"+id, `{"attr.n":{"__op":"Increment","amount":1},"attr.n.n":1}`).no(http.StatusBadRequest, 4306)
	w.master(put, "/1.2/rtm/conversations/"+id, `{"m":["Eve"]}`).no(http.StatusBadRequest, 113)
	w.master(put, "/1.2/rtm/chatrooms/"+id, `{"name":"x"}`).no(http.StatusBadRequest, 4316)
	w.master(put, "/1.2/rtm/service-conversations/"+id, `{"name":"x"}`).no(http.StatusBadRequest, 4313)
	w.master(put, "/1.2/rtm/conversations/5a0000000000000000000000", `{"name":"x"}`).no(http.StatusNotFound, 4303)
	w.master(remove, "/1.2/rtm/conversations/"+id, "").is("{}")
	w.master(remove, "/1.2/rtm/conversations/"+id, "").no(http.StatusNotFound, 4303)
	w.master(post, "/1.2/rtm/conversations/"+id+"/messages", `{"from_client":"Tom","message":"hi"}`).no(http.StatusNotFound, 4401)
	room := w.make("chatrooms", `{"name":"r"}`)
	w.master(put, "/1.2/rtm/conversations/"+room, `{"name":"x"}`).no(http.StatusBadRequest, 4314)
}

func TestLM105_Members(t *testing.T) {
	w := newWorld(t)
	id := w.make("conversations", `{"m":["Tom"]}`)
	path := "/1.2/rtm/conversations/" + id + "/members"
	list := func(what string, want ...string) {
		t.Helper()
		var got struct{ Result []string }
		w.master(get, path, "").ok(&got)
		sameIDs(t, what, got.Result, want...)
	}
	var at struct{ ObjectID, UpdatedAt string }
	w.master(post, path, `{"client_ids":["Mary","Jerry"]}`).ok(&at)
	if list("added", "Jerry", "Mary", "Tom"); at.ObjectID != id || at.UpdatedAt != w.read(id).UpdatedAt {
		t.Errorf("answered %+v", at)
	}
	w.master(post, path, `{"client_ids":["Mary"]}`).ok(nil) // she is there
	w.master(remove, path, `{"client_ids":["Mary","Nobody"]}`).ok(nil)
	list("removed", "Jerry", "Tom")
	w.master(remove, path, `{"client_ids":["Nobody"]}`).ok(nil)
	w.master(post, path, `{}`).no(http.StatusBadRequest, 113)
	w.master(post, path, `{"client_ids":["`+strings.Repeat("x", 65)+`"]}`).no(http.StatusBadRequest, 1)
	w.master(get, "/1.2/rtm/conversations/nowhere/members", "").no(http.StatusNotFound, 4303)
}

func TestLM105_Mutes(t *testing.T) {
	w := newWorld(t)
	id := w.make("conversations", `{"m":["Tom","Jerry"]}`)
	path := "/1.2/rtm/conversations/" + id + "/mutes"
	var at struct{ ObjectID, UpdatedAt string }
	w.master(post, path, `{"client_ids":["Tom"]}`).ok(&at)
	w.master(get, path, "").is(`{"result":["Tom"]}`)
	if o := w.read(id); len(o.Muted) != 1 || o.Muted[0] != "Tom" || o.UpdatedAt != at.UpdatedAt {
		t.Errorf("is %+v, answered %+v", o, at)
	}
	w.master(remove, path, `{"client_ids":["Tom"]}`).ok(nil)
	w.master(get, path, "").is(`{"result":[]}`)
}

func TestLM105_MemberInfos(t *testing.T) {
	off := newWorld(t)
	id := off.make("conversations", `{"m":["Tom"]}`)
	off.master(post, "/1.2/rtm/conversations/"+id+"/member-infos", `{"clientId":"Tom","role":"Manager"}`).no(http.StatusForbidden, 4325)

	w := newWorld(t, "roles=on")
	id = w.make("conversations", `{"m":["Tom","Jerry"],"c":"Ann"}`)
	path := "/1.2/rtm/conversations/" + id + "/member-infos"
	var made struct{ ObjectID, UpdatedAt string }
	w.master(post, path, `{"clientId":"Tom","role":"Manager"}`).ok(&made)
	var rows struct{ Results []infoRow }
	w.master(get, path, "").ok(&rows)
	if len(rows.Results) != 2 || rows.Results[0].Role != "Owner" || rows.Results[1].Client != "Tom" || rows.Results[1].Role != "Manager" || rows.Results[1].ID != made.ObjectID {
		t.Errorf("rows %+v, made %+v", rows.Results, made)
	}
	w.master(get, path+"?role=Manager&limit=1", "").ok(&rows)
	if len(rows.Results) != 1 || rows.Results[0].Client != "Tom" {
		t.Errorf("managers %+v", rows.Results)
	}
	w.master(put, path+"/"+made.ObjectID, `{"role":"Member"}`).ok(nil)
	w.master(post, path, `{"clientId":"Jerry","role":"Manager"}`).ok(&made)
	w.master(remove, path+"/"+made.ObjectID, "").is("{}")
	w.master(get, path+"?role=Manager", "").is(`{"results":[]}`)
	w.master(post, path, `{"clientId":"Tom","role":"King"}`).no(http.StatusBadRequest, 4321)
	w.master(post, path, `{"clientId":"Eve","role":"Manager"}`).no(http.StatusBadRequest, 4317)
	w.master(put, path+"/nonsense", `{"role":"Member"}`).no(http.StatusNotFound, 101)
}

func TestLM105_Silenceds(t *testing.T) {
	w := newWorld(t)
	for family, body := range map[string]string{"conversations": `{"m":["Tom","Jerry"]}`, "chatrooms": `{}`} {
		id := w.make(family, body)
		speak := func() state.Refusal {
			return w.apply(state.Header{App: testApp, Actor: "Tom"}, &state.SendMessage{Conversation: wire.ConversationID(id), Body: []byte("hi")}).Refusal
		}
		path := "/1.2/rtm/" + family + "/" + id + "/permanent-silenceds"
		w.master(post, path, `{"client_ids":["Tom"]}`).is("{}")
		if r := speak(); r != state.Muted {
			t.Errorf("%s: a silenced user speaks: %v", family, r)
		}
		w.master(get, path, "").is(`{"client_ids":["Tom"]}`)
		w.master(remove, path, `{"client_ids":["Tom"]}`).is("{}")
		w.master(get, path, "").is(`{"client_ids":[]}`)

		path = "/1.2/rtm/" + family + "/" + id + "/temporary-silenceds"
		w.master(post, path, `{"client_id":"Tom","ttl":60}`).is("{}")
		if r := speak(); r != state.MutedForNow {
			t.Errorf("%s: a user who is silenced for a minute speaks: %v", family, r)
		}
		w.now += 60_000
		if r := speak(); r != state.None {
			t.Errorf("%s: after the minute: %v", family, r)
		}
		w.master(post, path, `{"client_id":"Tom","ttl":60}`).is("{}")
		w.master(remove, path+"?client_id=Tom", "").is("{}")
		if r := speak(); r != state.None {
			t.Errorf("%s: let speak again: %v", family, r)
		}
		w.master(post, path, `{"client_id":"Tom","ttl":86401}`).no(http.StatusBadRequest, 1)
		w.master(post, path, `{"client_id":"Tom"}`).no(http.StatusBadRequest, 1)
	}
}

func TestLM105_Blacklists(t *testing.T) {
	off := newWorld(t)
	id := off.make("conversations", `{"m":["Tom"]}`)
	off.master(get, "/1.2/rtm/conversations/"+id+"/blacklists", "").no(http.StatusForbidden, 4544)

	w := newWorld(t, "blacklist=on")
	for family, body := range map[string]string{"conversations": `{"m":["Tom","Jerry","Mary"]}`, "chatrooms": `{}`, "service-conversations": `{}`} {
		id := w.make(family, body)
		path := "/1.2/rtm/" + family + "/" + id + "/blacklists"
		w.master(post, path, `{"client_ids":["Tom","Jerry"]}`).is("{}")
		w.master(get, path+"?limit=1", "").is(`{"client_ids":["Jerry"],"next":"1"}`)
		w.master(get, path+"?limit=1&next=1", "").is(`{"client_ids":["Tom"]}`)
		if family == "conversations" {
			sameIDs(t, "members", w.read(id).Members, "Mary")
			w.master(post, "/1.2/rtm/conversations/"+id+"/members", `{"client_ids":["Tom"]}`).no(http.StatusForbidden, 4548)
			w.master(post, "/1.2/rtm/conversations/"+id+"/members", `{"client_ids":["Tom","Jerry"]}`).no(http.StatusForbidden, 4548)
			w.master(post, "/1.2/rtm/conversations/"+id+"/members", `{"client_ids":["Tom","Zoe"]}`).ok(nil)
			sameIDs(t, "members", w.read(id).Members, "Mary", "Zoe")
		}
		w.master(remove, path, `{"client_ids":["Tom","Jerry"]}`).is("{}")
		w.master(get, path, "").is(`{"client_ids":[]}`)
	}
}

func TestLM105_Class(t *testing.T) {
	w := newWorld(t)
	var made object
	a := w.master(post, "/1.1/classes/_Conversation", `{"name":"old","m":["Tom"],"c":"Ann"}`)
	if a.ok(&made); a.status != http.StatusCreated || made.CreatedAt == "" {
		t.Errorf("made with %d: %s", a.status, a.text)
	}
	o := w.read(made.ID)
	sameIDs(t, "members", o.Members, "Ann", "Tom")
	if o.Creator != "Ann" {
		t.Errorf("made by %q", o.Creator)
	}
	path := "/1.1/classes/_Conversation/" + made.ID
	var at object
	w.master(put, path, `{"m":{"__op":"AddUnique","objects":["Mary","Tom"]}}`).ok(&at)
	w.master(put, path, `{"m":{"__op":"Remove","objects":["Tom"]},"mu":{"__op":"AddUnique","objects":["Mary"]},"name":"new"}`).ok(&at)
	o = w.read(made.ID)
	sameIDs(t, "members", o.Members, "Ann", "Mary")
	if sameIDs(t, "muted", o.Muted, "Mary"); o.Name != "new" || o.UpdatedAt != at.UpdatedAt {
		t.Errorf("is %+v, answered %+v", o, at)
	}
	w.master(put, path, `{"m":["Tom"]}`).no(http.StatusBadRequest, 1)
	w.master(put, path, `{}`).no(http.StatusBadRequest, 113)
	w.master(remove, path, "").is("{}")
	w.master(get, path, "").no(http.StatusNotFound, 101)
	w.master(post, "/1.1/classes/_Conversation", `{"tr":true}`).ok(&made)
	if o := w.read(made.ID); !o.Room || o.System || o.Members != nil {
		t.Errorf("a chat room is %+v", o)
	}
	w.master(post, "/1.1/classes/_Conversation", `{"sys":true}`).ok(&made)
	if o := w.read(made.ID); !o.System || o.Room {
		t.Errorf("a service is %+v", o)
	}
	w.master(get, "/1.1/classes/_User", "").no(http.StatusNotFound, 1)
}
