package leanrest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/quorate/quorate/cluster"
	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/node/leansign"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// request is a request that was let in.
type request struct {
	http     *http.Request
	route    *route
	host     Host
	app      cluster.App
	settings door.Settings
	role     leansign.Role
	body     []byte // JSON, or empty
}

// need says who may use a route.
type need int

const (
	needNothing need = iota // anybody
	needKey                 // who knows a key of the app
	needSession             // who, beside that, has an open session
	needOpen                // the master key or, if the app is open, any key of it
	needMaster              // the master key
)

// admit lets a request in, or says why not.
func (h *handler) admit(r *http.Request, way route) (*request, error) {
	q := &request{http: r, route: &way, host: h.host}
	if way.need == needNothing {
		return q, nil
	}
	if err := q.identify(); err != nil {
		return nil, err
	}
	needed := leansign.Client
	if way.need == needMaster || way.need == needOpen && !q.settings.REST.Open {
		needed = leansign.Master
	}
	if q.role < needed {
		text := "this wants the app's master key"
		if way.need == needOpen {
			text += ", or that the app sets leanmessage.rest.open"
		}
		return nil, &failure{status: http.StatusForbidden, code: codeForbidden, text: text}
	}
	if err := h.rates.take(q.app.ID, way.family, q.settings.REST, h.host.Millis()); err != nil {
		return nil, err
	}
	return q, q.readBody()
}

// identify finds out which app asks, and in which role.
func (q *request) identify() error {
	header := func(name, alias string) string {
		if v := q.http.Header.Get(name); v != "" || alias == "" {
			return v
		}
		return q.http.Header.Get(alias)
	}
	id := header("X-LC-Id", "X-AVOSCloud-Application-Id")
	app, known, err := q.host.App(q.http.Context(), wire.AppID(id))
	if err != nil {
		return err
	}
	// An unknown app takes the same way as a wrong key.
	q.app, q.settings = app, door.ParseSettings(app.Settings)
	keys := leansign.Keys{Key: string(app.Key), MasterKey: string(app.MasterKey), SignAge: q.settings.REST.SignAge}
	q.role = keys.Header(header("X-LC-Key", "X-AVOSCloud-Application-Key"))
	if sign := q.http.Header.Get("X-LC-Sign"); sign != "" && q.role == leansign.Nobody {
		q.role = keys.Signed(sign, q.host.Millis())
	}
	if !known || id == "" || q.role == leansign.Nobody {
		return &failure{status: http.StatusUnauthorized, code: codeUnauthorized, text: "there is no app with this X-LC-Id and X-LC-Key (the master key is followed by ,master) or X-LC-Sign"}
	}
	return nil
}

func (q *request) readBody() error {
	body, err := readAll(q.http.Body)
	if err != nil {
		return err
	}
	if body = bytes.TrimSpace(body); len(body) > 0 && (body[0] != '{' || !json.Valid(body)) {
		return wrong(codeJSON, "the body is no JSON object")
	}
	q.body = body
	return nil
}

func readAll(body io.Reader) ([]byte, error) {
	text, err := io.ReadAll(http.MaxBytesReader(nil, io.NopCloser(body), maxBody))
	switch {
	case err == nil:
		return text, nil
	case errors.As(err, new(*http.MaxBytesError)):
		return nil, &failure{status: http.StatusRequestEntityTooLarge, code: codeTooLarge, text: "the body has more than " + strconv.Itoa(maxBody) + " bytes"}
	default:
		return nil, wrong(codeOther, "the body cannot be read")
	}
}

// wrapped is what a page sends within the body, as text: so its browser asks
// nobody whether it may.
type wrapped struct {
	Method string `json:"_method"`
	App    string `json:"_ApplicationId"`
	Key    string `json:"_ApplicationKey"`
	Master string `json:"_MasterKey"`
	Sign   string `json:"_ApplicationSign"`
	User   string `json:"_SessionToken"`
}

// unwrap turns such a request into what it stands for.
func unwrap(r *http.Request) (*http.Request, error) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Method != http.MethodPost || kind != "text/plain" {
		return r, nil
	}
	body, err := readAll(r.Body)
	if err != nil {
		return r, err
	}
	var all map[string]json.RawMessage
	var w wrapped
	if json.Unmarshal(body, &all) != nil || json.Unmarshal(body, &w) != nil {
		return r, wrong(codeJSON, "the body is no JSON object")
	}
	r = r.Clone(r.Context())
	for name, value := range map[string]string{"X-LC-Id": w.App, "X-LC-Key": w.Key, "X-LC-Sign": w.Sign, "X-LC-Session": w.User} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	if w.Master != "" {
		r.Header.Set("X-LC-Key", w.Master+",master")
	}
	for name := range all {
		if strings.HasPrefix(name, "_") {
			delete(all, name)
		}
	}
	switch strings.ToUpper(w.Method) {
	case "":
	case http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodPost:
		r.Method = strings.ToUpper(w.Method)
	default:
		return r, wrong(codeOther, "there is no method %q", w.Method)
	}
	if body, err = json.Marshal(all); err != nil {
		return r, wrong(codeJSON, "the body is no JSON object")
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return r, nil
}

func (q *request) ctx() context.Context { return q.http.Context() }

// decode reads the body.
func (q *request) decode(into any) error {
	if len(q.body) == 0 {
		return nil
	}
	err := json.Unmarshal(q.body, into)
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return wrong(codeJSON, "%s is of the wrong type: %s, want %s", e.Field, e.Value, jsonType(e.Type.Kind()))
	}
	if err != nil {
		return wrong(codeJSON, "the body is not as it should be: %v", err)
	}
	return nil
}

// jsonType is what people who write JSON call a type.
func jsonType(k reflect.Kind) string {
	switch k {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "array"
	case reflect.Map, reflect.Struct:
		return "object"
	default:
		return "number"
	}
}

// parameter returns a value of the query.
func (q *request) parameter(name string) string { return q.http.URL.Query().Get(name) }

// number reads a number of the query within bounds.
func (q *request) number(name string, usual, least, most int64) (int64, error) {
	text := q.parameter(name)
	if text == "" {
		return usual, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < least || n > most {
		return 0, wrong(codeOther, "%s is %q, want a number from %d to %d", name, text, least, most)
	}
	return n, nil
}

// toggle reads a yes or no of the query.
func (q *request) toggle(name string) (bool, error) {
	switch text := q.parameter(name); text {
	case "", "false", "0":
		return false, nil
	case "true", "1":
		return true, nil
	default:
		return false, wrong(codeOther, "%s is %q, want true or false", name, text)
	}
}

// header is of a command that the app itself gives. Its token makes repetitions
// on the way to the shard harmless.
func (q *request) header() state.Header {
	return state.Header{App: q.app.ID, Token: state.Token{Random: randomText()}, Origin: state.Origin{Node: string(q.host.Self())}}
}

// change has something changed for the app.
func (q *request) change(c state.Command) (state.Result, error) {
	result, err := q.host.Change(q.ctx(), q.header(), c)
	if err == nil && result.Refusal != state.None {
		return result, refused(result.Refusal, result.Text)
	}
	return result, err
}

// randomText is 22 characters of base64url.
func randomText() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// users checks ids of users.
func users(name string, ids []string) ([]wire.UserID, error) {
	if len(ids) == 0 {
		return nil, wrong(codeMissing, "%s is missing", name)
	}
	list := make([]wire.UserID, len(ids))
	for i, id := range ids {
		if err := wire.ValidID(id); err != nil {
			return nil, wrong(codeOther, "%s: %q %v", name, id, err)
		}
		list[i] = wire.UserID(id)
	}
	return list, nil
}

// user checks the id of one user.
func user(name, id string) (wire.UserID, error) {
	if id == "" {
		return "", wrong(codeMissing, "%s is missing", name)
	}
	list, err := users(name, []string{id})
	if err != nil {
		return "", err
	}
	return list[0], nil
}
