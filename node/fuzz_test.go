package node

import (
	"bytes"
	"testing"

	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/node/tail"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// FuzzSignal hands a node anything in place of a transient message from another
// node.
func FuzzSignal(f *testing.F) {
	f.Add(signalMessage{
		shard: 3, app: testApp, conversation: "tea", user: "ann", origin: state.Origin{Node: "n1", Session: 7, Request: 2},
		message: tail.EncodeTransient(nil, &state.Message{From: "ann", Body: []byte("typing")}),
	}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeSignal(b)
		if err != nil {
			return
		}
		again, err := decodeSignal(m.encode())
		if err != nil || !bytes.Equal(again.encode(), m.encode()) {
			t.Errorf("%x became %+v, and that %+v, %v", b, m, again, err)
		}
	})
}

// FuzzPresence hands a node anything in place of a question who is there, or of
// its answer.
func FuzzPresence(f *testing.F) {
	f.Add(presenceQuestion{what: askOnline, users: []wire.UserID{"ann", "ben"}}.encode()[1:])
	f.Add(presenceQuestion{what: askPresent, conversation: "tea", limit: 50}.encode()[1:])
	f.Add(encodePresents(door.Presents{Count: 7, Users: []wire.UserID{"ann"}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if q, err := decodePresenceQuestion(b); err == nil {
			if again, err := decodePresenceQuestion(q.encode()[1:]); err != nil || !bytes.Equal(again.encode(), q.encode()) {
				t.Errorf("%x became %+v, and that %+v, %v", b, q, again, err)
			}
		}
		if p, err := decodePresents(b); err == nil {
			if again, err := decodePresents(encodePresents(p)); err != nil || !bytes.Equal(encodePresents(again), encodePresents(p)) {
				t.Errorf("%x became %+v, and that %+v, %v", b, p, again, err)
			}
		}
	})
}

// FuzzUserAnswer hands a node anything in place of an answer about a user.
func FuzzUserAnswer(f *testing.F) {
	f.Add(userAnswer{validAfter: -5, session: "s1", banned: true}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := decodeUserAnswer(b)
		if err != nil {
			return
		}
		if again, err := decodeUserAnswer(a.encode()); err != nil || again != a {
			t.Errorf("%x became %+v, and that %+v, %v", b, a, again, err)
		}
	})
}
