package transport

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// script is the server's end of a socket on which the client has said all it
// will.
type script struct {
	*bytes.Reader
	written bytes.Buffer
}

func (s *script) Write(p []byte) (int, error)      { return s.written.Write(p) }
func (s *script) Close() error                     { return nil }
func (s *script) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (s *script) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// hijacked is the response of a request whose socket is a script.
type hijacked struct {
	http.ResponseWriter
	script *script
}

func (h hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	none := bufio.NewReader(bytes.NewReader(nil))
	return h.script, bufio.NewReadWriter(none, bufio.NewWriter(h.script)), nil
}

// FuzzWebSocket: whatever follows the handshake, the server does not panic,
// returns no frame over the limit, and ends.
func FuzzWebSocket(f *testing.F) {
	f.Add([]byte{0x82, 0x83, 1, 2, 3, 4, 1 ^ 2, 'a' ^ 2, 'b' ^ 3})
	f.Add([]byte{0x89, 0x80, 0, 0, 0, 0, 0x88, 0x82, 0, 0, 0, 0, 3, 0xe8})
	f.Add([]byte{0x02, 0x81, 0, 0, 0, 0, 1, 0x80, 0x81, 0, 0, 0, 0, 'x'})
	f.Add([]byte{0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, input []byte) {
		req := httptest.NewRequest(http.MethodGet, "/ws", nil)
		req.Header = wsHeader(Subprotocol)
		upgrader := websocket.Upgrader{ReadBufferSize: wsReadBuffer, WriteBufferSize: wsWriteBuffer, Subprotocols: []string{Subprotocol}}
		raw, err := upgrader.Upgrade(hijacked{httptest.NewRecorder(), &script{Reader: bytes.NewReader(input)}}, req, nil)
		if err != nil {
			t.Fatal(err)
		}
		conn := newWSConn(raw, 0)
		conn.SetReadLimit(100)
		total := 0
		for {
			frame, err := conn.ReadFrame()
			if err != nil {
				break
			}
			total += len(frame)
			if len(frame) == 0 || len(frame) > 100 || total > len(input) {
				t.Fatalf("a frame of %d bytes, %d in all, of %d that came", len(frame), total, len(input))
			}
		}
		if err := conn.Close(CloseNormal, ""); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzEndRecord: a code and a reason, or malformed.
func FuzzEndRecord(f *testing.F) {
	f.Add([]byte("\x02going"))
	f.Add([]byte{})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, rest []byte) {
		told, err := parseEnd(rest)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("%v, want ErrMalformed", err)
			}
			return
		}
		if len(told.Reason) > MaxReasonBytes {
			t.Fatalf("a reason of %d bytes", len(told.Reason))
		}
	})
}

func TestCutReason(t *testing.T) {
	long := ""
	for range 50 {
		long += "ü€x"
	}
	for end := range len(long) {
		got := cutReason(long[end:])
		if len(got) > MaxReasonBytes || len(long)-end <= MaxReasonBytes && got != long[end:] {
			t.Fatalf("of %d bytes %d are left", len(long)-end, len(got))
		}
		if utf8.ValidString(long[end:]) && !utf8.ValidString(got) {
			t.Fatalf("a character was cut: %q", got)
		}
	}
}

// TestStatuses: each code of ours crosses a WebSocket, and each status means
// something.
func TestStatuses(t *testing.T) {
	for code := range closeEnd {
		if got := codeOfStatus(wsStatus(code)); got != code {
			t.Errorf("%v arrives as %v", code, got)
		}
		if code.String() == "" {
			t.Errorf("code %d has no name", code)
		}
	}
	for status, want := range map[int]CloseCode{
		1005: CloseNormal, 1012: CloseGoingAway, 1013: CloseOverloaded, 1003: CloseProtocol, 1007: CloseProtocol, 5000: CloseProtocol,
	} {
		if got := codeOfStatus(status); got != want {
			t.Errorf("status %d is %v, want %v", status, got, want)
		}
	}
}
