package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
)

// Options say where a client connects to and who it is. Servers and App are
// needed, and one of Key, MasterKey, Token and TokenFunc; the rest has defaults.
type Options struct {
	// Servers are where to connect to, as URLs: quic://host:port, ws://host:port
	// or wss://host:port (http and https mean the same). The first one that
	// answers is taken. The cluster's other nodes are learned from it, and
	// come after these.
	Servers []string

	// App is the app's id.
	App wire.AppID

	// User is who signs in. It is needed with Key; a token says it itself.
	User wire.UserID

	// Key is the app's key or master key. The client signs its own tokens with
	// it, each good for an hour. For programs of the app's owner: who has the
	// key can sign in as anybody.
	Key string

	// MasterKey, instead of Key and without a User, signs in as the app itself,
	// which may do and see everything in it. For its operators' tools.
	MasterKey string

	// Token is a token that the app's server has signed. When it has expired,
	// the client goes on with what the cluster gave it, for up to a day.
	Token string

	// TokenFunc returns a token, and is asked again when the last one is not
	// good any more. It may wait, until ctx is done.
	TokenFunc func(ctx context.Context) (string, error)

	// TLS is how to check the servers of quic and wss. Default: the machine's
	// certificate authorities.
	TLS *tls.Config

	// Device names this device among the user's. Default: none.
	Device string

	// Tag allows one session a user and tag: Dial closes the session that has
	// it. When that happens to this client, it ends with wire.CodeConflict.
	Tag string

	// Will is sent by the cluster when the user's last session is lost without
	// a Close. Default: none.
	Will *Will

	// Resume makes the client go on as an earlier one that has ended, so that it
	// can send again by their tokens messages of whose fate that one heard
	// nothing. Default: a client of its own.
	Resume Identity

	// Agent is the program's name and version, for people. Default "quorate-go".
	Agent string

	// Dialer opens connections. Default: the network, through package
	// transport.
	Dialer Dialer

	// Handlers are told what belongs to no call and to no subscription.
	Handlers Handlers

	// AttemptTimeout bounds one attempt to connect and sign in. Default 2s.
	AttemptTimeout time.Duration

	// Silence is how long a connection that owes answers may bring nothing,
	// though it was pinged after a quarter of that. Beyond it the connection is
	// given up for another. One that only follows logs is pinged after twice
	// the silence. Default 2s.
	Silence time.Duration

	// MaxPending is how many calls may wait for their answers, over all
	// conversations. Beyond it calls wait for their turn. Default 4096.
	MaxPending int

	// Wall is the wall time that tokens are signed with. Default: the machine's.
	Wall clock.Wall

	// Logger takes the client's log. Default: nothing is logged.
	Logger *slog.Logger
}

// Will is a message that the cluster sends for a user who was lost.
type Will struct {
	Conversation wire.ConversationID
	Body         []byte
	ContentType  string
}

// Handlers are called from the connection's own goroutines: they must not wait.
// Any of them may be nil.
type Handlers struct {
	// Transient gets messages that are not stored.
	Transient func(Message)

	// Cursor gets the moves of other members' cursors, and of the user's own on
	// other devices.
	Cursor func(Cursor)

	// Refused is told why the cluster did not do a request for now, and how long
	// after it was written. It is asked again by itself, so this is for those who
	// watch how busy a cluster is.
	Refused func(err *wire.Error, after time.Duration)

	// Connected is told which node a session begins on, each time.
	Connected func(node wire.NodeID)

	// Disconnected is told why a session ended; the client looks for the next
	// node, unless it has ended itself.
	Disconnected func(err error)
}

// Dialer opens a connection to a server. Its connections are closed before the
// client's Close returns.
type Dialer func(ctx context.Context, server Server, config *tls.Config) (transport.Conn, error)

func (o Options) withDefaults() Options {
	if o.Agent == "" {
		o.Agent = "quorate-go"
	}
	if o.AttemptTimeout == 0 {
		o.AttemptTimeout = 2 * time.Second
	}
	if o.Silence == 0 {
		o.Silence = 2 * time.Second
	}
	if o.MaxPending == 0 {
		o.MaxPending = 4096
	}
	if o.Wall == nil {
		o.Wall = clock.System
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// validate reports everything that is wrong, not only the first.
func (o Options) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(o.Servers) == 0 {
		bad("Servers is empty")
	}
	if err := wire.ValidID(string(o.App)); err != nil {
		bad("App %w", err)
	}
	ways := 0
	for _, given := range []bool{o.Key != "", o.MasterKey != "", o.Token != "", o.TokenFunc != nil} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		bad("%d of Key, MasterKey, Token and TokenFunc are set, want 1", ways)
	}
	if o.Key != "" {
		if err := wire.ValidID(string(o.User)); err != nil {
			bad("User %w", err)
		}
	}
	if o.MasterKey != "" && o.User != "" {
		bad("User is set with MasterKey: the app itself is no user")
	}
	if o.AttemptTimeout < 0 || o.Silence < 0 || o.MaxPending < 0 {
		bad("AttemptTimeout, Silence and MaxPending must not be negative")
	}
	return errors.Join(errs...)
}
