package transport

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quorate/quorate/wire"
)

// Conn carries whole frames both ways between two processes. One goroutine
// reads and one writes; everything but ReadFrame and WriteFrames may be called
// from any goroutine at any time.
type Conn interface {
	// ReadFrame returns the next frame, of at least one byte. It is valid until
	// the next call. After an error, a passed deadline included, the connection
	// can not be read any more.
	//
	// The error is a [*CloseError] when the other side closed and said why,
	// [ErrClosed] after a Close on this side, [ErrFrameTooLarge] or
	// [ErrMalformed] when the other side breaks the rules, an error that is
	// os.ErrDeadlineExceeded after the deadline, and something else when the
	// connection is lost.
	ReadFrame() ([]byte, error)

	// WriteFrames sends the frames, in order, in one write. It waits while the
	// other side does not read, until the write deadline. The frames are not
	// kept after it returns. After an error some of them may have been sent,
	// and the connection can not be written any more.
	WriteFrames(frames [][]byte) error

	// SetReadDeadline bounds the present and later ReadFrames. The zero time
	// is no bound.
	SetReadDeadline(t time.Time) error

	// SetWriteDeadline bounds later WriteFrames, and where the transport can do
	// it the present one. The zero time is no bound.
	SetWriteDeadline(t time.Time) error

	// SetReadLimit sets the largest frame that ReadFrame accepts, in bytes. It
	// holds from the next frame on.
	SetReadLimit(bytes int)

	// RemoteAddr returns where the other side is, for people and for limits.
	RemoteAddr() string

	// Close sends what was written, tells the other side why, and ends the
	// connection; reads and writes that wait return. It takes at most
	// CloseLinger. Only the first call does anything.
	Close(code CloseCode, reason string) error
}

// NodeConn is a Conn from another node of the cluster.
type NodeConn interface {
	Conn

	// Peer returns the id of the node on the other side, as its certificate
	// has it.
	Peer() wire.NodeID
}

// NodeListener accepts the connections of other nodes.
type NodeListener interface {
	// Accept waits for the next connection whose other side has proved which
	// node it is. It returns ErrClosed after Close.
	Accept(ctx context.Context) (NodeConn, error)

	// Addr returns the address that others dial.
	Addr() string

	// Close stops accepting. Connections that were accepted stay open.
	Close() error
}

// CloseLinger is how long a Close waits, at most, for the other side to take
// what was sent to it.
const CloseLinger = time.Second

// DefaultReadLimit is the largest frame a Conn accepts until SetReadLimit is
// called.
const DefaultReadLimit = wire.MaxPageBytes

// MaxReasonBytes is how much of a reason given to Close reaches the other side.
const MaxReasonBytes = 120

// ErrClosed is returned by reads and writes after Close on this side.
var ErrClosed = errors.New("transport: connection closed")

// ErrFrameTooLarge is the cause when a frame is larger than the read limit.
var ErrFrameTooLarge = errors.New("transport: frame too large")

// ErrMalformed is the cause when what came is not a frame.
var ErrMalformed = errors.New("transport: malformed frame")

// ErrLost is the cause when a connection ended and the other side did not say
// why.
var ErrLost = errors.New("transport: connection lost")

// ErrRefused is the cause when nobody listens at an address, or somebody does
// and wants no more connections.
var ErrRefused = errors.New("transport: connection refused")

// CloseCode is the class of a close. What to do next depends on the code
// alone; the reason is for people.
//
// Codes are part of the protocol: add at the end, never renumber. On QUIC it is
// the application's error code; on WebSocket it is the standard status where
// there is one, and else 4000 + code.
type CloseCode uint16

// The codes, each with what the other side should make of it.
const (
	CloseNormal          CloseCode = iota // done; nothing is wrong
	CloseInternal                         // our bug or our disk: connect again, later
	CloseGoingAway                        // the node stops: connect to another
	CloseProtocol                         // what came is not our protocol: a bug of the other side
	CloseTooLarge                         // a frame was larger than allowed now
	CloseTimeout                          // nothing came in time: the sign-in or the heartbeat is late
	CloseUnauthenticated                  // the sign-in was refused: connect again with another token
	CloseOverloaded                       // too many connections: connect again, later or elsewhere
	CloseSlow                             // too much waited to be read: connect again and resume
	CloseReplaced                         // another session took this one's place: do not connect again by itself
	closeEnd                              // below it are all codes
)

func (c CloseCode) String() string {
	names := [closeEnd]string{
		"normal", "internal", "going_away", "protocol", "too_large", "timeout", "unauthenticated", "overloaded", "slow", "replaced",
	}
	if c < closeEnd {
		return names[c]
	}
	return fmt.Sprintf("close_%d", uint16(c))
}

// CloseError is what reads and writes return once the other side has closed
// the connection and said why.
type CloseError struct {
	Code   CloseCode
	Reason string // for people; never parsed
}

func (e *CloseError) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("transport: closed by the other side (%s)", e.Code)
	}
	return fmt.Sprintf("transport: closed by the other side (%s): %s", e.Code, e.Reason)
}

// CodeFor returns the code to close a connection with after ReadFrame returned
// the error, so that the other side learns what it did wrong.
func CodeFor(err error) CloseCode {
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, ErrFrameTooLarge):
		return CloseTooLarge
	case errors.Is(err, ErrMalformed):
		return CloseProtocol
	case errors.As(err, &timeout) && timeout.Timeout():
		return CloseTimeout
	default:
		return CloseNormal
	}
}
