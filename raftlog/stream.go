package raftlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/pebble/v2"

	"github.com/quorate/quorate/mutant"
	"github.com/quorate/quorate/wire/bin"
)

// A snapshot on its way to a follower is a sequence of frames:
//
//	+------------+---------+------+------------------+
//	| length u32 | sum u64 | kind | length - 1 bytes |
//	+------------+---------+------+------------------+
//
// length counts from kind on, and sum is the xxHash of that. First comes a
// head, then blocks of rows in order of their keys, then an end. Numbers of
// fixed size are big-endian; n is a uvarint.
//
//	'H'  version, index n, term n, start and end of the range (n, bytes each)
//	'B'  rows: key (n, bytes), value (n, bytes)
//	'E'  how many rows n, xxHash of all blocks' sums u64
const (
	streamVersion = 1

	headKind  = 'H'
	blockKind = 'B'
	endKind   = 'E'

	frameHeadBytes = 4 + 8

	// blockBytes is how large a block grows before it is sent.
	blockBytes = 64 << 10

	// maxFrameBytes bounds what a receiver holds of a frame that is not whole;
	// one row must fit.
	maxFrameBytes = 16 << 20
)

// errStream is the cause when a received snapshot is not what it should be.
var errStream = errors.New("raftlog: malformed snapshot")

// streamHead is what a snapshot says of itself.
type streamHead struct {
	Index, Term uint64
	Range       KeyRange
}

// encoder makes frames.
type encoder struct {
	out  []byte // the frames made and not yet taken
	open int    // where in out the open block begins; -1: none is open
	rows uint64
	sums *xxhash.Digest
}

func newEncoder(head streamHead) *encoder {
	e := &encoder{open: -1, sums: xxhash.New()}
	start := e.begin(headKind)
	e.out = append(e.out, streamVersion)
	e.out = bin.AppendUvarint(e.out, head.Index)
	e.out = bin.AppendUvarint(e.out, head.Term)
	e.out = bin.AppendString(e.out, head.Range.Start)
	e.out = bin.AppendString(e.out, head.Range.End)
	e.finish(start)
	return e
}

// row appends a row, and ends the block when it is large enough.
func (e *encoder) row(key, value []byte) error {
	if len(key)+len(value) > maxFrameBytes-64 {
		return fmt.Errorf("row of %d bytes, want at most %d", len(key)+len(value), maxFrameBytes-64)
	}
	if e.open >= 0 && len(e.out)-e.open+len(key)+len(value) > maxFrameBytes-64 {
		e.endBlock()
	}
	if e.open < 0 {
		e.open = e.begin(blockKind)
	}
	e.out = bin.AppendString(e.out, key)
	e.out = bin.AppendString(e.out, value)
	e.rows++
	if len(e.out)-e.open >= blockBytes {
		e.endBlock()
	}
	return nil
}

// end appends the end.
func (e *encoder) end() {
	if e.open >= 0 {
		e.endBlock()
	}
	start := e.begin(endKind)
	e.out = bin.AppendUvarint(e.out, e.rows)
	e.out = binary.BigEndian.AppendUint64(e.out, e.sums.Sum64())
	e.finish(start)
}

func (e *encoder) endBlock() {
	sum := e.finish(e.open)
	_, _ = e.sums.Write(binary.BigEndian.AppendUint64(nil, sum)) // never fails
	e.open = -1
}

func (e *encoder) begin(kind byte) (start int) {
	start = len(e.out)
	e.out = append(e.out, make([]byte, frameHeadBytes)...)
	e.out = append(e.out, kind)
	return start
}

func (e *encoder) finish(start int) (sum uint64) {
	body := e.out[start+frameHeadBytes:]
	sum = xxhash.Sum64(body)
	binary.BigEndian.PutUint32(e.out[start:], uint32(len(body)))
	binary.BigEndian.PutUint64(e.out[start+4:], sum)
	return sum
}

// liveStream reads a shard's rows as a snapshot, a block at a time and only as
// fast as it is read.
type liveStream struct {
	rows    *pebble.Iterator // on the first row; nil when closed
	encoder *encoder
	taken   int // of encoder.out
	ended   bool
	release func()
}

// Read implements io.Reader.
func (s *liveStream) Read(p []byte) (int, error) {
	if s.rows == nil {
		return 0, ErrClosed
	}
	if s.taken == len(s.encoder.out) {
		if s.ended {
			return 0, io.EOF
		}
		s.encoder.out, s.taken = s.encoder.out[:0], 0
	}
	if err := s.fill(); err != nil {
		return 0, err
	}
	n := copy(p, s.encoder.out[s.taken:])
	s.taken += n
	return n, nil
}

// fill makes frames until one is whole.
func (s *liveStream) fill() error {
	for len(s.encoder.out) == 0 || s.encoder.open >= 0 {
		if !s.rows.Valid() {
			if err := s.rows.Error(); err != nil {
				return fmt.Errorf("stream snapshot: %w", err)
			}
			s.encoder.end()
			s.ended = true
			return nil
		}
		if mutant.On(mutant.SnapshotWithoutTokens) && mutant.TokenRow(s.rows.Key()) { // a planted bug, see package mutant
			s.rows.Next()
			continue
		}
		value, err := s.rows.ValueAndErr()
		if err != nil {
			return fmt.Errorf("stream snapshot: %w", err)
		}
		if err := s.encoder.row(s.rows.Key(), value); err != nil {
			return fmt.Errorf("stream snapshot: %w", err)
		}
		s.rows.Next()
	}
	return nil
}

// Close implements io.Closer.
func (s *liveStream) Close() error {
	if s.rows == nil {
		return nil
	}
	err := s.rows.Close()
	s.rows = nil
	s.release()
	return err
}

// decoder reads frames as they arrive, in whatever parts, and hands on the
// rows. It takes nothing on trust: sums, order, range and end are checked.
type decoder struct {
	want streamHead
	row  func(key, value []byte) error

	rest  []byte // a frame that is not whole
	begun bool   // the head has come
	ended bool
	last  []byte // key of the last row
	rows  uint64
	sums  *xxhash.Digest
	err   error
}

func newDecoder(want streamHead, row func(key, value []byte) error) *decoder {
	return &decoder{want: want, row: row, sums: xxhash.New()}
}

// write takes the next part of the stream. The first error stays.
func (d *decoder) write(p []byte) error {
	if d.err != nil {
		return d.err
	}
	d.rest = append(d.rest, p...)
	used := 0
	for d.err == nil {
		n := d.next(d.rest[used:])
		if n == 0 {
			break
		}
		used += n
	}
	if used > 0 {
		d.rest = append(d.rest[:0], d.rest[used:]...)
	}
	return d.err
}

// close reports whether the stream was whole.
func (d *decoder) close() error {
	if d.err == nil && !d.ended {
		d.err = fmt.Errorf("%w: it ends in the middle", errStream)
	}
	return d.err
}

// next takes one frame from b, and returns its length; 0 if it is not whole.
func (d *decoder) next(b []byte) int {
	if d.ended && len(b) > 0 {
		d.fail("bytes after the end")
		return 0
	}
	if len(b) < frameHeadBytes {
		return 0
	}
	length, sum := binary.BigEndian.Uint32(b), binary.BigEndian.Uint64(b[4:])
	if length == 0 || length > maxFrameBytes {
		d.fail("a frame of %d bytes", length)
		return 0
	}
	whole := frameHeadBytes + int(length)
	if len(b) < whole {
		return 0
	}
	body := b[frameHeadBytes:whole]
	if xxhash.Sum64(body) != sum {
		d.fail("a frame is damaged")
		return 0
	}
	d.frame(body[0], body[1:], sum)
	return whole
}

func (d *decoder) frame(kind byte, body []byte, sum uint64) {
	r := bin.NewReader(body)
	switch {
	case kind == headKind && !d.begun:
		d.begun = true
		d.head(r)
	case kind == blockKind && d.begun:
		_, _ = d.sums.Write(binary.BigEndian.AppendUint64(nil, sum)) // never fails
		d.block(r)
	case kind == endKind && d.begun:
		d.ended = true
		if rows, all := r.Uvarint(), r.Uint64(); r.Err() == nil && (rows != d.rows || all != d.sums.Sum64()) {
			d.fail("blocks are missing")
		}
	default:
		d.fail("a frame of kind %q out of place", kind)
	}
	if err := r.Close(); err != nil && d.err == nil {
		d.err = fmt.Errorf("%w: frame of kind %q: %w", errStream, kind, err)
	}
}

func (d *decoder) head(r *bin.Reader) {
	if version := r.Byte(); r.Err() == nil && version != streamVersion {
		d.fail("version %d, want %d", version, streamVersion)
		return
	}
	head := streamHead{Index: r.Uvarint(), Term: r.Uvarint()}
	head.Range = KeyRange{Start: r.Bytes(), End: r.Bytes()}
	if r.Err() != nil {
		return
	}
	if head.Index != d.want.Index || head.Term != d.want.Term ||
		!bytes.Equal(head.Range.Start, d.want.Range.Start) || !bytes.Equal(head.Range.End, d.want.Range.End) {
		d.fail("it is of %+v, announced was %+v", head, d.want)
	}
}

func (d *decoder) block(r *bin.Reader) {
	for r.Len() > 0 && d.err == nil {
		key, value := r.Bytes(), r.Bytes()
		if r.Err() != nil {
			return
		}
		if d.rows > 0 && bytes.Compare(key, d.last) <= 0 {
			d.fail("rows out of order")
			return
		}
		if !d.want.Range.contains(key) {
			d.fail("a row outside of the range")
			return
		}
		d.last = append(d.last[:0], key...)
		d.rows++
		if err := d.row(key, value); err != nil {
			d.err = err
		}
	}
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", errStream, fmt.Sprintf(format, args...))
	}
}
