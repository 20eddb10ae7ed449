package tail

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/quorate/quorate/wire"
)

func TestUnsubscribeWhileWaiting(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		e := w.edge()
		ben := w.reader(e, "ben")
		blocked := make(chan struct{})
		w.beforeAnswer = func() { <-blocked }
		if err := ben.ask(tea, 0, false); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		e.Unsubscribe(ben.sub)
		close(blocked)
		synctest.Wait()
		select {
		case err := <-ben.answers:
			t.Errorf("answered: %v", err)
		default:
		}
		if logs, _ := w.hub.Interests(); logs != 0 {
			t.Error("the hub still pushes")
		}
		w.beforeAnswer = nil
		ben.mustFollow(0) // the place is free
		w.say("1")
		ben.wantTold("0..1 1; ")
		e.Unsubscribe(ben.sub)
		e.Unsubscribe(ben.sub) // does nothing
		w.say("2")
		ben.wantTold("")
	})
}

// TestDropAndRegister: a log that is dropped and wanted again at once is not
// lost for another subscriber.
func TestDropAndRegister(t *testing.T) {
	inWorld(t, func(_ *testing.T, w *world) {
		e := w.edge()
		ben, eve := w.reader(e, "ben"), w.reader(e, "eve")
		ben.mustFollow(0)
		for range 10 {
			e.Unsubscribe(ben.sub)
			if err := ben.ask(tea, 0, true); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-ben.answers; err != nil {
			t.Fatal(err)
		}
		eve.mustFollow(0)
		e.Unsubscribe(eve.sub)
		w.say("1")
		ben.wantTold("0..1 1; ")
	})
}

func TestSetLimits(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ben := w.reader(w.edge(), "ben")
		ben.mustFollow(0)
		if err := ben.ask(tea, 0, false); !errors.Is(err, ErrTwice) {
			t.Errorf("twice: %v", err)
		}
		blocked := make(chan struct{})
		w.beforeAnswer = func() { <-blocked } // or each would be refused, and its place free
		for i := range MaxSubscriptions - 1 {
			id := wire.ConversationID("c" + string(rune('0'+i%10)) + strings.Repeat("x", i/10%50) + string(rune('a'+i/500)))
			if err := ben.ask(id, 0, false); err != nil {
				t.Fatalf("subscription %d: %v", i, err)
			}
		}
		if err := ben.ask("one more", 0, false); !errors.Is(err, ErrTooMany) {
			t.Errorf("one more: %v", err)
		}
		close(blocked)
		synctest.Wait()
		if n := len(ben.set.all()); n != 1 {
			t.Errorf("%d subscriptions, want the one that was granted", n)
		}
	})
}
