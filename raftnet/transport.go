package raftnet

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/wire"
)

// ErrClosed is returned by requests after Close.
var ErrClosed = errors.New("raftnet: transport closed")

// ErrNoAnswer is returned when a node did not answer in time.
var ErrNoAnswer = errors.New("raftnet: no answer")

// ErrStale is returned when a request is given up because its term is over.
var ErrStale = errors.New("raftnet: term is over")

// Transport is one shard's raft.Transport. A server's address is its node's
// id, which the network resolves. It asks other nodes itself; what they ask of
// this one, its server takes.
type Transport struct {
	*link
	server  *server
	pending pending
	hurry   atomic.Int64 // strong reads that wait
}

var (
	_ raft.Transport   = (*Transport)(nil)
	_ raft.WithPreVote = (*Transport)(nil)
	_ raft.WithClose   = (*Transport)(nil)
)

// New returns the transport of a node's replica of a shard, which receives
// from now on. Close ends it.
func New(self wire.NodeID, shard wire.ShardID, network Network, opts Options) *Transport {
	l := newLink(self, shard, network, opts.withDefaults())
	t := &Transport{link: l, server: newServer(l)}
	t.pending.open()
	t.tasks.Go(t.server.run)
	network.Receive(shard, t.deliver)
	return t
}

// Close ends all requests with ErrClosed and receives no more. raft calls it when it is
// shut down; called before, it spares the shutdown waiting for answers.
func (t *Transport) Close() error {
	if t.shut() {
		t.pending.close(ErrClosed)
		t.server.arrivals.stop()
	}
	t.tasks.Wait()
	return nil
}

// Hurry adds n to the count of strong reads that wait. While there are any,
// heartbeats and their answers are not held back.
func (t *Transport) Hurry(n int) {
	after := t.hurry.Add(int64(n))
	if after <= 0 || after-int64(n) > 0 {
		return
	}
	for id, r := range t.pending.hurried() {
		r.repeat(id)
	}
}

// Metrics returns what the transport has done.
func (t *Transport) Metrics() Metrics { return t.counters.metrics() }

// Consumer returns the channel from which raft takes requests.
func (t *Transport) Consumer() <-chan raft.RPC { return t.server.consumer }

// LocalAddr returns the node's id.
func (t *Transport) LocalAddr() raft.ServerAddress { return raft.ServerAddress(t.self) }

// EncodePeer returns the address as bytes.
func (t *Transport) EncodePeer(_ raft.ServerID, addr raft.ServerAddress) []byte { return []byte(addr) }

// DecodePeer returns the bytes as an address.
func (t *Transport) DecodePeer(b []byte) raft.ServerAddress { return raft.ServerAddress(b) }

// SetHeartbeatHandler sets what is called with heartbeats, on the network's goroutine.
func (t *Transport) SetHeartbeatHandler(handler func(raft.RPC)) { t.server.beats.set(handler) }

// AppendEntries sends an append or a heartbeat and waits for the answer. It may
// shorten the append: what is left in args is what was sent.
func (t *Transport) AppendEntries(_ raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest,
	resp *raft.AppendEntriesResponse,
) error {
	t.sawTerm(args.Term)
	decode := func(body []byte) error { return t.decodeAppendAnswer(body, resp) }
	if isHeartbeat(args) {
		return t.call(&call{
			to: wire.NodeID(target), answer: kindAppendAnswer, decode: decode,
			repeat: t.opts.Round / 6, timeout: t.opts.Round, hurried: true,
			send: func(id uint64) error { return t.sendHeartbeat(wire.NodeID(target), id, args) },
		})
	}
	cut(args, t.opts.MaxAppendBytes)
	return t.call(&call{
		to: wire.NodeID(target), answer: kindAppendAnswer, decode: decode,
		repeat: t.opts.Round / 3, timeout: t.opts.Timeout, term: args.Term,
		send: func(id uint64) error { return t.sendAppend(wire.NodeID(target), id, args) },
	})
}

func (t *Transport) sendHeartbeat(to wire.NodeID, id uint64, args *raft.AppendEntriesRequest) error {
	urgent := t.hurry.Load() > 0
	b := make([]byte, 0, headBytes+len(args.ID)+16)
	b = appendHeartbeat(appendHead(b, kindHeartbeat, id), args, urgent)
	if urgent {
		return t.send(to, b, Now)
	}
	return t.send(to, b, Soon)
}

func (t *Transport) sendAppend(to wire.NodeID, id uint64, args *raft.AppendEntriesRequest) error {
	b, err := appendAppend(appendHead(make([]byte, 0, appendSize(args)), kindAppend, id), args)
	if err != nil {
		return err
	}
	return t.send(to, b, Now)
}

func (t *Transport) decodeAppendAnswer(body []byte, resp *raft.AppendEntriesResponse) error {
	err := decodeAppendAnswer(body, resp)
	if err == nil {
		t.sawTerm(resp.Term)
	}
	return err
}

// RequestVote asks for a vote and waits for the answer.
func (t *Transport) RequestVote(_ raft.ServerID, target raft.ServerAddress, args *raft.RequestVoteRequest,
	resp *raft.RequestVoteResponse,
) error {
	t.sawTerm(args.Term)
	return t.call(&call{
		to: wire.NodeID(target), answer: kindVoteAnswer, repeat: t.opts.Round / 3, timeout: t.opts.Round,
		decode: func(body []byte) (err error) {
			*resp = raft.RequestVoteResponse{}
			resp.Term, resp.Granted, err = decodeYesNo(body)
			return err
		},
		send: func(id uint64) error {
			return t.send(wire.NodeID(target), appendVote(appendHead(nil, kindVote, id), args), Now)
		},
	})
}

// RequestPreVote asks whether there would be a vote and waits for the answer.
func (t *Transport) RequestPreVote(_ raft.ServerID, target raft.ServerAddress, args *raft.RequestPreVoteRequest,
	resp *raft.RequestPreVoteResponse,
) error {
	return t.call(&call{
		to: wire.NodeID(target), answer: kindPreVoteAnswer, repeat: t.opts.Round / 3, timeout: t.opts.Round,
		decode: func(body []byte) (err error) {
			*resp = raft.RequestPreVoteResponse{}
			resp.Term, resp.Granted, err = decodeYesNo(body)
			return err
		},
		send: func(id uint64) error {
			return t.send(wire.NodeID(target), appendPreVote(appendHead(nil, kindPreVote, id), args), Now)
		},
	})
}

// TimeoutNow tells a node to become candidate. It is sent once: a second one
// that comes late would start a second election.
func (t *Transport) TimeoutNow(_ raft.ServerID, target raft.ServerAddress, args *raft.TimeoutNowRequest,
	resp *raft.TimeoutNowResponse,
) error {
	return t.call(&call{
		to: wire.NodeID(target), answer: kindTimeoutNowDone, repeat: t.opts.Round, timeout: t.opts.Round,
		decode: func([]byte) error { *resp = raft.TimeoutNowResponse{}; return nil },
		send: func(id uint64) error {
			return t.send(wire.NodeID(target), appendTimeoutNow(appendHead(nil, kindTimeoutNow, id), args), Now)
		},
	})
}

// call is a request for whose answer the caller waits.
type call struct {
	to      wire.NodeID
	answer  kind
	decode  func(body []byte) error
	send    func(id uint64) error
	repeat  time.Duration // between two sends
	timeout time.Duration
	term    uint64 // not 0: give up when this term is over
	hurried bool   // repeat at once when strong reads begin to wait
}

// call sends a request until it is answered. What the network refuses is lost
// like what it loses; only a request that can not be written ends the call.
func (t *Transport) call(c *call) error {
	done := make(chan error, 1) // whoever takes the request must not wait for us
	r := &request{to: c.to, answer: c.answer, decode: c.decode, done: func(err error) { done <- err }}
	if c.hurried {
		r.repeat = func(id uint64) { _ = c.send(id) }
	}
	id, ok := t.pending.add(r)
	if !ok {
		return ErrClosed
	}
	if err := c.send(id); errors.Is(err, errGap) {
		t.pending.take(id)
		return err
	}

	start := time.Now()
	round := start
	timer := time.NewTimer(c.repeat)
	defer timer.Stop()
	for {
		select {
		case err := <-done:
			return err
		case now := <-timer.C:
			if err := t.overdue(c, now.Sub(start)); err != nil {
				if t.pending.take(id) != nil {
					return err
				}
				return <-done // it is being answered now
			}
			if now.Sub(round) >= t.opts.Round {
				round = now
				if id, ok = t.pending.renew(id); !ok {
					return <-done
				}
			}
		}
		t.counters.repeated.Add(1)
		_ = c.send(id)
		timer.Reset(c.repeat)
	}
}

// overdue says why a call that has waited that long is given up, or nil.
func (t *Transport) overdue(c *call, waited time.Duration) error {
	switch {
	case waited >= c.timeout:
		return fmt.Errorf("%w from %s within %v", ErrNoAnswer, c.to, c.timeout)
	case c.term > 0 && t.term.Load() > c.term:
		return ErrStale
	}
	return nil
}
