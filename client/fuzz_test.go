package client

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/virtual"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

// deafConn is a connection that brings the given frames, and takes everything.
type deafConn struct {
	transport.Conn
	frames [][]byte
}

func (c *deafConn) ReadFrame() ([]byte, error) {
	if len(c.frames) == 0 {
		return nil, transport.ErrClosed
	}
	f := c.frames[0]
	c.frames = c.frames[1:]
	return f, nil
}

func (c *deafConn) WriteFrames([][]byte) error              { return nil }
func (c *deafConn) SetWriteDeadline(time.Time) error        { return nil }
func (c *deafConn) Close(transport.CloseCode, string) error { return nil }

// FuzzServerFrame hands a node's bytes, whatever they are, to a session with
// a call and subscriptions that they may be about. Nothing may panic, hang or
// hand out entries that go back.
func FuzzServerFrame(f *testing.F) {
	logs := []*pb.LogBatch{{
		Log: &pb.LogRef{Conversation: "tea"}, Upto: 3, Last: 9,
		Entries: []*pb.LogEntry{{Offset: 2, What: &pb.LogEntry_Message{Message: &pb.Message{Body: []byte("x")}}}, {Offset: 1}},
	}, {Log: &pb.LogRef{Conversation: "tea"}, After: 5, Upto: 9, Ended: true}, {Log: &pb.LogRef{}, After: 1, Upto: 4, Behind: true}}
	for _, frame := range []*pb.ServerFrame{
		{},
		{Body: &pb.ServerFrame_Events{Events: &pb.Events{Logs: logs, Cursors: []*pb.CursorMoved{{}}, Transients: []*pb.Message{{}}}}},
		{Body: &pb.ServerFrame_Response{Response: &pb.Response{Id: 1, Result: &pb.Response_Sent{Sent: &pb.Sent{Seq: 1}}}}},
		{Body: &pb.ServerFrame_Response{Response: &pb.Response{Id: 1, Result: &pb.Response_Error{Error: &pb.Error{Code: 5}}}}},
		{Body: &pb.ServerFrame_Response{Response: &pb.Response{Id: 2, Result: &pb.Response_Log{Log: logs[0]}}}},
		{Body: &pb.ServerFrame_Response{Response: &pb.Response{Id: 3, Result: &pb.Response_Subscribed{Subscribed: &pb.Subscribed{
			Logs: []*pb.SubscribedLog{{Log: &pb.LogRef{Conversation: "tea"}, After: 7, Last: 9}},
		}}}}},
		{Body: &pb.ServerFrame_Goaway{Goaway: &pb.Goaway{WaitMillis: 1 << 31}}},
		{Body: &pb.ServerFrame_Closing{Closing: &pb.Error{Code: 1 << 20}}},
		{Body: &pb.ServerFrame_Ping{Ping: &pb.Ping{Nonce: 1 << 60}}},
		{Body: &pb.ServerFrame_Response{Response: &pb.Response{Id: 1, Result: &pb.Response_Sent{Sent: &pb.Sent{
			Id: "0123456789ABCDEFGHIJKL", Seq: 1, Offset: 2, TimestampMillis: 3,
		}}}}},
	} {
		b, err := proto.Marshal(frame)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, b)
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		checkDecodeSent(t, first)
		virtual.Test(t, func(t *testing.T) { takeFrames(t, first, second) })
	})
}

func takeFrames(t *testing.T, frames ...[]byte) {
	opts := Options{Handlers: Handlers{Transient: func(Message) {}, Cursor: func(Cursor) {}}}.withDefaults()
	l := newLink(opts)
	sub := &Subscription{link: l, log: "tea", signal: make(chan struct{}, 1), ready: make(chan struct{})}
	sub.mu.known = true
	own := &Subscription{link: l, log: "", signal: make(chan struct{}, 1), ready: make(chan struct{})}
	for _, s := range []*Subscription{sub, own} {
		if err := l.mu.following.follow(s); err != nil {
			t.Fatal(err)
		}
	}
	s := newSession(l, &deafConn{frames: frames}, Server{}, &pb.Welcome{})
	v := &Conversation{link: l, id: "tea"}
	v.SendAsync(context.Background(), Text("x"), func(Sent, error) {})
	go func() { _, _ = v.History(context.Background(), Range{}) }()
	synctest.Wait()
	l.begin(s)
	l.take(s, time.Now())
	s.read()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for at := wire.Offset(0); ; {
		e, err := sub.Next(ctx)
		if err != nil {
			break
		}
		if e.Offset <= at {
			t.Fatalf("entry %d after %d", e.Offset, at)
		}
		at = e.Offset
	}
	l.end(ErrClosed)
}

// checkDecodeSent: what is decoded by hand is what protobuf decodes.
func checkDecodeSent(t *testing.T, b []byte) {
	t.Helper()
	got := decodeSent(b)
	if got == nil {
		return
	}
	want := &pb.ServerFrame{}
	if err := proto.Unmarshal(b, want); err != nil || !proto.Equal(got, want.GetResponse()) {
		t.Fatalf("decoded %v, want %v (%v)", got, want, err)
	}
}

func TestDecodeSent(t *testing.T) {
	sent := &pb.Sent{Id: "0123456789ABCDEFGHIJKL", Seq: 1 << 40, Offset: 7, TimestampMillis: 1_700_000_000_000}
	b, err := proto.Marshal(&pb.ServerFrame{Body: &pb.ServerFrame_Response{Response: &pb.Response{Id: 300, Result: &pb.Response_Sent{Sent: sent}}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := decodeSent(b); got.GetId() != 300 || !proto.Equal(got.GetSent(), sent) {
		t.Errorf("decoded %v, want %v", got, sent)
	}
	checkDecodeSent(t, b)
	for cut := range b {
		if got := decodeSent(b[:cut]); got != nil {
			t.Errorf("the first %d bytes are decoded as %v", cut, got)
		}
	}
}
