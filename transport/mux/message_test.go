package mux

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/golden"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
)

// goldenMessages has a batch of one message of each kind. A change of its file is a
// change of the protocol between nodes.
func goldenMessages() []struct {
	name  string
	batch []byte
} {
	one := func(h []byte, body string) []byte {
		var q queue
		q.put(classCall, h, []byte(body))
		batch, _ := q.take(time.Time{}, nil)
		return batch[0]
	}
	failure := encodeError(&wire.Error{Code: wire.CodeNotLeader, Op: "message.send", Text: "ask the leader", Leader: "n3"})
	return []struct {
		name  string
		batch []byte
	}{
		{"hello", hello{cluster: "c1", node: "n1", minLevel: 1, maxLevel: 300}.encode()},
		{"ping", one([]byte{byte(kindPing)}, "")},
		{"raft", one(appendID(nil, kindRaft, 300), "frame")},
		{"call", one(append(appendID(nil, kindCall, 300), 7), "body")},
		{"answer", one(appendID(nil, kindAnswer, 300), "body")},
		{"failure", one(appendID(nil, kindFailure, 300), string(failure))},
		{"open", one(append(append(appendID(nil, kindOpen, 300), 7), 0x80, 0x08), "body")},
		{"data", one(appendStream(nil, kindData, 300, true), "message")},
		{"credit", one(append(appendStream(nil, kindCredit, 300, false), 0x80, 0x08), "")},
		{"piece", one([]byte{byte(kindPiece), byte(classCall)<<1 | 1}, "rest")},
		{"end", one(appendStream(nil, kindEnd, 300, true), "")},
	}
}

func TestGoldenMessages(t *testing.T) {
	var b strings.Builder
	for _, g := range goldenMessages() {
		fmt.Fprintf(&b, "%s %s\n", g.name, hex.EncodeToString(g.batch))
	}
	golden.Check(t, "messages", b.String())
}

func TestGoldenMessagesDecode(t *testing.T) {
	want := map[string]message{
		"ping":    {kind: kindPing},
		"raft":    {kind: kindRaft, id: 300, body: []byte("frame")},
		"call":    {kind: kindCall, id: 300, method: 7, body: []byte("body")},
		"answer":  {kind: kindAnswer, id: 300, body: []byte("body")},
		"failure": {kind: kindFailure, id: 300, body: encodeError(&wire.Error{Code: wire.CodeNotLeader, Op: "message.send", Text: "ask the leader", Leader: "n3"})},
		"open":    {kind: kindOpen, id: 300, method: 7, bytes: 1024, body: []byte("body")},
		"data":    {kind: kindData, id: 300, byOpener: true, body: []byte("message")},
		"credit":  {kind: kindCredit, id: 300, bytes: 1024},
		"end":     {kind: kindEnd, id: 300, byOpener: true},
	}
	for _, g := range goldenMessages() {
		if g.name == "hello" {
			h, err := decodeHello(g.batch)
			if err != nil || h != (hello{cluster: "c1", node: "n1", minLevel: 1, maxLevel: 300}) {
				t.Errorf("hello: %+v, %v", h, err)
			}
			continue
		}
		if g.name == "piece" {
			continue // TestPieces
		}
		raw, rest, err := nextMessage(g.batch)
		if err != nil || len(rest) > 0 {
			t.Fatalf("%s: %v, %d bytes left", g.name, err, len(rest))
		}
		got, err := decodeMessage(raw)
		if diff := cmp.Diff(want[g.name], got, cmp.AllowUnexported(message{})); err != nil || diff != "" {
			t.Errorf("%s: %v %s", g.name, err, diff)
		}
	}
}

func FuzzHello(f *testing.F) {
	f.Add(goldenMessages()[0].batch)
	f.Fuzz(func(t *testing.T, frame []byte) {
		h, err := decodeHello(frame)
		if err != nil {
			return
		}
		if again, err := decodeHello(h.encode()); err != nil || again != h {
			t.Fatalf("%+v became %+v, %v", h, again, err)
		}
	})
}

// quiet is a connection that takes everything and says nothing.
type quiet struct{ transport.Conn }

func (quiet) Close(transport.CloseCode, string) error { return nil }

// FuzzBatch: no batch from another node makes a link panic or hang, and what
// it makes this node hold is bounded.
func FuzzBatch(f *testing.F) {
	for _, g := range goldenMessages() {
		f.Add(g.batch)
	}
	f.Fuzz(func(t *testing.T, batch []byte) {
		h := &handler{stream: func(context.Context, wire.NodeID, *Stream) {}}
		m, err := New("n1", "c1", nil, nil, nil, h, Options{MaxStreams: 3})
		if err != nil {
			t.Fatal(err)
		}
		p := newPeer(m, "n2")
		defer p.close()
		m.Receive(300, func(wire.NodeID, []byte) {})
		l := &link{p: p, conn: quiet{}, dead: make(chan struct{})}
		p.install(l, hello{})
		rest := bytes.Clone(batch)
		for len(rest) > 0 {
			var raw []byte
			if raw, rest, err = nextMessage(rest); err != nil {
				return
			}
			if l.handle(raw) != nil {
				return
			}
		}
		if len(p.mu.accepted) > 3 {
			t.Fatalf("%d streams", len(p.mu.accepted))
		}
	})
}

// TestPieces: messages of all sizes around those of pieces arrive whole, and no
// chunk is larger than one write's part.
func TestPieces(t *testing.T) {
	var got []byte
	m, err := New("n1", "c1", nil, nil, nil, &handler{}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	m.Receive(300, func(_ wire.NodeID, frame []byte) { got = bytes.Clone(frame) })
	l := &link{p: newPeer(m, "n2")}
	defer l.p.close()
	for _, size := range []int{0, 1, pieceBytes - 4, pieceBytes - 3, pieceBytes - 2, pieceBytes, pieceBytes + 1, 2 * pieceBytes, 1 << 20, MaxMessageBytes} {
		want := make([]byte, size)
		for i := range want {
			want[i] = byte(i >> 8)
		}
		var q queue
		q.put(classRaft, appendID(nil, kindRaft, 300), want)
		got = nil
		for batch, _ := q.take(time.Time{}, nil); len(batch) > 0; batch, _ = q.take(time.Time{}, nil) {
			for _, chunk := range batch {
				if len(chunk) > chunkBytes {
					t.Errorf("%d bytes: a chunk of %d", size, len(chunk))
				}
				for len(chunk) > 0 {
					var raw []byte
					if raw, chunk, err = nextMessage(chunk); err != nil {
						t.Fatal(err)
					}
					if err := l.handle(raw); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes: %d came", size, len(got))
		}
	}
}

// TestQueue: messages go by class, whole and in order, in chunks and writes of
// bounded size, and what was taken is not counted any more.
func TestQueue(t *testing.T) {
	var q queue
	now := time.Unix(0, 0)
	const each = 500
	for i := range each {
		for c := range classes {
			q.put(c, []byte{byte(c)}, fmt.Appendf(nil, "%0*d", 1+i*3, i))
		}
	}
	next := [classes]int{}
	largest := 0
	for {
		batch, _ := q.take(now, nil)
		if len(batch) == 0 {
			break
		}
		sum := 0
		for _, chunk := range batch {
			if len(chunk) > chunkBytes {
				t.Errorf("chunk of %d bytes", len(chunk))
			}
			sum += len(chunk)
			for len(chunk) > 0 {
				m, rest, err := nextMessage(chunk)
				if err != nil {
					t.Fatal(err)
				}
				c := m[0]
				if got := strings.TrimLeft(string(m[1:]), "0"); got != strings.TrimLeft(fmt.Sprint(next[c]), "0") {
					t.Fatalf("class %d: %s came, want %d", c, got, next[c])
				}
				for lower := range c {
					if next[lower] < each {
						t.Fatalf("class %d before the end of %d", c, lower)
					}
				}
				next[c]++
				chunk = rest
			}
		}
		largest = max(largest, sum)
		q.give(batch)
	}
	if largest < batchBytes || largest > batchBytes+chunkBytes {
		t.Errorf("largest write %d bytes, want about %d", largest, batchBytes)
	}
	for c := range classes {
		if next[c] != each || q.bytes(c) != 0 {
			t.Errorf("class %d: %d messages, %d bytes counted after the last", c, next[c], q.bytes(c))
		}
	}
}
