package leanmessage

import (
	"context"
	"sync/atomic"

	"github.com/quorate/quorate/wire/leanpb"
)

const (
	// socketPages is how many large replies a socket has made for it at once.
	socketPages = 2
	// maxPaging is how many large replies the door makes at once.
	maxPaging = 32
	// maxUnsent is how much may wait to be written, for all sockets together, when
	// the door begins to make a large reply.
	maxUnsent = 256 << 20
)

// paging bounds what large replies take: pages of history and of conversations,
// each of which may be megabytes that wait for a client that does not read.
type paging struct {
	places chan struct{} // one for each that is being made
	unsent atomic.Int64  // bytes that wait to be written, of whatever
}

// reply has a large one made: few of a socket, and while the client takes what
// was made before. done is for an error, when it is not made.
func (p *paging) reply(ctx context.Context, s *socket, done func(*leanpb.GenericCommand, error), makes func()) {
	select {
	case s.pages <- struct{}{}:
	case <-ctx.Done():
		done(nil, ctx.Err())
		return
	}
	defer func() { <-s.pages }()
	if !s.awaitRoom() {
		done(nil, context.Canceled)
		return
	}
	select {
	case p.places <- struct{}{}:
	case <-ctx.Done():
		done(nil, ctx.Err())
		return
	}
	defer func() { <-p.places }()
	if p.unsent.Load() > maxUnsent {
		done(nil, errorf(CodeInternalError, "too much waits for others to read it, ask again"))
		return
	}
	makes()
}
