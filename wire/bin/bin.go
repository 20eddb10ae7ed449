// Package bin writes and reads the small binary forms that Quorate keeps on
// disk and sends between its nodes: uvarints, fixed big-endian numbers and
// length-prefixed strings.
//
// Writing appends to a slice. Reading is strict and never panics: a [Reader]
// remembers its first error and returns zero values after it, lengths are
// checked against what is left before anything is allocated, and [Reader.Close]
// refuses bytes that nobody asked for.
package bin

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrShort is the cause when the input ends before what it announces.
var ErrShort = errors.New("bin: input too short")

// ErrTrailing is returned by Close when bytes are left over.
var ErrTrailing = errors.New("bin: bytes left over")

// ErrRange is the cause when a number is out of the range asked for.
var ErrRange = errors.New("bin: number out of range")

// AppendUvarint appends v as a uvarint.
func AppendUvarint(b []byte, v uint64) []byte { return binary.AppendUvarint(b, v) }

// AppendVarint appends v as a zig-zag varint.
func AppendVarint(b []byte, v int64) []byte { return binary.AppendVarint(b, v) }

// AppendString appends the length of s and s.
func AppendString[S ~string | ~[]byte](b []byte, s S) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// AppendBool appends 1 or 0.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// Reader reads what the Append functions wrote. Its zero value reads nothing.
type Reader struct {
	rest []byte
	err  error
}

// NewReader returns a Reader of b. Strings and bytes it returns may share b.
func NewReader(b []byte) *Reader { return &Reader{rest: b} }

// Reset makes it a Reader of b.
func (r *Reader) Reset(b []byte) { r.rest, r.err = b, nil }

// Err returns the first error.
func (r *Reader) Err() error { return r.err }

// Len returns how many bytes are left.
func (r *Reader) Len() int { return len(r.rest) }

// Fail sets the error, unless there is one, so that a caller can report what a
// value is wrong for.
func (r *Reader) Fail(err error) {
	if r.err == nil {
		r.err, r.rest = err, nil
	}
}

// Close returns the first error, or ErrTrailing when bytes are left over.
func (r *Reader) Close() error {
	if r.err == nil && len(r.rest) > 0 {
		return fmt.Errorf("%w: %d", ErrTrailing, len(r.rest))
	}
	return r.err
}

// Uvarint reads a uvarint.
func (r *Reader) Uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.Fail(ErrShort)
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// Varint reads a zig-zag varint.
func (r *Reader) Varint() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.Fail(ErrShort)
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// Count reads a uvarint that says how many items follow, each of at least one
// byte: more than limit, or more than the bytes left, is an error.
func (r *Reader) Count(limit int) int {
	v := r.Uvarint()
	if v > uint64(limit) || v > uint64(len(r.rest)) {
		r.Fail(fmt.Errorf("%w: %d items", ErrRange, v))
		return 0
	}
	return int(v)
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if len(r.rest) == 0 {
		r.Fail(ErrShort)
		return 0
	}
	v := r.rest[0]
	r.rest = r.rest[1:]
	return v
}

// Bool reads a 0 or a 1; anything else is an error, so that one value has one form.
func (r *Reader) Bool() bool {
	switch r.Byte() {
	case 0:
		return false
	case 1:
		return true
	default:
		r.Fail(ErrRange)
		return false
	}
}

// Uint16 reads 2 bytes, big-endian.
func (r *Reader) Uint16() uint16 {
	b := r.Take(2)
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint16(b)
}

// Uint32 reads 4 bytes, big-endian.
func (r *Reader) Uint32() uint32 {
	b := r.Take(4)
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}

// Uint64 reads 8 bytes, big-endian.
func (r *Reader) Uint64() uint64 {
	b := r.Take(8)
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// Bytes reads a length and that many bytes, which share the input. It returns
// nil for none.
func (r *Reader) Bytes() []byte {
	n := r.Uvarint()
	if n > uint64(len(r.rest)) {
		r.Fail(ErrShort)
		return nil
	}
	if n == 0 {
		return nil
	}
	return r.Take(int(n))
}

// String reads a length and that many bytes as a string of its own.
func (r *Reader) String() string { return string(r.Bytes()) }

// Take reads n bytes, which share the input; nil when there are fewer.
func (r *Reader) Take(n int) []byte {
	if n < 0 || n > len(r.rest) {
		r.Fail(ErrShort)
		return nil
	}
	v := r.rest[:n:n]
	r.rest = r.rest[n:]
	return v
}

// Rest reads all that is left.
func (r *Reader) Rest() []byte { return r.Take(len(r.rest)) }
