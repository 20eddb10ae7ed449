package leanrest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/node/leansign"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

func (w *world) items(path string) []item {
	w.t.Helper()
	var list []item
	w.master(get, path, "").ok(&list)
	return list
}

func texts(items []item) string {
	var all []string
	for _, i := range items {
		all = append(all, i.Data)
	}
	return strings.Join(all, " ")
}

// TestLM080_History is the documented table: from and to are messages.
func TestLM080_History(t *testing.T) {
	w := newWorld(t)
	id := w.make("conversations", `{"m":["Tom"]}`)
	sent := map[string]sentMessage{}
	for _, text := range []string{"a", "b", "c"} {
		sent[text] = w.say("conversations", id, "Tom", text)
	}
	for _, c := range []struct{ from, to, more, want string }{
		{"c", "a", "", "b"},
		{"c", "a", "&include_start=true", "c b"},
		{"c", "a", "&include_stop=true", "b a"},
		{"a", "c", "&reversed=true", "b"},
		{"a", "c", "&reversed=true&include_start=true", "a b"},
		{"a", "c", "&reversed=true&include_stop=true", "b c"},
		{"c", "a", "&include_start=true&include_stop=true", "c b a"},
		{"", "", "", "c b a"},
		{"", "", "&reversed=true", "a b c"},
		{"", "", "&limit=2", "c b"},
		{"", "", "&limit=2&reversed=true", "a b"},
		{"b", "", "", "a"},
		{"b", "", "&reversed=true", "c"},
	} {
		query := "?x=1"
		if c.from != "" {
			query += fmt.Sprintf("&msgid=%s&timestamp=%d", sent[c.from].ID, sent[c.from].Timestamp)
		}
		if c.to != "" {
			query += fmt.Sprintf("&till_msgid=%s&till_timestamp=%d", sent[c.to].ID, sent[c.to].Timestamp)
		}
		// The same rows of the app's messages, and by version 1.1.
		for _, path := range []string{"/1.2/rtm/conversations/" + id + "/messages", "/1.2/rtm/messages", "/1.1/rtm/messages/history", "/1.2/rtm/clients/Tom/messages"} {
			if got := texts(w.items(path + query + c.more)); got != c.want {
				t.Errorf("%s from %q to %q%s: %q, want %q", path, c.from, c.to, c.more, got, c.want)
			}
		}
		if got := texts(w.items("/1.1/rtm/messages/history" + query + c.more + "&convid=" + id)); got != c.want {
			t.Errorf("by version 1.1, from %q to %q%s: %q, want %q", c.from, c.to, c.more, got, c.want)
		}
	}
	b := sent["b"].Timestamp
	for query, want := range map[string]string{
		fmt.Sprintf("?timestamp=%d", b):                                      "a",
		fmt.Sprintf("?timestamp=%d&include_start=true", b):                   "b a",
		fmt.Sprintf("?max_ts=%d", b):                                         "a",
		fmt.Sprintf("?timestamp=%d&reversed=true", b):                        "c",
		fmt.Sprintf("?timestamp=%d&till_timestamp=%d&reversed=true", b-1, b): "",
	} {
		if got := texts(w.items("/1.2/rtm/conversations/" + id + "/messages" + query)); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	path := "/1.2/rtm/conversations/" + id + "/messages"
	w.master(get, path+"?limit=1001", "").no(http.StatusBadRequest, 1)
	w.master(get, path+"?limit=0", "").no(http.StatusBadRequest, 1)
	w.master(get, path+"?msgid=x", "").no(http.StatusBadRequest, 113)
	w.master(get, path+"?reversed=perhaps", "").no(http.StatusBadRequest, 1)
	w.master(get, "/1.2/rtm/conversations/nowhere/messages", "").no(http.StatusNotFound, 4303)
}

func TestLM105_Send(t *testing.T) {
	w := newWorld(t)
	id := w.make("conversations", `{"m":["Tom","Jerry"]}`)
	path := "/1.2/rtm/conversations/" + id + "/messages"
	// No membership is asked for.
	w.master(post, path, `{"from_client":"Anybody","message":"{\"_lctype\":-1}","mention_all":true,"mention_client_ids":["Tom"],"priority":"HIGH","push_data":{"alert":"x"}}`).ok(nil)
	w.master(post, path, `{"from_client":"Tom","message":"AP8=","bin":true}`).ok(nil)
	list := w.items(path)
	if got := list[1]; got.From != "Anybody" || got.Conversation != id || got.To != id || !got.MentionAll || len(got.Mentions) != 1 || !got.IsConv || got.IsRoom || got.Binary || got.Data != `{"_lctype":-1}` {
		t.Errorf("the message is %+v", got)
	}
	if got := list[0]; !got.Binary || got.Data != base64.StdEncoding.EncodeToString([]byte{0, 255}) {
		t.Errorf("bytes are %+v", got)
	}
	for body, code := range map[string]int{
		`{"message":"hi"}`:      113,
		`{"from_client":"Tom"}`: 113,
		`{"from_client":"Tom","message":"` + strings.Repeat("x", 5121) + `"}`:            4109,
		`{"from_client":"Tom","message":{"_lctype":-1}}`:                                 107,
		`{"from_client":"Tom","message":"hi","priority":"urgent"}`:                       1,
		`{"from_client":"Tom","message":"?","bin":true}`:                                 1,
		`{"from_client":"Tom","message":"x","mention_client_ids":[` + manyIDs(21) + `]}`: 1,
		`{"from_client":"` + strings.Repeat("x", 65) + `","message":"hi"}`:               1,
	} {
		w.master(post, path, body).no(http.StatusBadRequest, code)
	}
	w.master(post, path, `{"from_client":"Tom","message":"`+strings.Repeat("x", 5120)+`"}`).ok(nil)
	w.master(post, "/1.2/rtm/conversations/nowhere/messages", `{"from_client":"Tom","message":"hi"}`).no(http.StatusNotFound, 4401)
}

func manyIDs(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`"u%d"`, i))
	}
	return strings.Join(list, ",")
}

func TestLM105_TransientAndEcho(t *testing.T) {
	w := newWorld(t)
	id := w.make("conversations", `{"m":["Tom"]}`)
	path := "/1.2/rtm/conversations/" + id + "/messages"
	var sent sentMessage
	w.master(post, path, `{"from_client":"Tom","message":"typing","transient":true}`).ok(&sent)
	if len(w.signals) != 1 || len(w.items(path)) != 0 {
		t.Fatalf("%d signals, and stored: %v", len(w.signals), w.items(path))
	}
	s := w.signals[0]
	if s.From != "" || s.Message.From != "Tom" || string(s.Message.Body) != "typing" || string(s.Conversation) != id || string(s.Message.ID) != sent.ID || len(sent.ID) != 22 {
		t.Errorf("the signal is %+v %+v, answered %+v", s, s.Message, sent)
	}
	for body, want := range map[string]uint64{
		`{"from_client":"Tom","message":"hi"}`:                   0,
		`{"from_client":"Tom","message":"hi","no_sync":true}`:    door.NoEcho,
		`{"from_client":"Tom","message":"hi","transient":false}`: 0,
	} {
		if w.master(post, path, body).ok(nil); w.last.Origin.Session != want || w.last.Actor != "" {
			t.Errorf("%s: the origin is %+v", body, w.last.Origin)
		}
	}
}

func TestLM105_Rooms(t *testing.T) {
	w := newWorld(t)
	a := w.master(post, "/1.2/rtm/chatrooms", `{"name":"lobby"}`)
	var made map[string]string
	if a.ok(&made); len(made) != 2 || made["objectId"] == "" || made["createdAt"] == "" {
		t.Errorf("made %s", a.text)
	}
	id := made["objectId"]
	w.present[wire.ConversationID(id)] = []wire.UserID{"Tom", "Jerry"}
	w.master(get, "/1.2/rtm/chatrooms/"+id+"/members", "").is(`{"result":["Tom","Jerry"]}`)
	w.master(get, "/1.2/rtm/chatrooms/"+id+"/members/online-count", "").is(`{"result":2}`)
	w.client(get, "/1.1/rtm/transient_group/onlines?gid="+id, "").is(`{"result":2}`)
	w.client(get, "/1.1/rtm/transient_group/members?gid="+id, "").is(`{"result":["Tom","Jerry"]}`)
	conversation := w.make("conversations", `{"m":["Tom"]}`)
	w.master(get, "/1.2/rtm/chatrooms/"+conversation+"/members", "").no(http.StatusBadRequest, 4316)

	w.say("chatrooms", id, "Tom", "hello")
	if w.last.Origin.Session != door.NoEcho {
		t.Errorf("a message into a room comes from %+v, want no echo", w.last.Origin)
	}
	if list := w.items("/1.2/rtm/chatrooms/" + id + "/messages"); len(list) != 1 || !list[0].IsRoom || list[0].IsConv {
		t.Errorf("messages %+v", list)
	}
	w.master(put, "/1.2/rtm/chatrooms/"+id, `{"name":"hall"}`).ok(nil)
	w.master(get, "/1.2/rtm/chatrooms?where="+url.QueryEscape(`{"name":"hall"}`), "").ok(nil)
	w.master(remove, "/1.2/rtm/chatrooms/"+id, "").is("{}")
}

func TestLM105_ChangeMessages(t *testing.T) {
	w := newWorld(t)
	for family, body := range map[string]string{"conversations": `{"m":["Tom"]}`, "chatrooms": `{}`} {
		id := w.make(family, body)
		path := "/1.2/rtm/" + family + "/" + id + "/messages"
		one, two, three := w.say(family, id, "Tom", "one"), w.say(family, id, "Tom", "two"), w.say(family, id, "Tom", "three")
		named := func(m sentMessage, from string) string {
			return fmt.Sprintf(`{"from_client":%q,"message":"new","timestamp":%d}`, from, m.Timestamp)
		}
		w.master(put, path+"/"+one.ID, named(one, "Tom")).is("{}")
		w.master(put, path+"/"+two.ID+"/recall", named(two, "Tom")).is("{}")
		w.master(remove, path+"/"+three.ID+"?from_client=Tom&timestamp="+fmt.Sprint(three.Timestamp), "").is("{}")
		list := w.items(path)
		if len(list) != 2 || list[1].Data != "new" || list[1].PatchedAt == 0 || list[1].Timestamp != one.Timestamp || list[0].Data != `{"_lctype":-127}` || !list[0].Recalled {
			t.Errorf("%s: messages %+v", family, list)
		}
		w.master(put, path+"/"+one.ID, named(one, "Jerry")).no(http.StatusForbidden, 4403)
		w.master(put, path+"/"+one.ID, named(two, "Tom")).no(http.StatusNotFound, 4404)
		w.master(put, path+"/nonsense", named(one, "Tom")).no(http.StatusNotFound, 4404)
		w.master(put, path+"/"+two.ID, named(two, "Tom")).no(http.StatusNotFound, 4404) // it was recalled
		w.master(put, path+"/"+three.ID, named(three, "Tom")).no(http.StatusNotFound, 4404)
		w.master(put, path+"/"+one.ID, fmt.Sprintf(`{"from_client":"Tom","timestamp":%d}`, one.Timestamp)).no(http.StatusBadRequest, 113)
		w.master(put, path+"/"+one.ID, `{"from_client":"Tom","message":"x"}`).no(http.StatusBadRequest, 113)
		w.master(put, path+"/"+one.ID+"/recall", `{"timestamp":5}`).no(http.StatusBadRequest, 113)
	}
}

// TestLM073_EditKeepsMentions: over REST nobody can say them anew.
func TestLM073_EditKeepsMentions(t *testing.T) {
	w := newWorld(t)
	id := w.make("conversations", `{"m":["Tom","Jerry"]}`)
	path := "/1.2/rtm/conversations/" + id + "/messages"
	var sent sentMessage
	w.master(post, path, `{"from_client":"Tom","message":"@all","mention_all":true,"mention_client_ids":["Jerry"]}`).ok(&sent)
	w.master(put, path+"/"+sent.ID, fmt.Sprintf(`{"from_client":"Tom","message":"@all!","timestamp":%d}`, sent.Timestamp)).is("{}")
	if list := w.items(path); list[0].Data != "@all!" || !list[0].MentionAll || len(list[0].Mentions) != 1 {
		t.Errorf("the message is %+v", list[0])
	}
}

// TestMergedIsCut: where one shard's answer was cut short, what another one has
// beyond that waits for the next request.
func TestMergedIsCut(t *testing.T) {
	page := func(cut bool, millis ...int64) *ask.Answer {
		p := &ask.AppMessagePage{Cut: cut}
		for _, at := range millis {
			p.Messages = append(p.Messages, ask.AppMessage{Message: &state.Message{Timestamp: at, ID: "m"}})
			p.Next = state.AppMessagesPlace{Timestamp: at, ID: "m"}
		}
		return &ask.Answer{AppMessages: p}
	}
	for _, c := range []struct {
		span    span
		answers []*ask.Answer
		want    string
	}{
		{span{newer: true, limit: 9}, []*ask.Answer{page(false, 1, 4, 7), page(false, 2, 3, 9)}, "[1 2 3 4 7 9]"},
		{span{newer: true, limit: 9}, []*ask.Answer{page(false, 1, 4, 7), page(true, 2, 3)}, "[1 2 3]"},
		{span{newer: true, limit: 2}, []*ask.Answer{page(false, 1, 4, 7), page(true, 2, 3)}, "[1 2]"},
		{span{limit: 9}, []*ask.Answer{page(false, 7, 4, 1), page(true, 9, 5)}, "[9 7 5]"},
	} {
		var got []int64
		for _, m := range merged(c.answers, c.span) {
			got = append(got, m.Message.Timestamp)
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%+v: %v, want %s", c.span, got, c.want)
		}
	}
}

func TestLM105_Messages(t *testing.T) {
	w := newWorld(t)
	id := w.make("conversations", `{"m":["Tom"]}`)
	path := "/1.2/rtm/conversations/" + id + "/messages"
	var sent sentMessage
	// Nobody says whether it is transient: by version 1.1 it is.
	w.master(post, "/1.1/rtm/messages", `{"from_peer":"Tom","conv_id":"`+id+`","message":"gone"}`).ok(&sent)
	w.master(post, "/1.1/rtm/messages", `{"from_peer":"Tom","conv_id":"`+id+`","message":"kept","transient":false}`).ok(&sent)
	if got := texts(w.items(path)); got != "kept" || len(w.signals) != 1 {
		t.Errorf("messages %q, %d signals", got, len(w.signals))
	}
	w.master(post, "/1.1/rtm/patch/message", fmt.Sprintf(`{"conv_id":%q,"msg_id":%q,"timestamp":%d,"from_peer":"Tom","message":"new"}`, id, sent.ID, sent.Timestamp)).is("{}")
	if got := texts(w.items(path)); got != "new" {
		t.Errorf("messages %q", got)
	}
	one := w.items(path)[0]
	one.Data = "other words"
	changed, err := json.Marshal(one)
	if err != nil {
		t.Fatal(err)
	}
	w.master(put, "/1.1/rtm/messages/logs", string(changed)).is("{}")
	if got := texts(w.items(path)); got != "other words" {
		t.Errorf("messages %q", got)
	}
	w.client(put, "/1.1/rtm/messages/logs", string(changed)).no(http.StatusForbidden, 403)
	w.master(put, "/1.1/rtm/messages/logs", `{"conv-id":"`+id+`","msg-id":"none","timestamp":1,"from":"Tom","data":"x"}`).no(http.StatusNotFound, 4404)
	w.master(put, "/1.1/rtm/messages/logs", `{"conv-id":"`+id+`","msg-id":"none","timestamp":1,"from":"Tom","data":"?","bin":true}`).no(http.StatusBadRequest, 1)
	w.master(post, "/1.1/rtm/patch/message", fmt.Sprintf(`{"conv_id":%q,"msg_id":%q,"timestamp":%d,"from_peer":"Tom","recall":true}`, id, sent.ID, sent.Timestamp)).is("{}")
	if got := texts(w.items(path)); got != `{"_lctype":-127}` {
		t.Errorf("messages %q", got)
	}
	w.master(remove, fmt.Sprintf("/1.1/rtm/messages/logs?convid=%s&msgid=%s&timestamp=%d&from=Tom", id, sent.ID, sent.Timestamp), "").is("{}")
	if got := texts(w.items(path)); got != "" {
		t.Errorf("messages %q", got)
	}
	w.master(post, "/1.1/rtm/messages", `{"from_peer":"Tom","message":"x"}`).no(http.StatusBadRequest, 113)
	wrapped := newWorld(t, "rest.wrapped=on")
	id = wrapped.make("conversations", `{"m":["Tom"]}`)
	var answer struct{ Result sentMessage }
	if wrapped.master(post, "/1.1/rtm/messages", `{"from_peer":"Tom","conv_id":"`+id+`","message":"kept","transient":false}`).ok(&answer); answer.Result.ID == "" {
		t.Error("the answer is not wrapped")
	}
}

// TestLM100_HistorySignature reads with the app's key, and a signature.
func TestLM100_HistorySignature(t *testing.T) {
	off := newWorld(t)
	id := off.make("conversations", `{"m":["Tom"]}`)
	off.client(get, "/1.2/rtm/conversations/"+id+"/messages", "").no(http.StatusForbidden, 403)
	off.client(get, "/1.1/rtm/messages/history", "").no(http.StatusForbidden, 403)

	w := newWorld(t, "sign.history=on")
	id = w.make("conversations", `{"m":["Tom"]}`)
	w.say("conversations", id, "Tom", "hi")
	read := func(client, signer string, at int64) answer {
		signature := leansign.Sign(testMaster, leansign.Action{Verb: leansign.History, App: testApp, Client: signer, Conversation: id}, at, "n")
		return w.client(get, fmt.Sprintf("/1.2/rtm/conversations/%s/messages?client_id=%s&nonce=n&signature_ts=%d&signature=%s", id, client, at, signature), "")
	}
	var list []item
	if read("Tom", "Tom", w.now).ok(&list); texts(list) != "hi" {
		t.Errorf("messages %q", texts(list))
	}
	read("Tom", "Jerry", w.now).no(http.StatusUnauthorized, 4102)
	read("Tom", "Tom", w.now-7*3600_000).no(http.StatusUnauthorized, 4102)
	read("Jerry", "Jerry", w.now).no(http.StatusForbidden, 4312) // no member
	w.client(get, "/1.2/rtm/conversations/"+id+"/messages", "").no(http.StatusBadRequest, 113)
	at := w.now
	w.master(post, "/1.2/rtm/clients/Tom/kick", "").is("{}")
	read("Tom", "Tom", at).no(http.StatusUnauthorized, 4102)
	w.client(get, "/1.2/rtm/messages", "").no(http.StatusForbidden, 403)
}

// TestLM105_Export reads all messages of an app, page by page.
func TestLM105_Export(t *testing.T) {
	w := newWorld(t)
	var want []string
	ids := []string{w.make("conversations", `{"m":["Tom"]}`), w.make("chatrooms", `{}`), w.make("conversations", `{"m":["Jerry"]}`)}
	for i := range 23 {
		family := "conversations"
		if i%3 == 1 {
			family = "chatrooms"
		}
		w.say(family, ids[i%3], []string{"Tom", "Jerry"}[i%2], fmt.Sprintf("m%02d", i))
		want = append(want, fmt.Sprintf("m%02d", i))
	}
	var got []string
	query := "?reversed=true&limit=5"
	for range 10 {
		page := w.items("/1.2/rtm/messages" + query)
		if len(page) == 0 {
			break
		}
		for _, m := range page {
			got = append(got, m.Data)
		}
		last := page[len(page)-1]
		query = fmt.Sprintf("?reversed=true&limit=5&msgid=%s&timestamp=%d", last.ID, last.Timestamp)
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("read %v, want %v", got, want)
	}
	if got := texts(w.items("/1.2/rtm/clients/Jerry/messages?limit=2")); got != "m21 m19" {
		t.Errorf("Jerry has sent %q", got)
	}
	if got := texts(w.items("/1.1/rtm/messages/history?from=Jerry&limit=2")); got != "m21 m19" {
		t.Errorf("Jerry has sent %q", got)
	}
}

func TestLM105_LogsAreOfTheApp(t *testing.T) {
	w := newWorld(t)
	w.apply(state.Header{App: "another-app"}, &state.CreateConversation{ID: "secret", Preset: state.PresetBasic, Members: []wire.UserID{"Tom"}})
	w.apply(state.Header{App: "another-app"}, &state.SendMessage{Conversation: "secret", From: "Tom", Body: []byte("psst")})
	if got := texts(w.items("/1.2/rtm/messages")); got != "" {
		t.Errorf("messages of another app: %q", got)
	}
	w.master(get, "/1.2/rtm/conversations/secret/messages", "").no(http.StatusNotFound, 4303)
}
