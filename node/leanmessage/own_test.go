package leanmessage

import (
	"context"
	"sync"
	"testing"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/leanpb"
)

// slowAnswers is a host that keeps the answer to what is submitted, once it is
// done.
type slowAnswers struct {
	*world

	done, read, release chan struct{}
}

func (s *slowAnswers) Submit(h state.Header, c state.Command, done func(state.Result, error)) {
	s.tasks.Go(func() {
		r, err := s.Change(s.ctx, h, c)
		s.done <- struct{}{}
		<-s.release
		done(r, err)
	})
}

func (s *slowAnswers) Ask(ctx context.Context, app wire.AppID, user wire.UserID, root string, r *ask.Request) (*ask.Answer, error) {
	a, err := s.world.Ask(ctx, app, user, root, r)
	if r.Log != nil && r.Log.Conversation != "" && err == nil {
		select {
		case s.read <- struct{}{}:
		default:
		}
	}
	return a, err
}

// TestLM066_OwnMessageIsReadBeforeItsAnswer: a session that has to read the log
// finds a message in it that it has sent and that is not answered yet. It waits for
// the answer, and is pushed only what others have sent.
func TestLM066_OwnMessageIsReadBeforeItsAnswer(t *testing.T) {
	w := newWorld(t, Options{})
	s := &slowAnswers{world: w, done: make(chan struct{}), read: make(chan struct{}, 1), release: make(chan struct{})}
	w.door = New(s, Options{})
	release := sync.OnceFunc(func() { close(s.release) })
	t.Cleanup(release)
	w.app(&state.CreateConversation{ID: "tea", Preset: state.PresetBasic, Members: []wire.UserID{"tom", "jerry"}})
	p := w.dial()
	p.open("tom")

	w.hub.Lead(false)
	p.last++
	p.send(&leanpb.GenericCommand{
		Cmd: leanpb.CommandType_direct.Enum(), I: new(p.last), DirectMessage: &leanpb.DirectCommand{Cid: new("tea"), Msg: new("mine")},
	})
	<-s.done
	if _, err := w.do(state.Header{App: testApp, Actor: "jerry"}, &state.SendMessage{Conversation: "tea", Body: []byte("theirs")}); err != nil {
		t.Fatal(err)
	}
	w.hub.Lead(true)
	<-s.read
	p.wantSilence()
	release()
	if m := p.next(); m.GetAckMessage().GetUid() == "" {
		t.Fatalf("there is %v, want the ack", m)
	}
	if m := p.next(); m.GetDirectMessage().GetMsg() != "theirs" {
		t.Fatalf("there is %v, want the other's message", m)
	}
	p.wantSilence()
}
