package leanmessage

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/virtual"
	"github.com/quorate/quorate/wire/leanpb"
)

func TestLM004_CommandsNameASessionOrMeanTheFirst(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.dial()
	query := func(user string) *leanpb.GenericCommand {
		in := command2(sessionCmd, leanpb.OpType_query)
		if user != "" {
			in.PeerId = new(user)
		}
		return in
	}
	if got := line(p.ask(query(""))); got != "error i=1 4105 SESSION_REQUIRED" {
		t.Errorf("before any session: %s", got)
	}
	p.open("tom")
	p.open("jerry")
	for user, want := range map[string]string{"": "tom", "tom": "tom", "jerry": "jerry"} {
		if m := p.ask(query(user)); m.GetPeerId() != want || m.GetOp() != leanpb.OpType_query_result {
			t.Errorf("of %q: %s", user, line(m))
		}
	}
	if m := p.ask(query("spike")); m.GetErrorMessage().GetCode() != CodeSessionRequired || m.GetPeerId() != "spike" {
		t.Errorf("of one without a session: %s", line(m))
	}
	p.ask(command2(sessionCmd, leanpb.OpType_close))
	if m := p.ask(query("")); m.GetPeerId() != "jerry" {
		t.Errorf("once the first is closed: %s", line(m))
	}
}

func TestTheSameClientIDTwiceIsOneSession(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.dial()
	p.open("tom", withTag("mobile", "d1"))
	m := p.open("tom", comesBack)
	if line(m) != "session/opened i=2 peer=tom" || m.GetSessionMessage().GetSt() == "" {
		t.Errorf("opened again: %v", m)
	}
	if n := len(w.all()); n != 1 {
		t.Errorf("%d sessions", n)
	}
	w.pass(time.Second)
	w.app(&state.Kick{User: "tom"})
	p.want("session/closed peer=tom code=4115 ")
	p.wantSilence()
}

func TestIIsMirroredWhateverItIs(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.dial()
	in := opening1("tom")
	in.I = new(int32(-65535))
	p.send(in)
	p.want("session/opened i=-65535 peer=tom")
	query := command2(sessionCmd, leanpb.OpType_query)
	for i, want := range map[int32]string{0: "session/query_result i=0 peer=tom", -1: "session/query_result i=-1 peer=tom", 65535: "session/query_result i=65535 peer=tom"} {
		query.I = new(i)
		p.send(query)
		p.want(want)
	}
	query.I = nil
	p.send(query) // and without one there is no reply
	p.wantSilence()
}

func TestWhatIsNotKnownIsRefusedAndHarmsNobody(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.dial()
	p.open("tom")
	for _, in := range []*leanpb.GenericCommand{
		{Cmd: leanpb.CommandType(77).Enum(), Op: leanpb.OpType(999).Enum()},
		{Cmd: leanpb.CommandType_pubsub.Enum(), Op: leanpb.OpType_subscribe.Enum()},
		{},
	} {
		if m := p.ask(in); m.GetCmd() != leanpb.CommandType_error {
			t.Errorf("%v is answered %s", in, line(m))
		}
	}
	modified := command2(leanpb.CommandType_patch, leanpb.OpType_modified)
	p.send(modified) // some acknowledge so
	p.wantSilence()
}

func TestLM002_SocketsAreClosedWithTheReason(t *testing.T) {
	w := newWorld(t, Options{LoginTimeout: 50 * time.Millisecond, Silence: 100 * time.Millisecond})
	p := w.dial()
	p.wantClosed(CodeLoginTimeout)

	p = w.dial()
	p.open("tom")
	p.wantClosed(CodeReadTimeout)

	p = w.dial()
	p.conn.in <- []byte{0xff, 0xff, 0xff}
	p.wantClosed(CodeUnparseable)

	p = w.dial()
	p.conn.in <- bytes.Repeat([]byte{1}, transport.LeanCommandBytes+1)
	p.wantClosed(CodeFrameTooLong)

	p = w.dial()
	p.open("tom")
	large := command2(sessionCmd, leanpb.OpType_query)
	large.SessionMessage = &leanpb.SessionCommand{Ua: new(strings.Repeat("x", commandBytes))}
	if got := line(p.ask(large)); got != "error i=2 peer=tom 4109 FRAME_TOO_LONG" {
		t.Errorf("a long command: %s", got)
	}
	large.I = nil
	p.send(large)
	p.wantClosed(CodeFrameTooLong)
}

func TestLM002_ALostSocketEndsItsSessions(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.dial()
	p.open("tom")
	p.open("jerry")
	p.conn.cut()
	waitFor(t, "both sessions end, not cleanly", func() bool {
		ended := w.closings()
		slices.Sort(ended)
		return slices.Equal(ended, []string{"jerry", "tom"})
	})
}

func TestWhoComesBackDuringAnOutageTriesAgain(t *testing.T) {
	w := newWorld(t, Options{})
	st := w.dial().open("tom").GetSessionMessage().GetSt()
	w.outage(true)
	p := w.dial()
	if got := line(p.ask(opening1("jerry"))); got != "error i=1 peer=jerry 4200 INTERNAL_ERROR" {
		t.Errorf("who is new: %s", got)
	}
	p.send(opening1("tom", withToken(st)))
	p.wantClosed(CodeInternalError)
	w.outage(false)
	w.dial().open("tom", withToken(st))
}

func TestGoawayIsAPushWithoutI(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.dial()
	p.open("tom")
	w.door.Goaway(0)
	m := p.next()
	if line(m) != "goaway" || m.GetService() != 2 {
		t.Errorf("goaway is %v", m)
	}
	p.wantSilence() // the client closes the socket
}

// TestGoawayIsSpread: clients that are sent away do not come to the others in one
// moment.
func TestGoawayIsSpread(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		const clients, within = 10, time.Second
		w := newWorld(t, Options{})
		peers := make([]*peer, clients)
		for i := range peers {
			peers[i] = w.dial()
			peers[i].open(fmt.Sprint("user-", i))
		}
		began := time.Now()
		var took time.Duration
		w.tasks.Go(func() {
			w.door.Goaway(within)
			took = time.Since(began)
		})
		for step := range clients {
			synctest.Wait()
			told := 0
			for _, p := range peers {
				told += len(p.conn.out)
			}
			if told != step+1 {
				t.Errorf("after %v %d are told, want %d", time.Since(began), told, step+1)
			}
			time.Sleep(within / clients)
		}
		synctest.Wait()
		if took != within {
			t.Errorf("it took %v, want %v", took, within)
		}
		for _, p := range peers {
			p.want("goaway")
		}
	})
}

func TestOneSocketHasSoManySessions(t *testing.T) {
	w := newWorld(t, Options{MaxSessions: 2})
	p := w.dial()
	p.open("tom")
	p.open("jerry")
	if m := p.ask(opening1("spike")); m.GetErrorMessage().GetCode() != CodeAppQuotaExceeded {
		t.Errorf("a third one: %s", line(m))
	}
	p.open("tom") // again
}

func TestASlowClientIsClosed(t *testing.T) {
	w := newWorld(t, Options{WriteTimeout: 50 * time.Millisecond})
	p := w.dial()
	p.open("tom")
	p.conn.mu.Lock()
	p.conn.stuck = make(chan struct{})
	p.conn.mu.Unlock()
	p.send(command2(sessionCmd, leanpb.OpType_query)) // no i, no reply
	p.send(&leanpb.GenericCommand{Cmd: leanpb.CommandType_echo.Enum()})
	p.wantClosed(statusSlow)
}

func TestDiscoverNamesTwoNodes(t *testing.T) {
	w := newWorld(t, Options{})
	rec := httptest.NewRecorder()
	w.door.Discover(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/route?appId=x&secure=1", nil))
	var got map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || rec.Code != http.StatusOK {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	if got["server"] != "ws://n1:7400/leanmessage/v1" || got["secondary"] != "wss://n2:7410/leanmessage/v1" || got["ttl"] != 3600.0 {
		t.Errorf("the route is %v", got)
	}
}

func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for range 500 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s: it did not happen", what)
}
