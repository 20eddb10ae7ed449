package leanmessage

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire/leanpb"
)

// fakeConn is a connection in memory.
type fakeConn struct {
	subprotocol string
	origin      string
	in          chan []byte
	out         chan []byte
	ended       chan struct{} // closed by the door
	lost        chan struct{} // closed by the client
	once, cutOn sync.Once
	status      int
	reason      string

	mu       sync.Mutex
	deadline time.Time
	silence  time.Duration
	signedIn bool
	stuck    chan struct{} // not nil: writes wait until it is closed
	writeBy  time.Time
}

func (c *fakeConn) Subprotocol() string { return c.subprotocol }
func (c *fakeConn) Origin() string      { return c.origin }
func (c *fakeConn) RemoteAddr() string  { return "memory" }

func (c *fakeConn) SignedIn() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.signedIn = true
}

func (c *fakeConn) until() <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.silence > 0 {
		return time.After(c.silence)
	}
	return time.After(time.Until(c.deadline))
}

func (c *fakeConn) ReadMessage() ([]byte, error) {
	select {
	case b := <-c.in:
		if len(b) > transport.LeanCommandBytes {
			return nil, transport.ErrFrameTooLarge
		}
		return b, nil
	case <-c.until():
		return nil, os.ErrDeadlineExceeded
	case <-c.ended:
		return nil, transport.ErrClosed
	case <-c.lost:
		return nil, transport.ErrLost
	}
}

func (c *fakeConn) WriteMessages(messages []transport.LeanMessage) error {
	c.mu.Lock()
	stuck, by := c.stuck, c.writeBy
	c.mu.Unlock()
	if stuck != nil {
		select {
		case <-stuck:
		case <-time.After(time.Until(by)):
			return os.ErrDeadlineExceeded
		case <-c.lost:
			return transport.ErrLost
		}
	}
	for _, m := range messages {
		select {
		case c.out <- slices.Concat(m.Head, m.Body):
		case <-c.lost:
			return transport.ErrLost
		}
	}
	return nil
}

func (c *fakeConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline, c.silence = t, 0
	return nil
}

func (c *fakeConn) SetSilence(d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.silence = d
	return nil
}

func (c *fakeConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writeBy = t
	return nil
}

func (c *fakeConn) Close(status int, reason string) error {
	c.once.Do(func() {
		c.status, c.reason = status, reason
		close(c.ended)
	})
	return nil
}

// cut loses the connection.
func (c *fakeConn) cut() { c.cutOn.Do(func() { close(c.lost) }) }

// peer is a client's side of a socket.
type peer struct {
	t      testing.TB
	w      *world
	conn   *fakeConn
	served chan struct{} // closed when the door is done with it
	last   int32
	pushes []*leanpb.GenericCommand // that came while a reply was awaited
}

// dial opens a socket.
func (w *world) dial() *peer { return w.dialAs(transport.LeanProtobuf3) }

func (w *world) dialAs(subprotocol string) *peer {
	p := w.dialOf(w.t, subprotocol)
	w.peers = append(w.peers, p)
	return p
}

// dialOf is dial for a test that cuts the connection itself.
func (w *world) dialOf(t testing.TB, subprotocol string) *peer {
	p := &peer{t: t, w: w, served: make(chan struct{}), conn: &fakeConn{
		subprotocol: subprotocol, in: make(chan []byte, 64), out: make(chan []byte, 4096), ended: make(chan struct{}), lost: make(chan struct{}),
	}}
	w.serves.Go(func() {
		defer close(p.served)
		w.door.Serve(p.conn)
	})
	return p
}

// send sends a command as it is.
func (p *peer) send(in *leanpb.GenericCommand) {
	p.t.Helper()
	b, err := proto.MarshalOptions{AllowPartial: true}.Marshal(in)
	if err != nil {
		p.t.Fatal(err)
	}
	p.conn.in <- b
}

// ask sends a command with the next i, and returns the reply to it. Pushes that
// come before it are kept.
func (p *peer) ask(in *leanpb.GenericCommand) *leanpb.GenericCommand {
	p.t.Helper()
	p.last++
	in.I = new(p.last)
	p.send(in)
	for {
		m := p.read()
		if m.I != nil && m.GetI() == p.last {
			return m
		}
		if m.I != nil {
			p.t.Fatalf("a reply to %d while %d is open: %s", m.GetI(), p.last, line(m))
		}
		p.pushes = append(p.pushes, m)
	}
}

// next returns the next push.
func (p *peer) next() *leanpb.GenericCommand {
	p.t.Helper()
	if len(p.pushes) > 0 {
		m := p.pushes[0]
		p.pushes = p.pushes[1:]
		return m
	}
	return p.read()
}

// read returns the next message of the door.
func (p *peer) read() *leanpb.GenericCommand {
	p.t.Helper()
	select {
	case b := <-p.conn.out:
		m := &leanpb.GenericCommand{}
		if err := proto.Unmarshal(b, m); err != nil {
			p.t.Fatalf("the door writes %x: %v", b, err)
		}
		return m
	case <-p.conn.ended:
		if len(p.conn.out) > 0 {
			return p.read()
		}
		p.t.Fatalf("the socket was closed with %d %s while a message was awaited", p.conn.status, p.conn.reason)
	case <-time.After(patience):
		p.t.Fatal("no message came")
	}
	return nil
}

// wantClosed waits until the door closes the socket with a status.
func (p *peer) wantClosed(status int) {
	p.t.Helper()
	select {
	case <-p.conn.ended:
		if p.conn.status != status {
			p.t.Fatalf("the socket was closed with %d %s, want %d", p.conn.status, p.conn.reason, status)
		}
	case <-time.After(patience):
		p.t.Fatalf("the socket was not closed, want %d", status)
	}
}

// want compares what the next messages are, pushes and replies, with lines.
func (p *peer) want(lines ...string) {
	p.t.Helper()
	for _, want := range lines {
		if got := line(p.next()); got != want {
			p.t.Fatalf("got  %s\nwant %s", got, want)
		}
	}
}

// wantSilence says that nothing was sent before an echo that is asked for now.
func (p *peer) wantSilence() {
	p.t.Helper()
	if m := p.ask(&leanpb.GenericCommand{Cmd: leanpb.CommandType_echo.Enum()}); m.GetCmd() != leanpb.CommandType_echo {
		p.t.Fatalf("an echo is answered by %s", line(m))
	}
	if len(p.pushes) > 0 {
		p.t.Fatalf("there was %s, want nothing", line(p.pushes[0]))
	}
}

// open opens a session for a client id, and returns the reply.
func (p *peer) open(user string, change ...func(*leanpb.SessionCommand)) *leanpb.GenericCommand {
	p.t.Helper()
	m := p.ask(opening1(user, change...))
	if m.GetOp() != leanpb.OpType_opened {
		p.t.Fatalf("open %s: %s", user, line(m))
	}
	return m
}

// opening1 is a command to open a session.
func opening1(user string, change ...func(*leanpb.SessionCommand)) *leanpb.GenericCommand {
	in := command2(leanpb.CommandType_session, leanpb.OpType_open)
	in.AppId = new(testApp)
	if user != "" {
		in.PeerId = new(user)
	}
	in.SessionMessage = &leanpb.SessionCommand{Ua: new("test"), ConfigBitmap: new(int64(0xbb))}
	for _, c := range change {
		c(in.SessionMessage)
	}
	return in
}

// command2 begins a command with an op.
func command2(cmd leanpb.CommandType, o leanpb.OpType) *leanpb.GenericCommand {
	return &leanpb.GenericCommand{Cmd: cmd.Enum(), Op: o.Enum()}
}

// line is a message in one line: what about its envelope matters to clients, and
// the codes in it.
func line(m *leanpb.GenericCommand) string {
	var b strings.Builder
	b.WriteString(m.GetCmd().String())
	if m.Op != nil {
		b.WriteString("/" + m.GetOp().String())
	}
	if m.I != nil {
		fmt.Fprintf(&b, " i=%d", m.GetI())
	}
	if m.PeerId != nil {
		b.WriteString(" peer=" + m.GetPeerId())
	}
	if e := m.GetErrorMessage(); e != nil {
		fmt.Fprintf(&b, " %d %s", e.GetCode(), e.GetReason())
	}
	if s := m.GetSessionMessage(); s != nil {
		if s.Code != nil {
			fmt.Fprintf(&b, " code=%d %s", s.GetCode(), s.GetReason())
		}
		if len(s.GetOnlineSessionPeerIds()) > 0 {
			b.WriteString(" online=" + strings.Join(s.GetOnlineSessionPeerIds(), ","))
		}
	}
	return b.String()
}
