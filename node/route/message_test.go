package route

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/golden"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

var (
	exampleProposal = proposal{shard: 3, epoch: 7, slot: 65535, key: 0x0102030405060708, command: []byte("command")}
	exampleQuery    = query{
		shard: 3, epoch: 7, strong: true, within: 10 * time.Second,
		Query: Query{Slot: 300, AtLeast: 9, App: "app", User: "ann", Request: []byte("request")},
	}
	exampleResult = state.Result{Conversation: "tea", Seq: 4, Offset: 5, Timestamp: 6}
)

// TestGoldenMessages: a change of this file is a change of what nodes of
// different versions say to each other.
func TestGoldenMessages(t *testing.T) {
	got := fmt.Sprintf("proposal %s\nquery %s\noutcome %s\n", hex.EncodeToString(exampleProposal.encode()),
		hex.EncodeToString(exampleQuery.encode()), hex.EncodeToString(encodeOutcome(exampleResult)))
	golden.Check(t, "messages", got)
}

func TestMessageRoundTrip(t *testing.T) {
	all := cmp.AllowUnexported(proposal{}, query{})
	if p, err := decodeProposal(exampleProposal.encode()); err != nil || !cmp.Equal(p, exampleProposal, all) {
		t.Errorf("%+v, %v", p, err)
	}
	if q, err := decodeQuery(exampleQuery.encode()); err != nil || !cmp.Equal(q, exampleQuery, all) {
		t.Errorf("%+v, %v", q, err)
	}
	if r, err := decodeOutcome(encodeOutcome(exampleResult)); err != nil || !cmp.Equal(r, exampleResult) {
		t.Errorf("%+v, %v", r, err)
	}
}

func FuzzProposal(f *testing.F) {
	f.Add(exampleProposal.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decodeProposal(b)
		if err != nil {
			return
		}
		again, err := decodeProposal(p.encode())
		if err != nil || p.shard == wire.MetaShard || !bytes.Equal(again.encode(), p.encode()) {
			t.Errorf("%x became %+v, and that %+v, %v", b, p, again, err)
		}
	})
}

func FuzzQuery(f *testing.F) {
	f.Add(exampleQuery.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := decodeQuery(b)
		if err != nil {
			return
		}
		again, err := decodeQuery(q.encode())
		if err != nil || q.shard == wire.MetaShard || !bytes.Equal(again.encode(), q.encode()) {
			t.Errorf("%x became %+v, and that %+v, %v", b, q, again, err)
		}
	})
}

func FuzzOutcome(f *testing.F) {
	f.Add(encodeOutcome(exampleResult))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeOutcome(b)
		if err != nil {
			return
		}
		if again, err := decodeOutcome(encodeOutcome(r)); err != nil || !bytes.Equal(encodeOutcome(again), encodeOutcome(r)) {
			t.Errorf("%x became %+v, and that %+v, %v", b, r, again, err)
		}
	})
}
