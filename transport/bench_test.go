package transport

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// BenchmarkFrames sends frames from the server to a client, 16 in a write, as
// a session's queue is drained. One iteration is one frame.
func BenchmarkFrames(b *testing.B) {
	for _, name := range []string{"websocket", "quic", "tls", "pipe"} {
		for _, size := range []int{128, 1024} {
			b.Run(fmt.Sprintf("over=%s/bytes=%d", name, size), func(b *testing.B) {
				client, server := pairs[name](b)
				benchFrames(b, server, client, size)
			})
		}
	}
}

func benchFrames(b *testing.B, from, to Conn, size int) {
	const batch = 16
	frames := make([][]byte, batch)
	for i := range frames {
		frames[i] = bytes.Repeat([]byte{'x'}, size)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	writes := (b.N + batch - 1) / batch
	var wg sync.WaitGroup
	wg.Go(func() {
		for range writes {
			if err := from.WriteFrames(frames); err != nil {
				b.Error(err)
				return
			}
		}
	})
	for range writes * batch {
		if _, err := to.ReadFrame(); err != nil {
			b.Fatal(err)
		}
	}
	wg.Wait()
}

// BenchmarkRoundTrip is one frame there and one back, on a connection that
// carries nothing else.
func BenchmarkRoundTrip(b *testing.B) {
	for _, name := range []string{"websocket", "quic", "tls"} {
		b.Run("over="+name, func(b *testing.B) {
			client, server := pairs[name](b)
			frames := [][]byte{bytes.Repeat([]byte{'x'}, 128)}
			done := make(chan struct{})
			go func() {
				defer close(done)
				for {
					if _, err := server.ReadFrame(); err != nil {
						return
					}
					if err := server.WriteFrames(frames); err != nil {
						return
					}
				}
			}()
			for b.Loop() {
				if err := client.WriteFrames(frames); err != nil {
					b.Fatal(err)
				}
				if _, err := client.ReadFrame(); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			_ = client.Close(CloseNormal, "")
			<-done
		})
	}
}

// BenchmarkCutFrames is the reader alone.
func BenchmarkCutFrames(b *testing.B) {
	input := bytes.Repeat(stream(strings.Repeat("x", 128)), 64)
	r := bytes.NewReader(input)
	f := newReader(r, 1<<10)
	b.SetBytes(int64(len(input) / 64))
	for i := 0; b.Loop(); i++ {
		if i%64 == 0 {
			r.Reset(input)
		}
		if _, err := f.next(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIdle reports what one idle connection that has signed in costs a
// node, as growth of its resident memory. The clients are another process.
func BenchmarkIdle(b *testing.B) {
	const conns = 2000
	for _, name := range []string{"websocket", "quic"} {
		b.Run(fmt.Sprintf("over=%s/conns=%d", name, conns), func(b *testing.B) {
			for b.Loop() {
				benchIdle(b, name, conns)
			}
		})
	}
}

func benchIdle(b *testing.B, name string, conns int) {
	signedIn := make(chan struct{})
	d := serveDoor(b, EdgeOptions{}, func(c ClientConn) {
		for first := true; ; first = false {
			if _, err := c.ReadFrame(); err != nil {
				return
			}
			if first {
				c.SignedIn()
				signedIn <- struct{}{}
			}
		}
	})
	before, stacks := residentBytes(b)
	stop := startIdleClients(b, d, name, conns)
	for range conns {
		<-signedIn
	}
	after, stacksAfter := residentBytes(b)
	if n := d.edge.Metrics().Open; n != conns {
		b.Fatalf("%d connections are open, want %d", n, conns)
	}
	stop()
	b.ReportMetric(float64(after-before)/float64(conns), "RSS-B/conn")
	b.ReportMetric(float64(stacksAfter-stacks)/float64(conns), "stack-B/conn")
}

// startIdleClients runs this test's binary again, as the clients.
func startIdleClients(b *testing.B, d *door, name string, conns int) (stop func()) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), os.Args[0], "-test.run=^TestIdleClients$")
	cmd.Env = append(os.Environ(),
		"IDLE_OVER="+name, fmt.Sprint("IDLE_CONNS=", conns), "IDLE_HTTP="+d.http, "IDLE_QUIC="+d.quic,
		"IDLE_CA="+string(d.ca.Pair().CertPEM()))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	return func() {
		_ = stdin.Close()
		if err := cmd.Wait(); err != nil {
			b.Fatalf("the clients: %v\n%s", err, out.Bytes())
		}
	}
}

// TestIdleClients is the client process of BenchmarkIdle, and else nothing: it
// holds its connections until its standard input ends.
func TestIdleClients(t *testing.T) {
	over := os.Getenv("IDLE_OVER")
	if over == "" {
		t.Skip("only run by BenchmarkIdle")
	}
	conns, err := strconv.Atoi(os.Getenv("IDLE_CONNS"))
	if err != nil {
		t.Fatal(err)
	}
	pool, err := ParseCAPool([]byte(os.Getenv("IDLE_CA")))
	if err != nil {
		t.Fatal(err)
	}
	dialer, err := NewQUICDialer(ClientTLS(pool))
	if err != nil {
		t.Fatal(err)
	}
	var open []Conn // or the collector closes them
	for range conns {
		var conn Conn
		if over == "quic" {
			conn, err = dialer.Dial(t.Context(), os.Getenv("IDLE_QUIC"))
		} else {
			conn, err = DialWebSocket(t.Context(), os.Getenv("IDLE_HTTP"), nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		mustWrite(t, conn, strings.Repeat("h", 300))
		open = append(open, conn)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	runtime.KeepAlive(open)
}

// residentBytes returns the resident memory of this process after a
// collection, and what of it are stacks.
func residentBytes(t testing.TB) (resident, stacks int64) {
	t.Helper()
	runtime.GC()
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("no /proc here")
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	return pages * int64(os.Getpagesize()), int64(mem.StackInuse)
}
