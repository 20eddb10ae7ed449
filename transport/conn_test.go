package transport

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"
)

// pairs makes the two ends of each kind of connection; each test of Conn's
// contract runs over all of them.
var pairs = map[string]func(t testing.TB) (dialed, accepted Conn){
	"pipe":      func(testing.TB) (Conn, Conn) { return Pipe() },
	"tls":       nodePair,
	"websocket": clientPair((*door).dialWS),
	"quic":      clientPair((*door).dialQUIC),
}

func forEachPair(t *testing.T, test func(t *testing.T, a, b Conn)) {
	for name, pair := range pairs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := pair(t)
			test(t, a, b)
		})
		t.Run(name+" other way", func(t *testing.T) {
			t.Parallel()
			a, b := pair(t)
			test(t, b, a)
		})
	}
}

func mustWrite(t testing.TB, c Conn, frames ...string) {
	t.Helper()
	var batch [][]byte
	for _, f := range frames {
		batch = append(batch, []byte(f))
	}
	if err := c.WriteFrames(batch); err != nil {
		t.Fatalf("write: %v", err)
	}
}

func wantFrame(t testing.TB, c Conn, want string) {
	t.Helper()
	got, err := c.ReadFrame()
	if err != nil || string(got) != want {
		t.Fatalf("read %.40q, %v; want %.40q", got, err, want)
	}
}

func TestConnCarriesFrames(t *testing.T) {
	forEachPair(t, func(t *testing.T, a, b Conn) {
		large := string(bytes.Repeat([]byte("l"), 300<<10))
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := range 50 {
				mustWrite(t, a, fmt.Sprint("a", i), large, "z")
			}
		})
		wg.Go(func() {
			for i := range 50 {
				wantFrame(t, b, fmt.Sprint("a", i))
				wantFrame(t, b, large)
				wantFrame(t, b, "z")
			}
		})
		wg.Wait()
		mustWrite(t, b, "back")
		wantFrame(t, a, "back")
	})
}

// TestCloseTellsWhy: what was written before a Close arrives, then the code and
// the reason do.
func TestCloseTellsWhy(t *testing.T) {
	forEachPair(t, func(t *testing.T, a, b Conn) {
		mustWrite(t, b, "unread by a")
		mustWrite(t, a, "one", "last")
		var wg sync.WaitGroup
		wg.Go(func() { _ = a.Close(CloseReplaced, "logged in elsewhere") })
		wantFrame(t, b, "one")
		wantFrame(t, b, "last")
		_, err := b.ReadFrame()
		var told *CloseError
		if !errors.As(err, &told) || told.Code != CloseReplaced || told.Reason != "logged in elsewhere" {
			t.Errorf("read %v, want the close with its reason", err)
		}
		if err := b.Close(CloseNormal, ""); err != nil {
			t.Errorf("close after the other side: %v", err)
		}
		wg.Wait()
		for what, err := range map[string]error{
			"read": second(a.ReadFrame()), "write": a.WriteFrames([][]byte{{1}}),
			"read after the other's close": second(b.ReadFrame()), "write after the other's close": b.WriteFrames([][]byte{{1}}),
		} {
			if err == nil {
				t.Errorf("%s after both closed: no error", what)
			}
		}
		if err := a.WriteFrames([][]byte{{1}}); !errors.Is(err, ErrClosed) {
			t.Errorf("write after Close: %v, want ErrClosed", err)
		}
	})
}

func second(_ []byte, err error) error { return err }

// TestCloseWakesReader: a read that waits ends when its own side closes, even
// if the other side does not answer.
func TestCloseWakesReader(t *testing.T) {
	forEachPair(t, func(t *testing.T, a, _ Conn) {
		read := make(chan error, 1)
		go func() { read <- second(a.ReadFrame()) }()
		begin := time.Now()
		if err := a.Close(CloseNormal, ""); err != nil {
			t.Errorf("close: %v", err)
		}
		if err := <-read; !errors.Is(err, ErrClosed) {
			t.Errorf("read returned %v, want ErrClosed", err)
		}
		if took := time.Since(begin); took > 2*CloseLinger {
			t.Errorf("it took %v", took)
		}
	})
}

func TestReadDeadline(t *testing.T) {
	forEachPair(t, func(t *testing.T, a, _ Conn) {
		if err := a.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if err := second(a.ReadFrame()); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read returned %v, want a passed deadline", err)
		}
		if got := CodeFor(second(a.ReadFrame())); got != CloseTimeout {
			t.Errorf("code to close with is %v, want timeout", got)
		}
	})
}

// TestDeadlineEndsPresentRead: the deadline also counts for a read that waits.
func TestDeadlineEndsPresentRead(t *testing.T) {
	forEachPair(t, func(t *testing.T, a, _ Conn) {
		read := make(chan error, 1)
		go func() { read <- second(a.ReadFrame()) }()
		if err := a.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
			t.Fatal(err)
		}
		if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read returned %v, want a passed deadline", err)
		}
	})
}

// TestSlowReaderStopsWriter: who does not read makes the writer wait, until its
// deadline.
func TestSlowReaderStopsWriter(t *testing.T) {
	forEachPair(t, func(t *testing.T, a, _ Conn) {
		if err := a.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		batch := [][]byte{make([]byte, 64<<10)}
		written := 0
		var err error
		for err == nil && written < 1<<30 {
			err = a.WriteFrames(batch)
			written += len(batch[0])
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after %d bytes unread: %v, want a passed deadline", written, err)
		}
	})
}

func TestTooLargeFrame(t *testing.T) {
	forEachPair(t, func(t *testing.T, a, b Conn) {
		b.SetReadLimit(5)
		mustWrite(t, a, "12345", "123456")
		wantFrame(t, b, "12345")
		err := second(b.ReadFrame())
		if !errors.Is(err, ErrFrameTooLarge) || CodeFor(err) != CloseTooLarge {
			t.Fatalf("read %v, want ErrFrameTooLarge", err)
		}
		var wg sync.WaitGroup
		wg.Go(func() { _ = b.Close(CodeFor(err), "too large") })
		var told *CloseError
		if err := second(a.ReadFrame()); !errors.As(err, &told) || told.Code != CloseTooLarge {
			t.Errorf("the other side sees %v, want too_large", err)
		}
		_ = a.Close(CloseNormal, "")
		wg.Wait()
	})
}

func TestEmptyFrameIsNotSent(t *testing.T) {
	forEachPair(t, func(t *testing.T, a, _ Conn) {
		if err := a.WriteFrames([][]byte{{}}); !errors.Is(err, ErrMalformed) {
			t.Errorf("got %v, want ErrMalformed", err)
		}
	})
}
