package node

import (
	"context"
	"errors"
	"time"

	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/node/native"
	"github.com/quorate/quorate/node/route"
	"github.com/quorate/quorate/node/session"
	"github.com/quorate/quorate/node/tail"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// errReplaced closes a session whose tag another one has taken.
var errReplaced = wire.Errorf(wire.CodeConflict, "session", "another session of the user has signed in with this tag")

// errKicked closes a session that was signed out.
var errKicked = wire.Errorf(wire.CodeUnauthenticated, "session", "the user was signed out")

// checkPause is between two questions of a watcher that got no answer.
const checkPause = 200 * time.Millisecond

// watcher follows a session's user log for the node itself: a kick, or a tag
// that another session took, ends the session wherever it is.
type watcher struct {
	s   *session.Session
	b   *backend
	set tail.Set
	sub tail.Subscription
}

// watchUser begins to follow a session's user log.
func (b *backend) watchUser(s *session.Session) {
	w := &watcher{s: s, b: b}
	s.OnEnd(w.set.Close)
	_, err := b.edge.Subscribe(tail.Request{
		Log: state.LogKey{App: s.Identity.App, User: s.Identity.User}, User: s.Identity.User, FromEnd: true, Sink: w, Set: &w.set, Into: &w.sub,
		Done: func(tail.Started, error) {
			// What happened between the sign-in and now is in no push.
			b.tasks.Go(w.check)
		},
	})
	if err != nil {
		s.Close(transport.CloseOverloaded, &wire.Error{Code: wire.CodeUnavailable, Op: "session.open", Text: "sign in again", Err: err})
	}
}

// Deliver implements tail.Sink.
func (w *watcher) Deliver(b *tail.Batch) bool {
	if b.Behind {
		w.b.tasks.Go(w.check)
	}
	for _, e := range b.Entries {
		switch e.Kind {
		case state.EntryKicked:
			if e.Device == "" || e.Device == w.s.Identity.Device {
				w.s.Close(transport.CloseUnauthenticated, errKicked)
			}
		case state.EntryTagTaken:
			if w.s.Tag != "" && e.Tag == w.s.Tag {
				// It may be this session's own login that took it.
				w.b.tasks.Go(w.check)
			}
		default:
		}
	}
	return true
}

// DeliverCursor implements tail.Sink.
func (w *watcher) DeliverCursor(tail.Cursor) bool { return true }

// DeliverTransient implements tail.Sink.
func (w *watcher) DeliverTransient(*tail.Transient) {}

// Late implements tail.Sink.
func (w *watcher) Late() { w.b.tasks.Go(w.set.CatchUp) }

// check asks the user's shard whether the session still holds what it took,
// until there is an answer or the session or the node ends.
func (w *watcher) check() {
	s := w.s
	for s.Open() && w.b.ctx.Err() == nil {
		ctx, cancel := context.WithTimeout(w.b.ctx, requestTimeout)
		answer, err := w.b.router.Query(ctx, route.Query{
			Slot: wire.SlotOf(s.Identity.App, string(s.Identity.User)), App: s.Identity.App, User: s.Identity.User,
			Request: append([]byte{queryUser}, s.Tag...),
		})
		cancel()
		if err != nil {
			_ = clock.Sleep(w.b.ctx, checkPause) // not every error of a query has taken its time
			continue
		}
		held, err := decodeUserAnswer(answer)
		switch {
		case err != nil:
			s.Close(transport.CloseInternal, err)
		case s.Identity.Issued.Unix() < held.validAfter/1000:
			s.Close(transport.CloseUnauthenticated, errKicked)
		case s.Tag != "" && held.session == "":
			closeLate(s)
		case s.Tag != "" && held.session != s.Name:
			s.Close(transport.CloseReplaced, errReplaced)
		}
		return
	}
}

// userAnswer is what a user's shard says to a query of queryUser:
//
//	| version 2 | valid after | session that holds the tag asked for | banned, 1 |
type userAnswer struct {
	validAfter int64 // milliseconds
	session    string
	banned     bool // the app does not let him sign in
}

func (a userAnswer) encode() []byte {
	return bin.AppendBool(bin.AppendString(bin.AppendVarint([]byte{userAnswerVersion}, a.validAfter), a.session), a.banned)
}

const userAnswerVersion = 2

// errUserAnswer is returned for an answer of an unknown form.
var errUserAnswer = errors.New("node: malformed answer about a user")

func decodeUserAnswer(b []byte) (userAnswer, error) {
	r := bin.NewReader(b)
	if r.Byte() != userAnswerVersion {
		return userAnswer{}, errUserAnswer
	}
	a := userAnswer{validAfter: r.Varint(), session: r.String(), banned: r.Bool()}
	return a, r.Close()
}

// The kinds of queries between nodes: the first byte of the request.
const (
	queryClient byte = 1 // a client's request follows
	queryUser   byte = 2 // is the user signed out, who holds the tag that follows?
	queryDoor   byte = 3 // a question of another door follows, see package ask
)

// execute answers a query from this node's replica of a shard.
func (s *shards) execute(ctx context.Context, id wire.ShardID, q route.Query) ([]byte, bool, error) {
	h := s.get(id)
	if h == nil {
		return nil, false, wire.Errorf(wire.CodeStaleRoute, "", "no replica of shard %d here", id)
	}
	if len(q.Request) == 0 {
		return nil, true, wire.Errorf(wire.CodeInvalid, "", "query without a request")
	}
	kind, request := q.Request[0], q.Request[1:]
	switch kind {
	case queryClient:
		return native.Execute(h.state, q.App, q.User, request, q.AtLeast)
	case queryPresence:
		answer, err := h.answerPresence(q.App, request)
		return answer, true, err
	case queryUser:
		answer, err := answerUser(h.state, q.App, q.User, string(request))
		return answer, true, err
	case queryDoor:
		q.Request = request
		answer, err := answerDoor(ctx, ask.Source{State: h.state, Columns: h.columns}, q)
		return answer, true, err
	default:
		return nil, true, wire.Errorf(wire.CodeInvalid, "", "query of an unknown kind")
	}
}

func answerUser(st *state.State, app wire.AppID, user wire.UserID, tag string) ([]byte, error) {
	held, err := st.Sessions(app, user)
	if err != nil {
		return nil, err
	}
	a := userAnswer{validAfter: held.ValidAfter, banned: held.Banned}
	for _, t := range held.Tags {
		if t.Tag == tag {
			a.session = t.Session
		}
	}
	return a.encode(), nil
}
