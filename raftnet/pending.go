package raftnet

import (
	"math/rand/v2"
	"sync"

	"github.com/quorate/quorate/wire"
)

// request is what waits for an answer.
type request struct {
	to     wire.NodeID
	answer kind // that is wanted; kindError is taken too

	// decode reads the answer, and done tells of the end. Of the many that
	// may want to end a request, only the one that took it from the table calls them.
	decode func(body []byte) error
	done   func(error)

	// taken is told how far a snapshot has come; nil for other requests.
	taken func(taken, arrived uint64)

	// repeat sends the request again at once; nil if it is not to be hurried.
	repeat func(id uint64)
}

// pending is the table of requests that wait for an answer.
type pending struct {
	mu struct {
		sync.Mutex
		next   uint64
		byID   map[uint64]*request
		closed bool
	}
}

func (p *pending) open() {
	p.mu.byID = map[uint64]*request{}
	p.mu.next = rand.Uint64() // the answer to an earlier life's request must not fit
}

// add enters a request and returns its id, or false after close.
func (p *pending) add(r *request) (uint64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.closed {
		return 0, false
	}
	p.mu.next++
	p.mu.byID[p.mu.next] = r
	return p.mu.next, true
}

// renew gives a request a new id: answers to the old one do not count any more. It
// returns false if the request has been taken.
func (p *pending) renew(id uint64) (uint64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.mu.byID[id]
	if r == nil {
		return 0, false
	}
	delete(p.mu.byID, id)
	p.mu.next++
	p.mu.byID[p.mu.next] = r
	return p.mu.next, true
}

// take removes a request; nil if another has taken it.
func (p *pending) take(id uint64) *request {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.mu.byID[id]
	delete(p.mu.byID, id)
	return r
}

// answered removes the request that an answer from a node is for; nil if
// nobody waits for it.
func (p *pending) answered(id uint64, from wire.NodeID, k kind) *request {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.mu.byID[id]
	if r == nil || r.to != from || r.answer != k && k != kindError {
		return nil
	}
	delete(p.mu.byID, id)
	return r
}

// get returns a request and leaves it.
func (p *pending) get(id uint64, from wire.NodeID) *request {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.mu.byID[id]
	if r == nil || r.to != from {
		return nil
	}
	return r
}

// hurried returns the requests that are to be repeated at once.
func (p *pending) hurried() map[uint64]*request {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := map[uint64]*request{}
	for id, r := range p.mu.byID {
		if r.repeat != nil {
			found[id] = r
		}
	}
	return found
}

// close ends all requests with the error, and refuses new ones.
func (p *pending) close(err error) {
	p.mu.Lock()
	all := p.mu.byID
	p.mu.byID, p.mu.closed = nil, true
	p.mu.Unlock()
	for _, r := range all {
		r.done(err)
	}
}
