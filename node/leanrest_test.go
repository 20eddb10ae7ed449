package node

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/wire/leanpb"
)

// rest asks a node's REST door, as "GET /path", with the master key, or with what is given in its
// place, and decodes the answer.
func (c *testCluster) rest(n *testNode, call, body string, into any, headers ...string) int {
	c.t.Helper()
	method, path, _ := strings.Cut(call, " ")
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("X-LC-Id", testApp)
	r.Header.Set("X-LC-Key", testMaster+",master")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	rw := httptest.NewRecorder()
	n.node.web().Plain.ServeHTTP(rw, r)
	if into != nil {
		if err := json.Unmarshal(rw.Body.Bytes(), into); err != nil || rw.Code >= 300 {
			c.t.Fatalf("%s %s: %d %s", method, path, rw.Code, rw.Body)
		}
	}
	return rw.Code
}

// TestLM105_REST does over REST, at three nodes, what clients on sockets see.
func TestLM105_REST(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		n := c.nodes
		tom, jerry := c.session("Tom", n[0]), c.session("Jerry", n[1])
		var made struct {
			ID string `json:"objectId"`
		}
		c.rest(n[0], "POST /1.2/rtm/conversations", `{"m":["Tom"]}`, &made)
		one := "/1.2/rtm/conversations/" + made.ID
		c.rest(n[1], "POST "+one+"/members", `{"client_ids":["Jerry"]}`, nil)
		if joined := jerry.push(leanpb.CommandType_conv, leanpb.OpType_joined); joined.GetConvMessage().GetCid() != made.ID {
			t.Errorf("Jerry is told %v", joined)
		}

		var sent struct {
			ID        string `json:"msg-id"`
			Timestamp int64  `json:"timestamp"`
		}
		c.rest(n[2], "POST "+one+"/messages", `{"from_client":"Tom","message":"hello"}`, &sent)
		for _, u := range []*leanUser{tom, jerry} {
			if m := u.message(); m.GetMsg() != "hello" || m.GetFromPeerId() != "Tom" || m.GetId() != sent.ID || m.GetTimestamp() != sent.Timestamp {
				t.Errorf("%s gets %v, sent was %+v", u.name, m, sent)
			}
		}
		c.rest(n[0], "PUT "+one+"/messages/"+sent.ID, fmt.Sprintf(`{"from_client":"Tom","message":"hi","timestamp":%d}`, sent.Timestamp), &struct{}{})
		if patch := jerry.push(leanpb.CommandType_patch, leanpb.OpType_modify); patch.GetPatchMessage().GetPatches()[0].GetData() != "hi" {
			t.Errorf("Jerry is told %v", patch)
		}
		// Without an echo, and with what is never stored.
		c.rest(n[1], "POST "+one+"/messages", `{"from_client":"Tom","message":"quietly","no_sync":true}`, &sent)
		c.rest(n[2], "POST "+one+"/messages", `{"from_client":"Nobody","message":"typing","transient":true}`, &sent)
		if m := jerry.message(); m.GetMsg() != "quietly" {
			t.Errorf("Jerry gets %v", m)
		}
		if m := jerry.message(); m.GetMsg() != "typing" || !m.GetTransient() || m.GetFromPeerId() != "Nobody" {
			t.Errorf("Jerry gets %v", m)
		}
		if m := tom.message(); m.GetMsg() != "typing" {
			t.Errorf("Tom gets %v, want no echo of what he has sent quietly", m)
		}
		var history []struct{ Data string }
		if c.rest(n[1], "GET "+one+"/messages?reversed=true", "", &history); len(history) != 2 || history[0].Data != "hi" || history[1].Data != "quietly" {
			t.Errorf("the history is %v", history)
		}
		var all []struct{ Data string }
		if c.rest(n[2], "GET /1.2/rtm/messages?limit=1", "", &all); len(all) != 1 || all[0].Data != "quietly" {
			t.Errorf("the app's messages are %v", all)
		}

		time.Sleep(2 * time.Second) // of the bubble's clock: until the shards know who is there
		var online struct{ Results []string }
		if c.rest(n[2], "POST /1.2/rtm/clients/check-online", `{"client_ids":["Jerry","Mary","Tom"]}`, &online); strings.Join(online.Results, " ") != "Jerry Tom" {
			t.Errorf("online are %v", online.Results)
		}
		var stats struct{ Result map[string]int }
		if c.rest(n[0], "GET /1.2/rtm/stats", "", &stats); stats.Result["online_user_count"] != 2 {
			t.Errorf("stats %v", stats)
		}
		var count struct{ Count int }
		if c.rest(n[0], "GET /1.2/rtm/clients/Jerry/unread-count", "", &count); count.Count != 2 {
			t.Errorf("Jerry has not read %d messages, want 2", count.Count)
		}
		c.rest(n[1], "POST /1.2/rtm/clients/Jerry/kick", `{"reason":"bye"}`, &struct{}{})
		closed := jerry.push(leanpb.CommandType_session, leanpb.OpType_closed)
		if m := closed.GetSessionMessage(); m.GetCode() != 4115 || m.GetReason() != "bye" && m.GetDetail() != "bye" {
			t.Errorf("Jerry's session ends with %v", closed)
		}
	})
}

// TestLM056_REST has a service speak: to one user, to subscribers and to all.
func TestLM056_REST(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		n := c.nodes
		tom, jerry := c.session("Tom", n[0]), c.session("Jerry", n[1])
		time.Sleep(2 * time.Second) // of the bubble's clock
		var made struct {
			ID string `json:"objectId"`
		}
		c.rest(n[0], "POST /1.2/rtm/service-conversations", `{"name":"news"}`, &made)
		path := "/1.2/rtm/service-conversations/" + made.ID
		c.rest(n[1], "POST "+path+"/subscribers", `{"client_id":"Tom"}`, &struct{}{})
		time.Sleep(2 * time.Second)
		hears := func(u *leanUser, want string) {
			t.Helper()
			if m := u.message(); m.GetMsg() != want || m.GetCid() != made.ID || m.GetFromPeerId() != "bot" || m.GetConvType() != 3 {
				t.Errorf("%s gets %v, want %q of %s", u.name, m, want, made.ID)
			}
		}
		var sent struct {
			ID        string `json:"msg-id"`
			Timestamp int64  `json:"timestamp"`
		}
		c.rest(n[2], "POST "+path+"/messages", `{"from_client":"bot","message":"to you","to_clients":["Jerry"]}`, &sent)
		hears(jerry, "to you")
		c.rest(n[1], "POST "+path+"/broadcasts", `{"from_client":"bot","message":"to subscribers"}`, &sent)
		hears(tom, "to subscribers")
		c.rest(n[0], "POST /1.2/rtm/broadcasts", `{"from_client":"bot","conv_id":"`+made.ID+`","message":"to all"}`, &sent)
		hears(tom, "to all")
		hears(jerry, "to all")
		c.rest(n[0], "POST /1.2/rtm/broadcasts", `{"from_client":"bot","conv_id":"`+made.ID+`","message":"who is there?","transient":true}`, &sent)
		hears(tom, "who is there?")
		hears(jerry, "who is there?")
		var seen []struct{ Data string }
		if c.rest(n[2], "GET "+path+"/subscribers/Jerry/messages", "", &seen); len(seen) != 2 || seen[0].Data != "to all" || seen[1].Data != "to you" {
			t.Errorf("Jerry sees %v", seen)
		}
	})
}

// TestLM027_NotificationsOfTheCluster has a client come back with its token, and
// ask what it was not there for.
func TestLM027_NotificationsOfTheCluster(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		n := c.nodes
		tom := c.session("Tom", n[0])
		jerry := c.lean("Jerry", n[1], "lc.protobuf2.3")
		opened := jerry.open()
		away := opened.GetServerTs()
		jerry.leave()
		time.Sleep(time.Second) // of the bubble's clock

		id := tom.start(&leanpb.ConvCommand{M: []string{"Jerry", "Tom"}, Attr: &leanpb.JsonObjectMessage{Data: new(`{"name":"tea"}`)}}).GetCid()
		time.Sleep(time.Second)
		again := c.lean("Jerry", n[2], "lc.protobuf2.3")
		token := again.open().GetSessionMessage().GetSt()
		var told struct {
			HasMore       bool
			Notifications []struct {
				Op, Cid  string
				InitBy   string
				ServerTS int64 `json:"serverTs"`
			}
		}
		path := fmt.Sprintf("/1.1/rtm/notifications?client_id=Jerry&start_ts=%d&notification_type=permanent", away)
		c.rest(n[0], "GET "+path, "", &told, "X-LC-Key", testKey, "X-LC-IM-Session-Token", token)
		ops := map[string]bool{}
		for _, one := range told.Notifications {
			ops[one.Op] = one.Cid == id && one.InitBy == "Tom" && one.ServerTS > away
		}
		if !ops["joined"] || !ops["members_joined"] || len(ops) != 2 {
			t.Errorf("told %+v", told)
		}
		if code := c.rest(n[0], "GET "+path, "", nil, "X-LC-Key", testKey, "X-LC-IM-Session-Token", "x"); code != http.StatusUnauthorized {
			t.Errorf("with a wrong token: %d", code)
		}
	})
}
