package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/quic-go/quic-go"
)

// hostile is a client that writes what it likes.
type hostile struct {
	write func([]byte) error
	end   func() // ends the writing, as politely as the transport can
	code  func() CloseCode
}

// hostiles connect to a door past what this package's dialers allow.
var hostiles = map[string]func(testing.TB, *door) hostile{
	"websocket": func(t testing.TB, d *door) hostile {
		raw := rawWS(t, d)
		return hostile{
			write: func(b []byte) error { return raw.WriteMessage(websocket.BinaryMessage, b) },
			end:   func() { _ = raw.NetConn().(*net.TCPConn).CloseWrite() },
			code: func() CloseCode {
				for {
					_, _, err := raw.ReadMessage()
					if closed, ok := errors.AsType[*websocket.CloseError](err); ok {
						return codeOfStatus(closed.Code)
					}
					if err != nil {
						return closeEnd
					}
				}
			},
		}
	},
	"quic": func(t testing.TB, d *door) hostile {
		raw := rawQUIC(t, d, Protocol)
		stream, err := raw.OpenStreamSync(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return hostile{
			write: func(b []byte) error {
				_, err := stream.Write(b)
				return err
			},
			end: func() { _ = stream.Close() },
			code: func() CloseCode {
				_, _ = io.Copy(io.Discard, stream)
				_ = stream.Close()
				<-raw.Context().Done()
				if closed, ok := errors.AsType[*quic.ApplicationError](context.Cause(raw.Context())); ok {
					return CloseCode(closed.ErrorCode)
				}
				return closeEnd
			},
		}
	},
}

func rawWS(t testing.TB, d *door) *websocket.Conn {
	t.Helper()
	dialer := websocket.Dialer{Subprotocols: []string{Subprotocol}}
	raw, resp, err := dialer.DialContext(t.Context(), strings.Replace(d.http, "http", "ws", 1)+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	t.Cleanup(func() { _ = raw.Close() })
	return raw
}

func rawQUIC(t testing.TB, d *door, protocol string) *quic.Conn {
	t.Helper()
	raw, err := dialRawQUIC(t, d, protocol)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = raw.CloseWithError(0, "") })
	return raw
}

func dialRawQUIC(t testing.TB, d *door, protocol string) (*quic.Conn, error) {
	t.Helper()
	config := ClientTLS(d.ca.Pool())
	config.NextProtos = []string{protocol}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	return quic.DialAddr(ctx, d.quic, config, nil)
}

// readingDoor serves by reading frames and closing with the code for what goes
// wrong, as a node does; ends gets the errors.
func readingDoor(t testing.TB) (*door, chan error) {
	ends := make(chan error, 100)
	return serveDoor(t, EdgeOptions{SignInTimeout: 2 * time.Second}, func(c ClientConn) {
		for {
			if _, err := c.ReadFrame(); err != nil {
				ends <- err
				_ = c.Close(CodeFor(err), "")
				return
			}
		}
	}), ends
}

// TestHostileBytes: what is no frame ends the connection with a code that says
// so.
func TestHostileBytes(t *testing.T) {
	d, ends := readingDoor(t)
	for name, dial := range hostiles {
		for _, tc := range []struct {
			name  string
			bytes []byte
			end   bool // the client stops behind them
			want  error
			code  CloseCode
		}{
			{"oversized", append(binary.AppendUvarint(nil, 3<<10), make([]byte, 3<<10)...), false, ErrFrameTooLarge, CloseTooLarge},
			{"announced only", binary.AppendUvarint(nil, 1<<40), false, ErrMalformed, CloseProtocol},
			{"endless length", bytes.Repeat([]byte{0xff}, 64), false, ErrMalformed, CloseProtocol},
			{"empty frame", []byte{1, 'a', 0}, false, ErrMalformed, CloseProtocol},
			{"truncated", []byte{100, 'a', 'b'}, true, nil, 0},
		} {
			t.Run(name+" "+tc.name, func(t *testing.T) {
				client := dial(t, d)
				if err := client.write(tc.bytes); err != nil {
					t.Fatal(err)
				}
				if tc.end {
					client.end()
				}
				err := <-ends
				if err == nil || tc.want != nil && !errors.Is(err, tc.want) {
					t.Errorf("the server saw %v, want %v", err, tc.want)
				}
				if got := client.code(); tc.want != nil && got != tc.code {
					t.Errorf("the client saw %v, want %v", got, tc.code)
				}
			})
		}
	}
}

// TestRandomBytes: noise of any kind ends each connection and nothing else.
func TestRandomBytes(t *testing.T) {
	d, ends := readingDoor(t)
	for name, dial := range hostiles {
		for seed := range uint64(20) {
			rng := rand.New(rand.NewPCG(seed, 7))
			client := dial(t, d)
			noise := make([]byte, rng.IntN(6000))
			for i := range noise {
				noise[i] = byte(rng.Uint32())
			}
			_ = client.write(noise)
			client.end()
			if err := <-ends; err == nil {
				t.Errorf("%s, seed %d: no error", name, seed)
			}
		}
	}
	// And on the socket itself, where it is not even WebSocket.
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 8))
		raw := rawWS(t, d)
		noise := make([]byte, 1+rng.IntN(3000))
		for i := range noise {
			noise[i] = byte(rng.Uint32())
		}
		_, _ = raw.NetConn().Write(noise)
		_ = raw.NetConn().(*net.TCPConn).CloseWrite()
		if err := <-ends; err == nil {
			t.Errorf("seed %d: no error", seed)
		}
	}
	// The door is as open as before.
	mustWrite(t, d.dialWS(t), "hello")
	mustWrite(t, d.dialQUIC(t), "hello")
}

// TestWebSocketMessages: frames stay inside messages, messages are binary and
// have something in them.
func TestWebSocketMessages(t *testing.T) {
	d, ends := readingDoor(t)
	for _, tc := range []struct {
		name string
		send func(*websocket.Conn)
	}{
		{"a text message", func(c *websocket.Conn) { _ = c.WriteMessage(websocket.TextMessage, stream("a")) }},
		{"an empty message", func(c *websocket.Conn) { _ = c.WriteMessage(websocket.BinaryMessage, nil) }},
		{"a frame over two messages", func(c *websocket.Conn) {
			_ = c.WriteMessage(websocket.BinaryMessage, []byte{2, 'a'})
			_ = c.WriteMessage(websocket.BinaryMessage, []byte{'b'})
		}},
		{"a length over two messages", func(c *websocket.Conn) {
			_ = c.WriteMessage(websocket.BinaryMessage, []byte{0x80})
			_ = c.WriteMessage(websocket.BinaryMessage, []byte{1})
		}},
		{"without a mask", func(c *websocket.Conn) { _, _ = c.NetConn().Write([]byte{0x82, 2, 1, 'a'}) }},
		{"compressed", func(c *websocket.Conn) { _, _ = c.NetConn().Write([]byte{0xc2, 0x80, 0, 0, 0, 0}) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			raw := rawWS(t, d)
			tc.send(raw)
			if err := <-ends; !errors.Is(err, ErrMalformed) {
				t.Errorf("the server saw %v, want ErrMalformed", err)
			}
			_, _, err := raw.ReadMessage()
			if !websocket.IsCloseError(err, websocket.CloseProtocolError) {
				t.Errorf("the client saw %v, want status 1002", err)
			}
		})
	}
}

// TestCloseReachesWhoIsSending: who has sent much more than was read learns why
// it is closed, and not only that the connection was reset.
func TestCloseReachesWhoIsSending(t *testing.T) {
	d, ends := readingDoor(t)
	raw := rawWS(t, d)
	if err := raw.WriteMessage(websocket.BinaryMessage, append([]byte{0}, make([]byte, 100<<10)...)); err != nil {
		t.Fatal(err)
	}
	if err := <-ends; !errors.Is(err, ErrMalformed) {
		t.Fatalf("the server saw %v, want ErrMalformed", err)
	}
	if _, _, err := raw.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseProtocolError) {
		t.Errorf("the client saw %v, want status 1002", err)
	}
}

// TestFragments: a message in pieces is one message.
func TestFragments(t *testing.T) {
	d := openDoor(t, EdgeOptions{})
	raw := rawWS(t, d)
	w, err := raw.NextWriter(websocket.BinaryMessage)
	if err != nil {
		t.Fatal(err)
	}
	all := stream("hello", strings.Repeat("x", 2000))
	for _, b := range all {
		if _, err := w.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	server := <-d.conns
	wantFrame(t, server, "hello")
	wantFrame(t, server, strings.Repeat("x", 2000))
}

// TestPingFlood: pings are answered, not each of them, and frames go on.
func TestPingFlood(t *testing.T) {
	d := openDoor(t, EdgeOptions{})
	raw := rawWS(t, d)
	pongs := 0
	raw.SetPongHandler(func(string) error { pongs++; return nil })
	for range 1000 {
		if err := raw.WriteControl(websocket.PingMessage, []byte("p"), time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	if err := raw.WriteMessage(websocket.BinaryMessage, stream("hello")); err != nil {
		t.Fatal(err)
	}
	server := <-d.conns
	wantFrame(t, server, "hello")
	mustWrite(t, server, "back")
	if _, got, err := raw.ReadMessage(); err != nil || !bytes.Equal(got, stream("back")) {
		t.Fatalf("read %q, %v", got, err)
	}
	if pongs == 0 || pongs > 10 {
		t.Errorf("%d pongs for 1000 pings", pongs)
	}
}

func TestQUICRefuses(t *testing.T) {
	d := openDoor(t, EdgeOptions{})
	t.Run("another protocol", func(t *testing.T) {
		if _, err := dialRawQUIC(t, d, "h3"); err == nil {
			t.Error("got a connection")
		}
	})
	t.Run("another authority", func(t *testing.T) {
		dialer, err := NewQUICDialer(ClientTLS(newTestCA(t, "c1").Pool()))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = dialer.Close() }()
		if _, err := dialer.Dial(t.Context(), d.quic); err == nil {
			t.Error("got a connection")
		}
	})
	t.Run("more streams", func(t *testing.T) {
		raw := rawQUIC(t, d, Protocol)
		first, err := raw.OpenStream()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := first.Write(stream("hello")); err != nil {
			t.Fatal(err)
		}
		server := <-d.conns
		wantFrame(t, server, "hello")
		if _, err := raw.OpenStream(); err == nil {
			t.Error("got a second stream")
		}
		if _, err := raw.OpenUniStream(); err == nil {
			t.Error("got a unidirectional stream")
		}
		// Nor does the end of the first make room.
		_ = first.Close()
		first.CancelRead(0)
		_, _ = server.ReadFrame() // sees the end and ends its half
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := raw.OpenStreamSync(ctx); err == nil {
			t.Error("got a second stream after the first")
		}
	})
}

// TestQUICWithoutStream: who connects and says nothing is sent away.
func TestQUICWithoutStream(t *testing.T) {
	d := openDoor(t, EdgeOptions{SignInTimeout: time.Second})
	raw := rawQUIC(t, d, Protocol)
	<-raw.Context().Done()
	closed, ok := errors.AsType[*quic.ApplicationError](context.Cause(raw.Context()))
	if !ok || CloseCode(closed.ErrorCode) != CloseTimeout {
		t.Errorf("ended with %v, want timeout", context.Cause(raw.Context()))
	}
}

// TestQUICRetry: above the rate, clients must prove their address, and do.
func TestQUICRetry(t *testing.T) {
	d := openDoor(t, EdgeOptions{HandshakeRate: 1})
	for range 3 {
		mustWrite(t, d.dialQUIC(t), "hello")
		wantFrame(t, <-d.conns, "hello")
	}
	if m := d.edge.Metrics(); m.Retries == 0 {
		t.Error("three handshakes at a rate of 1 a second, and no address was to be proved")
	}
}

// TestQUICSmallWindows: a stranger can not make a node hold more than the first
// window, however much it sends.
func TestQUICSmallWindows(t *testing.T) {
	d := openDoor(t, EdgeOptions{})
	client := d.dialQUIC(t)
	_ = client.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
	sent := 0
	var err error
	for err == nil && sent < 10<<20 {
		err = client.WriteFrames([][]byte{make([]byte, 1<<10)})
		sent += 1 << 10
	}
	if CodeFor(err) != CloseTimeout || sent > serverConnWindow+8<<10 {
		t.Errorf("sent %d bytes to a node that reads nothing: %v", sent, err)
	}
}

// TestQUICRestart: a client of a node that was killed and is back learns that
// its connection is dead as soon as it says something, not after the idle
// timeout: the new process has the old one's key.
func TestQUICRestart(t *testing.T) {
	ca := newTestCA(t, "c1")
	node, err := ca.IssueNode("n1", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	start := func(addr string) *door {
		d := &door{ca: ca, node: node, conns: make(chan ClientConn)}
		d.edge = NewEdge(func(c ClientConn) {
			d.conns <- c
			_, _ = c.ReadFrame()
		}, EdgeOptions{})
		d.quic = d.listenQUIC(t, addr)
		return d
	}
	before := start("127.0.0.1:0")
	client := before.dialQUIC(t)
	mustWrite(t, client, "hello")
	<-before.conns

	// The socket goes away under the old edge: kill -9 says nothing to anybody.
	_ = before.packets.Close()
	after := start(before.quic)
	defer func() { _ = after.edge.Close() }()
	begin := time.Now()
	mustWrite(t, client, "ping")
	if err := second(client.ReadFrame()); !errors.Is(err, ErrLost) {
		t.Errorf("the client sees %v, want ErrLost", err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	var wg sync.WaitGroup
	wg.Go(func() { _ = before.edge.Close() })
	wg.Wait()
}

// TestServerTLSVersion: ServerTLS does not go below 1.3, for HTTPS too.
func TestServerTLSVersion(t *testing.T) {
	cert, err := newTestCA(t, "c1").IssueServer([]string{"127.0.0.1"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", ServerTLS(func() *KeyPair { return cert }))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		if raw, err := l.Accept(); err == nil {
			_ = raw.(*tls.Conn).HandshakeContext(context.Background())
			_ = raw.Close()
		}
	})
	config := &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12} //nolint:gosec // it is to fail before that
	if raw, err := tls.Dial("tcp", l.Addr().String(), config); err == nil {
		_ = raw.Close()
		t.Error("a client of TLS 1.2 got in")
	}
}
