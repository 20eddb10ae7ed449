package transport

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/quorate/quorate/virtual"
)

// leanDoor is an edge with a listener for LeanMessage sockets.
type leanDoor struct {
	edge *Edge
	url  string
}

func openLeanDoor(t *testing.T, opts EdgeOptions, serve func(*LeanSocket)) *leanDoor {
	t.Helper()
	d := &leanDoor{edge: NewEdge(func(ClientConn) {}, opts)}
	server := httptest.NewUnstartedServer(d.edge.LeanMessage(serve))
	d.edge.GuardHTTP(server.Config)
	server.Start()
	t.Cleanup(func() {
		_ = d.edge.Close()
		server.Close()
	})
	d.url = "ws" + strings.TrimPrefix(server.URL, "http")
	return d
}

func (d *leanDoor) dial(t *testing.T, query string, subprotocols ...string) *websocket.Conn {
	t.Helper()
	conn, err := d.try(query, subprotocols...)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// leanRefusalError is what a door answers instead of a WebSocket.
type leanRefusalError struct {
	status int
	text   string
}

func (r *leanRefusalError) Error() string { return fmt.Sprintf("%d %s", r.status, r.text) }

func (d *leanDoor) try(query string, subprotocols ...string) (*websocket.Conn, error) {
	dialer := websocket.Dialer{Subprotocols: subprotocols}
	conn, resp, err := dialer.Dial(d.url+query, nil)
	if resp == nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if err != nil {
		text, _ := io.ReadAll(resp.Body)
		return nil, &leanRefusalError{resp.StatusCode, string(text)}
	}
	return conn, nil
}

// echoLean writes back what it reads, and closes as a door does.
func echoLean(s *LeanSocket) {
	for {
		m, err := s.ReadMessage()
		switch {
		case errors.Is(err, ErrFrameTooLarge):
			_ = s.Close(4109, "too long")
			return
		case errors.Is(err, ErrMalformed):
			_ = s.Close(4114, "not understood")
			return
		case err != nil:
			return
		}
		if err := s.WriteMessages([]LeanMessage{{Head: bytes.Clone(m)}}); err != nil {
			return
		}
	}
}

func TestTheOfferedSubprotocolIsEchoed(t *testing.T) {
	agreed := make(chan string, 1)
	d := openLeanDoor(t, EdgeOptions{}, func(s *LeanSocket) { agreed <- s.Subprotocol() })
	for _, c := range []struct {
		query       string
		offered     []string
		want, spoke string
	}{
		{"", []string{LeanProtobuf3}, LeanProtobuf3, LeanProtobuf3},
		{"", []string{LeanProtobuf1}, LeanProtobuf1, LeanProtobuf1},
		{"", []string{LeanBase643}, LeanBase643, LeanBase643},
		{"", []string{LeanBase641}, LeanBase641, LeanBase641},
		{"", []string{"lc.msgpack.1", LeanProtobuf1}, LeanProtobuf1, LeanProtobuf1},
		{"?subprotocol=lc.proto2base64.1", nil, "", LeanBase641},
		{"", nil, "", LeanProtobuf3},
	} {
		conn := d.dial(t, c.query, c.offered...)
		if got := conn.Subprotocol(); got != c.want {
			t.Errorf("offered %v%s: the answer says %q, want %q", c.offered, c.query, got, c.want)
		}
		if got := <-agreed; got != c.spoke {
			t.Errorf("offered %v%s: the socket speaks %q, want %q", c.offered, c.query, got, c.spoke)
		}
	}
}

func TestUnknownSubprotocolIsRefusedWithAWord(t *testing.T) {
	d := openLeanDoor(t, EdgeOptions{}, func(*LeanSocket) { t.Error("served") })
	for query, offered := range map[string][]string{"": {"lc.json.3"}, "?subprotocol=lc.json.3": nil} {
		_, err := d.try(query, offered...)
		if r, ok := errors.AsType[*leanRefusalError](err); !ok || r.status != http.StatusBadRequest || !strings.Contains(r.text, "lc.protobuf2.3") {
			t.Errorf("%v: %v", offered, err)
		}
	}
}

func TestLeanMessagesOfAllSizesGoBothWays(t *testing.T) {
	d := openLeanDoor(t, EdgeOptions{}, echoLean)
	for _, p := range []string{LeanProtobuf3, LeanBase643} {
		conn := d.dial(t, "", p)
		for _, n := range []int{0, 1, 125, 126, 127, LeanHelloBytes} {
			sent := bytes.Repeat([]byte{0xfe}, n)
			kind, frame := websocket.BinaryMessage, sent
			if p == LeanBase643 {
				kind, frame = websocket.TextMessage, []byte(base64.StdEncoding.EncodeToString(sent))
			}
			if err := conn.WriteMessage(kind, frame); err != nil {
				t.Fatal(err)
			}
			got, back, err := conn.ReadMessage()
			if err != nil || got != kind || !bytes.Equal(back, frame) {
				t.Fatalf("%s: %d bytes came back as %d of kind %d, %v", p, len(frame), len(back), got, err)
			}
		}
	}
}

func TestManyMessagesInOneWriteStayWhole(t *testing.T) {
	sizes := []int{0, 1, 125, 126, 65535, 65536, 300_000, 3}
	d := openLeanDoor(t, EdgeOptions{}, func(s *LeanSocket) {
		var all []LeanMessage
		for i, n := range sizes {
			all = append(all, LeanMessage{Head: []byte{byte(i)}, Body: bytes.Repeat([]byte{byte(i)}, n)})
		}
		if err := s.WriteMessages(all); err != nil {
			t.Error(err)
		}
		_, _ = s.ReadMessage()
	})
	for _, p := range []string{LeanProtobuf3, LeanBase643} {
		conn := d.dial(t, "", p)
		for i, n := range sizes {
			_, got, err := conn.ReadMessage()
			if p == LeanBase643 && err == nil {
				got, err = base64.StdEncoding.DecodeString(string(got))
			}
			if err != nil || len(got) != n+1 || len(bytes.Trim(got, string([]byte{byte(i)}))) != 0 {
				t.Fatalf("%s: message %d has %d bytes, %v; want %d", p, i, len(got), err, n+1)
			}
		}
	}
}

func TestBrokenRulesCloseWithTheDialectsStatus(t *testing.T) {
	d := openLeanDoor(t, EdgeOptions{}, echoLean)
	for name, c := range map[string]struct {
		subprotocol string
		kind        int
		message     []byte
		want        int
	}{
		"a long message":           {LeanProtobuf3, websocket.BinaryMessage, make([]byte, LeanHelloBytes+1), 4109},
		"a very long message":      {LeanProtobuf3, websocket.BinaryMessage, make([]byte, 1<<20), 4109},
		"a long message in base64": {LeanBase643, websocket.TextMessage, []byte(base64.StdEncoding.EncodeToString(make([]byte, LeanHelloBytes+1))), 4109},
		"text where bytes are due": {LeanProtobuf3, websocket.TextMessage, []byte("{}"), 4114},
		"bytes where text is due":  {LeanBase643, websocket.BinaryMessage, []byte{1}, 4114},
		"no base64":                {LeanBase643, websocket.TextMessage, []byte("***"), 4114},
	} {
		t.Run(name, func(t *testing.T) {
			conn := d.dial(t, "", c.subprotocol)
			if err := conn.WriteMessage(c.kind, c.message); err != nil {
				t.Fatal(err)
			}
			_, _, err := conn.ReadMessage()
			closed, ok := errors.AsType[*websocket.CloseError](err)
			if !ok || closed.Code != c.want || closed.Text == "" {
				t.Errorf("the socket ends with %v, want status %d and a word", err, c.want)
			}
		})
	}
}

func TestOnlyWhoHasSignedInSendsMore(t *testing.T) {
	d := openLeanDoor(t, EdgeOptions{}, func(s *LeanSocket) {
		s.SignedIn()
		echoLean(s)
	})
	conn := d.dial(t, "", LeanProtobuf3)
	for _, n := range []int{LeanCommandBytes, LeanCommandBytes + 1} {
		if err := conn.WriteMessage(websocket.BinaryMessage, make([]byte, n)); err != nil {
			t.Fatal(err)
		}
	}
	if _, m, err := conn.ReadMessage(); err != nil || len(m) != LeanCommandBytes {
		t.Errorf("the largest message: %d bytes, %v", len(m), err)
	}
	if _, _, err := conn.ReadMessage(); !websocket.IsCloseError(err, 4109) {
		t.Errorf("a larger one: %v", err)
	}
}

// TestALostSocketIsNoMalformedOne: who is gone without a word has broken no rule.
func TestALostSocketIsNoMalformedOne(t *testing.T) {
	ended := make(chan error, 1)
	d := openLeanDoor(t, EdgeOptions{}, func(s *LeanSocket) {
		_, err := s.ReadMessage()
		ended <- err
	})
	if err := d.dial(t, "", LeanProtobuf3).NetConn().Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, ErrLost) || errors.Is(err, ErrMalformed) {
		t.Errorf("the read ends with %v, want ErrLost", err)
	}
}

func TestPongsDoNotBreakIntoALargeWrite(t *testing.T) {
	const size = 8 << 20
	begun := make(chan struct{})
	d := openLeanDoor(t, EdgeOptions{}, func(s *LeanSocket) {
		var writing sync.WaitGroup
		writing.Go(func() {
			close(begun)
			for i := range 4 {
				if err := s.WriteMessages([]LeanMessage{{Head: bytes.Repeat([]byte{byte(i)}, size)}}); err != nil {
					t.Error(err)
				}
			}
		})
		_, _ = s.ReadMessage()
		writing.Wait()
	})
	conn := d.dial(t, "", LeanProtobuf3)
	pongs := make(chan string, 100)
	conn.SetPongHandler(func(data string) error {
		pongs <- data
		return nil
	})
	<-begun
	if err := conn.WriteControl(websocket.PingMessage, []byte("there?"), time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		_, m, err := conn.ReadMessage()
		if err != nil || len(m) != size || len(bytes.Trim(m, string([]byte{byte(i)}))) != 0 {
			t.Fatalf("message %d has %d bytes, %v", i, len(m), err)
		}
	}
	_ = conn.WriteMessage(websocket.BinaryMessage, nil)
	_, _, _ = conn.ReadMessage() // until it is closed
	if len(pongs) != 1 || <-pongs != "there?" {
		t.Errorf("%d pongs", len(pongs))
	}
}

func TestStrangersHavePlacesUntilTheySignIn(t *testing.T) {
	signIn, signedIn := make(chan struct{}), make(chan struct{}, 3)
	d := openLeanDoor(t, EdgeOptions{MaxPendingPerPrefix: 2}, func(s *LeanSocket) { // one of them is the HTTP connection's
		<-signIn
		s.SignedIn()
		signedIn <- struct{}{}
		_, _ = s.ReadMessage()
	})
	d.dial(t, "", LeanProtobuf3)
	d.dial(t, "", LeanProtobuf3)
	_, err := d.try("", LeanProtobuf3)
	if r, ok := errors.AsType[*leanRefusalError](err); !ok || r.status != http.StatusServiceUnavailable {
		t.Fatalf("a third stranger: %v", err)
	}
	signIn <- struct{}{}
	<-signedIn
	d.dial(t, "", LeanProtobuf3)
	close(signIn)
}

func TestEdgeSendsLeanSocketsAway(t *testing.T) {
	d := openLeanDoor(t, EdgeOptions{}, echoLean)
	conn := d.dial(t, "", LeanProtobuf3)
	if err := conn.WriteMessage(websocket.BinaryMessage, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := conn.ReadMessage(); err != nil {
		t.Fatal(err)
	}
	if err := d.edge.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := conn.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseGoingAway) {
		t.Errorf("the socket ends with %v, want going away", err)
	}
}

// pipeListener accepts connections in memory.
type pipeListener chan net.Conn

func (l pipeListener) Accept() (net.Conn, error) {
	if c, ok := <-l; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (l pipeListener) Close() error   { return nil }
func (l pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

func TestSilenceIsBrokenByPings(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		edge := NewEdge(func(ClientConn) {}, EdgeOptions{})
		handler := edge.LeanMessage(func(s *LeanSocket) {
			_ = s.SetSilence(6 * time.Minute)
			_, err := s.ReadMessage()
			ended <- err
		})
		l := make(pipeListener)
		server := &http.Server{Handler: handler}
		var serving sync.WaitGroup
		serving.Go(func() { _ = server.Serve(l) })

		ours, theirs := net.Pipe()
		serving.Go(func() { l <- theirs })
		dialer := websocket.Dialer{
			Subprotocols: []string{LeanProtobuf3},
			NetDial:      func(string, string) (net.Conn, error) { return ours, nil },
		}
		conn, _, err := dialer.Dial("ws://door/", nil) //nolint:bodyclose // of a WebSocket there is none
		if err != nil {
			t.Fatal(err)
		}
		pongs := 0
		conn.SetPongHandler(func(string) error { pongs++; return nil })
		serving.Go(func() { _, _, _ = conn.ReadMessage() })

		for range 10 {
			time.Sleep(3 * time.Minute)
			_ = conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second))
		}
		synctest.Wait()
		select {
		case err := <-ended:
			t.Fatalf("the socket ended between pings: %v", err)
		default:
		}
		if pongs != 10 {
			t.Errorf("%d pongs to 10 pings", pongs)
		}
		time.Sleep(6*time.Minute + time.Second)
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after silence: %v", err)
		}
		_ = conn.Close()
		_ = edge.Close()
		close(l)
		_ = server.Close()
		serving.Wait()
	})
}

func FuzzLeanSocketReadsAnything(f *testing.F) {
	f.Add([]byte{0x82, 0x01, 0x00}, true)
	f.Add([]byte{0x82, 0xfe, 0xff, 0xff, 1, 2, 3, 4}, false)
	f.Fuzz(func(t *testing.T, frames []byte, text bool) {
		done := make(chan struct{})
		edge := NewEdge(func(ClientConn) {}, EdgeOptions{})
		handler := edge.LeanMessage(func(s *LeanSocket) {
			defer close(done)
			for {
				if _, err := s.ReadMessage(); err != nil {
					return
				}
			}
		})
		ours, theirs := net.Pipe()
		l := make(pipeListener, 1)
		l <- theirs
		server := &http.Server{Handler: handler}
		var serving sync.WaitGroup
		serving.Go(func() { _ = server.Serve(l) })
		p := LeanProtobuf3
		if text {
			p = LeanBase641
		}
		_, _ = fmt.Fprintf(ours, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: %s\r\n\r\n", p)
		answers := bufio.NewReader(ours)
		if resp, err := http.ReadResponse(answers, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols { //nolint:bodyclose // it has none
			t.Fatalf("%v, %v", resp, err)
		}
		serving.Go(func() { _, _ = io.Copy(io.Discard, answers) })
		_, _ = ours.Write(frames)
		_ = ours.Close()
		<-done
		_ = edge.Close()
		close(l)
		_ = server.Close()
		serving.Wait()
	})
}
