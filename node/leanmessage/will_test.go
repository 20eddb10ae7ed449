package leanmessage

import (
	"testing"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/leanpb"
)

// will is a command that leaves a will.
func will(cid, text string) *leanpb.GenericCommand {
	return &leanpb.GenericCommand{
		Cmd: leanpb.CommandType_direct.Enum(), DirectMessage: &leanpb.DirectCommand{Cid: new(cid), Msg: new(text), Will: new(true)},
	}
}

func members(ids ...wire.UserID) []wire.UserID { return ids }

// willOf returns the text of a user's will.
func (w *world) willOf(user string) string {
	w.t.Helper()
	held, err := w.st.Sessions(testApp, wire.UserID(user))
	if err != nil {
		w.t.Fatal(err)
	}
	if held.Will == nil {
		return ""
	}
	return string(held.Will.Body)
}

// TestLM070_AWillOfWhoMayNotSpeakIsRefused: as a message of his would be, and at once:
// when it is sent, there is nobody to tell.
func TestLM070_AWillOfWhoMayNotSpeakIsRefused(t *testing.T) {
	w := newWorld(t, Options{})
	w.app(&state.CreateConversation{ID: "tea", Preset: state.PresetBasic, Members: members("tom", "jerry")})
	w.app(&state.CreateConversation{ID: "milk", Preset: state.PresetBasic, Members: members("tom", "eve")})
	w.app(&state.CreateConversation{ID: "hall", Preset: state.PresetRoom})
	w.app(&state.CreateConversation{ID: "news", Preset: state.PresetSystem})
	w.app(&state.CreateConversation{ID: "soon", Preset: state.PresetTemporary, Members: members("tom")})
	w.app(&state.Mute{Conversation: "milk", Users: members("tom")})
	p := w.dial()
	p.open("eve")
	tom := w.dial()
	tom.open("tom")
	for _, c := range []struct {
		who  *peer
		user string
		cid  string
		code int32
	}{
		{p, "eve", "tea", CodeInvalidTarget},
		{p, "eve", "nowhere", CodeInvalidTarget},
		{p, "eve", "_tmp:nowhere", CodeTempConvExpired},
		{p, "eve", "_tmp:soon", CodeInvalidTarget},
		{p, "eve", "milk", 0},
		{p, "eve", "tea", CodeInvalidTarget}, // and the one before stays
		{p, "eve", "hall", 0},                // there everybody may
		{p, "eve", "news", CodeInvalidTarget},
		{tom, "tom", "milk", CodeSilenced},
		{tom, "tom", "tea", 0},
	} {
		was := w.willOf(c.user)
		text := "farewell to " + c.cid
		a := c.who.ask(will(c.cid, text)).GetAckMessage()
		want := text
		if c.code != 0 {
			want = was
		}
		if a == nil || a.GetCode() != c.code || (a.GetUid() == "") != (c.code != 0) {
			t.Errorf("%s in %s: %v, want %d", c.user, c.cid, a, c.code)
		}
		if got := w.willOf(c.user); got != want {
			t.Errorf("%s in %s: his will is %q, want %q", c.user, c.cid, got, want)
		}
	}
	// The same code as that of a message.
	in := will("tea", "hello")
	in.DirectMessage.Will = nil
	if code := p.ask(in).GetAckMessage().GetCode(); code != CodeInvalidTarget {
		t.Errorf("a message: %d", code)
	}
}

// TestLM070_TheLastWillCounts: also when the one before is not left yet.
func TestLM070_TheLastWillCounts(t *testing.T) {
	w := newWorld(t, Options{})
	w.app(&state.CreateConversation{ID: "tea", Preset: state.PresetBasic, Members: members("tom", "jerry")})
	goOn := make(chan struct{})
	w.mu.Lock()
	w.before = func(c state.Command) {
		if set, ok := c.(*state.SetWill); ok && string(set.Body) == "the first" {
			<-goOn
		}
	}
	w.mu.Unlock()
	p := w.dial()
	p.open("tom")
	for i, text := range []string{"the first", "the last"} {
		in := will("tea", text)
		in.I = new(int32(100 + i))
		p.send(in)
	}
	p.wantSilence() // neither is answered
	close(goOn)
	for i := range 2 {
		if m := p.read(); m.GetI() != int32(100+i) || m.GetAckMessage().Code != nil {
			t.Errorf("answer %d: %v", i, m)
		}
	}
	if got := w.willOf("tom"); got != "the last" {
		t.Errorf("the will is %q", got)
	}
}

// TestLM070_AWillInAnOutage: where nobody knows whether he may, it is not left.
func TestLM070_AWillInAnOutage(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.dial()
	p.open("tom")
	w.outage(true)
	if code := p.ask(will("tea", "farewell")).GetAckMessage().GetCode(); code != CodeInternalError {
		t.Errorf("it is answered %d", code)
	}
}
