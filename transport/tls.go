package transport

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/quorate/quorate/wire"
)

// tlsConn is a connection between nodes: frames on TLS 1.3 on TCP. What ends
// it is the last record:
//
//	| 0 | code, uvarint | reason, up to the end of the stream |
type tlsConn struct {
	raw    *tls.Conn
	peer   wire.NodeID
	reader frameReader
	ending ending
}

// newTLSConn takes a connection whose handshake is done and verified.
func newTLSConn(raw *tls.Conn) (*tlsConn, error) {
	id, err := identityOf(raw.ConnectionState().PeerCertificates[0])
	if err != nil {
		return nil, err
	}
	c := &tlsConn{raw: raw, peer: id.Node}
	c.reader.src = tlsSource{c}
	c.reader.ends = true
	c.reader.hold = nodeBuffer
	c.reader.limit.Store(DefaultReadLimit)
	return c, nil
}

// tlsSource is the stream that a tlsConn's frames are cut from.
type tlsSource struct{ c *tlsConn }

func (s tlsSource) ready() error { return nil }

func (s tlsSource) Read(p []byte) (int, error) { return s.c.ending.read(p, s.c.raw.Read) }

func (c *tlsConn) ReadFrame() ([]byte, error) {
	frame, err := c.reader.next()
	if err == nil {
		return frame, nil
	}
	if errors.Is(err, errEndRecord) {
		err = c.readEnd()
		c.reader.err = err
	}
	return nil, c.ending.explain("read", err)
}

// readEnd reads why the other side closed.
func (c *tlsConn) readEnd() error {
	rest := c.reader.tail
	for len(rest) < maxPrefix+MaxReasonBytes {
		var more [maxPrefix + MaxReasonBytes]byte
		n, err := c.ending.read(more[:], c.raw.Read)
		rest = append(rest, more[:n]...)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	told, err := parseEnd(rest)
	if err != nil {
		return err
	}
	c.ending.told.Store(told)
	return told
}

// parseEnd reads what stands behind the 0 of an end record.
func parseEnd(rest []byte) (*CloseError, error) {
	code, n := binary.Uvarint(rest)
	if n <= 0 || code > 1<<16-1 {
		return nil, fmt.Errorf("%w: a close without a code", ErrMalformed)
	}
	return &CloseError{Code: CloseCode(code), Reason: cutReason(string(rest[n:]))}, nil
}

func (c *tlsConn) WriteFrames(frames [][]byte) error {
	if c.ending.closed.Load() {
		return ErrClosed
	}
	return c.ending.explain("write", writeBatch(frames, func(b []byte) error {
		_, err := c.raw.Write(b)
		return err
	}))
}

func (c *tlsConn) SetReadDeadline(t time.Time) error {
	if c.ending.closed.Load() {
		return nil // Close has set its own
	}
	return c.raw.SetReadDeadline(t)
}

func (c *tlsConn) SetWriteDeadline(t time.Time) error {
	if c.ending.closed.Load() {
		return nil
	}
	return c.raw.SetWriteDeadline(t)
}

func (c *tlsConn) SetReadLimit(bytes int) { c.reader.limit.Store(int64(bytes)) }

func (c *tlsConn) RemoteAddr() string { return c.raw.RemoteAddr().String() }

func (c *tlsConn) Peer() wire.NodeID { return c.peer }

func (c *tlsConn) Close(code CloseCode, reason string) error {
	if c.ending.closed.Swap(true) {
		return nil
	}
	until := time.Now().Add(CloseLinger)
	err := c.raw.SetDeadline(until)
	end := binary.AppendUvarint([]byte{0}, uint64(code))
	if _, werr := c.raw.Write(append(end, cutReason(reason)...)); werr == nil && err == nil {
		if c.raw.CloseWrite() == nil {
			c.ending.drain(until, c.raw.Read)
		}
	}
	// crypto/tls says again that it is done, to a socket that may be gone.
	if err := c.raw.NetConn().Close(); err != nil {
		return fmt.Errorf("close a connection: %w", err)
	}
	return nil
}
