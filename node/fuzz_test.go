package node

import (
	"bytes"
	"testing"

	"github.com/quorate/quorate/node/tail"
	"github.com/quorate/quorate/shard/state"
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

// FuzzUserAnswer hands a node anything in place of an answer about a user.
func FuzzUserAnswer(f *testing.F) {
	f.Add(userAnswer{validAfter: -5, session: "s1"}.encode())
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
