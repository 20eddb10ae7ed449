package leanrest

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/node/auth"
	"github.com/quorate/quorate/node/leandoc"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// open returns the headers of a user's open session.
func (w *world) open(user string) map[string]string {
	w.t.Helper()
	s := auth.LeanSession{App: testApp, User: wire.UserID(user), Issued: time.UnixMilli(w.now)}
	token, err := auth.IssueLean(s, auth.Keys{Key: testKey, MasterKey: testMaster}, time.Hour)
	if err != nil {
		w.t.Fatal(err)
	}
	return map[string]string{"X-LC-Id": testApp, "X-LC-Key": testKey, "X-LC-IM-Session-Token": token}
}

func (w *world) do(actor string, c state.Command) state.Result {
	w.t.Helper()
	r := w.apply(state.Header{App: testApp, Actor: wire.UserID(actor)}, c)
	if w.deliver(); r.Refusal != state.None {
		w.t.Fatalf("%T: %v", c, r.Refusal)
	}
	return r
}

func TestLM044_MemberInfos(t *testing.T) {
	w := newWorld(t, "roles=on")
	id := w.make("conversations", `{"m":["Tom","Jerry","Mary"],"c":"Ann"}`)
	w.master(post, "/1.2/rtm/conversations/"+id+"/member-infos", `{"clientId":"Tom","role":"Manager"}`).ok(nil)
	path := "/1.1/classes/_ConversationMemberInfo?client_id=Jerry&where=" + url.QueryEscape(`{"cid":"`+id+`"}`)
	jerry := w.open("Jerry")
	var rows struct{ Results []sessionInfoRow }
	if w.as(jerry, get, path, "").ok(&rows); len(rows.Results) != 1 || rows.Results[0].Client != "Tom" || rows.Results[0].Role != "Manager" || string(rows.Results[0].Conversation) != id || rows.Results[0].PeerID != "Tom" {
		t.Errorf("rows %+v", rows.Results)
	}
	one := "/1.1/classes/_ConversationMemberInfo?client_id=Jerry&where=" + url.QueryEscape(`{"cid":"`+id+`","peerId":"Tom"}`)
	if w.as(jerry, get, one, "").ok(&rows); len(rows.Results) != 1 || rows.Results[0].Client != "Tom" {
		t.Errorf("of one: %+v", rows.Results)
	}
	if w.as(jerry, get, "/1.1/classes/_ConversationMemberInfo?cid="+id+"&skip=1&limit=5", "").ok(&rows); len(rows.Results) != 0 {
		t.Errorf("a page: %+v", rows.Results)
	}
	w.as(w.open("Eve"), get, "/1.1/classes/_ConversationMemberInfo?cid="+id, "").no(http.StatusForbidden, 4317)
	w.as(jerry, get, "/1.1/classes/_ConversationMemberInfo?client_id=Tom&cid="+id, "").no(http.StatusForbidden, 403)
	w.as(jerry, get, "/1.1/classes/_ConversationMemberInfo", "").no(http.StatusBadRequest, 113)
	w.client(get, path, "").no(http.StatusUnauthorized, 113)
	bad := w.open("Jerry")
	bad["X-LC-IM-Session-Token"] += "x"
	w.as(bad, get, path, "").no(http.StatusUnauthorized, 4112)
	w.now += 2 * 3600_000
	w.as(jerry, get, path, "").no(http.StatusUnauthorized, 4112)
	again := w.open("Jerry")
	w.master(post, "/1.2/rtm/clients/Jerry/kick", "").is("{}")
	w.as(again, get, path, "").no(http.StatusUnauthorized, 4112)
}

type notification struct {
	Cmd, Op, Cid, InitBy, Udate string
	ServerTS                    int64 `json:"serverTs"`
	Type                        int   `json:"notificationType"`
	M                           []string
	Attr, AttrModified          struct {
		Data string
		Name string
	}
	Info     struct{ Pid, Role string }
	TempConv bool
	ID       string
	Read     bool
	From     string
}

func told(list []notification) string {
	var all []string
	for _, n := range list {
		text := n.Op
		if text == "" {
			text = n.Cmd
		}
		if len(n.M) > 0 {
			text += ":" + strings.Join(n.M, "+")
		}
		all = append(all, text)
	}
	return strings.Join(all, " ")
}

// TestLM027_Notifications tells Jerry what happened while he was away, in both
// forms.
func TestLM027_Notifications(t *testing.T) {
	w := newWorld(t, "roles=on")
	old := w.make("conversations", `{"m":["Jerry"],"c":"Ann"}`)
	w.now += 10_000
	since := w.now
	w.do("Ann", &state.CreateConversation{ID: "5a0000000000000000000001", Preset: state.PresetBasic, Members: []wire.UserID{"Jerry"}, Rules: state.RulesRoles})
	w.do("Ann", &state.UpdateConversation{
		ID:      wire.ConversationID(old),
		Changes: []state.Change{{Path: "name", Op: state.ChangeSet, Value: []byte(`"tea"`)}}, Sent: []byte(`{"name":"tea"}`),
	})
	w.do("Ann", &state.AddMembers{Conversation: wire.ConversationID(old), Users: []wire.UserID{"Mary"}})
	w.do("Ann", &state.SetRole{Conversation: wire.ConversationID(old), User: "Mary", Role: state.RoleManager})
	w.do("Ann", &state.RemoveMembers{Conversation: wire.ConversationID(old), Users: []wire.UserID{"Jerry"}})
	w.do("Ann", &state.AddMembers{Conversation: wire.ConversationID(old), Users: []wire.UserID{"Zoe"}})
	w.do("Ann", &state.CreateConversation{ID: "5a0000000000000000000002", Preset: state.PresetTemporary, Members: []wire.UserID{"Jerry"}})

	jerry := w.open("Jerry")
	query := fmt.Sprintf("?client_id=Jerry&start_ts=%d", since)
	var flat struct {
		HasMore       bool
		Notifications []notification
	}
	w.as(jerry, get, "/1.1/rtm/notifications"+query+"&notification_type=permanent", "").ok(&flat)
	want := "members_joined:Ann+Jerry joined updated members_joined:Mary member_info_changed left members_joined:Ann+Jerry joined"
	if got := told(flat.Notifications); got != want || flat.HasMore {
		t.Fatalf("told %q, want %q", got, want)
	}
	for _, n := range flat.Notifications {
		if n.Cmd != "conv" || n.ServerTS <= since || n.Type != 1 || n.InitBy != "Ann" || n.Cid == "" || n.Udate == "" {
			t.Errorf("%+v lacks something", n)
		}
	}
	if n := flat.Notifications[2]; n.Attr.Data != `{"name":"tea"}` || n.AttrModified.Data != `{"name":"tea"}` {
		t.Errorf("updated: %+v", n)
	}
	if n := flat.Notifications[4]; n.Info.Pid != "Mary" || n.Info.Role != "Manager" {
		t.Errorf("member info: %+v", n)
	}
	if n := flat.Notifications[7]; !n.TempConv || n.Cid != "_tmp:5a0000000000000000000002" {
		t.Errorf("temporary: %+v", n)
	}
	var nested struct {
		Permanent struct {
			HasMore       bool
			Notifications []notification
		}
		Droppable struct {
			InvalidLocalConvCache bool
			Notifications         []notification
		}
	}
	w.as(jerry, get, "/1.1/rtm/notifications"+query, "").ok(&nested)
	if got := told(nested.Permanent.Notifications); got != strings.ReplaceAll(want, "_", "-") || nested.Droppable.InvalidLocalConvCache || nested.Droppable.Notifications == nil {
		t.Errorf("nested: %q, %+v", got, nested.Droppable)
	}
	if n := nested.Permanent.Notifications[2]; n.Attr.Name != "tea" || n.AttrModified.Name != "tea" {
		t.Errorf("updated, nested: %+v", n)
	}
	w.as(jerry, get, fmt.Sprintf("/1.1/rtm/notifications?start_ts=%d&notification_type=permanent", w.now), "").is(`{"hasMore":false,"notifications":[]}`)
	w.as(jerry, get, "/1.1/rtm/notifications?client_id=Ann", "").no(http.StatusForbidden, 403)
	w.as(jerry, get, "/1.1/rtm/notifications?notification_type=all", "").no(http.StatusBadRequest, 1)
	w.client(get, "/1.1/rtm/notifications"+query, "").no(http.StatusUnauthorized, 113)
}

// TestLM027_NotificationPages reads many notifications page by page, as clients do.
func TestLM027_NotificationPages(t *testing.T) {
	w := newWorld(t)
	id := wire.ConversationID(w.make("conversations", `{"m":["Jerry"],"c":"Ann"}`))
	since := w.now
	for i := range 130 {
		w.do("Ann", &state.AddMembers{Conversation: id, Users: []wire.UserID{wire.UserID(fmt.Sprintf("u%d", i))}})
	}
	jerry := w.open("Jerry")
	seen, pages := 0, 0
	for more := true; more; pages++ {
		var page struct {
			HasMore       bool
			Notifications []notification
		}
		w.as(jerry, get, fmt.Sprintf("/1.1/rtm/notifications?start_ts=%d&notification_type=permanent", since), "").ok(&page)
		for _, n := range page.Notifications {
			if want := fmt.Sprintf("members_joined:u%d", seen); told([]notification{n}) != want {
				t.Fatalf("told %q, want %q", told([]notification{n}), want)
			}
			since = n.ServerTS
			seen++
		}
		more = page.HasMore
	}
	if seen != 130 || pages != 2 {
		t.Errorf("%d notifications on %d pages", seen, pages)
	}
}

// TestPageEndsWhereTheTimeChanges: a client goes on after the time of the last
// one, so all of one time are on one page.
func TestPageEndsWhereTheTimeChanges(t *testing.T) {
	var n missed
	for i := range 250 {
		n.events = append(n.events, ask.EventIn{Event: leandoc.Event{Millis: int64(i / 60)}})
	}
	all := func(*ask.EventIn) bool { return true }
	if page, more := n.page(all); len(page) != 120 || !more {
		t.Errorf("%d on the first page, more: %v; want all of the first two times, and more", len(page), more)
	}
	n.events = n.events[:120]
	if page, more := n.page(all); len(page) != 120 || more {
		t.Errorf("%d on the only page, more: %v", len(page), more)
	}
}
