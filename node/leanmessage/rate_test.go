package leanmessage

import (
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/virtual"
	"github.com/quorate/quorate/wire/leanpb"
)

func TestLM063_TooManyCommandsAreRefusedAtOnce(t *testing.T) {
	w := newWorld(t, Options{}, "rate.other=3")
	p, q := w.dial(), w.dial()
	p.open("tom")
	q.open("tom") // the user is counted, not the session
	other := w.dial()
	other.open("jerry")
	query := func() *leanpb.GenericCommand { return command2(sessionCmd, leanpb.OpType_query) }
	p.ask(query())
	m := q.ask(query())
	if line(m) != "error i=2 peer=tom 4116 MESSAGE_SENT_QUOTA_EXCEEDED" || !strings.Contains(m.GetErrorMessage().GetDetail(), "again in ") {
		t.Errorf("the fourth command in a minute: %v", m)
	}
	if got := line(other.ask(query())); got != "session/query_result i=2 peer=jerry" {
		t.Errorf("of another user: %s", got)
	}
	for range 5 {
		p.wantSilence() // signs of life are not counted
	}
	p.open("tom", comesBack) // to come back is counted apart
	if got := line(p.ask(command2(sessionCmd, leanpb.OpType_close))); got != "session/closed i=9 peer=tom" {
		t.Errorf("nor to go: %s", got)
	}
}

// TestLM063_WhoComesBackTooOften: he is not told an error, which would end his
// session: his socket is closed, and he tries again later.
func TestLM063_WhoComesBackTooOften(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{}, "rate.other=3")
		token := w.dial().open("tom").GetSessionMessage().GetSt()
		for i := range returnsPerOther * 3 {
			back := comesBack
			if i%2 == 0 {
				back = withToken(token)
			}
			w.dial().open("tom", back)
		}
		p := w.dial()
		p.send(opening1("tom", comesBack))
		p.wantClosed(CodeInternalError)
		if n := len(p.conn.out); n > 0 {
			t.Errorf("%d messages before that", n)
		}
		q := w.dial()
		q.open("jerry", comesBack) // the user is counted
		q.send(opening1("tom", withToken(token)))
		q.wantClosed(CodeInternalError)
		w.dial().open("tom") // to open one is counted apart
		time.Sleep(rateWindow)
		w.dial().open("tom", comesBack)
	})
}

func TestRatesForgetWhoIsQuiet(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		var r rates
		allowed := &door.RateSettings{Send: 2, Other: 0}
		tom := rateKey{testApp, "tom"}
		for i, wait := range []time.Duration{0, 0, 50 * time.Second} {
			if i == 2 {
				time.Sleep(10 * time.Second)
			}
			if got := r.take(tom, rateSend, allowed); got != wait {
				t.Errorf("message %d has to wait %v, want %v", i+1, got, wait)
			}
		}
		for range 1000 {
			if r.take(tom, rateOther, allowed) != 0 {
				t.Fatal("0 is no bound")
			}
		}
		time.Sleep(50 * time.Second)
		if r.take(tom, rateSend, allowed) != 0 {
			t.Error("a minute after the first there is no new one")
		}
		time.Sleep(2 * time.Minute)
		r.take(rateKey{testApp, "jerry"}, rateSend, allowed)
		if len(r.users) != 1 {
			t.Errorf("%d users are remembered", len(r.users))
		}
	})
}
