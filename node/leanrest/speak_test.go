package leanrest

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

func (w *world) seen(service, user string) string {
	w.t.Helper()
	return texts(w.items("/1.2/rtm/service-conversations/" + service + "/subscribers/" + user + "/messages?reversed=true"))
}

func TestLM056_ToUsers(t *testing.T) {
	w := newWorld(t)
	id := w.make("service-conversations", `{"name":"news"}`)
	path := "/1.2/rtm/service-conversations/" + id
	var one sentMessage
	w.master(post, path+"/messages", `{"from_client":"bot","message":"hi","to_clients":["Tom","Jerry"]}`).ok(&one)
	if w.seen(id, "Tom") != "hi" || w.seen(id, "Jerry") != "hi" || w.seen(id, "Mary") != "" || one.ID == "" || one.Timestamp == 0 {
		t.Errorf("sent %+v; Tom sees %q, Jerry %q, Mary %q", one, w.seen(id, "Tom"), w.seen(id, "Jerry"), w.seen(id, "Mary"))
	}
	w.client(get, "/1.2/rtm/clients/Tom/unread-count?conv_id="+id, "").is(`{"count":1}`)
	change := func(more string) string {
		return fmt.Sprintf(`{"from_client":"bot","timestamp":%d%s}`, one.Timestamp, more)
	}
	w.master(put, path+"/messages/"+one.ID, change(`,"message":"hello","to_clients":["Tom"]`)).is("{}")
	if w.seen(id, "Tom") != "hello" || w.seen(id, "Jerry") != "hi" {
		t.Errorf("after the edit Tom sees %q, Jerry %q", w.seen(id, "Tom"), w.seen(id, "Jerry"))
	}
	w.master(put, path+"/messages/"+one.ID+"/recall", change(`,"to_clients":["Jerry"]`)).is("{}")
	if w.seen(id, "Jerry") != `{"_lctype":-127}` {
		t.Errorf("after the recall Jerry sees %q", w.seen(id, "Jerry"))
	}
	w.master(remove, fmt.Sprintf("%s/subscribers/Tom/messages/%s?from_client=bot&timestamp=%d", path, one.ID, one.Timestamp), "").is("{}")
	if w.seen(id, "Tom") != "" {
		t.Errorf("after the deletion Tom sees %q", w.seen(id, "Tom"))
	}
	w.master(put, path+"/messages/"+one.ID, change(`,"message":"x","to_clients":["Mary"]`)).no(http.StatusNotFound, 4404)
	w.master(post, path+"/messages", `{"from_client":"bot","message":"hi"}`).no(http.StatusBadRequest, 113)
	w.master(post, path+"/messages", `{"from_client":"bot","message":"hi","to_clients":[`+manyIDs(21)+`]}`).no(http.StatusBadRequest, 1)
	other := w.make("conversations", `{"m":["Tom"]}`)
	w.master(post, "/1.2/rtm/service-conversations/"+other+"/messages", `{"from_client":"bot","message":"hi","to_clients":["Tom"]}`).no(http.StatusBadRequest, 4313)

	// By version 1.1; of more than twenty the first.
	w.master(post, "/1.1/rtm/messages", `{"from_peer":"bot","conv_id":"`+id+`","message":"old","transient":false,"to_peers":[`+manyIDs(21)+`]}`).ok(&one)
	if w.seen(id, "u19") != "old" || w.seen(id, "u20") != "" {
		t.Errorf("u19 sees %q, u20 %q", w.seen(id, "u19"), w.seen(id, "u20"))
	}
	w.master(post, "/1.1/rtm/patch/message", fmt.Sprintf(`{"conv_id":%q,"msg_id":%q,"timestamp":%d,"from_peer":"bot","message":"new","to_peers":["u3"]}`, id, one.ID, one.Timestamp)).is("{}")
	if w.seen(id, "u3") != "new" {
		t.Errorf("u3 sees %q", w.seen(id, "u3"))
	}
	thread, _ := state.ThreadOf(wire.ConversationID(id), "u3")
	w.master(get, "/1.2/rtm/conversations/"+string(thread)+"/messages", "").no(http.StatusNotFound, 4303)
	w.master(post, "/1.1/rtm/messages", `{"from_peer":"bot","conv_id":"`+string(thread)+`","message":"x"}`).no(http.StatusNotFound, 4401)
}

func TestLM056_ToSubscribers(t *testing.T) {
	w := newWorld(t)
	id := w.make("service-conversations", `{"name":"news"}`)
	path := "/1.2/rtm/service-conversations/" + id
	w.master(post, path+"/subscribers", `{"client_id":"Tom"}`).is("{}")
	var one sentMessage
	w.master(post, path+"/broadcasts", `{"from_client":"bot","message":"dear subscribers","push":{"alert":"x"}}`).ok(&one)
	w.master(post, "/1.1/rtm/broadcast/subscriber", `{"from_peer":"bot","conv_id":"`+id+`","message":"again"}`).ok(nil)
	if w.seen(id, "Tom") != "dear subscribers again" || w.seen(id, "Jerry") != "" {
		t.Errorf("Tom sees %q, Jerry %q", w.seen(id, "Tom"), w.seen(id, "Jerry"))
	}
	w.master(put, path+"/messages/"+one.ID, fmt.Sprintf(`{"from_client":"bot","message":"new","timestamp":%d}`, one.Timestamp)).is("{}")
	if w.seen(id, "Tom") != "new again" {
		t.Errorf("Tom sees %q", w.seen(id, "Tom"))
	}
	w.master(put, path+"/messages/"+one.ID+"/recall", fmt.Sprintf(`{"from_client":"bot","timestamp":%d}`, one.Timestamp)).is("{}")
	if w.seen(id, "Tom") != `{"_lctype":-127} again` {
		t.Errorf("Tom sees %q", w.seen(id, "Tom"))
	}
	w.master(put, path+"/messages/none", `{"from_client":"bot","message":"x","timestamp":5}`).no(http.StatusNotFound, 4404)
}

func TestLM056_Broadcasts(t *testing.T) {
	w := newWorld(t)
	id, other := w.make("service-conversations", `{}`), w.make("service-conversations", `{}`)
	body := func(more string) string {
		return `{"from_client":"bot","conv_id":"` + id + `","message":"to all"` + more + `}`
	}
	w.master(get, "/1.2/rtm/broadcasts?conv_id="+id, "").is("[]")
	var one, two sentMessage
	w.master(post, "/1.2/rtm/broadcasts", body("")).ok(&one)
	w.master(post, "/1.1/rtm/broadcast", `{"from_peer":"bot","conv_id":"`+other+`","message":"elsewhere","valid_till":`+fmt.Sprint(w.now+60_000)+`}`).ok(&two)
	if w.seen(id, "Anybody") != "to all" || w.seen(other, "Anybody") != "elsewhere" {
		t.Errorf("Anybody sees %q and %q", w.seen(id, "Anybody"), w.seen(other, "Anybody"))
	}
	var list []broadcastItem
	w.master(get, "/1.2/rtm/broadcasts?conv_id="+id, "").ok(&list)
	if len(list) != 1 || list[0].Data != "to all" || list[0].Conversation != id || list[0].ValidTill < w.now+30*24*3600_000 {
		t.Errorf("broadcasts %+v", list)
	}
	w.master(put, "/1.2/rtm/service-conversations/"+id+"/messages/"+one.ID, fmt.Sprintf(`{"from_client":"bot","message":"new","timestamp":%d}`, one.Timestamp)).is("{}")
	if w.seen(id, "Anybody") != "new" {
		t.Errorf("Anybody sees %q", w.seen(id, "Anybody"))
	}
	w.master(put, "/1.2/rtm/service-conversations/"+id+"/messages/"+one.ID+"/recall", fmt.Sprintf(`{"from_client":"bot","timestamp":%d}`, one.Timestamp)).no(http.StatusBadRequest, 1)
	w.master(put, "/1.2/rtm/service-conversations/"+id+"/messages/"+two.ID, fmt.Sprintf(`{"from_client":"bot","message":"x","timestamp":%d}`, two.Timestamp)).no(http.StatusNotFound, 4404)
	w.master(put, "/1.2/rtm/service-conversations/"+id+"/messages/"+one.ID, fmt.Sprintf(`{"from_client":"eve","message":"x","timestamp":%d}`, one.Timestamp)).no(http.StatusForbidden, 4403)
	w.now += 120_000
	w.master(get, "/1.1/rtm/broadcast?conv_id="+other, "").is("[]") // it is no news any more
	w.master(remove, "/1.2/rtm/broadcasts/"+one.ID, "").is("{}")
	w.master(remove, "/1.1/rtm/broadcast?mid="+two.ID, "").is("{}")
	if w.seen(id, "Anybody") != "" || w.seen(other, "Anybody") != "" {
		t.Errorf("Anybody sees %q and %q", w.seen(id, "Anybody"), w.seen(other, "Anybody"))
	}
	w.master(post, "/1.2/rtm/broadcasts", body(`,"transient":true`)).ok(&one)
	if len(w.signals) != 1 || w.signals[0].Conversation != state.BroadcastLog || w.seen(id, "Anybody") != "" {
		t.Errorf("signals %+v", w.signals)
	}
	w.master(post, "/1.2/rtm/broadcasts", body(`,"valid_till":5`)).no(http.StatusBadRequest, 1)
	w.master(post, "/1.2/rtm/broadcasts", body(`,"valid_till":`+fmt.Sprint(w.now+40*24*3600_000))).no(http.StatusBadRequest, 1)
	w.master(remove, "/1.2/rtm/broadcasts/none", "").no(http.StatusNotFound, 4404)
	w.master(get, "/1.2/rtm/broadcasts", "").no(http.StatusBadRequest, 113)
	room := w.make("chatrooms", `{}`)
	w.master(post, "/1.2/rtm/broadcasts", `{"from_client":"bot","conv_id":"`+room+`","message":"x"}`).no(http.StatusBadRequest, 4313)
}

// TestLM056_Export lists what services and users say to each other under the
// id that the documentation gives it.
func TestLM056_Export(t *testing.T) {
	if got := threadShown("conv1", "Tom"); got != "b04e22dbe10d105ae680f163cee5c33f" {
		t.Errorf("the id is %s", got)
	}
	w := newWorld(t)
	id := w.make("service-conversations", `{}`)
	w.master(post, "/1.2/rtm/service-conversations/"+id+"/messages", `{"from_client":"bot","message":"one","to_clients":["Tom"]}`).ok(nil)
	w.master(post, "/1.2/rtm/service-conversations/"+id+"/broadcasts", `{"from_client":"bot","message":"some"}`).ok(nil)
	w.master(post, "/1.2/rtm/broadcasts", `{"from_client":"bot","conv_id":"`+id+`","message":"all"}`).ok(nil)
	list := w.items("/1.2/rtm/messages?reversed=true")
	if texts(list) != "one some all" || list[0].Conversation != threadShown(wire.ConversationID(id), "Tom") || list[0].To != id || list[1].Conversation != id || list[2].Conversation != id {
		t.Errorf("exported %+v", list)
	}
	if got := texts(w.items("/1.1/rtm/messages/history?reversed=true")); got != "one some" {
		t.Errorf("by version 1.1 %q", got)
	}
	if got := texts(w.items("/1.2/rtm/clients/bot/messages")); got != "" {
		t.Errorf("the bot has told people %q", got)
	}
	var found objects
	if w.master(get, "/1.2/rtm/all-conversations", "").ok(&found); len(found.Results) != 1 {
		t.Errorf("conversations %+v", found.Results)
	}
}
