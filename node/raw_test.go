package node

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/node/session"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

// rawClient speaks the protocol without the client library, so that a test
// decides what is read, and which token a command has.
type rawClient struct {
	t    *testing.T
	conn transport.Conn
	last uint64 // request
}

// rawDial connects to a node and signs in.
func (c *testCluster) rawDial(at *testNode, hello *pb.Hello) *rawClient {
	c.t.Helper()
	conn, err := c.doors.Dial(c.t.Context(), "raw", string(at.id)+":2")
	if err != nil {
		c.t.Fatal(err)
	}
	r := &rawClient{t: c.t, conn: conn}
	r.send(&pb.ClientFrame{Body: &pb.ClientFrame_Hello{Hello: hello}})
	return r
}

func rawHello(t *testing.T, user string) *pb.Hello {
	t.Helper()
	token, err := client.SignToken(testApp, wire.UserID(user), testKey, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return &pb.Hello{Version: session.Version, App: testApp, Token: token, Instance: []byte("0123456789abcdef")}
}

func (r *rawClient) send(f *pb.ClientFrame) {
	r.t.Helper()
	b, err := proto.Marshal(f)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.conn.WriteFrames([][]byte{b}); err != nil {
		r.t.Fatal(err)
	}
}

// read returns the next frame, or how the node has closed.
func (r *rawClient) read(within time.Duration) (*pb.ServerFrame, *transport.CloseError) {
	r.t.Helper()
	if err := r.conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		r.t.Fatal(err)
	}
	b, err := r.conn.ReadFrame()
	if told, ok := errors.AsType[*transport.CloseError](err); ok {
		return nil, told
	}
	if err != nil {
		r.t.Fatalf("read: %v", err)
	}
	f := &pb.ServerFrame{}
	if err := proto.Unmarshal(b, f); err != nil {
		r.t.Fatal(err)
	}
	return f, nil
}

func (r *rawClient) welcome() {
	r.t.Helper()
	if f, told := r.read(20 * time.Second); f.GetWelcome() == nil {
		r.t.Fatalf("not welcome: %v, %v", f, told)
	}
}

// ask sends a request and waits for its answer.
func (r *rawClient) ask(req *pb.Request) *pb.Response {
	r.t.Helper()
	r.last++
	req.Id = r.last
	r.send(&pb.ClientFrame{Body: &pb.ClientFrame_Request{Request: req}})
	for {
		f, told := r.read(20 * time.Second)
		if told != nil {
			r.t.Fatalf("closed: %v", told)
		}
		if resp := f.GetResponse(); resp.GetId() == r.last {
			return resp
		}
	}
}

func sendRequest(n uint64, id wire.ConversationID, text string) *pb.Request {
	return &pb.Request{N: n, Op: &pb.Request_SendMessage{SendMessage: &pb.SendMessage{Conversation: string(id), Body: []byte(text)}}}
}

// batches returns what a frame says of one log.
func batches(f *pb.ServerFrame, id wire.ConversationID) []*pb.LogBatch {
	var out []*pb.LogBatch
	for _, b := range f.GetEvents().GetLogs() {
		if b.GetLog().GetConversation() == string(id) {
			out = append(out, b)
		}
	}
	return out
}

func (r *rawClient) subscribe(id wire.ConversationID, after wire.Offset) {
	r.t.Helper()
	resp := r.ask(&pb.Request{Op: &pb.Request_Subscribe{Subscribe: &pb.Subscribe{Positions: []*pb.Position{
		{Log: &pb.LogRef{Conversation: string(id)}, After: uint64(after)},
	}}}})
	if logs := resp.GetSubscribed().GetLogs(); len(logs) != 1 || logs[0].GetError() != nil {
		r.t.Fatalf("subscribe: %v", resp)
	}
}

func (r *rawClient) String() string { return fmt.Sprintf("raw client to %s", r.conn.RemoteAddr()) }
