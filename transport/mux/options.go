package mux

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
)

// The causes of errors that arise on this side of a connection. They come
// wrapped in a [*wire.Error] with CodeUnavailable.
var (
	ErrOverloaded  = errors.New("mux: too much waits for the node")
	ErrUnreachable = errors.New("mux: node cannot be reached")
	ErrLost        = errors.New("mux: connection lost, outcome unknown")
	ErrClosed      = errors.New("mux: closed")
)

// ErrStreamClosed is returned by a stream after Close on this side.
var ErrStreamClosed = errors.New("mux: stream closed")

// ErrTooLarge is returned for a message larger than MaxMessageBytes.
var ErrTooLarge = errors.New("mux: message too large")

// MaxMessageBytes bounds a message: a raft frame, a call's body or answer, or
// a message of a stream.
const MaxMessageBytes = 16 << 20

// Handler answers other nodes.
type Handler interface {
	// Call is called for each call, in the order they were made, on the goroutine
	// that reads from the node: it must not block. The body is the handler's. reply is called once, at any
	// time, from any goroutine. An error that is not a *wire.Error
	// reaches the other side as CodeInternal without its text.
	Call(from wire.NodeID, method uint8, body []byte, reply func([]byte, error))

	// Stream is called for each stream in a goroutine of its own. The stream
	// is closed when it returns, and ctx is done when the stream has ended.
	Stream(ctx context.Context, from wire.NodeID, method uint8, body []byte, stream *Stream)
}

// Dialer connects to other nodes. A connection is to the node it was asked
// for, or none.
type Dialer interface {
	Dial(ctx context.Context, node wire.NodeID, addr string) (transport.Conn, error)
}

// Listener accepts connections of other nodes; transport's is one.
type Listener interface {
	Accept(ctx context.Context) (transport.NodeConn, error)
}

// Resolver says where a node is; "" while that is not known.
type Resolver interface {
	Resolve(node wire.NodeID) string
}

// Options tune a Mux. The zero value is ready to use.
type Options struct {
	// MinLevel and MaxLevel are the format levels this node can read; they
	// are told to the others. Default 1 and 1.
	MinLevel, MaxLevel uint32

	// Hold is how long a raft frame that is sent Soon may wait for others. All
	// that come within one such time leave together, to all peers. Default 40 ms.
	Hold time.Duration

	// Ping is how long the writer is silent before it says that it lives, and
	// DeadAfter how long a peer may be silent. Default 500 ms and 2 s.
	Ping, DeadAfter time.Duration

	// WriteTimeout is how long a write may wait for a peer that does not
	// read, before the connection is given up. Default 5 s.
	WriteTimeout time.Duration

	// FirstRetry and MaxRetry bound the pause between two dials, which
	// doubles, with jitter. Default 50 ms and 1 s.
	FirstRetry, MaxRetry time.Duration

	// Grace is how long calls wait for a connection after it was lost, or after
	// the node was first asked for; then they fail. Default 1 s.
	Grace time.Duration

	// MaxRaftBytes, MaxCallBytes and MaxStreamBytes bound what waits to be sent to one
	// peer. Beyond them raft frames are lost, calls refused, and streams wait. Answers get twice
	// MaxCallBytes; beyond it an answer is replaced by a refusal. Default 16 MiB each.
	MaxRaftBytes, MaxCallBytes, MaxStreamBytes int

	// MaxCalls bounds the calls to one peer that wait for an answer, and those
	// of one peer that are being answered; beyond, they are refused. Default 16384.
	MaxCalls int

	// MaxStreams bounds the streams that one peer may have open; more are
	// closed at once. Default 1024.
	MaxStreams int

	// Window is how many bytes of one stream may be under way in one
	// direction. Default 256 KiB.
	Window int

	// Logger takes the mux's log. Default: nothing is logged.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	o.MinLevel = cmp.Or(o.MinLevel, 1)
	o.MaxLevel = cmp.Or(o.MaxLevel, 1)
	o.Hold = cmp.Or(o.Hold, 40*time.Millisecond)
	o.Ping = cmp.Or(o.Ping, 500*time.Millisecond)
	o.DeadAfter = cmp.Or(o.DeadAfter, 2*time.Second)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, 5*time.Second)
	o.FirstRetry = cmp.Or(o.FirstRetry, 50*time.Millisecond)
	o.MaxRetry = cmp.Or(o.MaxRetry, time.Second)
	o.Grace = cmp.Or(o.Grace, time.Second)
	o.MaxRaftBytes = cmp.Or(o.MaxRaftBytes, 16<<20)
	o.MaxCallBytes = cmp.Or(o.MaxCallBytes, 16<<20)
	o.MaxStreamBytes = cmp.Or(o.MaxStreamBytes, 16<<20)
	o.MaxCalls = cmp.Or(o.MaxCalls, 16384)
	o.MaxStreams = cmp.Or(o.MaxStreams, 1024)
	o.Window = cmp.Or(o.Window, 256<<10)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Metrics counts what a Mux did since it was made.
type Metrics struct {
	Writes      uint64 // batches written
	Messages    uint64 // messages queued, as of the last write
	Bytes       uint64 // of the messages
	RaftDropped uint64 // raft frames lost for want of room or of a connection
	Refused     uint64 // calls refused on this side
	Connects    uint64 // connections made
	Losses      uint64 // connections lost
}

type counters struct {
	writes, messages, bytes, raftDropped, refused, connects, losses atomic.Uint64
}

// unavailable wraps a cause of this side as an error of the protocol.
func unavailable(node wire.NodeID, cause error) error {
	text := "node " + string(node) + " cannot be reached"
	switch {
	case errors.Is(cause, ErrOverloaded):
		text = "too much waits for node " + string(node)
	case errors.Is(cause, ErrLost):
		text = "connection to node " + string(node) + " was lost"
	case errors.Is(cause, ErrClosed):
		text = "this node is stopping"
	}
	return &wire.Error{Code: wire.CodeUnavailable, Text: text, Err: cause}
}
