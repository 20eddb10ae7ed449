package leanmessage

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"time"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/node/auth"
	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/node/leansign"
	"github.com/quorate/quorate/node/tail"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/leanpb"
)

// errNoApp closes a socket whose app is not known, or is not the socket's.
var errNoApp = errors.New("leanmessage: no such app")

// errOrigin closes a socket that was opened by a web page of another origin than
// the app wants.
var errOrigin = errors.New("leanmessage: the app does not want web pages of this origin")

// wait runs work in a goroutine of its own, and returns when it is done: what
// changes the sessions of a socket is done one after another, and the reading
// goroutine's stack stays small.
func (s *socket) wait(work func(ctx context.Context)) {
	s.steps.Go(func() {
		defer s.mend(func(*leanpb.GenericCommand, error) {})
		ctx, cancel := context.WithTimeout(s.life, s.door.opts.RequestTimeout)
		defer cancel()
		work(ctx)
	})
	s.steps.Wait()
}

// bind finds the app that a command names. A socket is of one app for good.
func (s *socket) bind(ctx context.Context, in *leanpb.GenericCommand) error {
	id := wire.AppID(in.GetAppId())
	if t := s.tenant.Load(); t != nil && id == "" {
		id = t.ID
	} else if t != nil && id != t.ID {
		return errNoApp
	}
	app, ok, err := s.door.host.App(ctx, id)
	switch {
	case err != nil:
		return err
	case !ok:
		return errNoApp
	}
	t := s.door.tenantOf(app)
	if !t.settings.Allow.Enabled {
		return errNoApp
	}
	if !t.settings.Allow.Origin(s.conn.Origin()) {
		return errOrigin
	}
	s.tenant.Store(t)
	return nil
}

// open opens a session, or brings one that is open here up to date.
func (s *socket) open(in *leanpb.GenericCommand) {
	s.wait(func(ctx context.Context) {
		err := s.bind(ctx, in)
		if err == nil {
			err = s.openSession(ctx, in)
		}
		switch {
		case err == nil:
		case errors.Is(err, errNoApp):
			s.fatal(in, CodeAppNotAvailable)
		case errors.Is(err, errOrigin):
			s.fatal(in, CodeInvalidOrigin)
		case errors.Is(err, errRestless):
			s.close(CodeInternalError, "the user comes back too often")
		case isOut(err) && in.GetSessionMessage().GetR():
			// Who comes back waits and tries again when his socket is closed, and
			// takes an error for the end of the session.
			s.close(CodeInternalError, "the shard of the user does not answer")
		default:
			s.refuse(in, sessionCodes.failed(err))
		}
	})
}

// fatal ends a socket that its app will never want. Some clients give up because
// of the error, and some because of the status.
func (s *socket) fatal(in *leanpb.GenericCommand, code int) {
	s.refuse(in, &Error{Code: code})
	s.close(code, Reason(code))
}

// isOut tells an error of what may work a little later.
func isOut(err error) bool {
	e, ok := errors.AsType[*wire.Error](err)
	return ok && e.Code.Retryable() || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, tail.ErrNoRoute)
}

// sessionCodes is what refusals are for opening sessions.
//
//nolint:gochecknoglobals // a lookup table
var sessionCodes = codes{
	state.Conflict: CodeSessionConflict, state.BannedUser: CodeBlacklisted, state.SignedOut: CodeSignatureFailed, state.Invalid: CodeInvalidLogin, state.Limit: CodeAppQuotaExceeded,
}

// credentials are what somebody opens a session with.
type credentials struct {
	user      wire.UserID
	tag       string
	device    string
	issued    int64 // milliseconds; 0: nothing was
	byToken   bool
	reconnect bool
}

// check refuses who may not open a session, as his shard knows it.
func (w *credentials) check(held *state.Sessions) error {
	switch {
	case held.Banned:
		return errorf(CodeBlacklisted, "the app does not let the user sign in")
	case w.issued != 0 && w.issued < held.ValidAfter:
		return w.voided()
	default:
		return nil
	}
}

// voided refuses what was made before the user was logged out.
func (w *credentials) voided() error {
	if w.byToken {
		return errorf(CodeSessionTokenExpired, "the user was logged out after the token was made")
	}
	return errorf(CodeSignatureFailed, "the user was logged out after the signature was made")
}

func (s *socket) openSession(ctx context.Context, in *leanpb.GenericCommand) error {
	who, err := s.identify(in)
	if err != nil {
		return err
	}
	kind := rateKind(opOpen)
	if who.reconnect {
		kind = rateReturn
	}
	if e := s.tooMany(who.user, kind); e != nil && who.reconnect {
		return errRestless
	} else if e != nil {
		return e
	}
	if c := s.find(who.user); c != nil {
		return opening{c}.again(ctx, in, who)
	}
	if len(s.sessions()) >= s.door.opts.MaxSessions {
		return errorf(CodeAppQuotaExceeded, "%d sessions are open on this socket", s.door.opts.MaxSessions)
	}
	c, r := s.newClient(in, who)
	if err := (opening{c}).begin(ctx, who); err != nil {
		c.end()
		c.logs.Close()
		return err
	}
	s.add(c)
	s.welcome()
	c.host().Opened(c.session())
	c.run(c.resume)
	opening{c}.settle(ctx)
	c.answer(r, opening{c}.opened(), nil)
	return nil
}

// identify checks who opens a session. An error says 4112 only to who has shown
// a token: others would try again at once, for ever.
func (s *socket) identify(in *leanpb.GenericCommand) (credentials, error) {
	m := in.GetSessionMessage()
	who := credentials{user: wire.UserID(in.GetPeerId()), tag: m.GetTag(), device: m.GetDeviceId(), reconnect: m.GetR()}
	if who.device == "" {
		who.device = m.GetDeviceToken()
	}
	if m.GetSt() != "" {
		return s.identifyToken(who, m.GetSt())
	}
	if who.user == "" {
		who.user = wire.UserID(newName())
	}
	app := s.tenant.Load()
	if err := validUser(who.user, &app.settings); err != nil {
		return who, err
	}
	if app.settings.Sign.Login {
		given := leansign.Given{Signature: m.GetS(), Timestamp: m.GetT(), Nonce: m.GetN()}
		action := leansign.Action{Verb: leansign.Login, App: string(app.ID), Client: string(who.user)}
		if err := leansign.Check(string(app.MasterKey), action, given, leansign.Window{Now: s.door.host.Millis()}); err != nil {
			return who, errorf(CodeSignatureFailed, "%v", err)
		}
		who.issued = leansign.Millis(m.GetT())
	}
	return who, who.checkNames()
}

// identifyToken checks who comes back. The token remembers what he does not say
// again.
func (s *socket) identifyToken(who credentials, token string) (credentials, error) {
	app := s.tenant.Load()
	held, err := auth.VerifyLean(app.ID, app.keys(), token, time.UnixMilli(s.door.host.Millis()))
	if err == nil && who.user != "" && who.user != held.User {
		err = auth.ErrRefused
	}
	if err != nil {
		return who, errorf(CodeSessionTokenExpired, "the session's token is not good")
	}
	who.user, who.byToken, who.issued = held.User, true, held.Issued.UnixMilli()
	if who.tag == "" {
		who.tag = held.Tag
	}
	if who.device == "" {
		who.device = held.Device
	}
	return who, who.checkNames()
}

// maxClientID is how many characters a client id may have.
const maxClientID = 64

func validUser(user wire.UserID, settings *door.Settings) error {
	if n := len([]rune(string(user))); n > maxClientID {
		return errorf(CodeInvalidLogin, "the client id has %d characters, want at most %d", n, maxClientID)
	}
	if err := wire.ValidID(string(user)); err != nil {
		return errorf(CodeInvalidLogin, "the client id %v", err)
	}
	if settings.Allow.StrictIDs && !isStrictID(string(user)) {
		return errorf(CodeInvalidLogin, "the client id has other characters than letters, digits, _ and -, or begins with a digit")
	}
	return nil
}

func isStrictID(id string) bool {
	for i, r := range id {
		switch {
		case r == '_', r == '-', r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z':
		case r >= '0' && r <= '9' && i > 0:
		default:
			return false
		}
	}
	return true
}

// noTag is a tag that is none.
const noTag = "default"

func (w *credentials) checkNames() error {
	if w.tag == noTag {
		w.tag = ""
	}
	if w.tag != "" && wire.ValidID(w.tag) != nil {
		return errorf(CodeInvalidLogin, "the tag %v", wire.ValidID(w.tag))
	}
	if wire.ValidID(w.device) != nil {
		w.device = "" // some send a token of a push service, which may be longer
	}
	return nil
}

// newClient makes a session, to which nothing is pushed before the request is
// answered.
func (s *socket) newClient(in *leanpb.GenericCommand, who credentials) (*client, *request) {
	c := &client{
		id: s.door.nextID(), name: newName(), socket: s, app: s.tenant.Load().ID, user: who.user, tag: who.tag,
		peer: appendPeer(nil, who.user),
	}
	c.life, c.end = context.WithCancel(s.life)
	c.state = session{device: who.device, issued: who.issued}
	c.state.say(in.GetSessionMessage())
	c.feed.settled = make(chan struct{})
	return c, &request{number: c.out.begin(true), in: in}
}

// say takes what a client says of itself when it opens.
func (s *session) say(m *leanpb.SessionCommand) {
	if m == nil {
		m = &leanpb.SessionCommand{}
	}
	if m.ConfigBitmap != nil {
		s.bitmap = m.GetConfigBitmap()
	}
	s.back = m.GetR()
	s.unreadSince, s.patchSince = m.GetLastUnreadNotifTime(), m.GetLastPatchTime()
}

// opening is a session that opens, or opens again.
type opening struct{ *client }

// maxSettle is how long the reply to an open waits for the session's places.
const maxSettle = 3 * time.Second

// settle waits until the session follows what its user is in: whatever is said
// after the reply is pushed then, rather than counted as unread. Where a shard does
// not answer, the reply does not wait for it.
func (c opening) settle(ctx context.Context) {
	timer := time.NewTimer(maxSettle)
	defer timer.Stop()
	select {
	case <-c.feed.settled:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// begin begins to follow the user's log, takes the tag, and looks whether the
// session may be.
func (c opening) begin(ctx context.Context, who credentials) error {
	if err := c.follow(ctx, tail.Request{Log: state.LogKey{App: c.app, User: c.user}, FromEnd: true}); err != nil {
		return err
	}
	if err := takeTag(ctx, c.client, who); err != nil {
		return err
	}
	held, err := heldBy(ctx, c.client)
	if err != nil {
		return err
	}
	// It follows its log already: what happens from here on, it is pushed.
	if err := who.check(held); err != nil {
		return err
	}
	if holder, ok := ask.Holder(held, c.tag); c.tag != "" && (!ok || holder.Session != c.name) {
		return errorf(CodeSessionConflict, "another session has taken the tag")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state.validAfter = held.ValidAfter
	return nil
}

// follow follows a log, and waits until it does. Only Log, After and FromEnd are
// to be set.
func (c opening) follow(ctx context.Context, r tail.Request) error {
	started := make(chan error, 1)
	r.User, r.Sink, r.Set = c.user, c.client, &c.logs
	r.Done = func(at tail.Started, err error) {
		if err == nil && r.Log.Conversation == "" {
			c.moves.begin(at.After)
		}
		started <- err
	}
	sub, err := c.host().Follow(r)
	if err != nil {
		return err
	}
	select {
	case err := <-started:
		return err
	case <-ctx.Done():
		c.host().Unfollow(sub)
		return ctx.Err()
	}
}

// takeTag takes the session's tag from whoever holds it. Who comes back does not
// take it from another device, nor does who was logged out.
func takeTag(ctx context.Context, c *client, who credentials) error {
	if who.tag == "" {
		return nil
	}
	result, err := c.host().Change(ctx, state.Header{App: c.app, Actor: c.user}, &state.Login{
		User: c.user, Tag: who.tag, Session: c.name, Node: c.host().Place(), Device: who.device, Reconnect: who.reconnect,
		IssuedAt: who.issued,
	})
	if err != nil {
		return err
	}
	if result.Refusal == state.SignedOut {
		return who.voided()
	}
	if result.Refusal != state.None {
		return sessionCodes.refused(result.Refusal, result.Text)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state.login = result.Login
	return nil
}

// heldBy asks the user's shard what his sessions hold.
func heldBy(ctx context.Context, c *client) (*state.Sessions, error) {
	a, err := c.host().Ask(ctx, c.app, c.user, string(c.user), &ask.Request{Sessions: &ask.Sessions{}})
	if err != nil {
		return nil, err
	}
	if a.Sessions == nil {
		return nil, errorf(CodeInternalError, "no answer about the user")
	}
	return a.Sessions, nil
}

// again answers a client that opens a session which is open here: it is the
// same one, and gets what it says it has missed.
func (c opening) again(ctx context.Context, in *leanpb.GenericCommand, who credentials) error {
	held, err := heldBy(ctx, c.client)
	if err != nil {
		return err
	}
	if err := who.check(held); err != nil {
		return err
	}
	r := &request{number: c.out.begin(true), in: in}
	c.change(func(s *session) { s.say(in.GetSessionMessage()) })
	c.answer(r, c.opened(), nil)
	c.run(c.resume)
	return nil
}

// opened is the reply to who has opened a session.
func (c opening) opened() *leanpb.GenericCommand {
	return &leanpb.GenericCommand{
		Cmd: leanpb.CommandType_session.Enum(), Op: leanpb.OpType_opened.Enum(), SessionMessage: tokenOf(c.client),
	}
}

// tokenOf makes a fresh token of the session. An app without a master key has none.
func tokenOf(c *client) *leanpb.SessionCommand {
	host := c.host()
	life := min(c.door().opts.TokenLife, c.tenant().settings.Time.SessionToken)
	token, err := auth.IssueLean(auth.LeanSession{
		App: c.app, User: c.user, Tag: c.tag, Device: c.now().device, Issued: time.UnixMilli(host.Millis()),
	}, c.tenant().keys(), life)
	if err != nil {
		c.door().opts.Logger.Warn("a session has no token", "app", c.app, "error", err)
		return &leanpb.SessionCommand{}
	}
	return &leanpb.SessionCommand{St: new(token), StTtl: new(int32(life / time.Second))}
}

// newName makes an id: of a session, or of a client that names none.
func newName() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}
