package leanrest

import (
	"crypto/md5" //nolint:gosec // the dialect's digest
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func signed(key string, at int64, suffix string) string {
	sum := md5.Sum(fmt.Appendf(nil, "%d%s", at, key)) //nolint:gosec // the dialect's digest
	return fmt.Sprintf("%s,%d%s", hex.EncodeToString(sum[:]), at, suffix)
}

// TestLM105_AuthMatrix asks for what anybody with a key may have, and for what
// wants the master key, in every way to prove one.
func TestLM105_AuthMatrix(t *testing.T) {
	w := newWorld(t)
	const nobody, client, master = 0, 1, 2
	for _, c := range []struct {
		name    string
		headers map[string]string
		role    int
	}{
		{"nothing", nil, nobody},
		{"the app alone", map[string]string{"X-LC-Id": testApp}, nobody},
		{"the key alone", map[string]string{"X-LC-Key": testKey}, nobody},
		{"another app", map[string]string{"X-LC-Id": "other-app-0001", "X-LC-Key": testKey}, nobody},
		{"a wrong key", map[string]string{"X-LC-Id": testApp, "X-LC-Key": "wrong"}, nobody},
		{"the master key without the word", map[string]string{"X-LC-Id": testApp, "X-LC-Key": testMaster}, nobody},
		{"the key as a master key", map[string]string{"X-LC-Id": testApp, "X-LC-Key": testKey + ",master"}, nobody},
		{"the key", map[string]string{"X-LC-Id": testApp, "X-LC-Key": testKey}, client},
		{"the key, by old names", map[string]string{"X-AVOSCloud-Application-Id": testApp, "X-AVOSCloud-Application-Key": testKey}, client},
		{"the master key", map[string]string{"X-LC-Id": testApp, "X-LC-Key": testMaster + ",master"}, master},
		{"a digest", map[string]string{"X-LC-Id": testApp, "X-LC-Sign": signed(testKey, w.now, "")}, client},
		{"a digest of the master key", map[string]string{"X-LC-Id": testApp, "X-LC-Sign": signed(testMaster, w.now, ",master")}, master},
		{"a digest of the master key without the word", map[string]string{"X-LC-Id": testApp, "X-LC-Sign": signed(testMaster, w.now, "")}, nobody},
		{"an old digest of the master key", map[string]string{"X-LC-Id": testApp, "X-LC-Sign": signed(testMaster, w.now-601_000, ",master")}, nobody},
		{"a wrong digest", map[string]string{"X-LC-Id": testApp, "X-LC-Sign": signed("wrong", w.now, "")}, nobody},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.t = t
			forKey := w.as(c.headers, get, "/1.2/rtm/clients/tom/unread-count", "")
			forMaster := w.as(c.headers, post, "/1.2/rtm/clients/check-online", `{"client_ids":["tom"]}`)
			switch c.role {
			case nobody:
				forKey.no(http.StatusUnauthorized, 401)
				forMaster.no(http.StatusUnauthorized, 401)
			case client:
				forKey.is(`{"count":0}`)
				forMaster.no(http.StatusForbidden, 403)
			case master:
				forKey.is(`{"count":0}`)
				forMaster.is(`{"results":[]}`)
			}
		})
	}
}

// TestLM105_EveryRouteIsGuarded asks for every route without a key, and with the
// app's key alone.
func TestLM105_EveryRouteIsGuarded(t *testing.T) {
	w := newWorld(t)
	for _, r := range routes() {
		path := strings.NewReplacer("{id}", "5a0000000000000000000000", "{mid}", "m", "{info}", "i", "{client}", "tom").Replace(r.path)
		if r.need == needNothing {
			w.as(nil, r.method, path, "").ok(nil)
			continue
		}
		w.as(nil, r.method, path, `{}`).no(http.StatusUnauthorized, 401)
		if r.need != needKey && r.need != needSession {
			w.client(r.method, path, `{}`).no(http.StatusForbidden, 403)
		}
	}
}

func TestLM105_Open(t *testing.T) {
	w := newWorld(t, "rest.open=on")
	w.client(post, "/1.2/rtm/conversations", `{"name":"tea","m":["tom"]}`).ok(nil)
	w.client(post, "/1.2/rtm/clients/tom/kick", `{}`).no(http.StatusForbidden, 403)
}

// TestLM105_PlainText asks as pages do that must not be asked first whether
// they may.
func TestLM105_PlainText(t *testing.T) {
	w := newWorld(t)
	plain := func(body string) answer {
		return w.as(map[string]string{"Content-Type": "text/plain; charset=utf-8"}, post, "/1.2/rtm/conversations", body)
	}
	var found struct{ Results []map[string]any }
	plain(`{"_ApplicationId":"` + testApp + `","_ApplicationKey":"` + testMaster + `,master","_ClientVersion":"js","name":"tea","m":["tom"]}`).ok(nil)
	plain(`{"_ApplicationId":"` + testApp + `","_MasterKey":"` + testMaster + `","_method":"GET"}`).ok(&found)
	if len(found.Results) != 1 || found.Results[0]["name"] != "tea" || found.Results[0]["_ClientVersion"] != nil {
		t.Errorf("found %v", found.Results)
	}
	plain(`{"_ApplicationId":"`+testApp+`","_ApplicationKey":"wrong"}`).no(http.StatusUnauthorized, 401)
	plain(`{"_method":"TRACE"}`).no(http.StatusBadRequest, 1)
	plain(`nonsense`).no(http.StatusBadRequest, 107)
}

func TestLM105_Basics(t *testing.T) {
	w := newWorld(t)
	if a := w.as(map[string]string{"Origin": "https://example.org", "Access-Control-Request-Method": "PUT"}, http.MethodOptions, "/1.1/rtm/sign", ""); a.status != http.StatusNoContent ||
		!strings.Contains(a.header.Get("Access-Control-Allow-Headers"), "X-LC-IM-Session-Token") || a.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("preflight: %d %v", a.status, a.header)
	}
	w.master(get, "/1.1/date", "").no(http.StatusNotFound, 1)
	w.master(post, "/1.1/installations", `{}`).no(http.StatusNotFound, 1)
	w.master(put, "/1.2/rtm/conversations", `{}`).no(http.StatusNotFound, 1)
	w.master(post, "/1.2/rtm/conversations", `{"name":`).no(http.StatusBadRequest, 107)
	w.master(post, "/1.2/rtm/conversations", `[1]`).no(http.StatusBadRequest, 107)
	w.master(post, "/1.2/rtm/conversations", `{"name":"`+strings.Repeat("x", maxBody)+`"}`).no(http.StatusRequestEntityTooLarge, 413)
	w.master(get, "/1.2/rtm/conversations?limit=1001", "").no(http.StatusBadRequest, 1)
	w.master(get, "/1.2/rtm/conversations?limit=x", "").no(http.StatusBadRequest, 1)
}

func TestLM105_Rate(t *testing.T) {
	w := newWorld(t, "rest.rate=2")
	id := w.make("conversations", `{"m":["tom"]}`)
	w.now = 28_333_334 * 60_000 // the beginning of a minute
	message := `{"from_client":"tom","message":"hi"}`
	w.master(post, "/1.2/rtm/conversations/"+id+"/messages", message).ok(nil)
	w.master(post, "/1.1/rtm/messages", `{"from_peer":"tom","message":"hi","conv_id":"`+id+`"}`).ok(nil)
	a := w.master(post, "/1.2/rtm/conversations/"+id+"/messages", message)
	a.no(http.StatusTooManyRequests, 429)
	if after := a.header.Get("Retry-After"); after == "" || after == "0" || len(after) > 2 {
		t.Errorf("Retry-After is %q", after)
	}
	w.master(get, "/1.2/rtm/conversations/"+id+"/messages", "").ok(nil)
	w.now += 60_000
	w.master(post, "/1.2/rtm/conversations/"+id+"/messages", message).ok(nil)
}
