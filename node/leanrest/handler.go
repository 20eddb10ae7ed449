package leanrest

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/wire"
)

const (
	// requestTimeout bounds one request.
	requestTimeout = 10 * time.Second
	// readTimeout is how long what is sent with one may be on its way, and
	// writeTimeout how long it all may take, with the answer: who sends or reads a
	// byte now and then would hold what a request holds for ever.
	readTimeout, writeTimeout = 20 * time.Second, 60 * time.Second
	// maxBody bounds what is sent with one: 500 ids of members, or a message that
	// is too long many times over.
	maxBody = 256 << 10
)

// Host is the node that the door stands in.
type Host interface {
	door.Host

	// OnlineCount says how many users of the app have a session on any node.
	OnlineCount(ctx context.Context, app wire.AppID) (int, error)
}

// handler serves the routes.
type handler struct {
	host  Host
	mux   *http.ServeMux
	rates *rates
}

// Handler returns what answers requests under /1.1/ and /1.2/. It needs no
// closing: nothing runs when no request does.
func Handler(host Host) http.Handler {
	h := &handler{host: host, mux: http.NewServeMux(), rates: newRates()}
	for _, r := range routes() {
		h.mux.HandleFunc(r.method+" "+r.path, h.serve(r))
	}
	return h
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	allowOrigins(rw.Header(), r.Header.Get("Access-Control-Request-Headers"))
	// The server undoes it after the answer; what is no connection has no deadlines.
	deadlines, now := http.NewResponseController(rw), time.Now()
	_ = deadlines.SetReadDeadline(now.Add(readTimeout))
	_ = deadlines.SetWriteDeadline(now.Add(writeTimeout))
	if r.Method == http.MethodOptions {
		rw.WriteHeader(http.StatusNoContent)
		return
	}
	r, err := unwrap(r)
	if err != nil {
		fail(rw, err)
		return
	}
	if _, pattern := h.mux.Handler(r); pattern == "" {
		fail(rw, &failure{status: http.StatusNotFound, code: codeOther, text: "there is no " + r.Method + " " + r.URL.Path + " here"})
		return
	}
	h.mux.ServeHTTP(rw, r)
}

// allowOrigins lets pages of any origin ask: the keys are what counts.
func allowOrigins(header http.Header, asked string) {
	header.Set("Access-Control-Allow-Origin", "*")
	header.Set("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE, OPTIONS")
	if asked == "" {
		asked = "Content-Type, X-LC-Id, X-LC-Key, X-LC-Sign, X-LC-Session, X-LC-IM-Session-Token, X-LC-Prod, X-LC-UA"
	}
	header.Set("Access-Control-Allow-Headers", asked)
	header.Set("Access-Control-Expose-Headers", "Retry-After")
	header.Set("Access-Control-Max-Age", "86400")
}

func (h *handler) serve(r route) http.HandlerFunc {
	return func(rw http.ResponseWriter, hr *http.Request) {
		ctx, cancel := context.WithTimeout(hr.Context(), requestTimeout)
		defer cancel()
		q, err := h.admit(hr.WithContext(ctx), r)
		var answer any
		if err == nil {
			answer, err = r.handle(q)
		}
		if err != nil {
			fail(rw, err)
			return
		}
		status := http.StatusOK
		if r.created {
			status = http.StatusCreated
		}
		respond(rw, status, answer)
	}
}

func respond(rw http.ResponseWriter, status int, body any) {
	rw.Header().Set("Content-Type", "application/json; charset=utf-8")
	rw.Header().Set("Cache-Control", "no-store")
	rw.WriteHeader(status)
	e := json.NewEncoder(rw)
	e.SetEscapeHTML(false)
	_ = e.Encode(body) // the client has gone if this fails
}

// fail answers with an error.
func fail(rw http.ResponseWriter, err error) {
	f := failureOf(err)
	if f.after > 0 {
		rw.Header().Set("Retry-After", strconv.Itoa(int((f.after+time.Second-1)/time.Second)))
	}
	respond(rw, f.status, map[string]any{"code": f.code, "error": strings.TrimSpace(f.text)})
}
