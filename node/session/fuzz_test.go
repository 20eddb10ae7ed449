package session

import (
	"context"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/node/auth"
	"github.com/quorate/quorate/node/native"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

// plainConn is a pipe as a client's connection.
type plainConn struct{ transport.Conn }

func (plainConn) SignedIn()       {}
func (plainConn) Kind() string    { return "pipe" }
func (plainConn) Continue(func()) {}

// translator is a backend that does of requests what every one of them goes
// through, and checks that no replica could stumble over a command.
type translator struct{ t *testing.T }

func (b translator) SignIn(_ context.Context, hello *pb.Hello) (Grant, error) {
	return Grant{Identity: auth.Identity{App: "app", User: "ann", Device: hello.GetDevice()}, Welcome: &pb.Welcome{}}, nil
}

func (translator) Started(*Session)     {}
func (translator) Ended(*Session, bool) {}

func (b translator) Do(s *Session, req *pb.Request) {
	asker := native.Asker{App: "app", User: "ann", Origin: state.Origin{Node: "n1", Session: 1, Request: req.GetId()}}
	change, ok, err := native.Translate(asker, req)
	if err == nil && ok {
		h, c, decodeErr := state.DecodeCommand(change.Encoded)
		switch {
		case decodeErr != nil:
			b.t.Errorf("%v became a command that cannot be decoded: %v", req, decodeErr)
		case h.App != "app" || h.Actor != "ann":
			b.t.Errorf("%v is done by %q of %q", req, h.Actor, h.App)
		case state.CommandSlot(h, c) != change.Slot:
			b.t.Errorf("%v is sent to slot %d", req, change.Slot)
		}
	}
	if err == nil && !ok {
		_, _, err = native.Asks(asker, req)
	}
	if r := req.GetCreateConversation(); r != nil {
		_, _ = native.Resolve(asker, r)
	}
	if r := req.GetSendMessage(); r != nil {
		_, _ = native.Transient(asker, r, 1)
	}
	if err != nil {
		s.Fail(req.GetId(), err)
		return
	}
	s.Answer(answerOf(req.GetId(), 1))
}

// FuzzFrames hands a session two frames from outside. Whatever they are, it
// answers or closes.
func FuzzFrames(f *testing.F) {
	hello, err := proto.Marshal(&pb.ClientFrame{Body: &pb.ClientFrame_Hello{Hello: goodHello()}})
	if err != nil {
		f.Fatal(err)
	}
	for _, req := range []*pb.Request{
		{Id: 1, Op: &pb.Request_GetConversation{GetConversation: &pb.GetConversation{Conversation: "tea"}}},
		{Id: 2, N: 1, Op: &pb.Request_SendMessage{SendMessage: &pb.SendMessage{Conversation: "tea", Body: []byte("hi"), Mentions: []string{"ben"}}}},
		{Id: 3, N: 2, Op: &pb.Request_CreateConversation{CreateConversation: &pb.CreateConversation{Id: "tea", Members: []string{"ben"}, Properties: map[string][]byte{"a": []byte("1")}}}},
		{Id: 4, N: 3, Op: &pb.Request_UpdateConversation{UpdateConversation: &pb.UpdateConversation{Conversation: "tea", Unset: []string{"a"}}}},
		{Id: 5, N: 3, Op: &pb.Request_Mute{Mute: &pb.Mute{Conversation: "tea", Users: []string{"ben"}, Seconds: 9}}},
		{Id: 6, Op: &pb.Request_CloseSession{}},
	} {
		b, err := proto.Marshal(&pb.ClientFrame{Body: &pb.ClientFrame_Request{Request: req}})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(hello, b)
	}
	f.Add([]byte("\x1a\x02\x08\x01"), hello)
	opts := Options{}.WithDefaults()
	f.Fuzz(func(t *testing.T, first, second []byte) {
		ours, theirs := transport.Pipe()
		for _, frame := range [][]byte{first, second} {
			if len(frame) > 0 && len(frame) <= wire.MaxFrameBytes {
				if err := theirs.WriteFrames([][]byte{frame}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := theirs.Close(transport.CloseNormal, ""); err != nil {
			t.Fatal(err)
		}
		if err := New(1, plainConn{ours}, translator{t}, &opts).Serve(t.Context()); err == nil {
			t.Error("Serve returned nil")
		}
	})
}
