package tail

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

func TestFollow(t *testing.T) {
	inWorld(t, func(_ *testing.T, w *world) {
		w.say("1", "2")
		ann, ben := w.reader(w.edge(), "ann"), w.reader(w.edge(), "ben")
		ann.mustFollow(0)
		if err := ben.ask(tea, 0, true); err != nil {
			t.Fatal(err)
		}
		if err := <-ben.answers; err != nil || ben.started != (Started{Last: 2, After: 2}) {
			t.Fatalf("from the end: %+v, %v", ben.started, err)
		}
		ann.wantTold("0..2 behind; ")
		ben.wantTold("")
		w.say("3")
		w.say("4", "5")
		ann.wantTold("2..3 3; 3..5 4 5; ")
		ben.wantTold("2..3 3; 3..5 4 5; ")
		if logs, edges := w.hub.Interests(); logs != 1 || edges != 2 {
			t.Errorf("interest of %d edges in %d logs", edges, logs)
		}
		ann.set.Close()
		synctest.Wait()
		w.say("6")
		ann.wantTold("")
		ben.wantTold("5..6 6; ")
	})
}

func TestRefusals(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.say("1", "2", "3")
		w.logs[tea].floor = 1
		for _, c := range []struct {
			name  string
			user  wire.UserID
			log   wire.ConversationID
			after wire.Offset
			want  state.Refusal
		}{
			{"a stranger", "tom", tea, 3, state.NotMember},
			{"no such log", "ann", "coffee", 0, state.NotFound},
			{"trimmed", "ann", tea, 0, state.StartOver},
			{"past the end", "ann", tea, 4, state.StartOver},
			{"at the floor", "ann", tea, 1, state.None},
			{"at the end", "ann", tea, 3, state.None},
		} {
			r := w.reader(w.edge(), c.user)
			if err := r.ask(c.log, c.after, false); err != nil {
				t.Fatal(err)
			}
			if err := <-r.answers; refusalOf(err) != c.want || (err == nil) != (c.want == state.None) {
				t.Errorf("%s: %v, want %v", c.name, err, c.want)
			}
			if n := len(r.set.all()); (n == 0) != (c.want != state.None) {
				t.Errorf("%s: %d subscriptions", c.name, n)
			}
		}
		synctest.Wait()
		if logs, _ := w.hub.Interests(); logs != 1 {
			t.Errorf("interest in %d logs: refused ones were not dropped", logs)
		}
	})
}

func TestNoRoute(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		e := w.edge()
		r := w.reader(e, "ann")
		_, err := e.Subscribe(Request{Log: state.LogKey{App: "unknown", Conversation: tea}, User: "ann", Sink: r, Set: &r.set})
		if !errors.Is(err, ErrNoRoute) {
			t.Errorf("without a slot map: %v", err)
		}
		e.Close()
		if err := r.ask(tea, 0, false); !errors.Is(err, ErrNoRoute) {
			t.Errorf("after Close: %v", err)
		}
	})
}

// TestRemovalOvertakesTheAnswer: the state says "member", and before that is
// sent he is removed.
func TestRemovalOvertakesTheAnswer(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ben := w.reader(w.edge(), "ben")
		w.beforeAnswer = func() {
			w.beforeAnswer = nil
			w.append(tea, removed("ben"))
			w.say("not for ben")
		}
		if err := ben.follow(0); refusalOf(err) != state.NotMember {
			t.Errorf("granted: %v", err)
		}
		ben.wantTold("")
	})
}

// TestRemovedAndAddedBeforeTheAnswer: what the pushes say last counts.
func TestRemovedAndAddedBeforeTheAnswer(t *testing.T) {
	inWorld(t, func(_ *testing.T, w *world) {
		ben := w.reader(w.edge(), "ben")
		w.beforeAnswer = func() {
			w.beforeAnswer = nil
			w.append(tea, removed("ben"))
			w.append(tea, added("ben"))
		}
		ben.mustFollow(0)
		w.say("hi")
		ben.wantTold("0..3 behind; ")
	})
}

// TestOldRemovalAfterTheAnswer: the state is ahead of its pushes. One that tells
// of a removal from before the state was asked ends nothing.
func TestOldRemovalAfterTheAnswer(t *testing.T) {
	inWorld(t, func(_ *testing.T, w *world) {
		w.say("1")
		away := w.apply(tea, removed("ben"))
		back := w.apply(tea, added("ben"))
		ben := w.reader(w.edge(), "ben")
		ben.mustFollow(1)
		w.tell(away)
		w.tell(back)
		w.say("4")
		ben.wantTold("1..4 behind; ")
		w.append(tea, removed("ben"))
		ben.wantTold("4..5 5[ben] ended; ")
	})
}

func TestRemovalEndsTheSubscription(t *testing.T) {
	for name, c := range map[string]struct {
		entries []*state.Entry
		want    string
	}{
		"removed":            {[]*state.Entry{said("seen"), removed("ben"), said("not seen")}, "0..2 seen 5[ben] ended; "},
		"removed and added":  {[]*state.Entry{removed("ben"), said("not seen"), added("ben")}, "0..1 5[ben] ended; "},
		"destroyed":          {[]*state.Entry{{Kind: state.EntryDestroyed}}, "0..1 9[] ended; "},
		"somebody else":      {[]*state.Entry{removed("eve"), said("seen")}, "0..2 5[eve] seen; "},
		"another, then this": {[]*state.Entry{removed("eve"), removed("ben")}, "0..2 5[eve] 5[ben] ended; "},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				e := w.edge()
				ben := w.reader(e, "ben")
				ben.mustFollow(0)
				w.append(tea, c.entries...)
				ben.wantTold(c.want)
				w.say("later")
				if told := ben.told(); strings.Contains(c.want, "ended") != (told == "") {
					t.Errorf("later he was told %q", told)
				}
				if logs, subs := e.Follows(); strings.Contains(c.want, "ended") != (logs+subs == 0) {
					t.Errorf("the edge follows %d logs for %d", logs, subs)
				}
			})
		})
	}
}

// TestRemovedWhileBehind: who has no room, or has missed something, is told of
// his end with an offset up to which he may still read.
func TestRemovedWhileBehind(t *testing.T) {
	inWorld(t, func(_ *testing.T, w *world) {
		ben := w.reader(w.edge(), "ben")
		ben.mustFollow(0)
		ben.full = true
		w.say("1")
		w.say("2")
		w.append(tea, removed("ben"))
		ben.wantTold("0..3 behind ended; ")
	})
}

func TestLostStream(t *testing.T) {
	inWorld(t, func(_ *testing.T, w *world) {
		e := w.edge()
		ben, eve := w.reader(e, "ben"), w.reader(e, "eve")
		ben.mustFollow(0)
		eve.mustFollow(0)
		w.say("1")
		ben.wantTold("0..1 1; ")
		eve.wantTold("0..1 1; ")
		w.lose()
		synctest.Wait()
		w.say("2")
		w.append(tea, removed("eve"))
		w.say("4")
		reconnected()
		ben.wantTold("1..4 behind; ")
		eve.wantTold("1..1 ended; ")
		w.say("5")
		ben.wantTold("4..5 5; ")
		eve.wantTold("")
		w.lose()
		reconnected()
		ben.wantTold("") // nothing was missed, nothing is said
	})
}

// TestDroppedMessage: a message of the hub is lost on its way and the stream
// stays: the next mark shows it.
func TestDroppedMessage(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ben := w.reader(w.edge(), "ben")
		ben.mustFollow(0)
		w.say("1")
		ben.wantTold("0..1 1; ")
		w.hub.DropNext()
		w.say("2")
		ben.wantTold("")
		began := time.Now()
		for ben.set.Of(logOf(tea)).seen < 2 && time.Since(began) < time.Minute {
			time.Sleep(10 * time.Millisecond)
			ben.settle()
		}
		if took := time.Since(began); took > 1500*time.Millisecond {
			t.Errorf("noticed after %v", took)
		}
		ben.wantTold("1..2 behind; ")
	})
}

// TestNothingAfterADroppedMessage: what has no offset is not told once a message
// is missing, since the user's removal may have been in it.
func TestNothingAfterADroppedMessage(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ben := w.reader(w.edge(), "ben")
		ben.mustFollow(0)
		w.hub.DropNext()
		w.append(tea, removed("ben"))
		synctest.Wait()
		w.hub.Signal(logOf(tea), state.Origin{}, &state.Message{From: "ann", Body: []byte("not for ben")})
		w.hub.Applied(state.Applied{Cursors: []state.CursorMoved{{App: "app", Conversation: tea, User: "ann", Read: 1}}})
		reconnected()
		if len(ben.transients)+len(ben.cursors) > 0 {
			t.Errorf("after his removal he was told %q and %v", ben.transients, ben.cursors)
		}
		ben.wantTold("0..0 ended; ")
	})
}

// TestOverflow: an edge that does not read for long loses what waits for it,
// and is told.
func TestOverflow(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ben := w.reader(w.edge(), "ben")
		ben.mustFollow(0)
		synctest.Wait()

		// The edge stops reading while its lock is held.
		tail := ben.sub.follow.tail
		tail.mu.Lock()
		big := strings.Repeat("x", 1<<20)
		for range 20 {
			w.say(big)
			w.append(tea, &state.Entry{Kind: state.EntryUpdated})
		}
		w.append(tea, removed("ben"))
		for range 10 { // pushes the removal out, too
			w.say(big)
		}
		w.hub.Signal(logOf(tea), state.Origin{}, &state.Message{From: "ann", Body: []byte("not for ben")})
		tail.mu.Unlock()
		reconnected()
		if len(ben.transients) > 0 {
			t.Errorf("after his removal he was told %q", ben.transients)
		}
		told := ben.told()
		if !strings.HasSuffix(told, "ended; ") {
			t.Errorf("he was told %.300q", told)
		}
	})
}

// TestHoleInOneLog: a push that does not follow what was told makes the reader
// read.
func TestHoleInOneLog(t *testing.T) {
	inWorld(t, func(_ *testing.T, w *world) {
		ben := w.reader(w.edge(), "ben")
		ben.mustFollow(0)
		w.say("1")
		w.apply(tea, said("2")) // the hub is not told
		w.say("3")
		ben.wantTold("0..1 1; 1..3 behind; ")
		w.say("4")
		ben.wantTold("3..4 4; ")
	})
}

func TestSubscribersInStepShareOneBatch(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		e := w.edge()
		ben, eve, ann := w.reader(e, "ben"), w.reader(e, "eve"), w.reader(e, "ann")
		for _, r := range []*reader{ben, eve, ann} {
			r.mustFollow(0)
		}
		same := func(what string, readers ...*reader) {
			t.Helper()
			for _, r := range readers {
				r.settle()
				if len(r.batches) == 0 || r.batches[len(r.batches)-1] != readers[0].batches[len(readers[0].batches)-1] {
					t.Errorf("%s: %s has a batch of its own", what, r.user)
				}
			}
		}
		w.say("1")
		same("in step", ben, eve, ann)
		w.append(tea, said("psst", "eve"))
		w.append(tea, said("psst", "eve"))
		w.say("4")
		same("both were told of everything", eve, ann)
		w.say("5")
		same("after the targeted one", ben, eve, ann)
		ben.wantTold("0..1 1; 1..4 4; 4..5 5; ")
	})
}

func TestWhoSeesWhat(t *testing.T) {
	inWorld(t, func(_ *testing.T, w *world) {
		e := w.edge()
		ann, ben, eve := w.reader(e, "ann"), w.reader(e, "ben"), w.reader(e, "eve")
		w.logs[tea].policy.Notices = false
		for _, r := range []*reader{ann, ben, eve} {
			r.mustFollow(0)
		}
		w.append(tea, said("all"), said("psst", "ben"))
		w.append(tea, added("tom", "eve"))
		w.append(tea, said("again", "ben"), &state.Entry{Kind: state.EntryEdited, Target: 9, Actor: "ann"})
		w.say("end")
		ann.wantTold("0..2 all psst; 2..3 4[tom eve]; 3..5 again; 5..6 end; ")
		ben.wantTold("0..2 all psst; 2..5 again; 5..6 end; ")
		eve.wantTold("0..2 all; 2..3 4[eve]; 3..6 end; ")
	})
}

// TestTargetedIsNoHole: after an entry that is not for him a reader is still in
// step, and a lost stream does not make him read for nothing.
func TestTargetedIsNoHole(t *testing.T) {
	inWorld(t, func(_ *testing.T, w *world) {
		eve := w.reader(w.edge(), "eve")
		eve.mustFollow(0)
		w.append(tea, said("psst", "ben"))
		w.append(tea, said("psst", "ben"))
		eve.wantTold("")
		w.lose()
		reconnected()
		eve.wantTold("")
		w.say("3")
		eve.wantTold("0..3 3; ")
	})
}

func TestSlowSink(t *testing.T) {
	inWorld(t, func(_ *testing.T, w *world) {
		e := w.edge()
		slow, fast := w.reader(e, "ben"), w.reader(e, "ann")
		slow.mustFollow(0)
		fast.mustFollow(0)
		w.say("1")
		slow.wantTold("0..1 1; ")
		slow.full = true
		for range 100 {
			w.say("x")
		}
		slow.wantTold("")
		slow.full = false
		slow.wantTold("1..101 behind; ")
		w.say("102")
		slow.wantTold("101..102 102; ")
		if told := fast.told(); strings.Contains(told, "behind") || strings.Count(told, ";") != 102 {
			t.Errorf("the fast one was told %q", told)
		}
	})
}

// TestUnseatedLeader: a hub whose replica does not know yet that it leads no
// more knows less than the reader. It is asked again before the reader is told
// to start over.
func TestUnseatedLeader(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.say("1", "2", "3")
		w.stale, w.logs[tea].known = true, 1
		ben := w.reader(w.edge(), "ben")
		if err := ben.ask(tea, 3, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond)
		w.mu.Lock()
		w.stale = false
		w.mu.Unlock()
		if err := <-ben.answers; err != nil {
			t.Fatalf("refused: %v", err)
		}
		w.say("4")
		ben.wantTold("3..4 4; ")
	})
}

func TestNotLeading(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ben := w.reader(w.edge(), "ben")
		ben.mustFollow(0)
		w.hub.Lead(false)
		synctest.Wait()
		if _, edges := w.hub.Interests(); edges != 0 {
			t.Error("a stream goes on")
		}
		w.say("1")
		time.Sleep(10 * time.Second)
		w.say("2")
		ben.wantTold("")
		w.hub.Lead(true)
		reconnected()
		ben.wantTold("0..2 behind; ")
	})
}

// TestSilence: a stream without a word is given up.
func TestSilence(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		silent, far := newStreams()
		w.fault = func() Stream { return silent }
		ben := w.reader(w.edge(), "ben")
		began := time.Now()
		ben.mustFollow(0)
		if took := time.Since(began); took < 2*time.Second || took > 4*time.Second {
			t.Errorf("answered after %v", took)
		}
		if _, err := far.Recv(); err == nil {
			// What was registered there may still be read; the end is what counts.
			if _, err := far.Recv(); err == nil {
				t.Error("the silent stream is still open")
			}
		}
	})
}

func TestTransientsAndCursors(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		e := w.edge()
		ben, eve := w.reader(e, "ben"), w.reader(e, "eve")
		ben.mustFollow(0)
		eve.mustFollow(0)
		want := Cursor{
			Log: logOf(tea), User: "ann", Read: 3, Delivered: 5, DeliveredStamp: 900,
			Asked: []state.Asked{{ID: "m5", Seq: 5, From: "ben", Timestamp: 800}}, Origin: state.Origin{Node: "n1", Session: 7},
		}
		w.hub.Signal(logOf(tea), state.Origin{}, &state.Message{From: "ann", Body: []byte("typing")})
		w.hub.Signal(logOf(tea), state.Origin{}, &state.Message{From: "ann", Body: []byte("for eve"), Targets: []wire.UserID{"eve"}})
		w.hub.Signal(logOf("coffee"), state.Origin{}, &state.Message{From: "ann", Body: []byte("nobody follows")})
		w.hub.Applied(state.Applied{Cursors: []state.CursorMoved{
			{
				App: "app", Conversation: tea, User: "ann", Read: 3, Delivered: 5, DeliveredStamp: 900, Receipts: true,
				Receipt: want.Asked, Origin: want.Origin,
			},
			{App: "app", Conversation: tea, User: "eve", Read: 4}, // without receipts only eve's own business
		}})
		w.append(tea, removed("eve"))
		synctest.Wait()
		w.hub.Signal(logOf(tea), state.Origin{}, &state.Message{From: "ann", Body: []byte("more")})
		synctest.Wait()
		if got := strings.Join(ben.transients, ","); got != "typing,more" {
			t.Errorf("ben got %q", got)
		}
		if got := strings.Join(eve.transients, ","); got != "typing,for eve" {
			t.Errorf("eve got %q", got)
		}
		if d := cmp.Diff([]Cursor{want}, ben.cursors); d != "" {
			t.Error(d)
		}
	})
}

// TestOrigins: what is pushed says where it came from, each entry of its own.
func TestOrigins(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ben := w.reader(w.edge(), "ben")
		ben.mustFollow(0)
		a := w.apply(tea, said("hi"), said("again"), said("from the log"))
		from := []state.Origin{{Node: "n1", Session: 300, Request: 1}, {Node: "n2", Session: 300, Request: 2}, {}}
		for i := range from {
			a.Appended[i].Origin = from[i]
		}
		w.tell(a)
		synctest.Wait()
		if len(ben.batches) != 1 || len(ben.batches[0].Entries) != len(from) {
			t.Fatalf("ben got %v, want one batch of %d entries", ben.batches, len(from))
		}
		for i, e := range ben.batches[0].Entries {
			if e.Origin != from[i] {
				t.Errorf("entry %d came from %v, want %v", e.Offset, e.Origin, from[i])
			}
		}
	})
}

// TestEdgeGone: what an edge wanted is not kept when it is gone.
func TestEdgeGone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		e := w.edge()
		w.reader(e, "ben").mustFollow(0)
		e.Close()
		synctest.Wait()
		if logs, edges := w.hub.Interests(); logs+edges != 0 {
			t.Errorf("interest of %d edges in %d logs", edges, logs)
		}
	})
}
