package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/quic-go/quic-go"
)

// Protocol is the ALPN name of the native protocol on QUIC.
const Protocol = "quorate/1"

const (
	// quicIdle ends a connection on which nothing came for so long, and the
	// client sends something each quicKeepAlive, so that a dead one is known.
	quicIdle      = 30 * time.Second
	quicKeepAlive = 10 * time.Second

	// quicConnIDBytes makes a client's packets so long that the smallest with a
	// frame in it is answered with a stateless reset by a node that has
	// restarted: packets of 42 bytes and less are not answered.
	quicConnIDBytes = 18

	// What a client may send before it is read: two frames of the largest size.
	// The windows grow for a client that has signed in.
	serverStreamWindow    = 32 << 10
	serverStreamWindowMax = 256 << 10
	serverConnWindow      = 32 << 10
	serverConnWindowMax   = 384 << 10

	// What a node may send to a client before it is read.
	clientWindow    = 256 << 10
	clientWindowMax = 4 << 20
)

// quicConn carries frames on the first bidirectional stream of a QUIC
// connection.
type quicConn struct {
	raw    *quic.Conn
	stream *quic.Stream
	reader frameReader
	ending ending
	turn   turn // of who writes the stream; taken for ever after its end
}

func newQUICConn(raw *quic.Conn, stream *quic.Stream, hold int) *quicConn {
	c := &quicConn{raw: raw, stream: stream}
	c.reader.src = quicSource{c}
	c.reader.hold = hold
	c.reader.limit.Store(DefaultReadLimit)
	return c
}

// quicSource is the stream that a quicConn's frames are cut from.
type quicSource struct{ c *quicConn }

func (s quicSource) ready() error {
	_, err := s.c.ending.read(nil, s.c.peek)
	return err
}

func (s quicSource) Read(p []byte) (int, error) { return s.c.ending.read(p, s.c.stream.Read) }

func (c *quicConn) peek([]byte) (int, error) {
	var one [1]byte
	return c.stream.Peek(one[:])
}

func (c *quicConn) ReadFrame() ([]byte, error) {
	frame, err := c.reader.next()
	if err == nil {
		return frame, nil
	}
	if errors.Is(err, io.EOF) {
		err = c.readEnd()
		c.reader.err = err
	}
	return nil, c.explain("read", err)
}

// readEnd answers the end of the other side's stream with the end of ours,
// which says that all of it was read, and waits for the code of the close.
func (c *quicConn) readEnd() error {
	until := time.Now().Add(CloseLinger)
	c.finish(until)
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-c.raw.Context().Done():
		return context.Cause(c.raw.Context())
	case <-timer.C:
		return fmt.Errorf("%w: the stream ended", ErrLost)
	}
}

// finish ends our half of the stream, behind what was written. It tells
// whether it did so in time.
func (c *quicConn) finish(until time.Time) bool {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	// It is never given back: nothing is written after the end.
	return c.turn.wait(timer.C, c.raw.Context().Done()) && c.stream.Close() == nil
}

func (c *quicConn) WriteFrames(frames [][]byte) error {
	if !c.turn.try() { // the stream has its end
		return c.explain("write", ErrLost)
	}
	defer c.turn.give()
	if c.ending.closed.Load() {
		return ErrClosed
	}
	return c.explain("write", writeBatch(frames, func(b []byte) error {
		_, err := c.stream.Write(b)
		return err
	}))
}

// explain says in this package's words what QUIC said.
func (c *quicConn) explain(op string, err error) error {
	if closed, ok := errors.AsType[*quic.ApplicationError](err); ok && closed.Remote && c.ending.told.Load() == nil {
		code := CloseProtocol // no code of ours
		if closed.ErrorCode < 1<<16 {
			code = CloseCode(closed.ErrorCode)
		}
		c.ending.told.Store(&CloseError{Code: code, Reason: cutReason(closed.ErrorMessage)})
	}
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && errors.Is(err, net.ErrClosed) {
		// Among them the idle timeout, which calls itself a timeout.
		err = fmt.Errorf("%w: %s", ErrLost, err.Error())
	}
	return c.ending.explain(op, err)
}

func (c *quicConn) SetReadDeadline(t time.Time) error {
	if c.ending.closed.Load() {
		return nil // Close has set its own
	}
	return c.stream.SetReadDeadline(t)
}

func (c *quicConn) SetWriteDeadline(t time.Time) error {
	if c.ending.closed.Load() {
		return nil
	}
	return c.stream.SetWriteDeadline(t)
}

func (c *quicConn) SetReadLimit(bytes int) { c.reader.limit.Store(int64(bytes)) }

func (c *quicConn) RemoteAddr() string { return c.raw.RemoteAddr().String() }

func (c *quicConn) Close(code CloseCode, reason string) error {
	if c.ending.closed.Swap(true) {
		return nil
	}
	until := time.Now().Add(CloseLinger)
	_ = c.stream.SetDeadline(until)
	if !c.ending.over.Load() && c.finish(until) {
		c.ending.drain(until, c.stream.Read)
	}
	return c.raw.CloseWithError(quic.ApplicationErrorCode(code), cutReason(reason))
}

// ticketKey finds a connection's ticket in its context.
type ticketKey struct{}

func ticketOf(raw *quic.Conn) *ticket {
	t, _ := raw.Context().Value(ticketKey{}).(*ticket)
	return t
}

// ListenQUIC accepts clients on the packet connection until the edge is
// closed, which closes it. tlsConf is one of ServerTLS; identity is the node's,
// whose key gives the secrets by which connections of before a restart are
// known to be dead.
func (e *Edge) ListenQUIC(packets net.PacketConn, tlsConf *tls.Config, identity *KeyPair) error {
	reset, err := identity.Secret("quic stateless reset")
	if err != nil {
		return err
	}
	tokens, err := identity.Secret("quic address tokens")
	if err != nil {
		return err
	}
	transport := &quic.Transport{
		Conn:                packets,
		ConnectionIDLength:  quicConnIDBytes,
		StatelessResetKey:   (*quic.StatelessResetKey)(&reset),
		TokenGeneratorKey:   (*quic.TokenGeneratorKey)(&tokens),
		VerifySourceAddress: e.mustProve,
		ConnContext:         e.admitQUIC,
	}
	tlsConf = tlsConf.Clone()
	tlsConf.NextProtos = []string{Protocol}
	listener, err := transport.Listen(tlsConf, e.quicConfig())
	if err != nil {
		return fmt.Errorf("listen for QUIC: %w", err)
	}
	end := func() {
		_ = listener.Close()
		_ = transport.Close()
		_ = packets.Close()
	}
	if err := e.listen(func(ctx context.Context) { e.acceptQUIC(ctx, listener) }, end); err != nil {
		end()
		return err
	}
	return nil
}

func (e *Edge) quicConfig() *quic.Config {
	return &quic.Config{
		HandshakeIdleTimeout:           e.opts.SignInTimeout / 2, // and twice that in all
		MaxIdleTimeout:                 quicIdle,
		InitialStreamReceiveWindow:     serverStreamWindow,
		MaxStreamReceiveWindow:         serverStreamWindowMax,
		InitialConnectionReceiveWindow: serverConnWindow,
		MaxConnectionReceiveWindow:     serverConnWindowMax,
		AllowConnectionWindowIncrease: func(raw *quic.Conn, _ uint64) bool {
			t := ticketOf(raw)
			return t == nil || t.gone.Load()
		},
		MaxIncomingStreams:    1,
		MaxIncomingUniStreams: -1,
		// Nobody releases the credit, so the first stream is the only one.
		RequireStreamCreditRelease: true,
		Allow0RTT:                  false,
	}
}

// mustProve tells whether a client is to show that it can be reached at its
// address before anything is kept for it. It costs a round trip.
func (e *Edge) mustProve(net.Addr) bool {
	if e.rate.Allow() && !e.gate.busy() {
		return false
	}
	e.stats.retries.Add(1)
	return true
}

// admitQUIC takes a place for a handshake that begins.
func (e *Edge) admitQUIC(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
	t, err := e.enter(info.RemoteAddr.String())
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, t.leave)
	return context.WithValue(ctx, ticketKey{}, t), nil
}

func (e *Edge) acceptQUIC(ctx context.Context, listener *quic.Listener) {
	for {
		raw, err := listener.Accept(ctx)
		if err != nil {
			if ctx.Err() == nil {
				e.opts.Logger.Error("accept QUIC", slog.Any("error", err))
			}
			return
		}
		if e.start(func() { e.runQUIC(ctx, raw) }) != nil {
			_ = raw.CloseWithError(quic.ApplicationErrorCode(CloseGoingAway), "")
		}
	}
}

// runQUIC waits for the client's stream and serves it.
func (e *Edge) runQUIC(ctx context.Context, raw *quic.Conn) {
	stream, err := e.acceptStream(ctx, raw)
	switch {
	case err == nil:
		e.run(newQUICConn(raw, stream, 0), "quic", ticketOf(raw))
	case ctx.Err() != nil:
		_ = raw.CloseWithError(quic.ApplicationErrorCode(CloseGoingAway), "")
	default:
		_ = raw.CloseWithError(quic.ApplicationErrorCode(CloseTimeout), "no stream")
	}
}

func (e *Edge) acceptStream(ctx context.Context, raw *quic.Conn) (*quic.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, e.opts.SignInTimeout)
	defer cancel()
	return raw.AcceptStream(ctx)
}

// QUICDialer dials nodes as a client. All its connections share one socket.
type QUICDialer struct {
	transport *quic.Transport
	packets   net.PacketConn
	tlsConf   *tls.Config
}

// NewQUICDialer opens the socket. tlsConf is one of ClientTLS.
func NewQUICDialer(tlsConf *tls.Config) (*QUICDialer, error) {
	var lc net.ListenConfig
	packets, err := lc.ListenPacket(context.Background(), "udp", ":0")
	if err != nil {
		return nil, fmt.Errorf("open a socket for QUIC: %w", err)
	}
	tlsConf = tlsConf.Clone()
	tlsConf.NextProtos = []string{Protocol}
	return &QUICDialer{transport: &quic.Transport{Conn: packets}, packets: packets, tlsConf: tlsConf}, nil
}

// Dial connects to the address, a host and a port. The certificate shown there
// must be the host's.
func (d *QUICDialer) Dial(ctx context.Context, addr string) (Conn, error) {
	host, udp, err := resolve(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	tlsConf := d.tlsConf.Clone()
	if tlsConf.ServerName == "" {
		tlsConf.ServerName = host
	}
	raw, err := d.transport.Dial(ctx, udp, tlsConf, dialConfig())
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", addr, explainDial(err))
	}
	stream, err := raw.OpenStreamSync(ctx)
	if err != nil {
		_ = raw.CloseWithError(quic.ApplicationErrorCode(CloseNormal), "")
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	return newQUICConn(raw, stream, nodeBuffer), nil
}

// resolve finds where the packets for a host and port go.
func resolve(ctx context.Context, addr string) (host string, to *net.UDPAddr, err error) {
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return "", nil, err
	}
	port, err := net.DefaultResolver.LookupPort(ctx, "udp", service)
	if err != nil {
		return "", nil, err
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return "", nil, err
	}
	best := ips[0]
	for _, ip := range ips {
		if ip.Unmap().Is4() {
			best = ip // the way that works more often
			break
		}
	}
	return host, net.UDPAddrFromAddrPort(netip.AddrPortFrom(best.Unmap(), uint16(port))), nil
}

// explainDial says ErrRefused where the node says that it takes no more.
func explainDial(err error) error {
	if refused, ok := errors.AsType[*quic.TransportError](err); ok && refused.ErrorCode == quic.ConnectionRefused {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return err
}

func dialConfig() *quic.Config {
	return &quic.Config{
		HandshakeIdleTimeout:           5 * time.Second,
		MaxIdleTimeout:                 quicIdle,
		KeepAlivePeriod:                quicKeepAlive,
		InitialStreamReceiveWindow:     clientWindow,
		MaxStreamReceiveWindow:         clientWindowMax,
		InitialConnectionReceiveWindow: clientWindow,
		MaxConnectionReceiveWindow:     clientWindowMax,
		MaxIncomingStreams:             -1,
		MaxIncomingUniStreams:          -1,
	}
}

// Close ends the connections that are left, at once, and frees the socket.
func (d *QUICDialer) Close() error {
	return errors.Join(d.transport.Close(), d.packets.Close())
}
