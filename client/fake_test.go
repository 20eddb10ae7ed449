package client

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

const (
	testApp = "test-app-0123456789abcde"
	testKey = "the key of the app"
)

// cluster is a small Quorate in memory: nodes that share one set of
// conversations, and remember tokens as the real one does. Faults are hooks.
type cluster struct {
	t       testing.TB
	network *transport.Network
	running sync.WaitGroup

	mu struct {
		sync.Mutex
		nodes   map[string]*node
		logs    map[string]*convLog
		tokens  map[token]answered
		cursors map[string]uint64
		logins  []*pb.Hello
		refused int // of tokens out of the window
	}

	// on is asked about each request before it is done; nil does all.
	on func(n *node, r *pb.Request) fate
	// drop says which pushes are lost.
	drop func(log string, offset uint64) bool
	// unlatched nodes do not keep the order where they refuse.
	unlatched bool
	// void session tokens are refused.
	void bool
	// maxInFlight is told in the welcome.
	maxInFlight uint32
}

// fate is what happens to a request.
type fate struct {
	swallow bool      // it never arrives
	mute    bool      // it is done, and the answer is lost
	refuse  *pb.Error // it is refused
	kill    bool      // the node dies after it has done it
	after   func()    // called when it is done
}

type token struct {
	lane, instance string
	slot           uint64
}

type answered struct {
	n    uint64
	resp *pb.Response
}

type convLog struct {
	entries []*pb.LogEntry
	members map[string]bool
	seq     uint64
	floor   uint64 // entries up to it are not kept
}

func newCluster(t testing.TB, nodes ...string) *cluster {
	c := &cluster{t: t, network: transport.NewNetwork(nil), maxInFlight: 1000}
	c.mu.nodes = map[string]*node{}
	c.mu.logs = map[string]*convLog{}
	c.mu.tokens = map[token]answered{}
	c.mu.cursors = map[string]uint64{}
	for _, name := range nodes {
		c.start(name)
	}
	t.Cleanup(func() {
		for _, name := range nodes {
			c.kill(name)
		}
		c.running.Wait()
	})
	return c
}

// conversation makes one with members, without a client.
func (c *cluster) conversation(id string, members ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := &convLog{members: map[string]bool{}}
	for _, m := range members {
		l.members[m] = true
	}
	c.mu.logs[id] = l
}

// bodies returns what stands in a conversation.
func (c *cluster) bodies(id string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var bodies []string
	for _, e := range c.mu.logs[id].entries {
		if m := e.GetMessage(); m != nil {
			bodies = append(bodies, string(m.GetBody()))
		}
	}
	return bodies
}

// say appends a message without a client.
func (c *cluster) say(id, body string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sayLocked(id, "somebody", []byte(body))
}

func (c *cluster) sayLocked(id, from string, body []byte) *pb.LogEntry {
	l := c.mu.logs[id]
	l.seq++
	now := time.Now().UnixMilli()
	return c.appendLocked(id, &pb.LogEntry{Actor: from, What: &pb.LogEntry_Message{Message: &pb.Message{
		Id: string(wire.NewMessageID(wire.ConversationID(id), now, wire.Seq(l.seq))), Seq: l.seq, From: from, Body: body,
	}}})
}

// appendLocked adds an entry to a log and pushes it.
func (c *cluster) appendLocked(id string, e *pb.LogEntry) *pb.LogEntry {
	l := c.mu.logs[id]
	e.Offset, e.TimestampMillis = uint64(len(l.entries)+1), time.Now().UnixMilli()
	l.entries = append(l.entries, e)
	if c.drop != nil && c.drop(id, e.Offset) {
		return e
	}
	for _, n := range c.mu.nodes {
		for s := range n.sessions {
			s.pushLocked(id)
		}
	}
	return e
}

// events sends something unasked to all sessions of the user.
func (c *cluster) events(user string, e *pb.Events) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.mu.nodes {
		for s := range n.sessions {
			if s.user == user {
				s.send(&pb.ServerFrame{Body: &pb.ServerFrame_Events{Events: e}})
			}
		}
	}
}

// tell sends a frame to all sessions on a node.
func (c *cluster) tell(name string, f *pb.ServerFrame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for s := range c.mu.nodes[name].sessions {
		s.send(f)
	}
}

// sessions counts the sessions on a node.
func (c *cluster) sessions(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.nodes[name] == nil {
		return 0
	}
	return len(c.mu.nodes[name].sessions)
}

// node is one node of the cluster.
type node struct {
	c        *cluster
	name     string
	listener transport.NodeListener
	sessions map[*nodeSession]bool // guarded by the cluster's lock
}

func (c *cluster) start(name string) {
	listener, err := c.network.Listen(name + ":7400")
	if err != nil {
		c.t.Fatal(err)
	}
	n := &node{c: c, name: name, listener: listener, sessions: map[*nodeSession]bool{}}
	c.mu.Lock()
	c.mu.nodes[name] = n
	c.mu.Unlock()
	c.running.Go(func() {
		for {
			conn, err := listener.Accept(context.Background())
			if err != nil {
				return
			}
			c.running.Go(func() { n.serve(conn) })
		}
	})
}

// kill ends a node as kill -9 does: what is under way is lost.
func (c *cluster) kill(name string) {
	c.mu.Lock()
	n := c.mu.nodes[name]
	delete(c.mu.nodes, name)
	c.mu.Unlock()
	if n == nil {
		return
	}
	_ = n.listener.Close()
	c.network.Break("client", name+":7400")
}

// nodeSession is a client's session on a node.
type nodeSession struct {
	n        *node
	conn     transport.Conn
	user     string
	instance string
	kick     chan struct{}
	ended    chan struct{}

	mu struct {
		sync.Mutex
		out [][]byte
	}
	follows map[string]uint64 // position by log; guarded by the cluster's lock
	latches map[string]uint64 // the reader's own, see latched
}

// latched keeps order where a command is refused for now: the ones behind it
// are refused too, until the client begins anew. It does so when all are
// answered, at a number that was there before; up to then numbers ascend.
func (s *nodeSession) latched(lane string, n uint64) bool {
	highest, ok := s.latches[lane]
	if !ok {
		return false
	}
	if n <= highest {
		delete(s.latches, lane)
		return false
	}
	s.latches[lane] = n
	return true
}

func (s *nodeSession) send(f *pb.ServerFrame) {
	b, err := proto.Marshal(f)
	if err != nil {
		panic(err)
	}
	s.mu.Lock()
	s.mu.out = append(s.mu.out, b)
	s.mu.Unlock()
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

func (s *nodeSession) write() {
	for {
		s.mu.Lock()
		out := s.mu.out
		s.mu.out = nil
		s.mu.Unlock()
		if len(out) > 0 {
			if s.conn.WriteFrames(out) != nil {
				return
			}
			continue
		}
		select {
		case <-s.kick:
		case <-s.ended:
			return
		}
	}
}

func (n *node) serve(conn transport.Conn) {
	s := &nodeSession{
		n: n, conn: conn, kick: make(chan struct{}, 1), ended: make(chan struct{}),
		follows: map[string]uint64{}, latches: map[string]uint64{},
	}
	n.c.running.Go(s.write)
	defer func() {
		n.c.mu.Lock()
		delete(n.sessions, s)
		n.c.mu.Unlock()
		_ = conn.Close(transport.CloseNormal, "")
		close(s.ended)
	}()
	for {
		b, err := conn.ReadFrame()
		if err != nil {
			return
		}
		f := &pb.ClientFrame{}
		if err := proto.Unmarshal(b, f); err != nil {
			n.c.t.Errorf("a bad frame from the client: %v", err)
			return
		}
		switch body := f.GetBody().(type) {
		case *pb.ClientFrame_Hello:
			if refusal := s.signIn(body.Hello); refusal != nil {
				s.send(&pb.ServerFrame{Body: &pb.ServerFrame_Closing{Closing: refusal}})
			}
		case *pb.ClientFrame_Ping:
			s.send(&pb.ServerFrame{Body: &pb.ServerFrame_Pong{Pong: &pb.Pong{Nonce: body.Ping.GetNonce()}}})
		case *pb.ClientFrame_Request:
			if !s.request(proto.Clone(body.Request).(*pb.Request)) {
				return
			}
		}
	}
}

func (s *nodeSession) signIn(h *pb.Hello) *pb.Error {
	c := s.n.c
	user, session := strings.CutPrefix(h.GetToken(), "session of ")
	if !session || c.void {
		parsed, err := jwt.Parse(h.GetToken(), func(*jwt.Token) (any, error) { return []byte(testKey), nil },
			jwt.WithValidMethods([]string{"HS256"}), jwt.WithAudience(testApp), jwt.WithExpirationRequired(), jwt.WithIssuedAt())
		if err != nil {
			return refuse(wire.CodeUnauthenticated)
		}
		user, _ = parsed.Claims.GetSubject()
	}
	s.user, s.instance = user, string(h.GetInstance())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.logins = append(c.mu.logins, h)
	s.n.sessions[s] = true
	w := &pb.Welcome{
		Session: fmt.Sprintf("s%d", len(c.mu.logins)), Node: s.n.name, User: user, MaxInFlight: c.maxInFlight,
		SessionToken: "session of " + user, MaxFrameBytes: wire.MaxFrameBytes, HeartbeatMillis: 30_000, Cluster: "test",
	}
	for name := range c.mu.nodes {
		w.Nodes = append(w.Nodes, &pb.NodeInfo{Name: name, Http: "http://" + name + ":7400", Quic: name + ":7400"})
	}
	s.send(&pb.ServerFrame{Body: &pb.ServerFrame_Welcome{Welcome: w}})
	return nil
}

// request does a request as its fate says, and tells whether the node lives.
func (s *nodeSession) request(r *pb.Request) bool {
	c := s.n.c
	var f fate
	if c.on != nil {
		f = c.on(s.n, r)
	}
	if f.swallow {
		return true
	}
	if r.GetN() > 0 && !c.unlatched {
		if s.latched(laneOf(r), r.GetN()) {
			f.refuse = refuse(wire.CodeUnavailable)
		} else if f.refuse != nil && wire.Code(f.refuse.GetCode()).Retryable() {
			s.latches[laneOf(r)] = r.GetN()
		}
	}
	c.mu.Lock()
	resp := &pb.Response{Result: &pb.Response_Error{Error: f.refuse}}
	if f.refuse == nil {
		resp = s.answerLocked(r)
	}
	resp.Id = r.GetId()
	if !f.mute && !f.kill {
		s.send(&pb.ServerFrame{Body: &pb.ServerFrame_Response{Response: resp}})
	}
	if sub := resp.GetSubscribed(); sub != nil {
		for _, log := range sub.GetLogs() {
			if log.GetError() == nil {
				s.pushLocked(log.GetLog().GetConversation())
			}
		}
	}
	c.mu.Unlock()
	if f.after != nil {
		f.after()
	}
	if f.kill {
		c.kill(s.n.name)
	}
	return !f.kill
}

// answerLocked does a request, or finds what it answered before.
func (s *nodeSession) answerLocked(r *pb.Request) *pb.Response {
	if r.GetN() == 0 {
		return s.doLocked(r)
	}
	c := s.n.c
	key := token{lane: laneOf(r), instance: s.instance, slot: r.GetN() % wire.TokenWindow}
	if old, ok := c.mu.tokens[key]; ok && old.n >= r.GetN() {
		if old.n > r.GetN() {
			c.mu.refused++
			return &pb.Response{Result: &pb.Response_Error{Error: refuse(wire.CodeTooOld)}}
		}
		return proto.Clone(old.resp).(*pb.Response)
	}
	resp := s.doLocked(r)
	if resp.GetError() == nil {
		c.mu.tokens[key] = answered{r.GetN(), proto.Clone(resp).(*pb.Response)}
	}
	return resp
}

// laneOf is what the number of a request counts.
func laneOf(r *pb.Request) string {
	switch op := r.GetOp().(type) {
	case *pb.Request_SendMessage:
		return op.SendMessage.GetConversation()
	case *pb.Request_AddMembers:
		return op.AddMembers.GetConversation()
	case *pb.Request_RemoveMembers:
		return op.RemoveMembers.GetConversation()
	case *pb.Request_EditMessage:
		return op.EditMessage.GetConversation()
	default:
		return ""
	}
}

func refuse(code wire.Code) *pb.Error {
	return &pb.Error{Code: uint32(code), Op: "fake", Text: code.String()}
}

func refused(code wire.Code) *pb.Response {
	return &pb.Response{Result: &pb.Response_Error{Error: refuse(code)}}
}

// options connect to the cluster's nodes in order.
func (c *cluster) options(user string, nodes ...string) Options {
	o := Options{
		App: testApp, User: wire.UserID(user), Key: testKey,
		Dialer: func(ctx context.Context, server Server, _ *tls.Config) (transport.Conn, error) {
			return c.network.Dial(ctx, "client", server.Address)
		},
	}
	for _, n := range nodes {
		o.Servers = append(o.Servers, "quic://"+n+":7400")
	}
	return o
}

func dial(t testing.TB, o Options) *Client {
	t.Helper()
	c, err := Dial(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func shut(t testing.TB, c *Client) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}
