package tail

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/virtual"
	"github.com/quorate/quorate/wire"
)

// will has a will applied, of some age.
func (w *world) will(text string, age time.Duration) {
	w.index++
	w.hub.Tell(Will{Log: logOf(tea), Number: w.index, Message: &state.Message{From: "eve", Body: []byte(text)}, Age: age})
}

// wantHeard checks which transient messages a reader was told in all.
func (r *reader) wantHeard(want string) {
	r.w.t.Helper()
	r.settle()
	if got := strings.Join(r.transients, ","); got != want {
		r.w.t.Errorf("%s heard %q, want %q", r.user, got, want)
	}
}

// newLeader has another hub lead, which has applied nothing yet.
func (w *world) newLeader() (lead func()) {
	w.hub.Lead(false)
	w.mu.Lock()
	w.hub = NewHub(w.access)
	w.mu.Unlock()
	return func() {
		w.hub.Lead(true)
		reconnected()
	}
}

// TestLM070_WillOfANewLeader: a will that is applied before the edges have found
// their new leader is told all the same, once, and in order.
func TestLM070_WillOfANewLeader(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ann, ben := w.reader(w.edge(), "ann"), w.reader(w.edge(), "ben")
		ann.mustFollow(0)
		ben.mustFollow(0)
		w.will("heard", 0)
		ann.wantHeard("heard")

		lead := w.newLeader()
		w.hub.Tell(Will{Log: logOf(tea), Number: 1, Message: &state.Message{From: "eve", Body: []byte("heard")}}) // it has applied it, too
		w.will("while nobody leads", 0)
		w.hub.Lead(true)
		w.will("before an edge is there", 0)
		lead()
		w.will("after", 0)
		w.lose()
		reconnected()
		for _, r := range []*reader{ann, ben} {
			r.wantHeard("heard,while nobody leads,before an edge is there,after")
		}
	})
}

// TestWillWhileTheAnswerIsDue: the will comes after the hub has noted the interest
// and before it has said whether the user may still follow.
func TestWillWhileTheAnswerIsDue(t *testing.T) {
	inWorld(t, func(_ *testing.T, w *world) {
		e := w.edge()
		ann, ben := w.reader(e, "ann"), w.reader(e, "ben")
		ann.mustFollow(0)
		ben.mustFollow(0)
		texts := []string{"first", "second"}
		w.beforeAnswer = func() {
			if len(texts) > 0 {
				w.will(texts[0], 0)
				texts = texts[1:]
			}
		}
		w.lose()
		reconnected()
		ann.wantHeard("first,second")
		ben.wantHeard("first,second")
	})
}

// TestWillIsForWhoIsThere: who comes after it is not told, nor who was removed,
// nor anybody of a will that is old.
func TestWillIsForWhoIsThere(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ann, late, gone := w.reader(w.edge(), "ann"), w.reader(w.edge(), "ben"), w.reader(w.edge(), "eve")
		ann.mustFollow(0)
		gone.mustFollow(0)
		lead := w.newLeader()
		if followed, known := w.hub.Followed(logOf(tea)); followed || known {
			t.Errorf("a hub without edges knows: %t, %t", followed, known)
		}
		w.will("applied again after a start", keepWills)
		w.will("long before", keepWills-2*time.Second)
		time.Sleep(2 * time.Second)
		w.will("just before", time.Second)
		w.append(tea, removed("eve"))
		lead()
		late.mustFollow(1)
		ann.wantHeard("just before")
		late.wantHeard("")
		gone.wantHeard("")
		if followed, known := w.hub.Followed(logOf(tea)); !followed || !known {
			t.Errorf("%t, %t", followed, known)
		}
	})
}

// TestWillAmongLostRecords: an edge that does not read loses what waits for it,
// but not a will.
func TestWillAmongLostRecords(t *testing.T) {
	inWorld(t, func(_ *testing.T, w *world) {
		block := make(chan struct{})
		w.fault = func() Stream {
			edge, hub := newStreams()
			edge.blocked = block
			w.serving.Go(func() { _ = w.hub.Serve(w.t.Context(), "edge", "edge/1", hub) })
			return edge
		}
		ann := w.reader(w.edge(), "ann")
		close(block)
		ann.mustFollow(0)
		for f := range w.hub.mu.feeds {
			f.mu.Lock()
			f.mu.lost = true // as add does when too much waits
			f.mu.Unlock()
		}
		w.hub.mu.wills.keep(logOf(tea), appendWill(nil, logOf(tea), 1, EncodeTransient(nil, typing)), keepWills)
		w.say("hi")
		ann.wantHeard("typing")
	})
}

// TestKeptWillsAreBounded: what a hub keeps has an end, in number, size and time.
func TestKeptWillsAreBounded(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		var k keptWills
		all := func(state.LogKey) bool { return true }
		for i := range maxKeptWills + 10 {
			k.keep(logOf(wire.ConversationID(fmt.Sprint(i))), []byte("a"), keepWills)
		}
		if len(k.all) != maxKeptWills || k.bytes != maxKeptWills || k.all[0].log != logOf("10") {
			t.Errorf("keeps %d in %d bytes, from %v", len(k.all), k.bytes, k.all[0].log)
		}
		k.keep(logOf(tea), make([]byte, maxKeptBytes), keepWills)
		if len(k.all) != 1 || k.bytes != maxKeptBytes {
			t.Errorf("keeps %d in %d bytes", len(k.all), k.bytes)
		}
		time.Sleep(keepWills)
		k.tidy()
		if len(k.all) > 0 {
			t.Errorf("keeps %d for ever", len(k.all))
		}
		if left := k.appendTo(nil, all); len(left) > 0 || k.bytes != 0 {
			t.Errorf("%d bytes are left of %d", len(left), k.bytes)
		}
	})
}
