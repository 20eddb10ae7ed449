package raftnet

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/wire"
)

var (
	errGivenUp = errors.New("raftnet: the sender gave the snapshot up")
	errSilent  = errors.New("raftnet: the sender of the snapshot is silent")
	errUnknown = errors.New("raftnet: no such snapshot is being received")
)

// arrivals is what a transport knows of snapshots that come in: one at a time.
type arrivals struct {
	sync.Mutex
	current *arrival
	last    struct { // the one before, for senders that lost its answer
		from   wire.NodeID
		id     uint64
		answer []byte // a frame
	}
}

func (a *arrivals) stop() {
	a.Lock()
	current := a.current
	a.Unlock()
	if current != nil {
		current.cancel()
	}
}

// arrival is a snapshot on its way in. raft reads it as a stream.
type arrival struct {
	s    *server
	from wire.NodeID
	id   uint64
	req  *raft.InstallSnapshotRequest

	chunks  chan chunk // in order; window of them may wait
	stopped chan struct{}
	stop    sync.Once
	mu      struct {
		sync.Mutex
		taken   uint64        // the next that raft will take
		arrived uint64        // the next that is missing
		early   [window]chunk // that came before it, chunk n at n % window
	}

	// Of the goroutine that reads:
	rest   []byte
	size   int64
	taking bool // a chunk is being read
	err    error
}

// beginInstall accepts the announcement of a snapshot, or lets it be repeated
// until there is room.
func (s *server) beginInstall(from wire.NodeID, id uint64, m *raft.InstallSnapshotRequest) {
	a := &arrival{
		s: s, from: from, id: id, req: m,
		chunks:  make(chan chunk, window),
		stopped: make(chan struct{}),
	}
	a.mu.taken, a.mu.arrived = 1, 1

	s.arrivals.Lock()
	current, last := s.arrivals.current, s.arrivals.last
	known := current != nil && current.id == id && current.from == from
	finished := last.id == id && last.from == from
	accepted := !known && !finished && current == nil && s.opts.Installs.take()
	if accepted {
		// Only what raft will be given is accepted: nothing else ends an arrival.
		if accepted = s.offer(incoming{from: from, id: id, command: m, stream: a}); accepted {
			s.arrivals.current = a
		} else {
			s.opts.Installs.give()
		}
	}
	s.arrivals.Unlock()

	switch {
	case known:
		current.report()
	case finished:
		_ = s.send(from, bytes.Clone(last.answer), Now)
	case accepted:
		a.report()
	case current != nil && m.Term >= current.req.Term:
		current.cancel() // its leader began anew, or is leader no more
	}
}

// chunkArrived hands a chunk to the snapshot it belongs to.
func (s *server) chunkArrived(from wire.NodeID, id uint64, c chunk) {
	s.arrivals.Lock()
	current, last := s.arrivals.current, s.arrivals.last
	s.arrivals.Unlock()
	switch {
	case current != nil && current.id == id && current.from == from:
		current.put(c)
	case last.id == id && last.from == from:
		_ = s.send(from, bytes.Clone(last.answer), Now)
	case c.state != chunkAbort:
		s.answer(from, id, raft.RPCResponse{Error: errUnknown}, Now)
	}
}

// serveInstall lets raft install a snapshot, unless it is older than what this
// replica has applied.
func (s *server) serveInstall(q incoming) {
	var a raft.RPCResponse
	var ok bool
	if isOld(q.stream.req, s.opts.Applied()) {
		s.counters.skipped.Add(1)
		a, ok = s.ask(raft.RPC{Command: asContact(q.stream.req)})
		if m, is := a.Response.(*raft.AppendEntriesResponse); is {
			a.Response = &raft.InstallSnapshotResponse{Term: m.Term, Success: m.Success}
		}
	} else {
		a, ok = s.ask(raft.RPC{Command: q.stream.req, Reader: q.stream})
	}
	if !ok {
		a.Error = ErrClosed
	}
	q.stream.finish(a)
}

// finish ends the arrival and sends the answer, which is kept for a sender
// that asks again.
func (a *arrival) finish(answer raft.RPCResponse) {
	a.cancel()
	frame := encodeAnswer(a.id, answer)
	s := a.s
	s.arrivals.Lock()
	s.arrivals.current = nil
	s.arrivals.last.from, s.arrivals.last.id, s.arrivals.last.answer = a.from, a.id, frame
	s.arrivals.Unlock()
	s.opts.Installs.give()
	_ = s.send(a.from, bytes.Clone(frame), Now)
}

// cancel ends the stream: raft's read fails.
func (a *arrival) cancel() { a.stop.Do(func() { close(a.stopped) }) }

// put takes a chunk from the network, if it lies in the window, and hands on
// to raft what is complete up to there.
func (a *arrival) put(c chunk) {
	if c.state == chunkAbort {
		a.cancel()
		return
	}
	a.mu.Lock()
	gap := c.number != a.mu.arrived
	if c.number >= a.mu.arrived && c.number < a.mu.taken+window {
		c.data = bytes.Clone(c.data)
		a.mu.early[c.number%window] = c
	}
	for a.mu.early[a.mu.arrived%window].number == a.mu.arrived {
		a.chunks <- a.mu.early[a.mu.arrived%window] // does not wait: at most window are not taken
		a.mu.early[a.mu.arrived%window] = chunk{}
		a.mu.arrived++
	}
	a.mu.Unlock()
	if gap {
		a.report()
	}
}

// report tells the sender how far it has come.
func (a *arrival) report() {
	a.mu.Lock()
	taken, arrived := a.mu.taken, a.mu.arrived
	a.mu.Unlock()
	_ = a.s.send(a.from, appendTaken(appendHead(nil, kindChunkTaken, a.id), taken, arrived), Now)
}

// Read gives raft the next bytes of the snapshot. With the last of them it
// sets the request's size, which raft compares after it has read all.
func (a *arrival) Read(p []byte) (int, error) {
	for len(a.rest) == 0 {
		if a.err != nil {
			return 0, a.err
		}
		a.next()
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// next waits for the next chunk.
func (a *arrival) next() {
	if a.taking {
		a.taking = false
		a.mu.Lock()
		a.mu.taken++
		a.mu.Unlock()
		a.report()
	}
	idle := time.NewTimer(a.s.opts.InstallIdle)
	defer idle.Stop()
	select {
	case c := <-a.chunks:
		a.rest, a.taking = c.data, true
		a.size += int64(len(c.data))
		if c.state == chunkLast {
			a.req.Size, a.err = a.size, io.EOF
		}
	case <-a.stopped:
		a.err = errGivenUp
	case <-idle.C:
		a.err = errSilent
	case <-a.s.closed:
		a.err = ErrClosed
	}
}

// WriteTo writes the whole stream. raft calls it only to throw away what it
// did not read; then the rest is not waited for.
func (a *arrival) WriteTo(w io.Writer) (int64, error) {
	if w == io.Discard {
		a.cancel()
		return 0, nil
	}
	return io.Copy(w, struct{ io.Reader }{a})
}
