package leanmessage

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// Path is where clients find the door's WebSocket.
const Path = "/leanmessage/v1"

// route is what clients are told of where to connect.
type route struct {
	Server    string `json:"server"`
	Secondary string `json:"secondary"`
	TTL       int64  `json:"ttl"` // seconds
	GroupID   string `json:"groupId"`
	GroupURL  string `json:"groupUrl"`
}

// Discover answers GET /v1/route: this node, and another one for when it is
// gone, which is there as far as is known.
func (d *Door) Discover(w http.ResponseWriter, _ *http.Request) {
	urls := d.host.ClientURLs()
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if len(urls) == 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		_ = json.NewEncoder(w).Encode(map[string]any{"code": http.StatusServiceUnavailable, "error": "no node serves clients"})
		return
	}
	r := route{Server: socketURL(urls[0]), Secondary: socketURL(urls[0]), TTL: int64(d.opts.RouteLife / time.Second), GroupID: "quorate"}
	if len(urls) > 1 {
		r.Secondary = socketURL(urls[1])
	}
	r.GroupURL = r.Server
	_ = json.NewEncoder(w).Encode(r) // the client has gone if this fails
}

// socketURL is where the WebSocket of a node is, by the base URL of its HTTP.
func socketURL(base string) string {
	base = strings.TrimSuffix(base, "/")
	if rest, ok := strings.CutPrefix(base, "http"); ok {
		base = "ws" + rest // https becomes wss
	}
	return base + Path
}
