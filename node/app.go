package node

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/quorate/quorate/cluster"
	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/wire"
)

const (
	// appTimeout bounds a change of an app.
	appTimeout = 10 * time.Second
	// maxAppBody bounds what is sent for one.
	maxAppBody = 64 << 10
)

// AppInfo is an app as it is shown to who has its master key. The keys are shown
// once, when the app is made.
type AppInfo struct {
	ID        wire.AppID        `json:"id"`
	Name      string            `json:"name,omitempty"`
	Key       string            `json:"key,omitempty"`
	MasterKey string            `json:"master_key,omitempty"`
	Settings  map[string]string `json:"settings"` // those that are not left at their defaults
}

func infoOf(a cluster.App) AppInfo {
	info := AppInfo{ID: a.ID, Name: a.Name, Settings: a.Settings}
	if info.Settings == nil {
		info.Settings = map[string]string{}
	}
	return info
}

// NewApp is what is asked for a new app.
type NewApp struct {
	Name     string            `json:"name"`
	Settings map[string]string `json:"settings,omitempty"`
}

// AppChange is what is asked of an app.
type AppChange struct {
	Settings map[string]string `json:"settings"` // an empty value: its default from now on
}

// app shows the app of the request.
func (w *web) app(rw http.ResponseWriter, r *http.Request) {
	a, _ := w.n.meta.Table().App(wire.AppID(r.Header.Get("X-Quorate-App"))) // master has found it
	answer(rw, http.StatusOK, infoOf(a))
}

// changeApp changes settings of the app of the request, and shows it.
func (w *web) changeApp(rw http.ResponseWriter, r *http.Request) {
	var change AppChange
	if !readBody(rw, r, &change) {
		return
	}
	if err := door.CheckSettings(change.Settings); err != nil {
		refuseWeb(rw, http.StatusBadRequest, err)
		return
	}
	id := wire.AppID(r.Header.Get("X-Quorate-App"))
	if !w.propose(rw, r, cluster.SetAppSettings{App: id, Settings: change.Settings}) {
		return
	}
	w.app(rw, r)
}

// makeApp makes an app, and shows its keys.
func (w *web) makeApp(rw http.ResponseWriter, r *http.Request) {
	var wanted NewApp
	if !readBody(rw, r, &wanted) {
		return
	}
	if err := door.CheckSettings(wanted.Settings); err != nil {
		refuseWeb(rw, http.StatusBadRequest, err)
		return
	}
	a, err := cluster.NewApp(rand.Reader, wanted.Name)
	if err != nil {
		refuseWeb(rw, http.StatusInternalServerError, err)
		return
	}
	a.Settings = wanted.Settings
	if !w.propose(rw, r, cluster.PutApp{App: a}) {
		return
	}
	info := infoOf(a)
	info.Key, info.MasterKey = string(a.Key), string(a.MasterKey)
	answer(rw, http.StatusOK, info)
}

// propose has the meta group do something and waits until this node knows of
// it; false: it has answered that it was not done.
func (w *web) propose(rw http.ResponseWriter, r *http.Request, c cluster.Command) bool {
	ctx, cancel := context.WithTimeout(r.Context(), appTimeout)
	defer cancel()
	result, err := w.n.meta.Propose(ctx, c)
	if err == nil {
		err = result.Err()
	}
	if err == nil {
		err = w.n.meta.Wait(ctx, result.Index)
	}
	if err == nil {
		return true
	}
	code := http.StatusServiceUnavailable
	if refused, ok := errors.AsType[*cluster.RefusedError](err); ok {
		code = http.StatusBadRequest
		if refused.Refusal == cluster.RefusedLimit {
			code = http.StatusConflict
		}
	}
	refuseWeb(rw, code, err)
	return false
}

// readBody decodes a request's body; false: it has answered what is wrong.
func readBody(rw http.ResponseWriter, r *http.Request, into any) bool {
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxAppBody))
	if err == nil {
		err = json.Unmarshal(body, into)
	}
	if err != nil {
		refuseWeb(rw, http.StatusBadRequest, errors.New("want a JSON object of at most 64 KiB"))
		return false
	}
	return true
}

func refuseWeb(rw http.ResponseWriter, code int, err error) {
	answer(rw, code, map[string]string{"error": err.Error()})
}
