package leanmessage

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
)

// halfOut is a host with a shard that does not answer for a while: that of the
// conversation "far".
type halfOut struct {
	*world

	out atomic.Bool
}

func (h *halfOut) Divide(_ wire.AppID, roots []string) (groups [][]string) {
	for _, r := range roots {
		groups = append(groups, []string{r})
	}
	return groups
}

func (h *halfOut) Ask(ctx context.Context, app wire.AppID, user wire.UserID, root string, r *ask.Request) (*ask.Answer, error) {
	if h.out.Load() && r.Sync != nil && slices.Contains(r.Sync.Conversations, "far") {
		return nil, wire.Errorf(wire.CodeUnavailable, "", "no leader")
	}
	return h.world.Ask(ctx, app, user, root, r)
}

// TestLM083_OneShardDoesNotAnswer: what the others know is told at once, and the
// rest when it is known, each once.
func TestLM083_OneShardDoesNotAnswer(t *testing.T) {
	w := newWorld(t, Options{})
	h := &halfOut{world: w}
	h.out.Store(true)
	w.door = New(h, Options{})
	for _, id := range []wire.ConversationID{"near", "far"} {
		w.app(&state.CreateConversation{ID: id, Preset: state.PresetBasic, Members: []wire.UserID{"tom", "jerry"}})
		w.app(&state.SendMessage{Conversation: id, From: "jerry", Body: []byte("hi")})
	}
	p := w.dial()
	p.open("tom")
	told := func(id string) {
		t.Helper()
		if m := p.next(); len(m.GetUnreadMessage().GetConvs()) != 1 || m.GetUnreadMessage().GetConvs()[0].GetCid() != id {
			t.Fatalf("there is %v, want what is unread of %s", m, id)
		}
	}
	told("near")
	p.wantSilence()
	w.app(&state.SendMessage{Conversation: "near", From: "jerry", Body: []byte("followed")})
	if m := p.next(); m.GetDirectMessage().GetMsg() != "followed" {
		t.Fatalf("there is %v, want the message", m)
	}
	h.out.Store(false)
	told("far")
	p.wantSilence()
}
