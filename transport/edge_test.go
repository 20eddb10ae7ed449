package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// door is an edge on loopback with all that can lead to it.
type door struct {
	edge    *Edge
	ca      *CA
	node    *KeyPair
	http    string // base URL
	quic    string
	packets net.PacketConn  // of QUIC
	conns   chan ClientConn // served; serve returns when the test ends
}

// openDoor opens an edge whose connections come out of conns and stay open
// until they or the edge are closed.
func openDoor(t testing.TB, opts EdgeOptions) *door {
	t.Helper()
	d := &door{ca: newTestCA(t, "c1"), conns: make(chan ClientConn)}
	done := make(chan struct{})
	d.edge = NewEdge(func(c ClientConn) {
		select {
		case d.conns <- c:
		case <-done:
		}
		<-done
	}, opts)
	d.listen(t)
	t.Cleanup(func() {
		close(done)
		if err := d.edge.Close(); err != nil {
			t.Errorf("close the edge: %v", err)
		}
	})
	return d
}

// serveDoor opens an edge that serves with the function.
func serveDoor(t testing.TB, opts EdgeOptions, serve func(ClientConn)) *door {
	t.Helper()
	d := &door{ca: newTestCA(t, "c1"), edge: NewEdge(serve, opts)}
	d.listen(t)
	t.Cleanup(func() { _ = d.edge.Close() })
	return d
}

func (d *door) listen(t testing.TB) {
	t.Helper()
	var err error
	if d.node, err = d.ca.IssueNode("n1", nil, 0); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(d.edge.WebSocket())
	d.edge.GuardHTTP(server.Config)
	server.Start()
	t.Cleanup(server.Close)
	d.http = server.URL
	d.quic = d.listenQUIC(t, "127.0.0.1:0")
}

func (d *door) listenQUIC(t testing.TB, addr string) string {
	t.Helper()
	cert, err := d.ca.IssueServer([]string{"127.0.0.1", "localhost"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	packets, err := net.ListenPacket("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.edge.ListenQUIC(packets, ServerTLS(func() *KeyPair { return cert }), d.node); err != nil {
		t.Fatal(err)
	}
	d.packets = packets
	return packets.LocalAddr().String()
}

func (d *door) dialer(t testing.TB) *QUICDialer {
	t.Helper()
	dialer, err := NewQUICDialer(ClientTLS(d.ca.Pool()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dialer.Close() })
	return dialer
}

func (d *door) dialQUIC(t testing.TB) Conn {
	t.Helper()
	conn, err := d.dialer(t).Dial(t.Context(), d.quic)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.(*quicConn).raw.CloseWithError(0, "") })
	return conn
}

func (d *door) dialWS(t testing.TB) Conn {
	t.Helper()
	conn, err := DialWebSocket(t.Context(), d.http, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.(*wsConn).raw.Close() })
	return conn
}

// dials are the ways for a client to connect.
var dials = map[string]func(*door, testing.TB) Conn{"websocket": (*door).dialWS, "quic": (*door).dialQUIC}

func forEachDial(t *testing.T, test func(t *testing.T, dial func(*door, testing.TB) Conn)) {
	for name, dial := range dials {
		t.Run(name, func(t *testing.T) { test(t, dial) })
	}
}

// clientPair returns both ends of a client's connection that has signed in.
func clientPair(dial func(*door, testing.TB) Conn) func(testing.TB) (Conn, Conn) {
	return func(t testing.TB) (Conn, Conn) {
		t.Helper()
		d := openDoor(t, EdgeOptions{FrameBytes: 1 << 20})
		client := dial(d, t)
		mustWrite(t, client, "hello")
		server := <-d.conns
		wantFrame(t, server, "hello")
		server.SignedIn()
		return client, server
	}
}

func TestKind(t *testing.T) {
	for name, dial := range dials {
		d := openDoor(t, EdgeOptions{})
		mustWrite(t, dial(d, t), "hello")
		if c := <-d.conns; c.Kind() != name {
			t.Errorf("kind %q, want %q", c.Kind(), name)
		}
	}
}

// TestStrangersFrames: before the sign-in a frame of 2 KiB is the largest; after
// it the limit is a session's.
func TestStrangersFrames(t *testing.T) {
	forEachDial(t, func(t *testing.T, dial func(*door, testing.TB) Conn) {
		d := openDoor(t, EdgeOptions{})
		client := dial(d, t)
		largest, session := strings.Repeat("h", 2<<10), strings.Repeat("s", 16<<10)
		mustWrite(t, client, largest)
		server := <-d.conns
		server.SetReadLimit(1 << 20) // has no effect yet
		wantFrame(t, server, largest)
		server.SignedIn()
		mustWrite(t, client, session)
		wantFrame(t, server, session)
		mustWrite(t, client, session+"s")
		if err := second(server.ReadFrame()); !errors.Is(err, ErrFrameTooLarge) {
			t.Errorf("over a session's limit: %v", err)
		}

		client = dial(d, t)
		mustWrite(t, client, largest+"h")
		server = <-d.conns
		server.SetReadLimit(1 << 20) // has no effect either
		err := second(server.ReadFrame())
		if !errors.Is(err, ErrFrameTooLarge) {
			t.Fatalf("over a stranger's limit: %v", err)
		}
		var wg sync.WaitGroup
		wg.Go(func() { _ = server.Close(CodeFor(err), "too large") })
		var told *CloseError
		if err := second(client.ReadFrame()); !errors.As(err, &told) || told.Code != CloseTooLarge || told.Reason != "too large" {
			t.Errorf("the client sees %v, want too_large", err)
		}
		_ = client.Close(CloseNormal, "")
		wg.Wait()
	})
}

// TestStrangersBudget: many small frames before the sign-in are too much too.
func TestStrangersBudget(t *testing.T) {
	forEachDial(t, func(t *testing.T, dial func(*door, testing.TB) Conn) {
		d := openDoor(t, EdgeOptions{})
		client := dial(d, t)
		for range 17 {
			mustWrite(t, client, strings.Repeat("h", 1<<10))
		}
		server := <-d.conns
		read := 0
		var err error
		for err == nil {
			if _, err = server.ReadFrame(); err == nil {
				read++
			}
		}
		if !errors.Is(err, ErrFrameTooLarge) || read != 16 {
			t.Errorf("after %d KiB: %v", read, err)
		}
	})
}

// TestSignInIsLate: who does not sign in is read no longer than the limit,
// whatever deadline is set meanwhile; who does is not bounded by it.
func TestSignInIsLate(t *testing.T) {
	forEachDial(t, func(t *testing.T, dial func(*door, testing.TB) Conn) {
		d := openDoor(t, EdgeOptions{SignInTimeout: 4 * time.Second})
		late, timely := dial(d, t), dial(d, t)
		begin := time.Now()
		mustWrite(t, late, "hello")
		lateServer := <-d.conns
		wantFrame(t, lateServer, "hello")
		mustWrite(t, timely, "hello")
		timelyServer := <-d.conns
		timelyServer.SignedIn()
		wantFrame(t, timelyServer, "hello")

		_ = lateServer.SetReadDeadline(time.Now().Add(time.Hour))
		if got := CodeFor(second(lateServer.ReadFrame())); got != CloseTimeout {
			t.Errorf("the late one ends with %v, want a timeout", got)
		}
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("the late one ended after %v", took)
		}
		mustWrite(t, timely, "later")
		wantFrame(t, timelyServer, "later")
	})
}

// TestTooManyStrangers: one address has only so many connections that have not
// signed in, on all doors together.
func TestTooManyStrangers(t *testing.T) {
	forEachDial(t, func(t *testing.T, dial func(*door, testing.TB) Conn) {
		d, _ := threeStrangers(t, dial)
		if _, err := DialWebSocket(t.Context(), d.http, nil); !errors.Is(err, ErrRefused) {
			t.Errorf("a WebSocket too many: %v, want ErrRefused", err)
		}
		if _, err := d.dialer(t).Dial(t.Context(), d.quic); !errors.Is(err, ErrRefused) {
			t.Errorf("a QUIC connection too many: %v, want ErrRefused", err)
		}
		if m := d.edge.Metrics(); m.Pending != 3 || m.Open != 3 || m.Refused < 2 {
			t.Errorf("metrics %+v", m)
		}
	})
}

// TestSignInMakesRoom: who has signed in is no stranger. Nobody was refused
// before: the packet of a refused one that comes again is a stranger, too.
func TestSignInMakesRoom(t *testing.T) {
	forEachDial(t, func(t *testing.T, dial func(*door, testing.TB) Conn) {
		d, servers := threeStrangers(t, dial)
		servers[0].SignedIn()
		mustWrite(t, dial(d, t), "hello")
		<-d.conns
	})
}

// threeStrangers opens a door that lets in three strangers of one address, and
// lets them in.
func threeStrangers(t *testing.T, dial func(*door, testing.TB) Conn) (d *door, servers []ClientConn) {
	t.Helper()
	d = openDoor(t, EdgeOptions{MaxPendingPerPrefix: 3})
	for range 3 {
		mustWrite(t, dial(d, t), "hello")
		servers = append(servers, <-d.conns)
	}
	return d, servers
}

// TestPlacesComeBack: however a connection ends, its place is free again.
func TestPlacesComeBack(t *testing.T) {
	served := make(chan struct{})
	d := serveDoor(t, EdgeOptions{}, func(c ClientConn) {
		_, _ = c.ReadFrame()
		served <- struct{}{}
	})
	for _, dial := range dials {
		client := dial(d, t)
		mustWrite(t, client, "hello")
		<-served
		if err := second(client.ReadFrame()); err == nil {
			t.Error("still open after serve returned")
		}
		_ = client.Close(CloseNormal, "")
	}
	if err := d.edge.Close(); err != nil {
		t.Fatal(err)
	}
	if m := d.edge.Metrics(); m.Open != 0 || m.Pending != 0 || m.Accepted != 2 {
		t.Errorf("metrics %+v after Close", m)
	}
}

// TestEdgeCloses: clients are told to go elsewhere, and nobody gets in after it.
func TestEdgeCloses(t *testing.T) {
	forEachDial(t, func(t *testing.T, dial func(*door, testing.TB) Conn) {
		serving := make(chan struct{})
		d := serveDoor(t, EdgeOptions{}, func(c ClientConn) {
			close(serving)
			for err := error(nil); err == nil; {
				_, err = c.ReadFrame()
			}
		})
		client := dial(d, t)
		mustWrite(t, client, "hello")
		<-serving
		var wg sync.WaitGroup
		wg.Go(func() { _ = d.edge.Close() })
		var told *CloseError
		if err := second(client.ReadFrame()); !errors.As(err, &told) || told.Code != CloseGoingAway {
			t.Errorf("the client sees %v, want going_away", err)
		}
		_ = client.Close(CloseNormal, "")
		wg.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := d.dialer(t).Dial(ctx, d.quic); err == nil {
			t.Error("a QUIC connection after Close")
		}
		if conn, err := DialWebSocket(ctx, d.http, nil); err == nil {
			if _, err := conn.ReadFrame(); err == nil {
				t.Error("a WebSocket after Close")
			}
		}
	})
}

func TestMaxConns(t *testing.T) {
	d := openDoor(t, EdgeOptions{MaxConns: 1})
	mustWrite(t, d.dialWS(t), "hello")
	(<-d.conns).SignedIn()
	client := d.dialWS(t)
	var told *CloseError
	if err := second(client.ReadFrame()); !errors.As(err, &told) || told.Code != CloseOverloaded {
		t.Errorf("one more than allowed sees %v, want overloaded", err)
	}
}

func TestEdgeServesMemory(t *testing.T) {
	n := NewNetwork(nil)
	l, err := n.Listen("n1/clients")
	if err != nil {
		t.Fatal(err)
	}
	edge := NewEdge(func(c ClientConn) {
		if frame, err := c.ReadFrame(); err == nil {
			_ = c.WriteFrames([][]byte{frame})
		}
	}, EdgeOptions{})
	if err := edge.Serve(l); err != nil {
		t.Fatal(err)
	}
	client, err := n.Dial(t.Context(), "client-1", "n1/clients")
	if err != nil {
		t.Fatal(err)
	}
	mustWrite(t, client, "echo")
	wantFrame(t, client, "echo")
	if err := edge.Close(); err != nil {
		t.Fatal(err)
	}
	if err := edge.Serve(l); !errors.Is(err, ErrClosed) {
		t.Errorf("serving after Close: %v", err)
	}
}

// TestSlowHeader: an HTTP request whose header does not end is ended by us.
func TestSlowHeader(t *testing.T) {
	d := openDoor(t, EdgeOptions{SignInTimeout: 100 * time.Millisecond})
	raw, err := net.Dial("tcp", strings.TrimPrefix(d.http, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = raw.Close() }()
	if _, err := fmt.Fprint(raw, "GET /ws HTTP/1.1\r\nHost: n1\r\nX-Slow: "); err != nil {
		t.Fatal(err)
	}
	_ = raw.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := raw.Read(make([]byte, 1)); err == nil || CodeFor(err) == CloseTimeout {
		t.Errorf("the server waits for the rest: %v", err)
	}
}

// TestTooManyHTTPConnections: who only connects takes a place too.
func TestTooManyHTTPConnections(t *testing.T) {
	d := openDoor(t, EdgeOptions{MaxPendingPerPrefix: 2})
	addr := strings.TrimPrefix(d.http, "http://")
	var open []net.Conn
	defer func() {
		for _, raw := range open {
			_ = raw.Close()
		}
	}()
	for range 3 {
		raw, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, raw)
	}
	_ = open[2].SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := open[2].Read(make([]byte, 1)); err == nil || CodeFor(err) == CloseTimeout {
		t.Errorf("the third is open: %v", err)
	}
}

func TestHTTPRefusals(t *testing.T) {
	d := openDoor(t, EdgeOptions{})
	for _, tc := range []struct {
		name   string
		header http.Header
		want   int
	}{
		{"no WebSocket", nil, http.StatusUpgradeRequired},
		{"no subprotocol", wsHeader(""), http.StatusBadRequest},
		{"another subprotocol", wsHeader("quorate.v2, lc.json.3"), http.StatusBadRequest},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.http+"/ws", nil)
		if err != nil {
			t.Fatal(err)
		}
		if tc.header != nil {
			req.Header = tc.header
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != tc.want {
			t.Errorf("%s: %s, want %d", tc.name, resp.Status, tc.want)
		}
	}
	if m := d.edge.Metrics(); m.Pending != 0 {
		t.Errorf("%d places taken by requests that were refused", m.Pending)
	}
}

func wsHeader(subprotocol string) http.Header {
	h := http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
		"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
	}
	if subprotocol != "" {
		h.Set("Sec-Websocket-Protocol", subprotocol)
	}
	return h
}

func TestWebSocketOverTLS(t *testing.T) {
	ca := newTestCA(t, "c1")
	cert, err := ca.IssueServer([]string{"127.0.0.1"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	edge := NewEdge(func(c ClientConn) {
		if frame, err := c.ReadFrame(); err == nil {
			_ = c.WriteFrames([][]byte{frame})
		}
	}, EdgeOptions{})
	server := httptest.NewUnstartedServer(edge.WebSocket())
	edge.GuardHTTP(server.Config)
	server.TLS = ServerTLS(func() *KeyPair { return cert })
	// httptest puts its own certificate before ours, so serve with ours.
	server.Listener = tls.NewListener(server.Listener, server.TLS)
	server.Start()
	defer server.Close()
	defer func() { _ = edge.Close() }()
	url := strings.Replace(server.URL, "http://", "https://", 1)
	conn, err := DialWebSocket(t.Context(), url, ClientTLS(ca.Pool()))
	if err != nil {
		t.Fatal(err)
	}
	mustWrite(t, conn, "echo")
	wantFrame(t, conn, "echo")
	_ = conn.Close(CloseNormal, "")
	if _, err := DialWebSocket(t.Context(), url, ClientTLS(newTestCA(t, "c1").Pool())); err == nil {
		t.Error("a client that does not trust the authority got in")
	}
}

func TestPrefixes(t *testing.T) {
	for _, tc := range []struct{ remote, want string }{
		{"192.0.2.7:1234", "192.0.2.7/32"},
		{"[::ffff:192.0.2.7]:1234", "192.0.2.7/32"},
		{"[2001:db8:1:2:3:4:5:6]:1", "2001:db8:1:2::/64"},
		{"[fe80::1%eth0]:1", "fe80::/64"},
		{"client-1", "invalid Prefix"},
	} {
		if got := prefixOf(tc.remote).String(); got != tc.want {
			t.Errorf("prefixOf(%s) = %s, want %s", tc.remote, got, tc.want)
		}
	}
}

func TestGate(t *testing.T) {
	g := newGate(4, 2)
	enter := func(remote string) *ticket {
		tk, _ := g.enter(remote)
		return tk
	}
	a := enter("192.0.2.1:1")
	enter("192.0.2.1:2")
	if enter("192.0.2.1:3") != nil {
		t.Error("a third from one address")
	}
	enter("[2001:db8::1]:1")
	if enter("[2001:db8::2]:1") == nil || enter("192.0.2.9:1") != nil {
		t.Error("want two from a /64, and four in all")
	}
	if !g.busy() {
		t.Error("a full gate is not busy")
	}
	a.leave()
	a.leave() // counts once
	if g.pending() != 3 || enter("192.0.2.1:4") == nil || enter("192.0.2.9:1") != nil {
		t.Errorf("after one left: %d", g.pending())
	}
}
