package leanmessage

import (
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
)

// Options tune a Door. The zero value is ready to use.
type Options struct {
	// LoginTimeout is how long a socket may be without a session and without a
	// login before it is closed. Default 60s.
	LoginTimeout time.Duration
	// Silence is how long nothing may come from a client, pings included: they
	// send one every three minutes. Default 6m.
	Silence time.Duration
	// WriteTimeout is how long one write may wait for a client that does not
	// read. Default 30s.
	WriteTimeout time.Duration
	// RequestTimeout bounds one command. Default 10s, which is when the least
	// patient clients give up.
	RequestTimeout time.Duration
	// TokenLife is how long a session's token is good. Default 24h.
	TokenLife time.Duration
	// MaxInFlight is how many commands of a socket may be without a reply; while
	// there are so many, nothing more is read. Default 64.
	MaxInFlight int
	// MaxQueueBytes bounds the pushes of a socket that wait to be written, and
	// those of a session that wait for a reply. Default 256 KiB.
	MaxQueueBytes int
	// MaxSessions is how many sessions one socket may have. Default 256.
	MaxSessions int
	// RouteLife is how long clients keep what Discover told. Default 1h.
	RouteLife time.Duration
	// Logger takes the door's log. Default: nothing is logged.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&o.LoginTimeout, time.Minute},
		{&o.Silence, 6 * time.Minute},
		{&o.WriteTimeout, 30 * time.Second},
		{&o.RequestTimeout, 10 * time.Second},
		{&o.TokenLife, 24 * time.Hour},
		{&o.RouteLife, time.Hour},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if o.MaxInFlight == 0 {
		o.MaxInFlight = 64
	}
	if o.MaxQueueBytes == 0 {
		o.MaxQueueBytes = 256 << 10
	}
	if o.MaxSessions == 0 {
		o.MaxSessions = 256
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Conn is one connection of a client, as [transport.LeanSocket] is.
type Conn interface {
	// Subprotocol is what the two sides have agreed on.
	Subprotocol() string
	// Origin is where the web page is from that has opened it; empty: none has.
	Origin() string
	// ReadMessage returns the next message. It is valid until the next call.
	ReadMessage() ([]byte, error)
	// WriteMessages sends messages in one write.
	WriteMessages(messages []transport.LeanMessage) error
	// SetReadDeadline bounds reads, and SetSilence the time in which nothing
	// comes, pings included; the one that was called last holds.
	SetReadDeadline(t time.Time) error
	SetSilence(d time.Duration) error
	// SetWriteDeadline bounds writes.
	SetWriteDeadline(t time.Time) error
	// SignedIn says that the client is no stranger any more.
	SignedIn()
	// RemoteAddr returns where the client is, for people.
	RemoteAddr() string
	// Close tells the client a status and why, and ends the connection.
	Close(status int, reason string) error
}

// Door serves the clients of a node that speak LeanMessage.
type Door struct {
	host     door.Host
	opts     Options
	commands map[op]command
	entries  translators
	lastID   atomic.Uint64 // of sessions
	acks     acks
	rates    rates
	paging   paging
	faults   atomic.Int64 // commands that have panicked

	mu      sync.Mutex
	sockets map[*socket]struct{}
	tenants map[wire.AppID]*tenant
}

// New makes the door of a node.
func New(host door.Host, opts Options) *Door {
	return &Door{
		host: host, opts: opts.withDefaults(), commands: allCommands(), entries: allTranslators(),
		sockets: map[*socket]struct{}{}, tenants: map[wire.AppID]*tenant{},
		acks: acks{host: host}, paging: paging{places: make(chan struct{}, maxPaging)},
	}
}

// foreignSessions is the first number of the door's sessions, so that they are
// no numbers of native ones.
const foreignSessions = 1 << 63

func (d *Door) nextID() uint64 { return foreignSessions | d.lastID.Add(1) }

// Serve serves one connection until it ends.
func (d *Door) Serve(conn Conn) {
	s := newSocket(d, conn)
	d.mu.Lock()
	d.sockets[s] = struct{}{}
	d.mu.Unlock()
	err := s.serve()
	d.mu.Lock()
	delete(d.sockets, s)
	d.mu.Unlock()
	d.opts.Logger.Debug("socket ended", "remote", conn.RemoteAddr(), "error", err)
}

func (d *Door) all() []*socket {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(maps.Keys(d.sockets))
}

// Len returns how many sockets there are.
func (d *Door) Len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.sockets)
}

// Goaway asks all clients to go to another node, spread over the time given: they
// do it at once, and all together would be a crowd there. It returns when the
// time is over.
func (d *Door) Goaway(within time.Duration) {
	all, began := d.all(), time.Now()
	for i, s := range all {
		time.Sleep(time.Until(began.Add(within * time.Duration(i) / time.Duration(len(all)))))
		s.goaway()
	}
	time.Sleep(time.Until(began.Add(within)))
}
