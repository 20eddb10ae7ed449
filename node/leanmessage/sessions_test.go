package leanmessage

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/node/leansign"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire/leanpb"
)

const sessionCmd = leanpb.CommandType_session

func withTag(tag, device string) func(*leanpb.SessionCommand) {
	return func(m *leanpb.SessionCommand) { m.Tag, m.DeviceId = new(tag), new(device) }
}

func comesBack(m *leanpb.SessionCommand) { m.R = new(true) }

func withToken(st string) func(*leanpb.SessionCommand) {
	return func(m *leanpb.SessionCommand) { m.St, m.R = new(st), new(true) }
}

func TestLM002_OpenedHasAllThatClientsNeed(t *testing.T) {
	w := newWorld(t, Options{})
	m := w.dial().open("tom")
	s := m.GetSessionMessage()
	switch {
	case line(m) != "session/opened i=1 peer=tom":
		t.Errorf("opened is %s", line(m))
	case m.ServerTs == nil || m.GetServerTs() > time.Now().UnixMilli() || m.GetServerTs() < time.Now().Add(-time.Minute).UnixMilli():
		t.Errorf("serverTs is %v", m.ServerTs)
	case s.GetSt() == "" || s.GetStTtl() != 86400:
		t.Errorf("the token is %q for %d s", s.GetSt(), s.GetStTtl())
	case s.Code != nil || s.Reason != nil || s.LastPatchTime != nil || m.ErrorMessage != nil:
		t.Errorf("there is more: %v", m)
	case m.GetService() != 2:
		t.Errorf("service is %v", m.Service)
	}
}

func TestLM003_AClientWithoutAnIDGetsOne(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.dial()
	m := p.open("")
	if m.GetPeerId() == "" {
		t.Fatal("opened names no client id")
	}
	p.want() // nothing
	if m := p.ask(command2(sessionCmd, leanpb.OpType_query)); m.GetPeerId() == "" || m.GetOp() != leanpb.OpType_query_result {
		t.Errorf("a query is answered %s", line(m))
	}
}

func TestLM001_ClientIDs(t *testing.T) {
	w := newWorld(t, Options{})
	for user, ok := range map[string]bool{
		strings.Repeat("a", 64): true, strings.Repeat("a", 65): false, "with space": true, "0-digit-first": true, "a\x00b": false,
		"d9428888-122b-11e1-b85c-61cd3cbb3210": true,
	} {
		m := w.dial().ask(opening1(user))
		if ok != (m.GetOp() == leanpb.OpType_opened) || !ok && m.GetErrorMessage().GetCode() != CodeInvalidLogin {
			t.Errorf("%q: %s", user, line(m))
		}
	}
	strict := newWorld(t, Options{}, "strict-ids=on")
	for user, ok := range map[string]bool{"tom_1-x": true, "1tom": false, "tom.smith": false} {
		m := strict.dial().ask(opening1(user))
		if ok != (m.GetOp() == leanpb.OpType_opened) {
			t.Errorf("strict, %q: %s", user, line(m))
		}
	}
}

func TestLM017_AnUnknownAppClosesTheSocket(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.dial()
	in := opening1("tom")
	in.AppId = new("no-such-app")
	if got := line(p.ask(in)); got != "error i=1 peer=tom 4100 APP_NOT_AVAILABLE" {
		t.Errorf("an unknown app: %s", got)
	}
	p.wantClosed(CodeAppNotAvailable)

	p = w.dial()
	p.open("tom")
	in = opening1("jerry")
	in.AppId = new("another-app")
	p.send(in)
	p.wantClosed(CodeAppNotAvailable)
}

// TestAnAppLetsSDKsIn: they send no key, so an app that has not said that they
// may is not there for them.
func TestAnAppLetsSDKsIn(t *testing.T) {
	p := newWorld(t, Options{}, "enabled=off").dial()
	if got := line(p.ask(opening1("tom"))); got != "error i=1 peer=tom 4100 APP_NOT_AVAILABLE" {
		t.Errorf("an app that has not enabled them: %s", got)
	}
	p.wantClosed(CodeAppNotAvailable)
}

func TestLM016_OtherOrigins(t *testing.T) {
	w := newWorld(t, Options{}, "origins=https://example.com")
	for origin, want := range map[string]string{
		"": "session/opened i=1 peer=tom", "https://example.com": "session/opened i=1 peer=tom", "https://other.org": "error i=1 peer=tom 4110 INVALID_ORIGIN",
	} {
		p := w.dial()
		p.conn.origin = origin // before it says anything
		if got := line(p.ask(opening1("tom"))); got != want {
			t.Errorf("a page of %q: %s", origin, got)
		}
		if origin == "https://other.org" {
			p.wantClosed(CodeInvalidOrigin)
		}
	}
}

func TestLM101_Signatures(t *testing.T) {
	w := newWorld(t, Options{}, "sign.login=on")
	now := time.Now().UnixMilli()
	sign := func(user string, at int64) func(*leanpb.SessionCommand) {
		return func(m *leanpb.SessionCommand) {
			a := leansign.Action{Verb: leansign.Login, App: testApp, Client: user}
			m.T, m.N, m.S = new(at), new("nonce"), new(leansign.Sign(testMaster, a, at, "nonce"))
		}
	}
	st := w.dial().open("tom", sign("tom", now)).GetSessionMessage().GetSt()
	w.dial().open("tom", sign("tom", now/1000)) // some sign seconds
	for name, c := range map[string]struct {
		in   *leanpb.GenericCommand
		want string
	}{
		"nothing":                 {opening1("tom"), "error i=1 peer=tom 4102 SIGNATURE_FAILED"},
		"nothing, and comes back": {opening1("tom", comesBack), "error i=1 peer=tom 4102 SIGNATURE_FAILED"},
		"of another":              {opening1("tom", sign("jerry", now)), "error i=1 peer=tom 4102 SIGNATURE_FAILED"},
		"old":                     {opening1("tom", sign("tom", now-7*3600*1000)), "error i=1 peer=tom 4102 SIGNATURE_FAILED"},
		"a token instead":         {opening1("tom", withToken(st)), "session/opened i=1 peer=tom"},
		"a token of another":      {opening1("jerry", withToken(st)), "error i=1 peer=jerry 4112 SESSION_TOKEN_EXPIRED"},
		"garbage instead":         {opening1("tom", withToken("garbage")), "error i=1 peer=tom 4112 SESSION_TOKEN_EXPIRED"},
	} {
		if got := line(w.dial().ask(c.in)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	off := newWorld(t, Options{})
	off.dial().open("tom", func(m *leanpb.SessionCommand) {
		m.S, m.T, m.N = new("signature"), new(int64(1)), new("n")
	})
}

func TestLM008_ATokenBringsBackTagAndDevice(t *testing.T) {
	w := newWorld(t, Options{})
	first := w.dial()
	st := first.open("tom", withTag("mobile", "d1")).GetSessionMessage().GetSt()
	first.conn.cut()

	second := w.dial()
	second.open("tom", withToken(st))
	third := w.dial() // another device with the tag: the token's session held it
	third.open("tom", withTag("mobile", "d2"))
	second.want("session/closed peer=tom code=4111 SESSION_CONFLICT")
}

func TestLM008_AnExpiredTokenIsAnErrorWithTheSameI(t *testing.T) {
	w := newWorld(t, Options{}, "session-token=1m")
	st := w.dial().open("tom").GetSessionMessage().GetSt()
	w.pass(5 * time.Minute)
	p := w.dial()
	if got := line(p.ask(opening1("tom", withToken(st)))); got != "error i=1 peer=tom 4112 SESSION_TOKEN_EXPIRED" {
		t.Errorf("an expired token: %s", got)
	}
	p.open("tom", comesBack) // as clients do then, without a token
}

func TestLM008_WithoutIOpenedHasNone(t *testing.T) {
	w := newWorld(t, Options{})
	st := w.dial().open("tom").GetSessionMessage().GetSt()
	p := w.dial()
	p.send(opening1("tom", withToken(st)))
	p.want("session/opened peer=tom")
	p = w.dial()
	p.send(opening1("tom", withToken("garbage")))
	p.want("error peer=tom 4112 SESSION_TOKEN_EXPIRED")
}

func TestLM005_ANewLoginTakesTheTag(t *testing.T) {
	w := newWorld(t, Options{})
	old, other, untagged, byName := w.dial(), w.dial(), w.dial(), w.dial()
	old.open("tom", withTag("mobile", "d1"))
	other.open("tom", withTag("web", "d1"))
	untagged.open("tom")
	byName.open("tom", withTag("default", "d1"))
	w.dial().open("tom", withTag("default", "d9"))
	w.dial().open("tom", withTag("mobile", "d2"))
	old.want("session/closed peer=tom code=4111 SESSION_CONFLICT")
	for _, p := range []*peer{other, untagged, byName} {
		p.wantSilence()
	}
	if got := line(old.ask(command2(sessionCmd, leanpb.OpType_query))); got != "error i=2 4105 SESSION_REQUIRED" {
		t.Errorf("after the conflict: %s", got)
	}
}

func TestLM006_WhoComesBackDoesNotTakeTheTagFromAnotherDevice(t *testing.T) {
	w := newWorld(t, Options{})
	old := w.dial()
	st := old.open("tom", withTag("mobile", "d1")).GetSessionMessage().GetSt()
	old.conn.cut()
	holder := w.dial()
	holder.open("tom", withTag("mobile", "d2"))
	if got := line(w.dial().ask(opening1("tom", withToken(st)))); got != "error i=1 peer=tom 4111 SESSION_CONFLICT" {
		t.Errorf("the older login comes back: %s", got)
	}
	holder.wantSilence()
}

func TestLM007_TheSameDeviceReplacesItselfSilently(t *testing.T) {
	w := newWorld(t, Options{})
	dead := w.dial() // nobody has noticed yet
	dead.open("jerry")
	st := dead.open("tom", withTag("mobile", "d1")).GetSessionMessage().GetSt()
	w.dial().open("tom", withToken(st))
	waitFor(t, "the old session ends", func() bool { return slices.Contains(w.closings(), "tom") })
	dead.wantSilence()
}

// TestLM014_WhoWasLoggedOutTakesNoTag: what he shows is void before it has done
// anything to who has signed in since.
func TestLM014_WhoWasLoggedOutTakesNoTag(t *testing.T) {
	w := newWorld(t, Options{})
	st := w.dial().open("tom", withTag("mobile", "d1")).GetSessionMessage().GetSt()
	w.pass(time.Second)
	w.app(&state.Kick{User: "tom"})
	holder := w.dial()
	holder.open("tom", withTag("mobile", "d2"))
	insists := func(m *leanpb.SessionCommand) { m.R = new(false) }
	if got := line(w.dial().ask(opening1("tom", withToken(st), insists))); got != "error i=1 peer=tom 4112 SESSION_TOKEN_EXPIRED" {
		t.Errorf("the token of before the logout: %s", got)
	}
	holder.wantSilence()
}

func TestLM014_AKickSaysWhy(t *testing.T) {
	w := newWorld(t, Options{})
	p, other := w.dial(), w.dial()
	st := p.open("tom").GetSessionMessage().GetSt()
	p.open("jerry")
	other.open("tom", withTag("web", "d2"))
	w.pass(time.Second)
	w.app(&state.Kick{User: "tom", Reason: "go home"})
	p.want("session/closed peer=tom code=4115 go home")
	other.want("session/closed peer=tom code=4115 go home")
	if got := line(p.ask(withPeer(command2(sessionCmd, leanpb.OpType_query), "jerry"))); got != "session/query_result i=3 peer=jerry" {
		t.Errorf("the other session of the socket: %s", got)
	}
	if got := line(w.dial().ask(opening1("tom", withToken(st)))); got != "error i=1 peer=tom 4112 SESSION_TOKEN_EXPIRED" {
		t.Errorf("the token of a session that was kicked: %s", got)
	}
	w.dial().open("tom") // a new login is welcome
}

func withPeer(in *leanpb.GenericCommand, user string) *leanpb.GenericCommand {
	in.PeerId = new(user)
	return in
}

func TestLM013_OnlineQueries(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.dial()
	p.open("tom")
	jerry := w.dial()
	jerry.open("jerry")
	in := command2(sessionCmd, leanpb.OpType_query)
	in.SessionMessage = &leanpb.SessionCommand{SessionPeerIds: []string{"tom", "jerry", "nobody"}}
	if got := line(p.ask(in)); got != "session/query_result i=2 peer=tom online=tom,jerry" {
		t.Errorf("online: %s", got)
	}
	in.SessionMessage.SessionPeerIds = append(slices.Repeat([]string{"nobody"}, 19), "jerry", "tom")
	if got := line(p.ask(in)); got != "session/query_result i=3 peer=tom online=jerry" {
		t.Errorf("of 21 ids the first 20 count: %s", got)
	}
	old := command2(sessionCmd, leanpb.OpType_add)
	old.SessionMessage = &leanpb.SessionCommand{SessionPeerIds: []string{"jerry"}}
	if got := line(p.ask(old)); got != "session/added i=4 peer=tom online=jerry" {
		t.Errorf("watching, as of old: %s", got)
	}
	if got := line(p.ask(command2(sessionCmd, leanpb.OpType_remove))); got != "session/removed i=5 peer=tom" {
		t.Errorf("and not any more: %s", got)
	}
}

func TestLM010_CloseIsCleanAndHasNoCode(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.dial()
	p.open("tom", withTag("mobile", "d1"))
	m := p.ask(command2(sessionCmd, leanpb.OpType_close))
	if line(m) != "session/closed i=2 peer=tom" || m.SessionMessage == nil {
		t.Errorf("close is answered %v", m)
	}
	if got := line(p.ask(command2(sessionCmd, leanpb.OpType_close))); got != "error i=3 4105 SESSION_REQUIRED" {
		t.Errorf("a second close: %s", got)
	}
	waitFor(t, "the session was closed cleanly", func() bool { return slices.Equal(w.closings(), []string{"tom!"}) })
	p.open("tom", withTag("mobile", "d2"), comesBack) // the tag is free
}

func TestLM008_Refresh(t *testing.T) {
	w := newWorld(t, Options{}, "session-token=1m")
	p := w.dial()
	st := p.open("tom", withTag("mobile", "d1")).GetSessionMessage().GetSt()
	w.pass(5 * time.Minute)
	refresh := func(st string) *leanpb.GenericCommand {
		in := command2(sessionCmd, leanpb.OpType_refresh)
		if in.SessionMessage = (&leanpb.SessionCommand{}); st != "" {
			in.SessionMessage.St = new(st)
		}
		return p.ask(in)
	}
	m := refresh(st) // it has expired, and the session is open
	if line(m) != "session/refreshed i=2 peer=tom" || m.GetSessionMessage().GetStTtl() != 60 {
		t.Fatalf("refresh: %v", m)
	}
	if got := line(refresh("")); got != "session/refreshed i=3 peer=tom" {
		t.Errorf("without a token: %s", got)
	}
	if got := line(refresh("garbage")); got != "error i=4 peer=tom 4112 SESSION_TOKEN_EXPIRED" {
		t.Errorf("with garbage: %s", got)
	}
	// The user was logged out, and this node has not been told yet.
	for _, s := range w.door.all() {
		for _, c := range s.sessions() {
			c.change(func(s *session) { s.validAfter = -1 })
		}
	}
	if got := line(refresh("")); got != "error i=5 peer=tom 4112 SESSION_TOKEN_EXPIRED" {
		t.Errorf("after a logout: %s", got)
	}
	p.conn.cut()
	q := w.dial()
	q.open("tom", withToken(m.GetSessionMessage().GetSt()))
	w.dial().open("tom", withTag("mobile", "d2"))
	q.want("session/closed peer=tom code=4111 SESSION_CONFLICT")
}

func TestReports(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.dial()
	p.open("tom")
	in := command2(leanpb.CommandType_report, leanpb.OpType_upload)
	in.ReportMessage = &leanpb.ReportCommand{Initiative: new(true), Type: new("token"), Data: new("00ff")}
	if got := line(p.ask(in)); got != "report/uploaded i=2 peer=tom" {
		t.Errorf("report: %s", got)
	}
}

func TestLM008_EchoMirrorsI(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.dial()
	echo := leanpb.CommandType_echo.Enum()
	p.send(&leanpb.GenericCommand{Cmd: echo, I: new(int32(-65535))})
	p.send(&leanpb.GenericCommand{Cmd: echo, I: new(int32(0))})
	p.send(&leanpb.GenericCommand{Cmd: echo, AppId: new(testApp), PeerId: new("tom")})
	p.want("echo i=-65535", "echo i=0", "echo")
}

func TestLiveQueryAndPushLogins(t *testing.T) {
	w := newWorld(t, Options{LoginTimeout: 200 * time.Millisecond})
	p := w.dial()
	in := &leanpb.GenericCommand{
		Cmd: leanpb.CommandType_login.Enum(), AppId: new(testApp), InstallationId: new("i1"), Service: new(int32(1)), I: new(int32(7)),
	}
	p.send(in)
	m := p.read()
	if line(m) != "loggedin i=7" || m.GetService() != 1 || m.GetInstallationId() != "i1" || m.LoggedinMessage != nil {
		t.Errorf("a login for live queries: %v", m)
	}
	in.I, in.Service = nil, nil // as a push service's
	p.send(in)
	m = p.read()
	if line(m) != "loggedin" || m.Service == nil || m.GetService() != 0 || !m.GetLoggedinMessage().GetPushDisabled() {
		t.Errorf("a login for pushes: %v", m)
	}
	p.last = 7
	p.open("tom") // afterwards
	out := &leanpb.GenericCommand{
		Cmd: leanpb.CommandType_logout.Enum(), AppId: new(testApp), InstallationId: new("i1"), Service: new(int32(1)),
	}
	if m := p.ask(out); line(m) != "loggedout i=9" || m.GetService() != 1 {
		t.Errorf("a logout: %v", m)
	}
	p.send(&leanpb.GenericCommand{Cmd: leanpb.CommandType_ack.Enum(), AckMessage: &leanpb.AckCommand{Ids: []string{"x"}}, I: new(int32(99))})
	p.wantSilence()
}
