package raftnet

import (
	"errors"
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
}

// beats is what the way of heartbeats needs.
type beats struct {
	handler atomic.Pointer[func(raft.RPC)]
	term    atomic.Uint64 // the highest in which a heartbeat was accepted
	first   atomic.Bool   // the first heartbeat of a term is being handled
}

// deliver takes a frame from the network. It does not block: answers complete
// requests, heartbeats go to raft's handler, other requests are queued.
func (t *Transport) deliver(from wire.NodeID, frame []byte) {
	t.counters.received.Add(1)
	k, id, err := head(frame)
	if err == nil {
		err = t.dispatch(from, k, id, frame[headBytes:])
	}
	if err != nil {
		t.counters.invalid.Add(1)
		t.opts.Logger.Warn("raft frame refused", "node", string(from), "shard", uint32(t.shard), "error", err)
	}
}

func (t *Transport) dispatch(from wire.NodeID, k kind, id uint64, body []byte) error {
	s := sender{addr: []byte(from)}
	switch k {
	case kindHeartbeat:
		m, urgent, err := s.heartbeat(body)
		if err != nil {
			return err
		}
		t.heartbeat(from, id, m, urgent)
		return nil
	case kindAppend:
		m, err := s.append(body)
		return t.enqueue(incoming{from: from, id: id, command: m, bytes: int64(len(body))}, err)
	case kindVote:
		m, err := s.vote(body)
		return t.enqueue(incoming{from: from, id: id, command: m}, err)
	case kindPreVote:
		m, err := s.preVote(body)
		return t.enqueue(incoming{from: from, id: id, command: m}, err)
	case kindTimeoutNow:
		m, err := s.timeoutNow(body)
		return t.enqueue(incoming{from: from, id: id, command: m}, err)
	case kindInstall:
		m, err := s.install(body)
		if err != nil {
			return err
		}
		return t.beginInstall(from, id, m)
	case kindChunk:
		c, err := decodeChunk(body)
		if err != nil {
			return err
		}
		t.chunkArrived(from, id, c)
		return nil
	case kindChunkTaken:
		return t.chunkTaken(from, id, body)
	default:
		return t.answered(from, k, id, body)
	}
}

// answered completes the request that an answer is for.
func (t *Transport) answered(from wire.NodeID, k kind, id uint64, body []byte) error {
	r := t.pending.answered(id, from, k)
	if r == nil {
		t.counters.late.Add(1)
		return nil
	}
	if k == kindError {
		r.done(errors.New(string(body[:min(len(body), maxErrorText)])))
		return nil
	}
	err := r.decode(body)
	r.done(err)
	return err
}

// enqueue queues a request for raft, unless it could not be decoded or too
// much waits already.
func (t *Transport) enqueue(q incoming, err error) error {
	if err != nil {
		return err
	}
	if t.queued.Add(q.bytes) > t.opts.MaxQueuedBytes && q.bytes > 0 {
		t.queued.Add(-q.bytes)
		t.counters.dropped.Add(1)
		return nil
	}
	select {
	case t.queue <- q:
	default:
		t.queued.Add(-q.bytes)
		t.counters.dropped.Add(1)
		if q.stream != nil {
			q.stream.cancel()
		}
	}
	return nil
}

// heartbeat hands a heartbeat to raft's handler, beside the queue, so that it
// does not wait for raft's disk. The first of a term makes raft write the term, so
// it must not run on the network's goroutine either.
func (t *Transport) heartbeat(from wire.NodeID, id uint64, m *raft.AppendEntriesRequest, urgent bool) {
	if m.Term <= t.beats.term.Load() {
		t.handleHeartbeat(from, id, m, urgent)
		return
	}
	if t.beats.first.Swap(true) {
		return // one of them is at work; this one comes again
	}
	if !t.start(func() {
		defer t.beats.first.Store(false)
		t.handleHeartbeat(from, id, m, urgent)
	}) {
		t.beats.first.Store(false)
	}
}

func (t *Transport) handleHeartbeat(from wire.NodeID, id uint64, m *raft.AppendEntriesRequest, urgent bool) {
	handler := t.beats.handler.Load()
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
		if resp, ok := a.Response.(*raft.AppendEntriesResponse); ok && a.Error == nil && resp.Term == m.Term {
			t.beats.term.Store(m.Term)
			t.sawTerm(m.Term)
		}
		t.answer(from, id, a, u)
	default: // raft is shutting down
	}
}

// serve hands the queued requests to raft, one after the other, and sends the
// answers.
func (t *Transport) serve() {
	for {
		select {
		case <-t.closed:
			return
		case q := <-t.queue:
			t.queued.Add(-q.bytes)
			t.serveOne(q)
		}
	}
}

func (t *Transport) serveOne(q incoming) {
	if q.stream != nil {
		t.serveInstall(q)
		return
	}
	if m, ok := q.command.(*raft.AppendEntriesRequest); ok {
		cutCommit(m)
		if skipApplied(m, t.opts.Applied()) {
			t.counters.skipped.Add(1)
		}
		t.sawTerm(m.Term)
	}
	if a, ok := t.ask(raft.RPC{Command: q.command}); ok {
		t.answer(q.from, q.id, a, Now)
	}
}

// ask hands a request to raft's main goroutine and waits for its answer; false
// when the transport is closed.
func (t *Transport) ask(rpc raft.RPC) (raft.RPCResponse, bool) {
	answer := make(chan raft.RPCResponse, 1) // raft must not wait for us
	rpc.RespChan = answer
	select {
	case t.consumer <- rpc:
	case <-t.closed:
		return raft.RPCResponse{}, false
	}
	select {
	case a := <-answer:
		return a, true
	case <-t.closed:
		return raft.RPCResponse{}, false
	}
}

// answer sends raft's answer to a request. What is lost will be asked again.
func (t *Transport) answer(to wire.NodeID, id uint64, a raft.RPCResponse, u Urgency) {
	_ = t.send(to, encodeAnswer(id, a), u)
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
