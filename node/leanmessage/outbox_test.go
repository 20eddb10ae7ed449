package leanmessage

import (
	"fmt"
	"strings"
	"testing"

	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire/leanpb"
)

// box is an outbox on a socket that nobody reads.
type box struct {
	outbox

	t testing.TB
	s *socket
}

func newBox(t testing.TB, opts Options) *box {
	var none door.Host
	s := newSocket(New(none, opts), &fakeConn{subprotocol: transport.LeanProtobuf3})
	s.q.writing = true // nothing is written
	return &box{t: t, s: s}
}

func text(cause uint64, s string) outgoing { return outgoing{head: []byte(s), cause: cause} }

// wantQueued compares everything that was queued.
func (b *box) wantQueued(want string) {
	b.t.Helper()
	var all []string
	for _, m := range b.s.q.messages {
		all = append(all, string(m.Head)+string(m.Body))
	}
	if got := strings.Join(all, " "); got != want {
		b.t.Errorf("queued %q, want %q", got, want)
	}
}

func TestAReplyComesBeforeWhatItsRequestCaused(t *testing.T) {
	b := newBox(t, Options{})
	one, two := b.begin(false), b.begin(false)
	b.send(b.s, []outgoing{text(0, "a")}, false)
	b.send(b.s, []outgoing{text(two, "of-two")}, false)
	b.send(b.s, []outgoing{text(0, "b"), text(one, "of-one"), text(0, "c")}, false)
	b.wantQueued("a") // what comes after one that waits keeps its place
	b.answer(b.s, one, []byte("reply-one"))
	b.wantQueued("a reply-one")
	b.answer(b.s, two, []byte("reply-two"))
	b.wantQueued("a reply-one reply-two of-two b of-one c")
	b.send(b.s, []outgoing{text(two, "late")}, false) // its request is answered
	b.wantQueued("a reply-one reply-two of-two b of-one c late")
}

func TestOnlyWhatWaitsIsHeldBack(t *testing.T) {
	b := newBox(t, Options{})
	one := b.begin(false)
	b.send(b.s, []outgoing{text(0, "a"), text(one, "x"), text(0, "b")}, false)
	b.wantQueued("a")
	b.answer(b.s, one, nil) // without a reply
	b.wantQueued("a x b")
}

func TestABarrierHoldsEverything(t *testing.T) {
	b := newBox(t, Options{})
	open := b.begin(true)
	b.send(b.s, []outgoing{text(0, "a")}, false)
	b.wantQueued("")
	b.answer(b.s, open, []byte("opened"))
	b.wantQueued("opened a")
}

func TestWhatWaitsIsBounded(t *testing.T) {
	b := newBox(t, Options{MaxQueueBytes: 10})
	one := b.begin(false)
	if !b.send(b.s, []outgoing{text(one, "12345678")}, false) || b.send(b.s, []outgoing{text(0, "123")}, false) {
		t.Error("11 bytes wait, want at most 10")
	}
	if !b.send(b.s, []outgoing{text(0, "456")}, true) {
		t.Error("what is always taken was refused")
	}
	b.wantQueued("")
	b.answer(b.s, one, []byte("r"))
	b.wantQueued("r 12345678 456")
	if !b.s.q.late {
		t.Error("what was refused is not caught up with")
	}
	if b.bytes != 0 || b.held != nil {
		t.Errorf("%d bytes of %v still wait", b.bytes, b.held)
	}
}

func TestTheLastPushComesAfterWhatWaits(t *testing.T) {
	b := newBox(t, Options{})
	one := b.begin(false)
	b.send(b.s, []outgoing{text(one, "a")}, false)
	b.sendLast(b.s, text(0, "closed"))
	b.send(b.s, []outgoing{text(0, "b")}, true)
	b.wantQueued("a closed")
	b.answer(b.s, one, []byte("reply"))
	b.wantQueued("a closed reply")
}

func TestASocketsQueueIsBounded(t *testing.T) {
	b := newBox(t, Options{MaxQueueBytes: 10})
	if !b.s.push([]outgoing{text(0, strings.Repeat("x", 20))}, false) {
		t.Error("a large push is refused by an empty queue")
	}
	if b.s.push([]outgoing{text(0, "y")}, false) || !b.s.q.late {
		t.Error("a full queue takes a push")
	}
	b.s.queue([]byte("reply")) // always
	if n := len(b.s.q.messages); n != 2 {
		t.Errorf("%d messages wait, want 2", n)
	}
}

// TestManyRequestsAtOnce has requests answered in any order by many goroutines.
func TestManyRequestsAtOnce(t *testing.T) {
	w := newWorld(t, Options{MaxInFlight: 4})
	p := w.dial()
	p.open("tom")
	const n = 200
	w.serves.Go(func() {
		for i := range n {
			in := command2(sessionCmd, leanpb.OpType_query)
			in.SessionMessage = &leanpb.SessionCommand{SessionPeerIds: []string{"tom"}}
			in.I = new(int32(1000 + i))
			p.send(in)
		}
	})
	seen := map[int32]bool{}
	for range n {
		m := p.read()
		if m.GetOp() != leanpb.OpType_query_result || seen[m.GetI()] || fmt.Sprint(m.GetSessionMessage().GetOnlineSessionPeerIds()) != "[tom]" {
			t.Fatalf("an answer: %v", m)
		}
		seen[m.GetI()] = true
	}
}
