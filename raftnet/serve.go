package raftnet

import (
	"sync/atomic"

	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/wire"
)

// incoming is a request that waits for raft.
type incoming struct {
	from    wire.NodeID
	id      uint64
	command any      // raft's request
	stream  *arrival // of an install
	bytes   int64
	soon    bool // its answer may wait, as a heartbeat's
}

// beats is what the way of heartbeats needs.
type beats struct {
	handler atomic.Pointer[func(raft.RPC)]
	term    atomic.Uint64 // the last in which raft has accepted a leader
}

// set sets raft's handler; nil: there is none.
func (b *beats) set(handler func(raft.RPC)) {
	if handler == nil {
		b.handler.Store(nil)
		return
	}
	b.handler.Store(&handler)
}

// server is the side of a Transport that is asked: it hands what other nodes
// want of this replica to raft, and sends the answers.
type server struct {
	*link
	consumer chan raft.RPC // raft's main goroutine takes from it
	queue    chan incoming // requests that wait for it; Options.MaxQueued
	queued   atomic.Int64  // bytes in queue
	beats    beats
	arrivals arrivals
}

func newServer(l *link) *server {
	return &server{link: l, consumer: make(chan raft.RPC), queue: make(chan incoming, l.opts.MaxQueued)}
}

// enqueue queues a request for raft, unless it could not be decoded or too
// much waits already.
func (s *server) enqueue(q incoming, err error) error {
	if err == nil {
		s.offer(q)
	}
	return err
}

// offer queues a request for raft, or drops it if too much waits already. It
// tells whether it did queue it.
func (s *server) offer(q incoming) bool {
	if s.queued.Add(q.bytes) <= s.opts.MaxQueuedBytes || q.bytes == 0 {
		select {
		case s.queue <- q:
			return true
		default:
		}
	}
	s.queued.Add(-q.bytes)
	s.counters.dropped.Add(1)
	return false
}

// heartbeat queues a heartbeat like every other request. Only while raft's main
// goroutine waits for its disk the heartbeat goes to raft's handler at once, so
// that a slow disk does not look like a dead leader: see [Gate].
func (s *server) heartbeat(from wire.NodeID, id uint64, m *raft.AppendEntriesRequest, urgent bool) error {
	if m.Term == s.beats.term.Load() && s.opts.Gate.during(func() { s.handleHeartbeat(from, id, m, urgent) }) {
		return nil
	}
	return s.enqueue(incoming{from: from, id: id, command: m, soon: !urgent}, nil)
}

func (s *server) handleHeartbeat(from wire.NodeID, id uint64, m *raft.AppendEntriesRequest, urgent bool) {
	handler := s.beats.handler.Load()
	if handler == nil {
		return
	}
	answer := make(chan raft.RPCResponse, 1) // raft answers before the handler returns
	(*handler)(raft.RPC{Command: m, RespChan: answer})
	select {
	case a := <-answer:
		u := Soon
		if urgent {
			u = Now
		}
		s.answer(from, id, a, u)
	default: // raft is shutting down
	}
}

// run hands the queued requests to raft, one after the other, and sends the
// answers.
func (s *server) run() {
	for {
		select {
		case <-s.closed:
			return
		case q := <-s.queue:
			s.queued.Add(-q.bytes)
			s.serveOne(q)
		}
	}
}

func (s *server) serveOne(q incoming) {
	if q.stream != nil {
		s.serveInstall(q)
		return
	}
	m, appends := q.command.(*raft.AppendEntriesRequest)
	if appends && !isHeartbeat(m) {
		cutCommit(m)
		if skipApplied(m, s.opts.Applied()) {
			s.counters.skipped.Add(1)
		}
		s.sawTerm(m.Term)
	}
	a, ok := s.ask(raft.RPC{Command: q.command})
	if !ok {
		return
	}
	if resp, ok := a.Response.(*raft.AppendEntriesResponse); appends && ok && a.Error == nil && resp.Term == m.Term {
		s.beats.term.Store(m.Term)
		s.sawTerm(m.Term)
	}
	u := Now
	if q.soon {
		u = Soon
	}
	s.answer(q.from, q.id, a, u)
}

// ask hands a request to raft's main goroutine and waits for its answer; false
// when the transport is closed.
func (s *server) ask(rpc raft.RPC) (raft.RPCResponse, bool) {
	answer := make(chan raft.RPCResponse, 1) // raft must not wait for us
	rpc.RespChan = answer
	select {
	case s.consumer <- rpc:
	case <-s.closed:
		return raft.RPCResponse{}, false
	}
	select {
	case a := <-answer:
		return a, true
	case <-s.closed:
		return raft.RPCResponse{}, false
	}
}

// answer sends raft's answer to a request. What is lost will be asked again.
func (s *server) answer(to wire.NodeID, id uint64, a raft.RPCResponse, u Urgency) {
	_ = s.send(to, encodeAnswer(id, a), u)
}

func encodeAnswer(id uint64, a raft.RPCResponse) []byte {
	b := make([]byte, 0, headBytes+24)
	if a.Error != nil {
		text := a.Error.Error()
		return append(appendHead(b, kindError, id), text[:min(len(text), maxErrorText)]...)
	}
	switch m := a.Response.(type) {
	case *raft.AppendEntriesResponse:
		return appendAppendAnswer(appendHead(b, kindAppendAnswer, id), m)
	case *raft.RequestVoteResponse:
		return appendYesNo(appendHead(b, kindVoteAnswer, id), m.Term, m.Granted)
	case *raft.RequestPreVoteResponse:
		return appendYesNo(appendHead(b, kindPreVoteAnswer, id), m.Term, m.Granted)
	case *raft.InstallSnapshotResponse:
		return appendYesNo(appendHead(b, kindInstallAnswer, id), m.Term, m.Success)
	case *raft.TimeoutNowResponse:
		return appendHead(b, kindTimeoutNowDone, id)
	default:
		return append(appendHead(b, kindError, id), "unknown answer"...)
	}
}
