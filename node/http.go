package node

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/node/auth"
	"github.com/quorate/quorate/node/leanrest"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
)

// statusTimeout bounds a question to all nodes.
const statusTimeout = 3 * time.Second

// WebHandlers is what a node serves over HTTP beside the WebSocket.
type WebHandlers struct {
	// Plain answers every request that is not a WebSocket.
	Plain http.Handler
	// Lean serves a WebSocket of the LeanMessage dialect.
	Lean func(*transport.LeanSocket)
}

// web answers HTTP requests.
type web struct {
	n         *Node
	scrubbing atomic.Bool // one is under way
}

func (n *Node) web() WebHandlers {
	w := &web{n: n}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", w.health)
	mux.HandleFunc("GET /v1/cluster/status", w.master(w.status))
	mux.HandleFunc("POST /v1/cluster/scrub", w.master(w.scrub))
	mux.HandleFunc("POST /v1/node/memory", w.master(w.memory))
	mux.HandleFunc("GET /v1/node/usage", w.master(w.usage))
	mux.HandleFunc("GET /v1/app", w.master(w.app))
	mux.HandleFunc("PATCH /v1/app", w.master(w.changeApp))
	mux.HandleFunc("POST /v1/apps", w.master(w.makeApp))
	mux.HandleFunc("PUT /v1/users/{user}/ban", w.master(w.ban))
	mux.HandleFunc("DELETE /v1/users/{user}/ban", w.master(w.ban))
	mux.HandleFunc("GET /{$}", w.hello)
	if n.env.Web != nil {
		mux.Handle("GET "+pagesPath, pages(n.env.Web))
	}
	mux.Handle("/v1/route", crossOrigin(http.HandlerFunc(n.lean.Discover)))
	rest := leanrest.Handler(n.host())
	mux.Handle("/1.1/", rest)
	mux.Handle("/1.2/", rest)
	return WebHandlers{Plain: mux, Lean: func(s *transport.LeanSocket) { n.lean.Serve(s) }}
}

// crossOrigin lets pages from everywhere ask: who somebody is, says a header and
// no cookie.
func crossOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		h := rw.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		if r.Method == http.MethodOptions {
			h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE, OPTIONS")
			if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
				h.Set("Access-Control-Allow-Headers", asked)
			}
			h.Set("Access-Control-Max-Age", "86400")
			h.Set("Vary", "Access-Control-Request-Headers")
			rw.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(rw, r)
	})
}

func (w *web) hello(rw http.ResponseWriter, _ *http.Request) {
	answer(rw, http.StatusOK, map[string]string{"service": "quorate", "node": string(w.n.cfg.Node), "cluster": w.n.cfg.Cluster})
}

// health says whether the node serves: load balancers ask.
func (w *web) health(rw http.ResponseWriter, _ *http.Request) {
	if !w.n.serving.Load() {
		answer(rw, http.StatusServiceUnavailable, map[string]string{"status": "starting or stopping"})
		return
	}
	answer(rw, http.StatusOK, map[string]string{"status": "ok"})
}

// master lets through who shows the master key of an app.
func (w *web) master(next http.HandlerFunc) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		app, known := w.n.meta.Table().App(wire.AppID(r.Header.Get("X-Quorate-App")))
		// An unknown app takes the same way as a wrong key.
		if !auth.SameSecret(key, string(app.MasterKey)) || !ok || !known || key == "" {
			answer(rw, http.StatusUnauthorized, map[string]string{"error": "send X-Quorate-App and Authorization: Bearer with its master key"})
			return
		}
		next(rw, r)
	}
}

func (w *web) status(rw http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), statusTimeout)
	defer cancel()
	answer(rw, http.StatusOK, w.n.clusterStatus(ctx))
}

func (w *web) scrub(rw http.ResponseWriter, r *http.Request) {
	if w.scrubbing.Swap(true) {
		answer(rw, http.StatusConflict, map[string]string{"error": "a scrub is under way at this node"})
		return
	}
	defer w.scrubbing.Store(false)
	report, err := scrubbing{w.n}.scrubAll(r.Context())
	if err != nil {
		answer(rw, http.StatusServiceUnavailable, map[string]string{"error": err.Error()})
		return
	}
	answer(rw, http.StatusOK, report)
}

// memory says what this process takes: for measurements, since it collects
// garbage first.
func (w *web) memory(rw http.ResponseWriter, _ *http.Request) {
	answer(rw, http.StatusOK, w.n.memory())
}

// usage says what this process has used: for measurements.
func (w *web) usage(rw http.ResponseWriter, _ *http.Request) {
	answer(rw, http.StatusOK, w.n.usage())
}

func answer(rw http.ResponseWriter, code int, body any) {
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(code)
	_ = json.NewEncoder(rw).Encode(body) // the client has gone if this fails
}
