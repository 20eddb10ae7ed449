package raftnet

import (
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quorate/quorate/mutant"
	"github.com/quorate/quorate/wire"
)

// errPipeline is returned by a pipeline that is closed or has given up; raft
// then goes on without it, and later begins another.
var errPipeline = errors.New("raftnet: pipeline ended")

// pipeline sends appends to one follower without waiting for each answer. It
// repeats them, in order, until they are answered. One that is given up is not handed
// back to raft, which would take that for a contact with the follower:
// the next append fails instead.
type pipeline struct {
	t     *Transport
	to    wire.NodeID
	slots chan struct{}          // Options.MaxInFlight appends under way
	done  chan raft.AppendFuture // answered; has room for more than can be under way
	ended chan struct{}          // closed or given up
	mu    struct {
		sync.Mutex
		flying []*flight // in the order of sending
		timer  *time.Timer
		armed  bool
		ended  bool
	}
}

// flight is an append that is under way: raft's future.
type flight struct {
	args  *raft.AppendEntriesRequest
	resp  *raft.AppendEntriesResponse
	start time.Time
	err   error
	over  chan struct{} // closed with the answer

	// Under the pipeline's lock:
	id    uint64
	sent  time.Time // last
	round time.Time // began
}

var _ raft.AppendPipeline = (*pipeline)(nil)

// AppendEntriesPipeline returns a pipeline to a node.
func (t *Transport) AppendEntriesPipeline(_ raft.ServerID, target raft.ServerAddress) (raft.AppendPipeline, error) {
	return &pipeline{
		t: t, to: wire.NodeID(target),
		slots: make(chan struct{}, t.opts.MaxInFlight),
		// raft's decoder takes them at once. Should it lag behind by more than this, AppendEntries fails.
		done:  make(chan raft.AppendFuture, 4*t.opts.MaxInFlight),
		ended: make(chan struct{}),
	}, nil
}

// Consumer returns the channel of answered appends.
func (p *pipeline) Consumer() <-chan raft.AppendFuture { return p.done }

// AppendEntries sends an append, and waits while too many are under way. It
// may shorten it: what is left in args is what was sent.
func (p *pipeline) AppendEntries(args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	select {
	case <-p.ended:
		return nil, errPipeline
	case <-p.t.closed:
		return nil, ErrClosed
	case p.slots <- struct{}{}:
	}
	p.t.sawTerm(args.Term)
	cut(args, p.t.opts.MaxAppendBytes)
	now := time.Now()
	f := &flight{args: args, resp: resp, start: now, sent: now, round: now, over: make(chan struct{})}
	id, err := p.launch(f)
	if err != nil {
		<-p.slots
		return nil, err
	}
	if err := p.t.sendAppend(p.to, id, args); errors.Is(err, errGap) {
		p.end()
		return nil, err
	}
	if mutant.On(mutant.AckBeforeCommit) { // a planted bug, see package mutant
		last := args.PrevLogEntry + uint64(len(args.Entries))
		early := &raft.AppendEntriesResponse{Term: args.Term, LastLog: last, Success: true}
		select {
		case p.done <- &flight{args: args, resp: early, start: now}:
		default:
		}
	}
	return f, nil
}

// launch enters the append among those under way and returns its first id.
func (p *pipeline) launch(f *flight) (uint64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.ended || len(p.done)+len(p.mu.flying) >= cap(p.done) {
		return 0, errPipeline
	}
	id, ok := p.t.pending.add(&request{
		to: p.to, answer: kindAppendAnswer,
		decode: func(body []byte) error { return p.t.decodeAppendAnswer(body, f.resp) },
		done:   func(err error) { p.land(f, err) },
	})
	if !ok {
		return 0, ErrClosed
	}
	f.id = id
	p.mu.flying = append(p.mu.flying, f)
	if !p.mu.armed {
		p.mu.armed = true
		if p.mu.timer == nil {
			p.mu.timer = time.AfterFunc(p.repeatAfter(), p.repeat)
		} else {
			p.mu.timer.Reset(p.repeatAfter())
		}
	}
	return id, nil
}

func (p *pipeline) repeatAfter() time.Duration { return p.t.opts.Round / 3 }

// land hands an answered append to raft.
func (p *pipeline) land(f *flight, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.ended {
		return
	}
	for i, g := range p.mu.flying {
		if g == f {
			p.mu.flying = append(p.mu.flying[:i], p.mu.flying[i+1:]...)
			break
		}
	}
	f.err = err
	if err != nil {
		*f.resp = raft.AppendEntriesResponse{}
	}
	close(f.over)
	if !mutant.On(mutant.AckBeforeCommit) || !f.resp.Success && len(p.done) < cap(p.done) { // a planted bug, see package mutant
		p.done <- f // launch left room
	}
	<-p.slots
}

// repeat sends again what has waited too long. It runs on the timer.
func (p *pipeline) repeat() {
	now := time.Now()
	p.mu.Lock()
	if p.mu.ended || len(p.mu.flying) == 0 {
		p.mu.armed = false
		p.mu.Unlock()
		return
	}
	if f := p.mu.flying[0]; now.Sub(f.start) >= p.t.opts.Timeout || p.t.term.Load() > f.args.Term {
		p.mu.Unlock()
		p.end()
		return
	}
	again := p.overdueLocked(now)
	p.mu.timer.Reset(p.repeatAfter())
	p.mu.Unlock()
	for _, f := range again {
		p.t.counters.repeated.Add(1)
		_ = p.t.sendAppend(p.to, f.id, f.args)
	}
}

// overdueLocked returns copies of the appends to be sent again, with the ids
// that they have now.
func (p *pipeline) overdueLocked(now time.Time) []flight {
	var again []flight
	for _, f := range p.mu.flying {
		if now.Sub(f.sent) < p.repeatAfter()/2 {
			continue
		}
		if now.Sub(f.round) >= p.t.opts.Round {
			id, ok := p.t.pending.renew(f.id)
			if !ok {
				continue // it is being answered now
			}
			f.id, f.round = id, now
		}
		f.sent = now
		again = append(again, flight{id: f.id, args: f.args})
	}
	return again
}

// Close ends the pipeline: what is under way is not waited for.
func (p *pipeline) Close() error {
	p.end()
	return nil
}

func (p *pipeline) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.ended {
		return
	}
	p.mu.ended = true
	close(p.ended)
	if p.mu.timer != nil {
		p.mu.timer.Stop()
	}
	for _, f := range p.mu.flying {
		p.t.pending.take(f.id)
	}
	p.mu.flying = nil
}

// Start returns when the append was sent first.
func (f *flight) Start() time.Time { return f.start }

// Request returns the append, as far as it was sent.
func (f *flight) Request() *raft.AppendEntriesRequest { return f.args }

// Response returns the answer, once Error has returned nil.
func (f *flight) Response() *raft.AppendEntriesResponse { return f.resp }

// Error waits for the answer and returns its error.
func (f *flight) Error() error {
	<-f.over
	return f.err
}
