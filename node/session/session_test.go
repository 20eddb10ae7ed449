package session

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/node/tail"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

func TestWelcome(t *testing.T) {
	inNode(t, Options{}, func(t *testing.T, n *node) {
		p := n.dial()
		p.send(&pb.ClientFrame{Body: &pb.ClientFrame_Hello{Hello: goodHello()}})
		w := p.next().GetWelcome()
		if w.GetMaxInFlight() != 64 || w.GetMaxFrameBytes() != wire.MaxFrameBytes || w.GetHeartbeatMillis() != 30_000 || w.GetSession() != "s1" {
			t.Errorf("welcome %v", w)
		}
		p.ask(7, "tea")
		if r := p.next().GetResponse(); r.GetId() != 7 || r.GetConversation().GetName() != "x" {
			t.Errorf("answer %v", r)
		}
		if s := n.session(); s.Identity.User != "ann" || s.Name != "s1" || !s.Open() {
			t.Errorf("session %+v", s.Identity)
		}
	})
}

func TestHelloRules(t *testing.T) {
	hello := func(change func(*pb.Hello)) []byte {
		h := goodHello()
		change(h)
		b, err := proto.Marshal(&pb.ClientFrame{Body: &pb.ClientFrame_Hello{Hello: h}})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	asked, err := proto.Marshal(request(1, "tea"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		frame []byte
		code  wire.Code // of the closing frame
		close transport.CloseCode
	}{
		{"not protobuf", []byte("GET / HTTP/1.1\r\n\r\n"), wire.CodeInvalid, transport.CloseProtocol},
		{"a request", asked, wire.CodeUnauthenticated, transport.CloseUnauthenticated},
		{"version", hello(func(h *pb.Hello) { h.Version = 2 }), wire.CodeInvalid, transport.CloseProtocol},
		{"short instance", hello(func(h *pb.Hello) { h.Instance = h.GetInstance()[:15] }), wire.CodeInvalid, transport.CloseProtocol},
		{"no instance", hello(func(h *pb.Hello) { h.Instance = nil }), wire.CodeInvalid, transport.CloseProtocol},
		{"device", hello(func(h *pb.Hello) { h.Device = "a\nb" }), wire.CodeInvalid, transport.CloseProtocol},
		{"tag", hello(func(h *pb.Hello) { h.Tag = strings.Repeat("x", 65) }), wire.CodeInvalid, transport.CloseProtocol},
		{"refused", hello(func(h *pb.Hello) { h.Token = "wrong" }), wire.CodeUnauthenticated, transport.CloseUnauthenticated},
		{"conflict", hello(func(h *pb.Hello) { h.Token = "taken" }), wire.CodeConflict, transport.CloseUnauthenticated},
		{"no quorum", hello(func(h *pb.Hello) { h.Token = "later" }), wire.CodeUnavailable, transport.CloseOverloaded},
		{"too large", hello(func(h *pb.Hello) { h.Token = strings.Repeat("x", wire.MaxHelloBytes) }), 0, transport.CloseTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			inNode(t, Options{}, func(t *testing.T, n *node) {
				welcome := n.signIn
				n.signIn = func(ctx context.Context, h *pb.Hello) (Grant, error) {
					switch h.GetToken() {
					case "token":
						return welcome(ctx, h)
					case "taken":
						return Grant{}, wire.Errorf(wire.CodeConflict, "session.open", "taken")
					case "later":
						return Grant{}, wire.Errorf(wire.CodeUnavailable, "session.open", "later")
					default:
						return Grant{}, wire.Errorf(wire.CodeUnauthenticated, "session.open", "no")
					}
				}
				p := n.dial()
				p.write(c.frame)
				last, code, _ := p.end()
				if code != c.close || last.GetClosing().GetCode() != uint32(c.code) || last.GetWelcome() != nil {
					t.Errorf("closed with %v after %v, want %v", code, last, c.close)
				}
				if n.howEnded() != "[]" || len(n.sessions) > 0 {
					t.Error("a session that was never signed in has started or ended")
				}
			})
		})
	}
}

func TestSilenceBeforeHello(t *testing.T) {
	inNode(t, Options{}, func(t *testing.T, n *node) {
		p := n.dial()
		if _, code, after := p.end(); code != transport.CloseTimeout || after != 10*time.Second {
			t.Errorf("closed with %v after %v", code, after)
		}
	})
}

// TestSignInThatHangs: whatever the sign-in waits for is given up in time.
func TestSignInThatHangs(t *testing.T) {
	inNode(t, Options{}, func(t *testing.T, n *node) {
		n.signIn = func(ctx context.Context, _ *pb.Hello) (Grant, error) {
			<-ctx.Done()
			return Grant{}, &wire.Error{Code: wire.CodeUnavailable, Err: ctx.Err()}
		}
		p := n.dial()
		p.send(&pb.ClientFrame{Body: &pb.ClientFrame_Hello{Hello: goodHello()}})
		if _, code, after := p.end(); code != transport.CloseOverloaded || after != 10*time.Second {
			t.Errorf("closed with %v after %v", code, after)
		}
	})
}

func TestFramesAfterTheSignIn(t *testing.T) {
	large := func(n int) []byte {
		b, err := proto.Marshal(request(1, strings.Repeat("x", n)))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	hello, err := proto.Marshal(&pb.ClientFrame{Body: &pb.ClientFrame_Hello{Hello: goodHello()}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		frame []byte
		close transport.CloseCode
	}{
		{"not protobuf", []byte{0xff, 0xff, 0xff}, transport.CloseProtocol},
		{"not UTF-8", []byte("\x12\x06\x5a\x04\x0a\x02\xff\xfe"), transport.CloseProtocol},
		{"no body", []byte{0xf8, 0x06, 1}, transport.CloseProtocol},
		{"hello again", hello, transport.CloseProtocol},
		{"too large", large(wire.MaxFrameBytes), transport.CloseTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			inNode(t, Options{}, func(t *testing.T, n *node) {
				p := n.enter()
				p.write(large(wire.MaxFrameBytes - 100))
				if f := p.next(); f.GetResponse() == nil {
					t.Fatalf("to a large request: %v", f)
				}
				p.write(c.frame)
				if _, code, _ := p.end(); code != c.close {
					t.Errorf("closed with %v, want %v", code, c.close)
				}
				if got := n.howEnded(); got != "[lost]" {
					t.Errorf("ended %s", got)
				}
			})
		})
	}
}

func TestInFlightLimit(t *testing.T) {
	inNode(t, Options{MaxInFlight: 4}, func(t *testing.T, n *node) {
		p := n.enter()
		for id := range uint64(4) {
			p.ask(id, "hold")
		}
		p.ask(4, "tea")
		if r := p.next().GetResponse(); r.GetId() != 4 || r.GetError().GetCode() != uint32(wire.CodeLimit) {
			t.Errorf("the fifth is answered %v", r)
		}
		n.session().Answer(answerOf(0, 1))
		if r := p.next().GetResponse(); r.GetId() != 0 {
			t.Errorf("answer %v", r)
		}
		p.ask(5, "tea")
		if r := p.next().GetResponse(); r.GetId() != 5 || r.GetConversation() == nil {
			t.Errorf("there is room again, and the answer is %v", r)
		}
		p.ask(6, "fail")
		if r := p.next().GetResponse(); r.GetError().GetCode() != uint32(wire.CodeGone) {
			t.Errorf("a failure is answered %v", r)
		}
		if n.doneCount() != 6 {
			t.Errorf("%d were done", n.doneCount())
		}
	})
}

// TestAskingWithoutReading: a client that asks and does not take the answers
// is not read from, whatever it asks for, and is closed in the end.
func TestAskingWithoutReading(t *testing.T) {
	for name, f := range map[string]*pb.ClientFrame{
		"requests": request(1, "big"),
		"pings":    {Body: &pb.ClientFrame_Ping{Ping: &pb.Ping{Nonce: 1 << 60}}},
		"too many": request(1, "hold"),
	} {
		t.Run(name, func(t *testing.T) {
			inNode(t, Options{MaxQueueBytes: 64 << 10}, func(t *testing.T, n *node) {
				p := n.enter()
				began := time.Now()
				b, err := proto.Marshal(f)
				if err != nil {
					t.Fatal(err)
				}
				written := 0
				for ; p.conn.WriteFrames([][]byte{b}) == nil; written++ {
					s := n.session()
					s.mu.Lock()
					// One answer, the queue, and what one write holds; the bound in the
					// queue is what counts, the memory network holds some more.
					if s.q.unsent > 64<<10+110<<10 {
						t.Fatalf("%d bytes are unsent after %d frames", s.q.unsent, written)
					}
					s.mu.Unlock()
					if written%100 == 0 {
						time.Sleep(time.Millisecond)
					}
				}
				if took := time.Since(began); took < 9*time.Second || took > 25*time.Second {
					t.Errorf("closed after %v", took)
				}
				if got := n.howEnded(); got != "[lost]" {
					t.Errorf("ended %s", got)
				}
			})
		})
	}
}

func batchOf(after wire.Offset, size int) *tail.Batch {
	return &tail.Batch{
		Log: state.LogKey{App: "app", Conversation: "tea"}, After: after, Upto: after + 1, Last: after + 1,
		Entries: []*state.Entry{{Offset: after + 1, Kind: state.EntryMessage, Message: &state.Message{Body: make([]byte, size)}}},
	}
}

// TestSlowReader: pushes that do not fit are refused, and taken again once the
// client has read.
func TestSlowReader(t *testing.T) {
	inNode(t, Options{}, func(t *testing.T, n *node) {
		p := n.enter()
		s := n.session()
		taken := 0
		for i := range wire.Offset(10_000) {
			if !s.Deliver(batchOf(i, 5<<10)) {
				break
			}
			taken++
		}
		small := 0
		for s.Deliver(batchOf(wire.Offset(taken+small), 1)) { // until not even these fit
			small++
		}
		// The first that is refused may be larger than what is left of the queue.
		if bytes := taken * 5 << 10; bytes < 250<<10 || bytes > 1<<20 {
			t.Errorf("%d bytes were taken before the first refusal", bytes)
		}
		end := batchOf(99_999, 1)
		end.Ended = true
		if !s.Deliver(end) {
			t.Error("an end was not taken")
		}
		for i := range taken + small {
			if got := p.next().GetEvents().GetLogs()[0].GetAfter(); got != uint64(i) {
				t.Fatalf("batch %d begins after %d", i, got)
			}
		}
		if f := p.next(); !f.GetEvents().GetLogs()[0].GetEnded() {
			t.Errorf("the end is %v", f)
		}
		synctest.Wait()
		if !s.Deliver(batchOf(1, 1)) {
			t.Error("not taken though everything was read")
		}
	})
}

func TestWriteTimeout(t *testing.T) {
	inNode(t, Options{}, func(t *testing.T, n *node) {
		n.enter()
		s := n.session()
		began := time.Now()
		for s.Open() {
			s.Deliver(batchOf(1, 5<<10))
			time.Sleep(time.Millisecond)
		}
		if took := time.Since(began); took < 10*time.Second || took > 11*time.Second {
			t.Errorf("closed after %v", took)
		}
		if got := n.howEnded(); got != "[lost]" {
			t.Errorf("ended %s", got)
		}
		if !s.Deliver(batchOf(1, 1)) {
			t.Error("a closed session takes and drops everything")
		}
		s.Late()
		s.Answer(answerOf(1, 1))
	})
}

func TestEvents(t *testing.T) {
	inNode(t, Options{}, func(t *testing.T, n *node) {
		p := n.enter()
		s := n.session()
		s.DeliverCursor(tail.Cursor{Log: state.LogKey{App: "app", Conversation: "tea"}, User: "ben", Read: 3, Delivered: 5})
		if c := p.next().GetEvents().GetCursors(); len(c) != 1 || c[0].GetReadSeq() != 3 || c[0].GetDeliveredSeq() != 5 {
			t.Errorf("cursor %v", c)
		}
		s.DeliverTransient(&tail.Transient{Message: &state.Message{ContentType: "\xff"}}) // of another door
		one := &tail.Transient{Log: state.LogKey{App: "app", Conversation: "tea"}, Message: &state.Message{Body: []byte("typing")}}
		s.DeliverTransient(one)
		if m := p.next().GetEvents().GetTransients(); len(m) != 1 || string(m[0].GetBody()) != "typing" {
			t.Errorf("transient %v", m)
		}
		if one.Frame == nil {
			t.Error("the frame is not kept for the next subscriber")
		}
		b := batchOf(4, 10)
		b.Behind = true
		s.Deliver(b)
		if l := p.next().GetEvents().GetLogs()[0]; !l.GetBehind() || l.GetAfter() != 4 || l.GetUpto() != 5 {
			t.Errorf("batch %v", l)
		}
		s.Goaway(1500 * time.Millisecond)
		if g := p.next().GetGoaway(); g.GetWaitMillis() != 1500 {
			t.Errorf("goaway %v", g)
		}
		p.send(&pb.ClientFrame{Body: &pb.ClientFrame_Pong{Pong: &pb.Pong{}}})
		p.send(&pb.ClientFrame{Body: &pb.ClientFrame_Ping{Ping: &pb.Ping{Nonce: 9}}})
		if g := p.next().GetPong(); g.GetNonce() != 9 {
			t.Errorf("pong %v", g)
		}
	})
}

func TestCloseCodes(t *testing.T) {
	for _, c := range []struct {
		name    string
		close   func(n *node, p *peer)
		code    transport.CloseCode
		closing wire.Code
		ended   string
	}{
		{"signed out by the client", func(_ *node, p *peer) {
			p.send(&pb.ClientFrame{Body: &pb.ClientFrame_Request{Request: &pb.Request{Id: 9, Op: &pb.Request_CloseSession{}}}})
			p.ask(10, "too late")
		}, transport.CloseNormal, 0, "[clean]"},
		{"replaced", func(n *node, _ *peer) {
			n.session().Close(transport.CloseReplaced, wire.Errorf(wire.CodeConflict, "session", "another one"))
			n.session().Close(transport.CloseInternal, nil) // only the first counts
		}, transport.CloseReplaced, wire.CodeConflict, "[lost]"},
		{"internal", func(n *node, _ *peer) {
			n.session().Close(transport.CloseInternal, fmt.Errorf("not for clients"))
		}, transport.CloseInternal, 0, "[lost]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inNode(t, Options{}, func(t *testing.T, n *node) {
				p := n.enter()
				n.session().Deliver(batchOf(0, 1)) // what was queued is still written
				c.close(n, p)
				if f := p.next(); f.GetEvents() == nil {
					t.Errorf("the queued frame is %v", f)
				}
				last, code, _ := p.end()
				if code != c.code || last.GetClosing().GetCode() != uint32(c.closing) {
					t.Errorf("closed with %v after %v", code, last)
				}
				if got := n.howEnded(); got != c.ended {
					t.Errorf("ended %s, want %s", got, c.ended)
				}
				if n.doneCount() > 0 {
					t.Errorf("after the end was done: %v", n.done)
				}
				if n.session().Open() {
					t.Error("still open")
				}
			})
		})
	}
}

func TestNodeStops(t *testing.T) {
	inNode(t, Options{}, func(t *testing.T, n *node) {
		ctx, cancel := context.WithCancel(t.Context())
		n.ctx = ctx
		p := n.enter()
		ended := false
		n.session().OnEnd(func() { ended = true })
		cancel()
		if _, code, _ := p.end(); code != transport.CloseGoingAway {
			t.Errorf("closed with %v", code)
		}
		if got := n.howEnded(); got != "[lost]" || !ended {
			t.Errorf("ended %s, told %v", got, ended)
		}
	})
}

func TestLostConnection(t *testing.T) {
	inNode(t, Options{}, func(t *testing.T, n *node) {
		n.enter()
		n.net.Break("client", "node")
		if got := n.howEnded(); got != "[lost]" {
			t.Errorf("ended %s", got)
		}
	})
}

func TestIdle(t *testing.T) {
	inNode(t, Options{Renew: time.Minute}, func(t *testing.T, n *node) {
		p := n.enter()
		for range 10 {
			time.Sleep(89 * time.Second)
			p.send(&pb.ClientFrame{Body: &pb.ClientFrame_Ping{Ping: &pb.Ping{}}})
			if f := p.next(); f.GetPong() == nil {
				t.Fatalf("got %v", f)
			}
		}
		if _, code, after := p.end(); code != transport.CloseTimeout || after != 90*time.Second {
			t.Errorf("closed with %v after %v", code, after)
		}
	})
}

// TestEncodeError: what is not ours to tell is "internal", without its text.
func TestEncodeError(t *testing.T) {
	e := EncodeError(fmt.Errorf("answer: %w", wire.Errorf(wire.CodeMuted, "message.send", "quiet")))
	if e.GetCode() != uint32(wire.CodeMuted) || e.GetOp() != "message.send" || e.GetText() != "quiet" {
		t.Errorf("error %v", e)
	}
	if e := EncodeError(fmt.Errorf("/var/lib/secret")); e.GetCode() != uint32(wire.CodeInternal) || e.GetText() != "internal error" {
		t.Errorf("error %v", e)
	}
}
