package leanmessage

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/virtual"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/leanpb"
)

// slowHost is a host that answers what a user's sessions hold only when it is
// told to, with what was so when it was asked.
type slowHost struct {
	*world

	asked chan struct{} // nil: it answers at once
	goOn  chan struct{}
}

func (h *slowHost) Ask(ctx context.Context, app wire.AppID, user wire.UserID, root string, r *ask.Request) (*ask.Answer, error) {
	a, err := h.world.Ask(ctx, app, user, root, r)
	if r.Sessions != nil && h.asked != nil {
		select {
		case h.asked <- struct{}{}:
			<-h.goOn
		default:
		}
	}
	return a, err
}

// TestLM051_LeavingAndEnteringAtOnce: the user leaves his room with another session
// and enters it again with this one, while this one still asks whether he has.
func TestLM051_LeavingAndEnteringAtOnce(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{})
		h := &slowHost{world: w, goOn: make(chan struct{})}
		w.door = New(h, Options{})
		w.app(&state.CreateConversation{ID: "hall", Preset: state.PresetRoom})
		p := w.dial()
		p.open("jerry")
		enter := func() *leanpb.GenericCommand {
			in := command2(leanpb.CommandType_conv, leanpb.OpType_add)
			in.ConvMessage = &leanpb.ConvCommand{Cid: new("hall"), M: []string{"jerry"}}
			return in
		}
		if m := p.ask(enter()); m.GetOp() != leanpb.OpType_added {
			t.Fatalf("entering: %v", m)
		}
		h.asked = make(chan struct{}, 1)
		if _, err := w.do(state.Header{App: testApp, Actor: "jerry"}, &state.LeaveRoom{User: "jerry", Conversation: "hall"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(h.asked) != 1 {
			t.Fatal("the session does not ask where its user is: the test tests nothing")
		}
		in := enter()
		in.I = new(int32(100))
		p.send(in)
		synctest.Wait()
		h.goOn <- struct{}{}
		synctest.Wait()
		w.app(&state.SendMessage{Conversation: "hall", From: "tom", Body: []byte("hello")})
		synctest.Wait()
		for range len(p.conn.out) {
			if m := p.read(); m.GetDirectMessage().GetMsg() == "hello" {
				return
			}
		}
		t.Error("who has come back to the room hears nothing")
	})
}
