package leanmessage

import (
	"context"
	"sync"

	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/node/tail"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/leanpb"
)

// The bits of a client's bitmap: what it understands.
const (
	bitPatch          = 0x01 // messages that are changed
	bitTemporary      = 0x02 // temporary conversations
	bitBindDevice     = 0x04 // its device is to get pushes
	bitTransientAck   = 0x08 // wants acks for transient messages
	bitNotifications  = 0x10 // asks for the events it has missed
	bitPartialFailure = 0x20 // wants to know for each member whether it was done
	bitGroupReceipts  = 0x40 // receipts in groups
	bitOmitPeer       = 0x80 // does without peerId when it is alone
)

// client is one session: a client id on a socket. It is the sink of all that it
// follows.
type client struct {
	id     uint64 // of Origin.Session
	name   string // names the session in the cluster
	socket *socket
	app    wire.AppID
	user   wire.UserID
	tag    string // that it holds; empty: none
	logs   tail.Set
	moves  moves
	peer   []byte // begins the session's pushes: whom they are to
	feed   feed

	errands errandLists
	will    chan struct{} // closed when the last will is left or refused; of the reading goroutine

	life context.Context //nolint:containedctx // ends with the session, for all its tasks
	end  context.CancelFunc

	out outbox

	mu    sync.Mutex
	state session // guarded by mu
	ended bool    // guarded by mu
}

// session is what a session knows of itself that may change while it is open.
type session struct {
	device     string
	bitmap     int64
	login      uint64 // counts the user's logins with a tag
	issued     int64  // when what signed it in was issued, in milliseconds; 0: nothing did
	validAfter int64  // the user's, when the session opened
	hasWill    bool
	inRoom     bool
	back       bool // the client says that it comes back

	// Where the client was when it opened: what came later is to be told. 0: it
	// does not say.
	unreadSince int64
	patchSince  int64
}

func (c *client) door() *Door { return c.socket.door }

func (c *client) host() door.Host { return c.socket.door.host }

// tenant is the app, with its keys and settings.
func (c *client) tenant() *tenant { return c.socket.tenant.Load() }

// now is a copy of what may change.
func (c *client) now() session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// understands tells whether the client has set a bit of its bitmap.
func (c *client) understands(bit int64) bool { return c.now().bitmap&bit != 0 }

// change changes what a session knows of itself, and tells the node.
func (c *client) change(f func(*session)) {
	c.mu.Lock()
	f(&c.state)
	ended := c.ended
	c.mu.Unlock()
	if !ended {
		c.host().Opened(c.session())
	}
}

// session is what the node knows of the session.
func (c *client) session() door.Session {
	s := c.now()
	return door.Session{App: c.app, User: c.user, Name: c.name, Tag: c.tag, HasWill: s.hasWill, InRoom: s.inRoom, Doubt: watch{c}.doubt}
}

// run runs a task of the session. ctx ends with the session.
func (c *client) run(task func(ctx context.Context)) {
	c.host().Go(func(node context.Context) {
		ctx, cancel := context.WithCancel(node)
		defer cancel()
		defer context.AfterFunc(c.life, cancel)()
		task(ctx)
	})
}

// answer queues the reply to a request, and then the pushes that waited for it.
func (c *client) answer(r *request, reply *leanpb.GenericCommand, err error) {
	if err != nil {
		reply = errorCommand(commonCodes.failed(err))
	}
	c.out.answer(c.socket, r.number, c.socket.reply(r.in, string(c.user), reply))
}

// send queues pushes in order, all or none. It returns false when there is no
// room: then the session catches up once there is. With always they are queued
// in any case. A session that has ended takes and drops everything.
func (c *client) send(out []outgoing, always bool) bool {
	return len(out) == 0 || c.out.send(c.socket, out, always)
}

// tell queues pushes of the session's own making as soon as there is room. It
// returns false when the session has ended.
func (c *client) tell(ctx context.Context, out ...outgoing) bool {
	for i := range out {
		if !c.socket.awaitRoom() || ctx.Err() != nil || !c.send(out[i:i+1], true) {
			return false
		}
	}
	return !c.out.isClosed()
}

// finish ends the session: it is pushed nothing more, and follows nothing. Clean
// tells that the client wished it. Only the first call does anything. It must
// not be called with a lock of the edge held.
func (c *client) finish(clean bool) {
	c.mu.Lock()
	ended := c.ended
	c.ended = true
	c.mu.Unlock()
	if ended {
		return
	}
	c.out.close()
	c.end()
	c.socket.forget(c)
	c.logs.Close()
	c.host().Closed(c.session(), clean)
}
