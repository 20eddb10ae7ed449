package raftnet

import (
	"errors"

	"github.com/quorate/quorate/wire"
)

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
		return t.server.heartbeat(from, id, m, urgent)
	case kindAppend:
		m, err := s.append(body)
		return t.server.enqueue(incoming{from: from, id: id, command: m, bytes: int64(len(body))}, err)
	case kindVote:
		m, err := s.vote(body)
		return t.server.enqueue(incoming{from: from, id: id, command: m}, err)
	case kindPreVote:
		m, err := s.preVote(body)
		return t.server.enqueue(incoming{from: from, id: id, command: m}, err)
	case kindTimeoutNow:
		m, err := s.timeoutNow(body)
		return t.server.enqueue(incoming{from: from, id: id, command: m}, err)
	case kindInstall:
		m, err := s.install(body)
		if err != nil {
			return err
		}
		t.server.beginInstall(from, id, m)
		return nil
	case kindChunk:
		c, err := decodeChunk(body)
		if err != nil {
			return err
		}
		t.server.chunkArrived(from, id, c)
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
