package transport

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// pipeBytes bounds what waits in one direction of a pipe: a write waits while
// that much is unread. A single larger batch passes when nothing else waits.
const pipeBytes = 256 << 10

// Pipe returns the two ends of a connection in memory. Its queues are bounded
// as a socket's are, and it waits only on channels and timers, so it runs in a
// synctest bubble.
func Pipe() (Conn, Conn) {
	return newPipe("pipe", "pipe", nil)
}

// newPipe makes a pipe between two addresses. delay, when it is not nil, says
// how long a batch written now from one address to the other is under way.
func newPipe(addrA, addrB string, delay func(from, to string) time.Duration) (*pipeConn, *pipeConn) {
	ab, ba := newHalf(), newHalf()
	a := &pipeConn{in: ba, out: ab, local: addrA, remote: addrB, delay: delay}
	b := &pipeConn{in: ab, out: ba, local: addrB, remote: addrA, delay: delay}
	a.limit.Store(DefaultReadLimit)
	b.limit.Store(DefaultReadLimit)
	return a, b
}

// pipeConn is one end of a pipe.
type pipeConn struct {
	in, out       *half
	local, remote string
	delay         func(from, to string) time.Duration
	limit         atomic.Int64
	closing       atomic.Bool
}

// half is one direction of a pipe.
type half struct {
	mu struct {
		sync.Mutex
		queue  []batch
		bytes  int       // in the queue
		closed error     // what the reader gets after the queue, once set
		gone   error     // what the writer gets, once set
		read   time.Time // the reader's deadline
		write  time.Time // the writer's deadline
		held   bool      // nothing arrives; a fault
		next   int       // frames taken of the first batch
	}
	wakeReader chan struct{} // something of the reader's changed; one hint is enough for one reader
	wakeWriter chan struct{} // something of the writer's changed
}

// batch is what one WriteFrames sent.
type batch struct {
	frames [][]byte
	bytes  int
	due    time.Time // when it arrives; zero: at once
}

func newHalf() *half {
	// Capacity 1: the hint must stay until the other goroutine looks.
	return &half{wakeReader: make(chan struct{}, 1), wakeWriter: make(chan struct{}, 1)}
}

func hint(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (c *pipeConn) ReadFrame() ([]byte, error) {
	for {
		frame, wait, err := c.in.take(time.Now())
		if frame != nil {
			if limit := c.limit.Load(); int64(len(frame)) > limit {
				return nil, fmt.Errorf("%w: %d bytes, want at most %d", ErrFrameTooLarge, len(frame), limit)
			}
			return frame, nil
		}
		if err != nil {
			return nil, err
		}
		sleep(c.in.wakeReader, wait)
	}
}

// take returns the next frame that has arrived, or until when to wait for one
// (zero: for ever), or why there will be none.
func (h *half) take(now time.Time) ([]byte, time.Time, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mu.closed != nil && (len(h.mu.queue) == 0 && !h.mu.held || isLocal(h.mu.closed)) {
		return nil, time.Time{}, h.mu.closed
	}
	if !h.mu.read.IsZero() && !now.Before(h.mu.read) {
		return nil, time.Time{}, fmt.Errorf("read from pipe: %w", os.ErrDeadlineExceeded)
	}
	if len(h.mu.queue) == 0 || h.mu.held {
		return nil, h.mu.read, nil
	}
	first := h.mu.queue[0]
	if first.due.After(now) {
		return nil, earlier(first.due, h.mu.read), nil
	}
	frame := first.frames[h.mu.next]
	h.mu.next++
	if h.mu.next == len(first.frames) {
		h.mu.queue, h.mu.next = h.mu.queue[1:], 0
		h.mu.bytes -= first.bytes
		hint(h.wakeWriter)
	}
	return frame, time.Time{}, nil
}

// isLocal tells an end made by the reader's own side, after which nothing that
// still waits is wanted.
func isLocal(err error) bool { return err == ErrClosed } //nolint:errorlint // set by us, never wrapped

func earlier(a, b time.Time) time.Time {
	if b.IsZero() || a.Before(b) {
		return a
	}
	return b
}

// sleep waits for the hint or until the time; the zero time never comes.
func sleep(wake <-chan struct{}, until time.Time) {
	if until.IsZero() {
		<-wake
		return
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-wake:
	case <-timer.C:
	}
}

func (c *pipeConn) WriteFrames(frames [][]byte) error {
	if len(frames) == 0 {
		return nil
	}
	b, err := copyBatch(frames)
	if err != nil {
		return err
	}
	for {
		now := time.Now()
		if c.delay != nil {
			if d := c.delay(c.local, c.remote); d > 0 {
				b.due = now.Add(d)
			}
		}
		wait, done, err := c.out.put(b, now)
		if done || err != nil {
			return err
		}
		sleep(c.out.wakeWriter, wait)
	}
}

// copyBatch copies the frames into one piece of memory.
func copyBatch(frames [][]byte) (batch, error) {
	total := 0
	for _, f := range frames {
		if len(f) == 0 {
			return batch{}, fmt.Errorf("%w: empty", ErrMalformed)
		}
		total += len(f)
	}
	all := make([]byte, 0, total)
	b := batch{frames: make([][]byte, len(frames)), bytes: total}
	for i, f := range frames {
		start := len(all)
		all = append(all, f...)
		b.frames[i] = all[start:len(all):len(all)]
	}
	return b, nil
}

// put queues the batch, or says until when to wait for room.
func (h *half) put(b batch, now time.Time) (wait time.Time, done bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mu.gone != nil {
		return time.Time{}, false, h.mu.gone
	}
	if !h.mu.write.IsZero() && !now.Before(h.mu.write) {
		return time.Time{}, false, fmt.Errorf("write to pipe: %w", os.ErrDeadlineExceeded)
	}
	if h.mu.bytes > 0 && h.mu.bytes+b.bytes > pipeBytes {
		return h.mu.write, false, nil
	}
	// A batch that is due before the one ahead of it waits for that one.
	h.mu.queue = append(h.mu.queue, b)
	h.mu.bytes += b.bytes
	hint(h.wakeReader)
	return time.Time{}, true, nil
}

// end makes the reader get one error after what is queued, and the writer
// another at once. The first end of each stays.
func (h *half) end(reader, writer error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mu.closed == nil || isLocal(reader) {
		h.mu.closed = reader
	}
	if h.mu.gone == nil {
		h.mu.gone = writer
	}
	hint(h.wakeReader)
	hint(h.wakeWriter)
}

func (c *pipeConn) SetReadDeadline(t time.Time) error {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	c.in.mu.read = t
	hint(c.in.wakeReader)
	return nil
}

func (c *pipeConn) SetWriteDeadline(t time.Time) error {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	c.out.mu.write = t
	hint(c.out.wakeWriter)
	return nil
}

func (c *pipeConn) SetReadLimit(bytes int) { c.limit.Store(int64(bytes)) }

func (c *pipeConn) RemoteAddr() string { return c.remote }

func (c *pipeConn) Close(code CloseCode, reason string) error {
	if c.closing.Swap(true) {
		return nil
	}
	told := &CloseError{Code: code, Reason: cutReason(reason)}
	c.out.end(told, ErrClosed)
	if c.out.isHeld() {
		c.in.end(ErrClosed, nil) // the other side cannot know yet; its reader will
		return nil
	}
	c.in.end(ErrClosed, told)
	return nil
}

// ended tells that the pipe is closed from either side.
func (c *pipeConn) ended() bool {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return c.out.mu.gone != nil
}

// hold makes nothing arrive until it is undone.
func (h *half) hold(held bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.held = held
	hint(h.wakeReader)
}

func (h *half) isHeld() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.mu.held
}

// lose ends the pipe as a pulled cable does: both sides get the error, and
// what was under way is gone.
func (c *pipeConn) lose(err error) {
	for _, h := range []*half{c.in, c.out} {
		h.mu.Lock()
		h.mu.queue, h.mu.next, h.mu.bytes, h.mu.held = nil, 0, 0, false
		h.mu.Unlock()
		h.end(err, err)
	}
}

// cutReason shortens a reason to MaxReasonBytes without cutting a character.
func cutReason(reason string) string {
	if len(reason) <= MaxReasonBytes {
		return reason
	}
	end := MaxReasonBytes
	for end > 0 && reason[end]&0xC0 == 0x80 {
		end--
	}
	return reason[:end]
}
