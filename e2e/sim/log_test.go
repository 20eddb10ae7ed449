package sim

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/cespare/xxhash/v2"
)

// ringBytes is how much of a run's log is kept: the end of it.
const ringBytes = 64 << 20

// ring is the run's log: the last lines, and a hash over all of them. It is a file
// that is mapped into memory, so that writing is no system call, and what was
// written is there when the process dies in whatever way.
type ring struct {
	mu    sync.Mutex
	mem   []byte
	at    int
	lines int
	hash  xxhash.Digest
}

// newRing makes a ring of a file, or without one in memory alone.
func newRing(path string) (*ring, error) {
	r := &ring{}
	r.hash.Reset()
	if path == "" {
		r.mem = make([]byte, ringBytes)
		return r, nil
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if err := f.Truncate(ringBytes); err != nil {
		return nil, err
	}
	r.mem, err = syscall.Mmap(int(f.Fd()), 0, ringBytes, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	return r, err
}

// add writes a line.
func (r *ring) add(line []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines++
	_, _ = r.hash.Write(line)
	for len(line) > 0 {
		n := copy(r.mem[r.at:], line)
		line, r.at = line[n:], (r.at+n)%len(r.mem)
	}
}

// sum returns the hash over all lines.
func (r *ring) sum() (uint64, int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hash.Sum64(), r.lines
}

// handler writes records to a ring, with virtual time. slog's own would be three
// times the work, and this is a good part of a run.
type handler struct {
	ring  *ring
	start time.Time
	attrs []byte
}

func (h *handler) Enabled(context.Context, slog.Level) bool { return true }

func (h *handler) Handle(_ context.Context, r slog.Record) error {
	b := make([]byte, 0, 256)
	b = strconv.AppendInt(b, time.Since(h.start).Microseconds(), 10)
	b = append(b, ' ')
	b = append(b, r.Level.String()...)
	b = append(b, h.attrs...)
	b = append(b, ' ')
	b = append(b, r.Message...)
	r.Attrs(func(a slog.Attr) bool {
		b = appendAttr(b, a)
		return true
	})
	b = append(bytes.ReplaceAll(b, []byte("\n"), []byte("\\n")), '\n')
	h.ring.add(b)
	return nil
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.attrs = bytes.Clone(h.attrs)
	for _, a := range attrs {
		next.attrs = appendAttr(next.attrs, a)
	}
	return &next
}

func (h *handler) WithGroup(string) slog.Handler { return h }

func appendAttr(b []byte, a slog.Attr) []byte {
	b = append(b, ' ')
	b = append(b, a.Key...)
	b = append(b, '=')
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindString:
		return append(b, v.String()...)
	case slog.KindInt64:
		return strconv.AppendInt(b, v.Int64(), 10)
	case slog.KindUint64:
		return strconv.AppendUint(b, v.Uint64(), 10)
	case slog.KindDuration:
		return append(b, v.Duration().String()...)
	default:
		return fmt.Append(b, v.Any())
	}
}
