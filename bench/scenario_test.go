package bench

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/wire"
)

// TestCompare: what failover says of what it reads back.
func TestCompare(t *testing.T) {
	found := func(tokens ...uint64) (all []foundMessage) {
		for i, token := range tokens {
			all = append(all, foundMessage{token, wire.Seq(i + 1)})
		}
		return all
	}
	for _, c := range []struct {
		name                   string
		acked                  map[uint64]wire.Seq
		found                  []foundMessage
		lost, twice, unordered int64
	}{
		{"all there", map[uint64]wire.Seq{2: 1, 4: 2}, found(2, 4), 0, 0, 0},
		{"one that was not acknowledged", map[uint64]wire.Seq{4: 2}, found(2, 4), 0, 0, 0},
		{"one lost", map[uint64]wire.Seq{2: 1, 4: 2, 6: 3}, found(2, 4), 1, 0, 0},
		{"one at another place", map[uint64]wire.Seq{2: 2, 4: 2}, found(2, 4), 1, 0, 0},
		{"one twice", map[uint64]wire.Seq{4: 3}, found(2, 4, 4), 0, 1, 0},
		{"one before its time", nil, found(4, 2), 0, 0, 1},
		{"a probe among others", nil, found(4, 3, 6), 0, 0, 0},
	} {
		lost, twice, unordered := compare(c.acked, c.found)
		if lost != c.lost || twice != c.twice || unordered != c.unordered {
			t.Errorf("%s: %d lost, %d twice, %d out of order", c.name, lost, twice, unordered)
		}
	}
}

// TestPages: each page of each conversation is read once, and is asked for where it
// begins.
func TestPages(t *testing.T) {
	r := historyRun{History: History{Messages: 25, PageMessages: 10}, convs: make([]*client.Conversation, 3)}
	r.rng = newRNG(1)
	begin := time.Unix(1000, 0)
	r.times = [][]time.Time{{begin, begin.Add(25 * time.Second)}, {begin, begin}, {begin, begin}}
	pages := r.pages()
	slices.SortFunc(pages, func(a, b pageOf) int { return a.conv*100 + a.first - b.conv*100 - b.first })
	want := []pageOf{{0, 1}, {0, 11}, {0, 21}, {1, 1}, {1, 11}, {1, 21}, {2, 1}, {2, 11}, {2, 21}}
	if !slices.Equal(pages, want) {
		t.Errorf("pages %v", pages)
	}
	if q := r.rangeOf("seq", pageOf{0, 11}); q.FromSeq != 11 || !q.From.IsZero() || q.Limit != 10 || !q.OldestFirst {
		t.Errorf("by sequence: %+v", q)
	}
	if q := r.rangeOf("time", pageOf{0, 11}); q.FromSeq != 0 || q.From != begin.Add(10*time.Second) {
		t.Errorf("by time: %+v", q)
	}
	if a, b := conversationOf("x", 1), conversationOf("x", 2); a == b || len(a) != 24 || a != conversationOf("x", 1) {
		t.Errorf("ids %s and %s", a, b)
	}
}

// TestBesides: the twin of a conversation is another one, in the same shard of up
// to 1,024.
func TestBesides(t *testing.T) {
	twin := wire.ConversationID("656b5c1b0000a1b2c3d4e5f6")
	id := besides("an-application", twin)
	if a, b := wire.SlotOf("an-application", string(id)), wire.SlotOf("an-application", string(twin)); id == twin || a/64 != b/64 {
		t.Errorf("%s in slot %d, the twin in %d", id, a, b)
	}
}

// TestEach: all is done, and after an error no more is begun.
func TestEach(t *testing.T) {
	var done atomic.Int64
	if err := each(t.Context(), 100, 7, func(context.Context, int) error {
		done.Add(1)
		return nil
	}); err != nil || done.Load() != 100 {
		t.Errorf("%d done, %v", done.Load(), err)
	}
	done.Store(0)
	bad := errors.New("bad")
	err := each(t.Context(), 100, 1, func(_ context.Context, i int) error {
		if done.Add(1); i == 3 {
			return bad
		}
		return nil
	})
	if !errors.Is(err, bad) || done.Load() != 4 {
		t.Errorf("%d done, %v", done.Load(), err)
	}
}

// TestOutbox: a conversation that has as many messages without an answer as the
// client lets it have does not hold the load up.
func TestOutbox(t *testing.T) {
	o := &outbox{}
	o.waiting.Store(windowOf)
	var got error
	o.send(t.Context(), nil, func(_ client.Sent, err error) { got = err })
	if !errors.Is(got, errOverLimit) || o.waiting.Load() != windowOf {
		t.Errorf("%v, %d waiting", got, o.waiting.Load())
	}
}

// TestScenarios: what makes no sense is refused, all of it at once.
func TestScenarios(t *testing.T) {
	load := Load{InFlight: 8, Duration: time.Second}
	for _, s := range []Scenario{
		Ingest{Load: load},
		Ingest{Load: load, Connections: 8, Conversations: 4, Members: 1, BodyBytes: 1},
		Ingest{Load: load, Connections: 9, Conversations: 9, Members: 1, BodyBytes: 1},
		Ingest{Search: &Search{}, Connections: 1, Conversations: 1, Members: 1, BodyBytes: 1},
		Fanout{Load: load, Groups: 1, Members: 2, Online: 1, Connections: 1, BodyBytes: 7},
		Fanout{Load: load, Groups: 1, Members: 1, Online: 1, Connections: 1, BodyBytes: 8},
		Fanout{Load: load, Groups: 1, Members: 2, Online: 0, Connections: 1, BodyBytes: 8},
		Connections{Sessions: 1, Members: 1, Opening: 1, Settle: 1, Idle: 1, Rate: 1, BodyBytes: 1},
		History{Load: load, Connections: 1, Conversations: 1, Messages: 1, PageMessages: 1001, BodyBytes: 1},
		Login{Counts: []int{2, 1}, Rounds: 1, Conversations: 1, Members: 1},
		Login{Rounds: 1, Conversations: 1, Members: 1},
		Failover{Rate: 1, Connections: 1, Conversations: 1, Before: 1, After: 1, Within: 2, BodyBytes: 8},
		SendCost{Load: load, Rounds: 1, Connections: 1, BodyBytes: 1, Groups: 1},
	} {
		if err := s.Validate(); err == nil {
			t.Errorf("%+v is allowed", s)
		}
	}
	for _, s := range []Scenario{
		Ingest{Load: load, Connections: 1, Conversations: 1, Members: 1, BodyBytes: 1},
		Fanout{Load: load, Groups: 1, Members: 2, Online: 1, Connections: 1, BodyBytes: 8},
		Connections{Sessions: 1, Members: 1, Opening: 1, Settle: 1, Idle: 1, BodyBytes: 1},
		History{Load: load, Connections: 1, Conversations: 1, Messages: 1, PageMessages: 1000, BodyBytes: 1},
		Login{Counts: []int{1, 2}, Rounds: 1, Conversations: 1, Members: 1},
		Failover{Rate: 1, Connections: 1, Conversations: 1, Before: 1, After: 1, Within: 1, BodyBytes: 8},
		SendCost{Load: load, Rounds: 1, Connections: 1, BodyBytes: 1, Groups: 1, Members: [2]int{2, 10_000}},
	} {
		if err := s.Validate(); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
	}
}
