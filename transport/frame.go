package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
)

const (
	// firstBuffer is how much a read asks for: a message of the largest size
	// with its head. Buffers of this size are shared by all connections, and one
	// that has nothing to read holds none.
	firstBuffer = 8 << 10

	// nodeBuffer is what a connection between nodes, or a client's, may keep
	// while it has nothing to read. There are few of them, and they read much.
	nodeBuffer = 256 << 10

	// maxWrite bounds what one write takes from a batch; a larger frame goes
	// alone.
	maxWrite = 64 << 10

	// maxPrefix is the longest length that is accepted: 5 bytes hold 32 bits.
	maxPrefix = 5
)

// errBoundary is returned by a source where no frame may cross: the end of a
// WebSocket message.
var errBoundary = errors.New("transport: end of message")

// errEndRecord tells that a length of 0 was read where that is the last record.
var errEndRecord = errors.New("transport: end record")

// source is a stream of bytes that frames are read from.
type source interface {
	// ready waits until Read has something to say, and needs no memory for it.
	ready() error
	io.Reader
}

// frameReader cuts a source into frames. One goroutine uses it.
//
//	buf: | taken | waits, [r:w] | free |
type frameReader struct {
	src   source
	limit atomic.Int64 // of a frame, in bytes
	ends  bool         // a length of 0 is no mistake: errEndRecord tells of it
	hold  int          // a grown buffer up to this size is kept while there is nothing to read
	buf   []byte
	r, w  int
	err   error  // the first; it stays
	tail  []byte // what came behind the 0 of an end record
}

// next returns the next frame, which is valid until the next call.
func (f *frameReader) next() ([]byte, error) {
	for f.err == nil {
		need, frame, err := f.cut()
		if frame != nil {
			return frame, nil
		}
		if err == nil {
			err = f.fill(need)
		}
		if err != nil {
			f.err = err
			f.release()
		}
	}
	return nil, f.err
}

// cut takes a frame out of the buffer, or says how many bytes, from r on, it
// needs to know more.
func (f *frameReader) cut() (need int, frame []byte, err error) {
	waits := f.buf[f.r:f.w]
	length, n := binary.Uvarint(waits)
	switch {
	case n < 0 || n > maxPrefix || n == 0 && len(waits) >= maxPrefix:
		return 0, nil, fmt.Errorf("%w: its length has more than %d bytes", ErrMalformed, maxPrefix)
	case n == 0:
		return len(waits) + 1, nil, nil
	case length == 0 && f.ends:
		f.tail = bytes.Clone(waits[n:])
		return 0, nil, errEndRecord
	case length == 0:
		return 0, nil, fmt.Errorf("%w: empty", ErrMalformed)
	}
	if limit := f.limit.Load(); length > uint64(limit) {
		return 0, nil, fmt.Errorf("%w: %d bytes, want at most %d", ErrFrameTooLarge, length, limit)
	}
	whole := n + int(length)
	if whole > len(waits) {
		return whole, nil, nil
	}
	f.r += whole
	return 0, waits[n:whole:whole], nil
}

// fill reads more into the buffer, which is to hold need bytes from r on in
// the end. It grows with what came and not with what was announced: to twice
// of what is there, at most.
func (f *frameReader) fill(need int) error {
	if f.r == f.w {
		f.release()
		if err := f.src.ready(); err != nil {
			return err
		}
		if f.buf == nil {
			f.buf = readBuffers.get()
		}
	}
	if f.r+need > len(f.buf) {
		f.makeRoom(need)
	}
	n, err := f.src.Read(f.buf[f.w:])
	f.w += n
	switch {
	case n > 0:
		return nil // an error comes again with the next read
	case errors.Is(err, errBoundary) && f.r == f.w:
		return nil
	case errors.Is(err, errBoundary):
		return fmt.Errorf("%w: cut by the end of a message", ErrMalformed)
	case errors.Is(err, io.EOF) && f.r < f.w:
		return io.ErrUnexpectedEOF
	}
	return err
}

func (f *frameReader) makeRoom(need int) {
	waits := f.w - f.r
	into := f.buf
	if need > len(f.buf) && f.w-f.r > len(f.buf)/2 {
		into = make([]byte, min(need, 2*len(f.buf)))
	}
	copy(into, f.buf[f.r:f.w])
	if len(into) != len(f.buf) {
		readBuffers.put(f.buf)
	}
	f.buf, f.r, f.w = into, 0, waits
}

// release gives the buffer back, unless it may be kept.
func (f *frameReader) release() {
	f.r, f.w = 0, 0
	if f.err == nil && len(f.buf) > firstBuffer && len(f.buf) <= f.hold {
		return
	}
	readBuffers.put(f.buf)
	f.buf = nil
}

// appendFrame appends the frame and its length.
func appendFrame(b, frame []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(frame)))
	return append(b, frame...)
}

// writeBatch writes the frames with as few writes as maxWrite allows.
func writeBatch(frames [][]byte, write func([]byte) error) error {
	buf := writeBuffers.get()[:0]
	defer func() { writeBuffers.put(buf) }()
	for _, frame := range frames {
		if len(frame) == 0 {
			return fmt.Errorf("%w: empty", ErrMalformed)
		}
		if len(buf) > 0 && len(buf)+maxPrefix+len(frame) > maxWrite {
			if err := write(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
		buf = appendFrame(buf, frame)
	}
	if len(buf) == 0 {
		return nil
	}
	return write(buf)
}

// buffers is a pool of byte slices of one size; larger ones, which some frame
// made necessary, are not kept beyond a limit.
type buffers struct {
	pool sync.Pool
	size int // of a new one
	keep int // larger ones are left to the collector
}

//nolint:gochecknoglobals // shared by all connections of the process, which is their point
var (
	readBuffers  = &buffers{size: firstBuffer, keep: firstBuffer}
	writeBuffers = &buffers{size: firstBuffer, keep: 2 * maxWrite}
)

func (b *buffers) get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, b.size)
}

func (b *buffers) put(buf []byte) {
	if cap(buf) < b.size || cap(buf) > b.keep {
		return
	}
	buf = buf[:cap(buf)]
	b.pool.Put(&buf)
}
