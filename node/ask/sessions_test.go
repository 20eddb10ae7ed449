package ask

import (
	"testing"

	"github.com/quorate/quorate/shard/state"
)

func TestSessionsSayWhoHoldsATag(t *testing.T) {
	w := newWorld(t)
	w.do("tom", &state.Login{User: "tom", Tag: "mobile", Session: "s1", Node: "n1", Device: "d1"})
	a, err := w.ask("tom", &Request{Sessions: &Sessions{}})
	if err != nil {
		t.Fatal(err)
	}
	held, ok := Holder(a.Sessions, "mobile")
	if !ok || held.Session != "s1" || held.Device != "d1" || held.Login != 1 {
		t.Errorf("the tag is held by %+v, %v", held, ok)
	}
	if _, ok := Holder(a.Sessions, "web"); ok {
		t.Error("somebody holds a tag that nobody took")
	}
	w.do("", &state.Kick{User: "tom"})
	if a, err = w.ask("tom", &Request{Sessions: &Sessions{}}); err != nil || a.Sessions.ValidAfter != w.now || len(a.Sessions.Tags) != 0 {
		t.Errorf("after a kick: %+v, %v; want valid after %d", a.Sessions, err, w.now)
	}
}
