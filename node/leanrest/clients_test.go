package leanrest

import (
	"net/http"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/quorate/quorate/node/leansign"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

func TestLM105_Online(t *testing.T) {
	w := newWorld(t)
	w.online = []wire.UserID{"Tom", "u0", "u20"}
	w.master(post, "/1.2/rtm/clients/check-online", `{"client_ids":["Tom","Nobody"]}`).is(`{"results":["Tom"]}`)
	w.master(get, "/1.2/rtm/stats", "").is(`{"result":{"online_user_count":3}}`)
	w.master(post, "/1.1/rtm/online", `{"peers":["Tom","Nobody"]}`).is(`{"results":["Tom"]}`)
	// Those beyond the first twenty are left out.
	w.master(post, "/1.2/rtm/clients/check-online", `{"client_ids":[`+manyIDs(21)+`]}`).is(`{"results":["u0"]}`)
	w.master(post, "/1.2/rtm/clients/check-online", `{}`).no(http.StatusBadRequest, 113)
}

func TestLM105_Unread(t *testing.T) {
	w := newWorld(t)
	one, two := w.make("conversations", `{"m":["Tom","Jerry"]}`), w.make("conversations", `{"m":["Tom","Jerry"]}`)
	w.say("conversations", one, "Jerry", "a")
	w.say("conversations", one, "Jerry", "b")
	w.say("conversations", two, "Jerry", "c")
	w.say("conversations", two, "Tom", "d")
	w.client(get, "/1.2/rtm/clients/Tom/unread-count", "").is(`{"count":3}`)
	w.client(get, "/1.2/rtm/clients/Tom/unread-count?conv_id="+one, "").is(`{"count":2}`)
	w.client(get, "/1.1/rtm/messages/unread/Tom", "").is(`{"count":3}`)
	w.client(get, "/1.1/rtm/messages/unread/Tom/"+two, "").is(`{"count":1}`)
	w.client(get, "/1.2/rtm/clients/Nobody/unread-count", "").is(`{"count":0}`)
	w.client(get, "/1.2/rtm/clients/Tom/unread-count?conv_id=nowhere", "").no(http.StatusNotFound, 4303)
	for range 120 {
		w.say("conversations", one, "Jerry", "more")
	}
	w.client(get, "/1.2/rtm/clients/Tom/unread-count?conv_id="+one, "").is(`{"count":100}`)
}

func TestLM105_Kick(t *testing.T) {
	w := newWorld(t)
	w.master(post, "/1.2/rtm/clients/Tom/kick", `{"reason":"enough"}`).is("{}")
	info, err := w.st.User(testApp, "Tom")
	if err != nil || info.ValidAfter != w.now {
		t.Errorf("valid after %d, want %d: %v", info.ValidAfter, w.now, err)
	}
	w.master(post, "/1.1/rtm/client/kick", `{"client_id":"Jerry","reason":"too"}`).is("{}")
	w.master(post, "/1.2/rtm/clients/Tom/kick", `{"reason":"a reason of more than 20"}`).no(http.StatusBadRequest, 1)
	w.master(post, "/1.1/rtm/client/kick", `{}`).no(http.StatusBadRequest, 113)
}

func TestLM105_Subscribers(t *testing.T) {
	w := newWorld(t)
	id := w.make("service-conversations", `{"name":"news"}`)
	path := "/1.2/rtm/service-conversations/" + id + "/subscribers"
	for _, u := range []string{"Tom", "Jerry", "Mary"} {
		w.master(post, path, `{"client_id":"`+u+`"}`).is("{}")
	}
	w.master(post, path, `{"client_id":"Tom"}`).is("{}")
	w.master(get, path+"/count", "").is(`{"count":3}`)
	w.master(get, "/1.1/rtm/conversation/subscribers/count?conv_id="+id, "").is(`{"count":3}`)
	var list []subscription
	w.master(get, path+"?limit=2", "").ok(&list)
	if len(list) != 2 || list[0].Subscriber != "Jerry" || list[1].Subscriber != "Mary" || list[0].Conversation != id || list[0].Timestamp == 0 {
		t.Errorf("the first page is %+v", list)
	}
	if w.master(get, path+"?limit=2&client_id=Mary", "").ok(&list); len(list) != 1 || list[0].Subscriber != "Tom" {
		t.Errorf("the second page is %+v", list)
	}
	w.master(get, "/1.1/rtm/conversation/subscribed?client_id=Tom&conv_id="+id, "").is("true")
	w.master(remove, path+"/Tom", "").is("{}")
	w.master(get, "/1.1/rtm/conversation/subscribed?client_id=Tom&conv_id="+id, "").is("false")
	w.master(remove, "/1.1/rtm/conversation/subscription", `{"client_id":"Jerry","conv_id":"`+id+`"}`).is("{}")
	w.master(post, "/1.1/rtm/conversation/subscription", `{"client_id":"Ann","conv_id":"`+id+`"}`).is("{}")
	if w.master(get, "/1.1/rtm/conversation/subscribers?conv_id="+id, "").ok(&list); len(list) != 2 || list[0].Subscriber != "Ann" {
		t.Errorf("subscribers %+v", list)
	}
	other := w.make("conversations", `{"m":["Tom"]}`)
	w.master(get, "/1.2/rtm/service-conversations/"+other+"/subscribers", "").no(http.StatusBadRequest, 4313)
}

func TestLM105_ServiceConversations(t *testing.T) {
	w := newWorld(t)
	w.make("conversations", `{"m":["Tom"]}`)
	var ids []string
	for range 3 {
		id := w.make("service-conversations", `{}`)
		w.master(post, "/1.2/rtm/service-conversations/"+id+"/subscribers", `{"client_id":"Tom"}`).is("{}")
		ids = append(ids, id)
	}
	path := "/1.2/rtm/clients/Tom/service-conversations"
	order := func(query string) (list []subscription) {
		t.Helper()
		w.master(get, path+query, "").ok(&list)
		return list
	}
	list := order("")
	if len(list) != 3 || list[0].Conversation != ids[0] || list[2].Conversation != ids[2] || list[0].Subscriber != "Tom" {
		t.Fatalf("in order: %+v", list)
	}
	after := "?conv_id=" + ids[0] + "&timestamp=" + jsonNumber(list[0].Timestamp)
	if rest := order(after + "&limit=1"); len(rest) != 1 || rest[0].Conversation != ids[1] {
		t.Errorf("after the first: %+v", rest)
	}
	if old := order("?direction=old"); len(old) != 3 || old[0].Conversation != ids[2] {
		t.Errorf("the other way: %+v", old)
	}
	w.master(get, path+"?direction=sideways", "").no(http.StatusBadRequest, 1)
	w.master(get, "/1.1/rtm/conversation/subscription?client_id=Tom&limit=2", "").ok(&list)
	if len(list) != 2 {
		t.Errorf("by version 1.1: %+v", list)
	}
}

func TestLM105_ClientBlacklists(t *testing.T) {
	w := newWorld(t, "blacklist=on")
	one, two := w.make("conversations", `{"m":["Ann"]}`), w.make("conversations", `{"m":["Ann"]}`)
	path := "/1.2/rtm/clients/Tom/blacklists"
	w.master(post, path, `{"conv_id":"`+one+`"}`).is("{}")
	w.master(post, path, `{"conv_id":"`+two+`"}`).is("{}")
	w.master(post, "/1.2/rtm/conversations/"+one+"/members", `{"client_ids":["Tom"]}`).no(http.StatusForbidden, 4548)
	var list struct {
		IDs  []string `json:"conv_ids"`
		Next string   `json:"next"`
	}
	if w.master(get, path+"?limit=1", "").ok(&list); len(list.IDs) != 1 || list.Next != "1" {
		t.Errorf("%+v", list)
	}
	w.master(remove, path, `{"conv_id":"`+one+`"}`).is("{}")
	w.master(get, path, "").is(`{"conv_ids":["` + two + `"]}`)
	w.master(post, "/1.2/rtm/conversations/"+one+"/members", `{"client_ids":["Tom"]}`).ok(nil)
	w.master(post, path, `{"conv_id":"nowhere"}`).no(http.StatusNotFound, 4303)
}

func TestLM105_TemporarySilence(t *testing.T) {
	w := newWorld(t)
	id := w.make("conversations", `{"m":["Tom"]}`)
	speak := func() state.Refusal {
		return w.apply(state.Header{App: testApp, Actor: "Tom"}, &state.SendMessage{Conversation: wire.ConversationID(id), Body: []byte("hi")}).Refusal
	}
	w.master(post, "/1.1/rtm/conversation/blacklist", `{"conv_id":"`+id+`","client_id":"Tom","ttl":60}`).is("{}")
	if r := speak(); r != state.MutedForNow {
		t.Errorf("he speaks: %v", r)
	}
	w.master(remove, "/1.1/rtm/conversation/blacklist", `{"conv_id":"`+id+`","client_id":"Tom"}`).is("{}")
	if r := speak(); r != state.None {
		t.Errorf("he may not speak: %v", r)
	}
}

// token is what a back end signs for a user.
func token(t *testing.T, key, user string, at time.Time) string {
	t.Helper()
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{
		Subject: user, Audience: jwt.ClaimStrings{testApp}, IssuedAt: jwt.NewNumericDate(at), ExpiresAt: jwt.NewNumericDate(at.Add(time.Hour)),
	}).SignedString([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestLM105_Sign(t *testing.T) {
	w := newWorld(t)
	good := token(t, testMaster, "Tom", time.UnixMilli(w.now))
	type login struct {
		Signature string `json:"signature"`
		Timestamp int64  `json:"timestamp"`
		Nonce     string `json:"nonce"`
		Client    string `json:"client_id"`
	}
	var one, two login
	w.client(post, "/1.1/rtm/sign", `{"session_token":"`+good+`"}`).ok(&one)
	w.client(get, "/1.2/rtm/clients/sign?session_token="+good, "").ok(&two)
	for _, l := range []login{one, two} {
		err := leansign.Check(testMaster, leansign.Action{Verb: leansign.Login, App: testApp, Client: "Tom"},
			leansign.Given{Signature: l.Signature, Timestamp: l.Timestamp, Nonce: l.Nonce}, leansign.Window{Now: w.now})
		if err != nil || l.Client != "Tom" {
			t.Errorf("%+v does not sign Tom in: %v", l, err)
		}
	}
	if one.Nonce == two.Nonce {
		t.Error("two signatures are the same")
	}
	w.client(post, "/1.1/rtm/sign", `{}`).no(http.StatusBadRequest, 113)
	w.client(post, "/1.1/rtm/sign", `{"session_token":"of-an-account"}`).no(http.StatusBadRequest, 211)
	// Clients know the app's key: what it has signed proves nothing.
	w.client(post, "/1.1/rtm/sign", `{"session_token":"`+token(t, testKey, "Tom", time.UnixMilli(w.now))+`"}`).no(http.StatusBadRequest, 211)
	w.client(post, "/1.1/rtm/sign", `{"session_token":"`+token(t, testMaster, "", time.UnixMilli(w.now))+`"}`).no(http.StatusBadRequest, 211)
	w.master(post, "/1.2/rtm/clients/Tom/kick", "").is("{}")
	w.client(post, "/1.1/rtm/sign", `{"session_token":"`+good+`"}`).no(http.StatusBadRequest, 211)
}
