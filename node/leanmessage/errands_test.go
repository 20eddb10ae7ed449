package leanmessage

import (
	"context"
	"fmt"
	"testing"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/wire"
)

// TestErrandsAreBounded has a client say more than is done: nobody else is
// started, and no more waits than may.
func TestErrandsAreBounded(t *testing.T) {
	var e errands
	started := 0
	for i := range 3 * maxErrands {
		if e.put(errand{PlaceIn: ask.PlaceIn{Conversation: wire.ConversationID(fmt.Sprint(i % (2 * maxErrands))), Time: int64(i)}}) {
			started++
		}
	}
	if started != 1 || len(e.waiting) != maxErrands {
		t.Fatalf("%d began and %d wait, want 1 and %d", started, len(e.waiting), maxErrands)
	}
	done := 0
	for some := e.take(); len(some) > 0; some = e.take() {
		if len(some) > errandsAtOnce {
			t.Fatalf("%d are done at once, want at most %d", len(some), errandsAtOnce)
		}
		done += len(some)
	}
	if done != maxErrands {
		t.Errorf("%d were done, want %d", done, maxErrands)
	}
	if !e.put(errand{}) {
		t.Error("nobody is to begin again, want whoever comes next")
	}
}

// TestOfAConversationTheLatestErrandWaits: by the sequence where both have one,
// else by the time.
func TestOfAConversationTheLatestErrandWaits(t *testing.T) {
	at := func(millis int64, seq wire.Seq) errand {
		return errand{PlaceIn: ask.PlaceIn{Conversation: "c", Time: millis}, seq: seq}
	}
	for _, c := range []struct{ first, second, want errand }{
		{at(1, 0), at(2, 0), at(2, 0)},
		{at(2, 0), at(1, 0), at(2, 0)},
		{at(2, 3), at(1, 4), at(1, 4)},
		{at(0, 4), at(endOfTime, 3), at(0, 4)},
		{at(endOfTime, 0), at(1, 3), at(endOfTime, 0)},
	} {
		var e errands
		e.put(c.first)
		e.put(c.second)
		if some := e.take(); len(some) != 1 || some[0] != c.want {
			t.Errorf("of %v and %v, %v waits, want %v", c.first, c.second, some, c.want)
		}
	}
}

// TestManyReadsAreOneErrand sends more than the shards are asked about at once.
func TestManyReadsAreOneErrand(t *testing.T) {
	w := newWorld(t, Options{})
	c := &client{socket: &socket{door: w.door}}
	c.life, c.end = context.WithCancel(context.Background())
	defer c.end()
	begun, release := make(chan struct{}, 100), make(chan struct{})
	for i := range 100 {
		c.later(&c.errands.got, errand{PlaceIn: ask.PlaceIn{Conversation: wire.ConversationID(fmt.Sprint(i))}}, func(context.Context, []errand) {
			begun <- struct{}{}
			<-release
		})
	}
	<-begun
	close(release)
	w.tasks.Wait()
	if n := len(begun); n > 1 { // the first alone, and all others after it
		t.Errorf("%d times more something was done, want once", n)
	}
}
