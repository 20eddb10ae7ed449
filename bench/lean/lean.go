package lean

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire/leanpb"
)

const (
	// subprotocol asks for binary frames and unread counts.
	subprotocol = "lc.protobuf2.3"
	// configBitmap is what the newest JavaScript SDK can do.
	configBitmap = 0xBB
	// ackEvery is how often what came is acknowledged.
	ackEvery = time.Second
	// openTimeout bounds how long a session may take to open.
	openTimeout = 10 * time.Second
)

// ErrClosed is the outcome of what had no answer when the connection ended.
var ErrClosed = errors.New("lean: the connection is closed")

// Options say whom to connect as.
type Options struct {
	Server string // base URL of a node
	App    string
	User   string
	TLS    *tls.Config
	// Heard is told of each message that is pushed. It is called by the reading
	// goroutine and must not block. Nil: nobody is told.
	Heard func(*leanpb.DirectCommand)
}

// Conn is one client of the dialect, on a connection of its own.
type Conn struct {
	opts Options
	ws   *transport.LeanClient
	all  sync.WaitGroup
	wake chan struct{} // something waits to be written
	done chan struct{} // closed with the connection

	mu struct {
		sync.Mutex
		closed  bool
		next    int32
		waiting map[int32]func(*leanpb.GenericCommand, error)
		frames  [][]byte
		heard   map[string]*span
	}
}

// span is what came of a conversation since the last acknowledgement.
type span struct{ from, to int64 }

// Dial connects and opens the user's session.
func Dial(ctx context.Context, o Options) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	address, err := discover(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("ask %s for the WebSocket's address: %w", o.Server, err)
	}
	ws, err := transport.DialLean(ctx, address, subprotocol, o.TLS)
	if err != nil {
		return nil, err
	}
	c := &Conn{opts: o, ws: ws, wake: make(chan struct{}, 1), done: make(chan struct{})}
	c.mu.waiting = map[int32]func(*leanpb.GenericCommand, error){}
	c.mu.heard = map[string]*span{}
	c.all.Go(c.read)
	c.all.Go(c.write)
	if err := c.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open the session of %s: %w", o.User, err), c.Close())
	}
	return c, nil
}

// discover asks the router where the WebSocket is.
func discover(ctx context.Context, o Options) (string, error) {
	query := url.Values{"appId": {o.App}, "secure": {"1"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, o.Server+"/v1/route?"+query.Encode(), http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: o.TLS, DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	var route struct {
		Server string `json:"server"`
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("it answers %s", resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(&route); err != nil {
		return "", fmt.Errorf("decode the answer: %w", err)
	}
	return route.Server, nil
}

// open opens the session and waits for the answer.
func (c *Conn) open(ctx context.Context) error {
	type outcome struct {
		reply *leanpb.GenericCommand
		err   error
	}
	answers := make(chan outcome, 1)
	c.request(&leanpb.GenericCommand{
		Cmd: leanpb.CommandType_session.Enum(), Op: leanpb.OpType_open.Enum(), AppId: &c.opts.App, PeerId: &c.opts.User,
		SessionMessage: &leanpb.SessionCommand{
			Ua: new("quorate-bench/1"), R: new(false), DeviceId: new(c.opts.User), ConfigBitmap: proto.Int64(configBitmap),
			LastPatchTime: new(time.Now().UnixMilli()),
		},
	}, func(reply *leanpb.GenericCommand, err error) { answers <- outcome{reply, err} })
	select {
	case o := <-answers:
		if o.err == nil && o.reply.GetOp() != leanpb.OpType_opened {
			o.err = fmt.Errorf("the answer is %v/%v", o.reply.GetCmd(), o.reply.GetOp())
		}
		return o.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Send sends a message. done is called once, from any goroutine, and must not
// block. The token makes a repetition harmless; here nothing is repeated.
func (c *Conn) Send(conversation, body, token string, done func(error)) {
	c.request(&leanpb.GenericCommand{
		Cmd: leanpb.CommandType_direct.Enum(), DirectMessage: &leanpb.DirectCommand{
			Msg: &body, Cid: &conversation, Dt: &token, MentionAll: new(false),
		},
	}, func(reply *leanpb.GenericCommand, err error) {
		if ack := reply.GetAckMessage(); err == nil && (ack == nil || ack.Code != nil) {
			err = fmt.Errorf("the message is refused: %d %s", ack.GetCode(), ack.GetReason())
		}
		done(err)
	})
}

// Close ends the connection. What has no answer fails.
func (c *Conn) Close() error {
	c.fail()
	err := c.ws.Close()
	c.all.Wait()
	return err
}

// request sends a command that is answered.
func (c *Conn) request(g *leanpb.GenericCommand, done func(*leanpb.GenericCommand, error)) {
	c.mu.Lock()
	if c.mu.closed {
		c.mu.Unlock()
		done(nil, ErrClosed)
		return
	}
	c.mu.next++
	g.I = new(c.mu.next)
	c.mu.waiting[c.mu.next] = done
	c.queueLocked(g)
	c.mu.Unlock()
}

// queueLocked queues a command. What waits is bounded by who asks: each request
// is one frame.
func (c *Conn) queueLocked(g *leanpb.GenericCommand) {
	b, err := proto.Marshal(g)
	if err != nil {
		return // the commands here are all of this package
	}
	c.mu.frames = append(c.mu.frames, b)
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// write writes what waits, and acknowledges once a second.
func (c *Conn) write() {
	ticks := time.NewTicker(ackEvery)
	defer ticks.Stop()
	for {
		select {
		case <-c.wake:
		case <-ticks.C:
			c.acknowledge()
		case <-c.done:
			return
		}
		c.mu.Lock()
		frames := c.mu.frames
		c.mu.frames = nil
		c.mu.Unlock()
		if len(frames) == 0 {
			continue
		}
		if err := c.ws.WriteMessages(frames); err != nil {
			c.fail()
			return
		}
	}
}

// acknowledge says what came since the last time.
func (c *Conn) acknowledge() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conversation, s := range c.mu.heard {
		c.queueLocked(&leanpb.GenericCommand{
			Cmd: leanpb.CommandType_ack.Enum(), AckMessage: &leanpb.AckCommand{Cid: new(conversation), Fromts: &s.from, Tots: &s.to},
		})
	}
	clear(c.mu.heard)
}

// read takes what the node says until the connection ends.
func (c *Conn) read() {
	defer c.fail()
	for {
		b, err := c.ws.ReadMessage()
		if err != nil {
			return
		}
		g := &leanpb.GenericCommand{}
		if err := proto.Unmarshal(b, g); err != nil {
			return
		}
		c.take(g)
	}
}

func (c *Conn) take(g *leanpb.GenericCommand) {
	if g.I == nil {
		if m := g.GetDirectMessage(); m != nil {
			c.note(m)
		}
		return
	}
	c.mu.Lock()
	done := c.mu.waiting[g.GetI()]
	delete(c.mu.waiting, g.GetI())
	c.mu.Unlock()
	if done == nil {
		return
	}
	if e := g.GetErrorMessage(); e != nil {
		done(nil, fmt.Errorf("%d %s", e.GetCode(), e.GetReason()))
		return
	}
	done(g, nil)
}

// note has a message acknowledged, and tells who wants to know.
func (c *Conn) note(m *leanpb.DirectCommand) {
	if m.GetFromPeerId() != c.opts.User && !m.GetTransient() {
		c.mu.Lock()
		s := c.mu.heard[m.GetCid()]
		if s == nil {
			s = &span{from: m.GetTimestamp()}
			c.mu.heard[m.GetCid()] = s
		}
		s.to = max(s.to, m.GetTimestamp())
		c.mu.Unlock()
	}
	if c.opts.Heard != nil {
		c.opts.Heard(m)
	}
}

// fail ends the connection for both goroutines, and what has no answer.
func (c *Conn) fail() {
	c.mu.Lock()
	if c.mu.closed {
		c.mu.Unlock()
		return
	}
	c.mu.closed = true
	waiting := c.mu.waiting
	c.mu.waiting = nil
	c.mu.Unlock()
	close(c.done)
	for _, done := range waiting {
		done(nil, ErrClosed)
	}
}
