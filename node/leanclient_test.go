package node

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/leanpb"
)

// leanConn is a connection of a LeanMessage client in memory.
type leanConn struct {
	protocol string
	toServer chan []byte
	gone     chan struct{} // closed when the connection ends, from either side
	changed  chan struct{} // the deadline, with room for one
	arrived  chan struct{} // something was written, with room for one

	mu       sync.Mutex
	ended    bool                     // guarded by mu
	stalled  chan struct{}            // guarded by mu; not nil: writes wait until it is closed
	deadline time.Time                // guarded by mu
	silence  time.Duration            // guarded by mu
	written  []*leanpb.GenericCommand // guarded by mu
	status   int                      // guarded by mu
}

func (c *leanConn) Subprotocol() string { return c.protocol }
func (c *leanConn) Origin() string      { return "" }
func (c *leanConn) RemoteAddr() string  { return "memory" }
func (c *leanConn) SignedIn()           {}

func (c *leanConn) ReadMessage() ([]byte, error) {
	for {
		c.mu.Lock()
		at := c.deadline
		if c.silence > 0 {
			at = time.Now().Add(c.silence)
		}
		c.mu.Unlock()
		timer := time.NewTimer(time.Until(at))
		select {
		case b := <-c.toServer:
			timer.Stop()
			return b, nil
		case <-c.gone:
			timer.Stop()
			return nil, transport.ErrClosed
		case <-c.changed:
			timer.Stop()
		case <-timer.C:
			return nil, os.ErrDeadlineExceeded
		}
	}
}

func (c *leanConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	c.deadline, c.silence = t, 0
	c.mu.Unlock()
	poke(c.changed)
	return nil
}

func (c *leanConn) SetSilence(d time.Duration) error {
	c.mu.Lock()
	c.silence = d
	c.mu.Unlock()
	poke(c.changed)
	return nil
}

func (c *leanConn) SetWriteDeadline(time.Time) error { return nil }

func poke(signal chan struct{}) {
	select {
	case signal <- struct{}{}:
	default:
	}
}

func (c *leanConn) WriteMessages(messages []transport.LeanMessage) error {
	c.mu.Lock()
	stalled := c.stalled
	c.mu.Unlock()
	if stalled != nil {
		select {
		case <-stalled:
		case <-c.gone:
			return transport.ErrClosed
		}
	}
	for _, m := range messages {
		in := &leanpb.GenericCommand{}
		if err := proto.Unmarshal(append(append([]byte(nil), m.Head...), m.Body...), in); err != nil {
			return fmt.Errorf("the server writes what cannot be read: %w", err)
		}
		c.mu.Lock()
		c.written = append(c.written, in)
		c.mu.Unlock()
	}
	poke(c.arrived)
	return nil
}

func (c *leanConn) Close(status int, _ string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		c.ended, c.status = true, status
		close(c.gone)
	}
	return nil
}

// stall makes the client stop reading, and returns what lets it go on.
func (c *leanConn) stall() (release func()) {
	stalled := make(chan struct{})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stalled = stalled
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.stalled = nil
		close(stalled)
	}
}

// leanUser is a LeanMessage client with one session.
type leanUser struct {
	*leanConn

	t    *testing.T
	name string
	i    int32

	served chan struct{} // closed when the server is done with the connection
}

// lean connects a client to a node, with a subprotocol of the dialect.
func (c *testCluster) lean(user string, at *testNode, protocol string) *leanUser {
	u := &leanUser{
		leanConn: &leanConn{
			protocol: protocol, toServer: make(chan []byte), gone: make(chan struct{}), changed: make(chan struct{}, 1), arrived: make(chan struct{}, 1),
		},
		t: c.t, name: user, served: make(chan struct{}),
	}
	c.users = append(c.users, u)
	go func() {
		defer close(u.served)
		at.node.lean.Serve(u.leanConn)
	}()
	return u
}

// session opens a session of a user, as the JavaScript SDK does.
func (c *testCluster) session(user string, at *testNode, change ...func(*leanpb.SessionCommand)) *leanUser {
	c.t.Helper()
	u := c.lean(user, at, transport.LeanProtobuf3)
	u.open(change...)
	return u
}

func (u *leanUser) open(change ...func(*leanpb.SessionCommand)) *leanpb.GenericCommand {
	u.t.Helper()
	m := &leanpb.SessionCommand{Ua: new("test/1"), R: new(false), ConfigBitmap: proto.Int64(0xbb), DeviceId: new("device-of-" + u.name)}
	for _, f := range change {
		f(m)
	}
	opened := u.ask(&leanpb.GenericCommand{
		Cmd: leanpb.CommandType_session.Enum(), Op: leanpb.OpType_open.Enum(), AppId: new(testApp), PeerId: new(u.name), SessionMessage: m,
	})
	if opened.GetOp() != leanpb.OpType_opened {
		u.t.Fatalf("%s opens a session: %v", u.name, opened)
	}
	return opened
}

// leave ends the connection, and waits until the server has seen it.
func (u *leanUser) leave() {
	_ = u.Close(1000, "")
	<-u.served
}

// say sends a command that has no reply.
func (u *leanUser) say(m *leanpb.GenericCommand) {
	u.t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		u.t.Fatal(err)
	}
	select {
	case u.toServer <- b:
	case <-u.gone:
		u.t.Fatalf("the socket of %s is closed with %d", u.name, u.status)
	case <-time.After(time.Minute):
		u.t.Fatalf("the server does not read %s's %.100v", u.name, m)
	}
}

// ask sends a command and returns the reply.
func (u *leanUser) ask(m *leanpb.GenericCommand) *leanpb.GenericCommand {
	u.t.Helper()
	u.i++
	m.I = new(u.i)
	u.say(m)
	return u.await(fmt.Sprintf("the reply to %v", m), func(in *leanpb.GenericCommand) bool { return in.I != nil && in.GetI() == m.GetI() })
}

// take removes and returns the first command that matches; nil: there is none.
func (u *leanUser) take(match func(*leanpb.GenericCommand) bool) *leanpb.GenericCommand {
	u.mu.Lock()
	defer u.mu.Unlock()
	for n, in := range u.written {
		if match(in) {
			u.written = append(u.written[:n:n], u.written[n+1:]...)
			return in
		}
	}
	return nil
}

// await waits for the first command that matches.
func (u *leanUser) await(what string, match func(*leanpb.GenericCommand) bool) *leanpb.GenericCommand {
	u.t.Helper()
	timeout := time.After(time.Minute)
	for {
		if in := u.take(match); in != nil {
			return in
		}
		select {
		case <-u.arrived:
		case <-u.gone:
			if in := u.take(match); in != nil {
				return in
			}
			u.t.Fatalf("%s waits for %s, and the socket is closed with %d", u.name, what, u.status)
		case <-timeout:
			u.t.Fatalf("%s waits for %s, and there is\n%v", u.name, what, u.rest())
		}
	}
}

// push waits for the first push of a kind.
func (u *leanUser) push(cmd leanpb.CommandType, op leanpb.OpType) *leanpb.GenericCommand {
	u.t.Helper()
	return u.await(fmt.Sprintf("a push of %v %v", cmd, op), func(in *leanpb.GenericCommand) bool {
		return in.I == nil && in.GetCmd() == cmd && (op == 0 && in.Op == nil || in.Op != nil && in.GetOp() == op)
	})
}

// rest returns everything that was written and not taken, and forgets it.
func (u *leanUser) rest() []*leanpb.GenericCommand {
	u.mu.Lock()
	defer u.mu.Unlock()
	rest := u.written
	u.written = nil
	return rest
}

// quiet waits a while and returns the pushes of a kind that have come.
func (u *leanUser) quiet(d time.Duration, cmd leanpb.CommandType) (got []*leanpb.GenericCommand) {
	time.Sleep(d) // of the bubble's clock
	for {
		in := u.take(func(in *leanpb.GenericCommand) bool { return in.I == nil && in.GetCmd() == cmd })
		if in == nil {
			return got
		}
		got = append(got, in)
	}
}

// send sends a text and returns its ack.
func (u *leanUser) send(cid, text string, change ...func(*leanpb.DirectCommand)) *leanpb.AckCommand {
	u.t.Helper()
	m := &leanpb.DirectCommand{Cid: new(cid), Msg: new(text)}
	for _, f := range change {
		f(m)
	}
	reply := u.ask(&leanpb.GenericCommand{Cmd: leanpb.CommandType_direct.Enum(), DirectMessage: m})
	if reply.GetCmd() != leanpb.CommandType_ack || reply.AckMessage == nil {
		u.t.Fatalf("%s sends %.40q: %v", u.name, text, reply)
	}
	return reply.AckMessage
}

// message waits for the next message.
func (u *leanUser) message() *leanpb.DirectCommand {
	u.t.Helper()
	in := u.push(leanpb.CommandType_direct, 0)
	if in.GetService() != 2 || in.GetPeerId() != u.name || in.GetServerTs() == 0 {
		u.t.Errorf("a push of a message has a head of %v", in)
	}
	return in.GetDirectMessage()
}

// logs reads the history.
func (u *leanUser) logs(m *leanpb.LogsCommand) []*leanpb.LogItem {
	u.t.Helper()
	reply := u.ask(&leanpb.GenericCommand{Cmd: leanpb.CommandType_logs.Enum(), LogsMessage: m})
	if reply.LogsMessage == nil {
		u.t.Fatalf("%s reads the history: %v", u.name, reply)
	}
	return reply.GetLogsMessage().GetLogs()
}

// conversation makes a conversation, as its creator.
func (c *testCluster) conversation(create *state.CreateConversation, creator string, members ...string) string {
	c.t.Helper()
	if create.Preset == 0 {
		create.Preset = state.PresetBasic
	}
	if create.ID == "" {
		create.ID = wire.NewConversationID(1, uint64(time.Now().UnixNano()))
	}
	for _, m := range members {
		create.Members = append(create.Members, wire.UserID(m))
	}
	c.do(creator, create)
	return string(create.ID)
}

// do changes something as a user, or as the app.
func (c *testCluster) do(user string, command state.Command) state.Result {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	host := doorHost{backend: c.nodes[0].node.backend}
	r, err := host.Change(ctx, state.Header{App: testApp, Actor: wire.UserID(user)}, command)
	if err != nil || r.Refusal != state.None {
		c.t.Fatalf("%T as %q: %v, %v", command, user, r.Refusal, err)
	}
	return r
}

// settings changes settings of the app, at all nodes.
func (c *testCluster) settings(json string) {
	c.t.Helper()
	if rw := c.web(c.nodes[0], http.MethodPatch, "/v1/app", `{"settings":`+json+`}`, testMaster); rw.Code != http.StatusOK {
		c.t.Fatalf("set %s: %d %s", json, rw.Code, rw.Body)
	}
	time.Sleep(2 * time.Second) // of the bubble's clock
}

func wireID(cid string) wire.ConversationID { return wire.ConversationID(cid) }

func userIDs(names ...string) (users []wire.UserID) {
	for _, n := range names {
		users = append(users, wire.UserID(n))
	}
	return users
}
