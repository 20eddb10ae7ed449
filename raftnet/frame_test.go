package raftnet

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/golden"
)

// goldenFrames has one frame of each kind. A change of its file is a change of the
// protocol between nodes.
func goldenFrames(t testing.TB) []struct {
	name  string
	frame []byte
} {
	h := raft.RPCHeader{ProtocolVersion: 3, ID: []byte("n1"), Addr: []byte("n1")}
	other := raft.RPCHeader{ProtocolVersion: 3, ID: []byte("n1/2"), Addr: []byte("n1")}
	conf := raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{{ID: "n1", Address: "n1"}}})
	app, err := appendAppend(appendHead(nil, kindAppend, 2), &raft.AppendEntriesRequest{
		RPCHeader: other, Term: 300, PrevLogEntry: 1000, PrevLogTerm: 299, LeaderCommitIndex: 999,
		Entries: []*raft.Log{
			{Index: 1001, Term: 300, Type: raft.LogNoop},
			{Index: 1002, Term: 300, Type: raft.LogCommand, Data: []byte("data"), Extensions: []byte("ext"), AppendedAt: time.Unix(1700000000, 5)},
			{Index: 1003, Term: 300, Type: raft.LogConfiguration, Data: conf},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return []struct {
		name  string
		frame []byte
	}{
		{"heartbeat", appendHeartbeat(appendHead(nil, kindHeartbeat, 1), &raft.AppendEntriesRequest{RPCHeader: h, Term: 300}, true)},
		{"append", app},
		{"vote", appendVote(appendHead(nil, kindVote, 3), &raft.RequestVoteRequest{RPCHeader: h, Term: 301, LastLogIndex: 1000, LastLogTerm: 299, LeadershipTransfer: true})},
		{"pre-vote", appendPreVote(appendHead(nil, kindPreVote, 4), &raft.RequestPreVoteRequest{RPCHeader: h, Term: 301, LastLogIndex: 1000, LastLogTerm: 299})},
		{"timeout-now", appendTimeoutNow(appendHead(nil, kindTimeoutNow, 5), &raft.TimeoutNowRequest{RPCHeader: h})},
		{"install", appendInstall(appendHead(nil, kindInstall, 6), &raft.InstallSnapshotRequest{
			RPCHeader: h, SnapshotVersion: 1, Term: 300, LastLogIndex: 1000, LastLogTerm: 299, ConfigurationIndex: 7, Configuration: conf,
		})},
		{"chunk", appendChunk(appendHead(nil, kindChunk, 6), chunk{number: 200, state: chunkLast, data: []byte("end")})},
		{"append-answer", encodeAnswer(2, raft.RPCResponse{Response: &raft.AppendEntriesResponse{Term: 300, LastLog: 1003, Success: true, NoRetryBackoff: true}})},
		{"vote-answer", encodeAnswer(3, raft.RPCResponse{Response: &raft.RequestVoteResponse{Term: 301, Granted: true}})},
		{"pre-vote-answer", encodeAnswer(4, raft.RPCResponse{Response: &raft.RequestPreVoteResponse{Term: 301}})},
		{"timeout-now-answer", encodeAnswer(5, raft.RPCResponse{Response: &raft.TimeoutNowResponse{}})},
		{"install-answer", encodeAnswer(6, raft.RPCResponse{Response: &raft.InstallSnapshotResponse{Term: 300, Success: true}})},
		{"chunk-taken", appendTaken(appendHead(nil, kindChunkTaken, 6), 190, 200)},
		{"error", encodeAnswer(7, raft.RPCResponse{Error: errUnknown})},
	}
}

func TestGoldenFrames(t *testing.T) {
	var b strings.Builder
	for _, g := range goldenFrames(t) {
		fmt.Fprintf(&b, "%s %s\n", g.name, hex.EncodeToString(g.frame))
	}
	golden.Check(t, "frames", b.String())
}

// TestFramesRoundTrip decodes what the golden frames hold, and encodes it again.
func TestFramesRoundTrip(t *testing.T) {
	for _, g := range goldenFrames(t) {
		again, err := recode(g.frame)
		if err != nil {
			t.Errorf("%s: %v", g.name, err)
			continue
		}
		if diff := cmp.Diff(g.frame, again); diff != "" {
			t.Errorf("%s: %s", g.name, diff)
		}
		for n := range len(g.frame) {
			if _, err := recode(g.frame[:n]); err == nil && !strings.HasPrefix(g.name, "chunk") && g.name != "error" {
				t.Errorf("%s cut to %d bytes is accepted", g.name, n)
			}
		}
	}
}

// recode decodes a frame and encodes what it found.
func recode(frame []byte) ([]byte, error) {
	k, id, err := head(frame)
	if err != nil {
		return nil, err
	}
	s, body, b := sender{addr: []byte("n1")}, frame[headBytes:], appendHead(nil, k, id)
	switch k {
	case kindHeartbeat:
		m, urgent, err := s.heartbeat(body)
		return finish(err, func() []byte { return appendHeartbeat(b, m, urgent) })
	case kindAppend:
		m, err := s.append(body)
		if err != nil {
			return nil, err
		}
		return appendAppend(b, m)
	case kindVote:
		m, err := s.vote(body)
		return finish(err, func() []byte { return appendVote(b, m) })
	case kindPreVote:
		m, err := s.preVote(body)
		return finish(err, func() []byte { return appendPreVote(b, m) })
	case kindTimeoutNow:
		m, err := s.timeoutNow(body)
		return finish(err, func() []byte { return appendTimeoutNow(b, m) })
	case kindInstall:
		m, err := s.install(body)
		return finish(err, func() []byte { return appendInstall(b, m) })
	case kindChunk:
		c, err := decodeChunk(body)
		return finish(err, func() []byte { return appendChunk(b, c) })
	case kindAppendAnswer:
		var m raft.AppendEntriesResponse
		err := decodeAppendAnswer(body, &m)
		return finish(err, func() []byte { return appendAppendAnswer(b, &m) })
	case kindVoteAnswer, kindPreVoteAnswer, kindInstallAnswer:
		term, yes, err := decodeYesNo(body)
		return finish(err, func() []byte { return appendYesNo(b, term, yes) })
	case kindChunkTaken:
		taken, arrived, err := decodeTaken(body)
		return finish(err, func() []byte { return appendTaken(b, taken, arrived) })
	default:
		return append(b, body...), nil
	}
}

func finish(err error, encode func() []byte) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	return encode(), nil
}

// FuzzFrame: no frame makes a decoder panic, and what is accepted has a form
// that is accepted again.
func FuzzFrame(f *testing.F) {
	for _, g := range goldenFrames(f) {
		f.Add(g.frame)
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		once, err := recode(frame)
		if err != nil {
			return
		}
		twice, err := recode(once)
		if err != nil {
			t.Fatalf("encoded again it is refused: %v", err)
		}
		if diff := cmp.Diff(once, twice); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestCutLeavesWhatFits(t *testing.T) {
	for _, tt := range []struct{ size, count, limit, want int }{
		{100, 10, 1 << 20, 10},
		{1000, 10, 3500, 3},
		{1000, 10, 10, 1},
		{0, 0, 10, 0},
	} {
		m := &raft.AppendEntriesRequest{}
		for range tt.count {
			m.Entries = append(m.Entries, &raft.Log{Data: make([]byte, tt.size)})
		}
		if cut(m, tt.limit); len(m.Entries) != tt.want {
			t.Errorf("cut %d entries of %d bytes to %d: %d left, want %d", tt.count, tt.size, tt.limit, len(m.Entries), tt.want)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	m := &raft.AppendEntriesRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: 3, ID: []byte("n1"), Addr: []byte("n1")}, Term: 3, PrevLogEntry: 1000, PrevLogTerm: 3}
	for i := range 4 {
		m.Entries = append(m.Entries, &raft.Log{Index: 1001 + uint64(i), Term: 3, Data: make([]byte, 4096), AppendedAt: time.Unix(1, 0)})
	}
	s := sender{addr: []byte("n1")}
	b.ReportAllocs()
	for b.Loop() {
		frame, err := appendAppend(appendHead(make([]byte, 0, appendSize(m)), kindAppend, 1), m)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.append(frame[headBytes:]); err != nil {
			b.Fatal(err)
		}
	}
}
