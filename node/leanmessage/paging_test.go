package leanmessage

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quorate/quorate/wire/leanpb"
)

// TestLargeRepliesWaitForTheReader: a client that asks for many pages and reads
// none of them has the door hold one or two.
func TestLargeRepliesWaitForTheReader(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.dial()
	p.open("tom")
	p.conn.mu.Lock()
	p.conn.stuck = make(chan struct{})
	p.conn.mu.Unlock()
	s := w.door.all()[0]
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	var made, refused atomic.Int32
	var asked sync.WaitGroup
	for range 10 {
		asked.Go(func() {
			w.door.paging.reply(ctx, s, func(*leanpb.GenericCommand, error) { refused.Add(1) }, func() {
				made.Add(1)
				s.queue(make([]byte, 1<<20))
			})
		})
	}
	<-ctx.Done()
	if n := made.Load(); n < 1 || n > socketPages {
		t.Errorf("%d replies were made, want 1 or %d", n, socketPages)
	}
	if n := w.door.paging.unsent.Load(); n > socketPages<<20 {
		t.Errorf("%d bytes wait", n)
	}
	p.conn.cut()
	asked.Wait()
	if made.Load()+refused.Load() != 10 {
		t.Errorf("%d were made and %d refused, want all of 10", made.Load(), refused.Load())
	}
	w.serves.Wait()
	if n := w.door.paging.unsent.Load(); n != 0 {
		t.Errorf("%d bytes wait for a socket that is gone", n)
	}
}

// TestALargeReplyIsRefused while too much waits for all clients together.
func TestALargeReplyIsRefused(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.dial()
	p.open("tom")
	w.door.paging.unsent.Add(maxUnsent + 1)
	cid := "none"
	r := p.ask(&leanpb.GenericCommand{Cmd: leanpb.CommandType_logs.Enum(), LogsMessage: &leanpb.LogsCommand{Cid: &cid}})
	if r.GetErrorMessage().GetCode() != CodeInternalError {
		t.Errorf("a page while too much waits: %v", r)
	}
	w.door.paging.unsent.Add(-maxUnsent - 1)
}
