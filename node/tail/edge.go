package tail

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// Dialer finds hubs.
type Dialer interface {
	// Shard says which shard a log is in; false: the slot map is not known.
	Shard(log state.LogKey) (wire.ShardID, bool)
	// Open opens a stream to the hub of the shard's leader, as far as known.
	// What is known may be wrong for ever: the tries of a row, which count from
	// 0, must between them go to every node that may lead.
	Open(ctx context.Context, s wire.ShardID, try int) (Stream, error)
}

// Options tune an Edge. The zero value is ready to use.
type Options struct {
	// Silence is how long a stream may be without a message before it is given
	// up. Default 2.5s: a hub sends one each second.
	Silence time.Duration
	// MaxPause bounds the pause between two tries to open a stream; the first
	// is 20ms. Default 250ms.
	MaxPause time.Duration
	// Reconnected is told when a shard is tailed again after a time without a
	// stream, during which the edge may have been taken for dead. It must not
	// block. Default: nobody is told.
	Reconnected func(wire.ShardID)
	// Logger takes the edge's log. Default: nothing is logged.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Silence == 0 {
		o.Silence = 2500 * time.Millisecond
	}
	if o.Reconnected == nil {
		o.Reconnected = func(wire.ShardID) {}
	}
	if o.MaxPause == 0 {
		o.MaxPause = 250 * time.Millisecond
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Edge follows logs for the sessions of its node.
type Edge struct {
	dialer Dialer
	opts   Options

	ctx    context.Context //nolint:containedctx // of the tails, which start with the first interest in a shard
	cancel context.CancelFunc
	tails  sync.WaitGroup

	mu struct {
		sync.Mutex
		byShard map[wire.ShardID]*shardTail
		closed  bool
	}
}

// NewEdge makes the edge of a node.
func NewEdge(dialer Dialer, opts Options) *Edge {
	e := &Edge{dialer: dialer, opts: opts.withDefaults()}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.mu.byShard = map[wire.ShardID]*shardTail{}
	return e
}

// Close ends all streams. Subscriptions are told nothing more.
func (e *Edge) Close() {
	e.mu.Lock()
	e.mu.closed = true
	e.mu.Unlock()
	e.cancel()
	e.tails.Wait()
}

// Request says what to follow, and from where.
type Request struct {
	Log     state.LogKey
	User    wire.UserID
	After   wire.Offset // the last offset the reader has
	FromEnd bool        // instead of After: only what is new
	Sink    Sink
	Set     *Set          // the session's subscriptions, all with the same User and Sink
	Into    *Subscription // where to make it, if many are made at once; nil: anywhere
	// Done is told once whether the user may follow the log. It is called with a
	// lock of the edge held: it queues and returns. The error is a
	// *state.RefusedError.
	Done func(Started, error)
}

// ErrNoRoute is returned while the slot map is not known, or the edge is closed.
var ErrNoRoute = errors.New("tail: no route to the log's shard")

// Subscribe asks to follow a log. When it returns an error, Done is not told.
func (e *Edge) Subscribe(r Request) (*Subscription, error) {
	s, ok := e.dialer.Shard(r.Log)
	if !ok {
		return nil, ErrNoRoute
	}
	t := e.tail(s)
	if t == nil {
		return nil, ErrNoRoute
	}
	return t.subscribe(r)
}

// Unsubscribe ends a subscription. If its Done was not told, it is not any more.
func (e *Edge) Unsubscribe(s *Subscription) { s.follow.tail.unsubscribe(s) }

func (e *Edge) tail(s wire.ShardID) *shardTail {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mu.closed {
		return nil
	}
	t := e.mu.byShard[s]
	if t == nil {
		t = newShardTail(e, s)
		e.mu.byShard[s] = t
		e.tails.Go(func() { t.run(e.ctx) })
	}
	return t
}

// Follows returns how many logs the edge follows, for how many subscriptions.
func (e *Edge) Follows() (logs, subscriptions int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, t := range e.mu.byShard {
		l, s := t.follows()
		logs, subscriptions = logs+l, subscriptions+s
	}
	return logs, subscriptions
}

// run keeps a stream to the shard's hub.
func (t *shardTail) run(ctx context.Context) {
	opts := t.edge.opts
	for try, pause := 0, 20*time.Millisecond; ctx.Err() == nil; try++ {
		stream, err := t.edge.dialer.Open(ctx, t.shard, try)
		if err == nil {
			opened := time.Now()
			var heard bool
			heard, err = t.serve(ctx, stream)
			if heard && time.Since(opened) > opts.Silence {
				try, pause = -1, 20*time.Millisecond // the hub was there: a new row
			}
		}
		opts.Logger.Debug("tail ended", "shard", t.shard, "error", err)
		_ = clock.Sleep(ctx, pause/2+rand.N(pause/2)) // the loop ends with ctx
		pause = min(2*pause, opts.MaxPause)
	}
}

// serve follows one stream until it ends, and tells whether the hub has said
// anything.
func (t *shardTail) serve(ctx context.Context, stream Stream) (heard bool, _ error) {
	// Whatever ends first closes the stream, and that ends the other.
	silence := time.AfterFunc(t.edge.opts.Silence, func() { _ = stream.Close() })
	defer silence.Stop()
	stop := context.AfterFunc(ctx, func() { _ = stream.Close() })
	defer stop()

	done := make(chan struct{})
	var sender sync.WaitGroup
	if t.connected() {
		t.edge.opts.Reconnected(t.shard)
	}
	sender.Go(func() {
		t.send(stream, done)
		_ = stream.Close()
	})
	err := t.receive(stream, func() {
		heard = true
		silence.Reset(t.edge.opts.Silence)
	})
	t.disconnected()
	_ = stream.Close()
	close(done)
	sender.Wait()
	return heard, err
}

// send sends wishes as they come.
func (t *shardTail) send(stream Stream, done <-chan struct{}) {
	for {
		select {
		case <-t.wake:
		case <-done:
			return
		}
		for {
			wishes := t.takeWishes()
			if len(wishes) == 0 {
				break
			}
			if err := stream.Send(wishes); err != nil {
				return
			}
		}
	}
}

// receive takes the hub's messages, and checks that none is missing.
func (t *shardTail) receive(stream Stream, heard func()) error {
	for want := uint64(1); ; want++ {
		message, err := stream.Recv()
		if err != nil {
			return err
		}
		heard()
		if err := t.message(want, message); err != nil {
			return err
		}
	}
}
