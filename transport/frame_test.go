package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// plain is a source of bytes without boundaries.
type plain struct{ io.Reader }

func (plain) ready() error { return nil }

func newReader(r io.Reader, limit int) *frameReader {
	f := &frameReader{src: plain{r}}
	f.limit.Store(int64(limit))
	return f
}

func stream(frames ...string) []byte {
	var b []byte
	for _, f := range frames {
		b = appendFrame(b, []byte(f))
	}
	return b
}

// readAll reads frames until the first error.
func readAll(f *frameReader) ([]string, error) {
	var frames []string
	for {
		frame, err := f.next()
		if err != nil {
			return frames, err
		}
		frames = append(frames, string(frame))
	}
}

func TestFrames(t *testing.T) {
	long, limit := strings.Repeat("x", 16<<10), 16<<10
	for _, tc := range []struct {
		name  string
		input []byte
		want  []string
		err   error
	}{
		{"nothing", nil, nil, io.EOF},
		{"one", stream("a"), []string{"a"}, io.EOF},
		{"many", stream("a", "bc", "def"), []string{"a", "bc", "def"}, io.EOF},
		{"as large as allowed", stream("a", long, "b"), []string{"a", long, "b"}, io.EOF},
		{"too large", stream("a", long+"x"), []string{"a"}, ErrFrameTooLarge},
		{"too large, only announced", binary.AppendUvarint(nil, 1<<31), nil, ErrFrameTooLarge},
		{"empty", []byte{0}, nil, ErrMalformed},
		{"empty after one", []byte{1, 'a', 0, 1, 'b'}, []string{"a"}, ErrMalformed},
		{"length without end", bytes.Repeat([]byte{0x80}, 5), nil, ErrMalformed},
		{"length of 64 bits", binary.AppendUvarint(nil, 1<<63), nil, ErrMalformed},
		{"length cut", []byte{0x80}, nil, io.ErrUnexpectedEOF},
		{"frame cut", []byte{3, 'a', 'b'}, nil, io.ErrUnexpectedEOF},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for how, r := range map[string]io.Reader{
				"whole":          bytes.NewReader(tc.input),
				"byte by byte":   iotest.OneByteReader(bytes.NewReader(tc.input)),
				"data and error": iotest.DataErrReader(bytes.NewReader(tc.input)),
			} {
				got, err := readAll(newReader(r, limit))
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("%s: frames (-want +got):\n%s", how, diff)
				}
				if !errors.Is(err, tc.err) {
					t.Errorf("%s: error %v, want %v", how, err, tc.err)
				}
			}
		})
	}
}

// TestAnnouncedIsNotAllocated: somebody who announces a large frame and sends
// little of it makes us hold little.
func TestAnnouncedIsNotAllocated(t *testing.T) {
	input := append(binary.AppendUvarint(nil, 1<<20), make([]byte, 5000)...)
	f := newReader(io.MultiReader(bytes.NewReader(input), neverReader{}), 1<<20)
	largest := 0
	f.src = watched{f.src, func() { largest = max(largest, len(f.buf)) }}
	if _, err := f.next(); err == nil {
		t.Fatal("a frame came of a fifth of one")
	}
	if largest > 4*5000 {
		t.Errorf("buffer of %d bytes for 5000 that came", largest)
	}
}

type neverReader struct{}

func (neverReader) Read([]byte) (int, error) { return 0, errors.New("lost") }

type watched struct {
	source
	look func()
}

func (w watched) Read(p []byte) (int, error) {
	w.look()
	return w.source.Read(p)
}

func TestReadLimitHoldsFromTheNextFrame(t *testing.T) {
	f := newReader(bytes.NewReader(stream("abc", "defg", "hijkl")), 3)
	if _, err := f.next(); err != nil {
		t.Fatal(err)
	}
	f.limit.Store(4)
	if got, err := f.next(); err != nil || string(got) != "defg" {
		t.Fatalf("after raising: %q, %v", got, err)
	}
	if _, err := f.next(); !errors.Is(err, ErrFrameTooLarge) {
		t.Fatalf("over the raised limit: %v, want ErrFrameTooLarge", err)
	}
	if _, err := f.next(); !errors.Is(err, ErrFrameTooLarge) {
		t.Fatalf("after the error: %v, want the same", err)
	}
}

func TestIdleReaderHoldsNoBuffer(t *testing.T) {
	f := newReader(bytes.NewReader(stream("abc")), 100)
	if _, err := f.next(); err != nil {
		t.Fatal(err)
	}
	f.src = readyOnly{t, f}
	_, _ = f.next()
}

// readyOnly looks at the reader when it waits.
type readyOnly struct {
	t *testing.T
	f *frameReader
}

func (r readyOnly) ready() error {
	if r.f.buf != nil {
		r.t.Errorf("a reader that waits holds %d bytes", len(r.f.buf))
	}
	return io.EOF
}

func (r readyOnly) Read([]byte) (int, error) { return 0, io.EOF }

func TestWriteBatch(t *testing.T) {
	sized := func(n int) []byte { return bytes.Repeat([]byte{'x'}, n) }
	for _, tc := range []struct {
		name   string
		frames [][]byte
		writes int
		err    error
	}{
		{"none", nil, 0, nil},
		{"some", [][]byte{sized(10), sized(2000), sized(1)}, 1, nil},
		{"more than a write takes", [][]byte{sized(40 << 10), sized(40 << 10), sized(1)}, 2, nil},
		{"a large one", [][]byte{sized(1), sized(1 << 20), sized(1)}, 3, nil},
		{"an empty one", [][]byte{{}}, 0, ErrMalformed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out []byte
			writes := 0
			err := writeBatch(tc.frames, func(b []byte) error {
				writes++
				out = append(out, b...)
				return nil
			})
			if !errors.Is(err, tc.err) || writes != tc.writes {
				t.Fatalf("%d writes, error %v; want %d, %v", writes, err, tc.writes, tc.err)
			}
			if err != nil {
				return
			}
			got, _ := readAll(newReader(bytes.NewReader(out), 1<<20))
			var want []string
			for _, f := range tc.frames {
				want = append(want, string(f))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("frames (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzFrames: whatever comes, in whatever pieces, the reader does not panic,
// holds no more than the limit, and what it returns is what was sent.
func FuzzFrames(f *testing.F) {
	f.Add(stream("hello", "world"), uint64(1))
	f.Add([]byte{0}, uint64(2))
	f.Add(append([]byte{0xff, 0x7f}, make([]byte, 100)...), uint64(3))
	f.Add(bytes.Repeat([]byte{0xff}, 20), uint64(4))
	f.Fuzz(func(t *testing.T, input []byte, seed uint64) {
		const limit = 300
		rng := rand.New(rand.NewPCG(seed, 0))
		r := newReader(pieces{bytes.NewReader(input), rng}, limit)
		frames, err := readAll(r)
		if err == nil {
			t.Fatal("no error at the end")
		}
		var again []byte
		for _, frame := range frames {
			if len(frame) == 0 || len(frame) > limit {
				t.Fatalf("a frame of %d bytes", len(frame))
			}
			again = appendFrame(again, []byte(frame))
		}
		// A length may be written longer than necessary, so compare contents.
		whole, errWhole := readAll(newReader(bytes.NewReader(input), limit))
		if diff := cmp.Diff(whole, frames); diff != "" {
			t.Fatalf("in pieces (-whole +pieces):\n%s", diff)
		}
		if errors.Is(errWhole, ErrMalformed) != errors.Is(err, ErrMalformed) {
			t.Fatalf("in pieces %v, whole %v", err, errWhole)
		}
		if back, _ := readAll(newReader(bytes.NewReader(again), limit)); !cmp.Equal(back, frames) {
			t.Fatalf("written again: %q, want %q", back, frames)
		}
	})
}

// pieces reads a random part of what is asked for.
type pieces struct {
	r   io.Reader
	rng *rand.Rand
}

func (p pieces) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	return p.r.Read(b[:1+p.rng.IntN(len(b))])
}
