package leanrest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// FuzzRequest sends anything to any route: it is answered with JSON, and never
// with an error of ours.
func FuzzRequest(f *testing.F) {
	all := routes()
	for i := range all {
		f.Add(uint(i), "5a0000000000000000000001", "limit=5&timestamp=9&where={}", `{"client_ids":["Tom"],"from_client":"Tom","message":"hi"}`)
	}
	f.Add(uint(1), "_tmp:x", "where={\"m\":{\"$all\":[1]}}&skip=-1", `{"m":{"__op":"AddUnique"}}`)
	f.Fuzz(func(t *testing.T, which uint, id, query, body string) {
		w := newWorld(t, "roles=on", "blacklist=on", "sign.history=on")
		w.make("conversations", `{"m":["Tom"]}`)
		r := all[which%uint(len(all))]
		path := strings.NewReplacer("{id}", url.PathEscape(id), "{mid}", url.PathEscape(id), "{info}", url.PathEscape(id), "{client}", url.PathEscape(id)).Replace(r.path)
		if id == "" || id == "." || id == ".." || strings.ContainsAny(query, "# \x7f") || strings.ContainsFunc(query, func(r rune) bool { return r < 0x20 }) {
			return // no path, or no query, that a server would be given
		}
		a := w.master(r.method, path+"?"+query, body)
		if a.status == http.StatusMovedPermanently || a.status == http.StatusTemporaryRedirect {
			return // the path was not in its normal form
		}
		if a.status >= http.StatusInternalServerError || !json.Valid([]byte(a.text)) {
			t.Errorf("%s %s?%s with %q: %d %s", r.method, path, query, body, a.status, a.text)
		}
	})
}

// FuzzUnwrap reads what pages wrap.
func FuzzUnwrap(f *testing.F) {
	f.Add(`{"_method":"GET","_ApplicationId":"a","_ApplicationKey":"k","name":"tea"}`)
	f.Add(`{"_MasterKey":"k","_SessionToken":"s"}`)
	f.Fuzz(func(t *testing.T, body string) {
		w := newWorld(t)
		a := w.as(map[string]string{"Content-Type": "text/plain"}, http.MethodPost, "/1.2/rtm/conversations", body)
		if a.status < 400 || a.status >= 500 || !json.Valid([]byte(a.text)) {
			t.Errorf("%q: %d %s", body, a.status, a.text)
		}
	})
}
