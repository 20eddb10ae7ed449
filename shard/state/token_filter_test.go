package state

import (
	"fmt"
	"testing"

	"github.com/quorate/quorate/wire"
)

func tokenKey(i int) []byte { return fmt.Appendf(nil, "key of the token %d", i) }

// TestTokenFilter: of what was added it never says no, as long as it counts; of
// the rest nearly always.
func TestTokenFilter(t *testing.T) {
	const many = 3*largePart + 5
	f := &tokenFilter{}
	for i := range many {
		f.add(tokenKey(i), int64(i))
	}
	wrong := 0
	for i := range many {
		if !f.mayHave(tokenKey(i), many) {
			t.Fatalf("%d was added", i)
		}
		if f.mayHave(tokenKey(many+i), many) {
			wrong++
		}
	}
	if wrong*100 > many {
		t.Errorf("of %d that were not added it takes %d for added", many, wrong)
	}
	if !f.mayHave(tokenKey(many-1), many-1+tokenMillis-1) {
		t.Error("the last one is forgotten before its time")
	}
	if f.mayHave(tokenKey(many-1), many-1+tokenMillis) || len(f.parts) > 0 {
		t.Errorf("%d parts are left after their time", len(f.parts))
	}
}

// TestTokenFilterFull: with more than it holds it knows nothing, until what it
// has forgotten does not count any more.
func TestTokenFilterFull(t *testing.T) {
	f := &tokenFilter{}
	i := 0
	for ; f.completeFrom == 0; i++ {
		f.add(tokenKey(i), int64(i))
	}
	if len(f.parts) != maxParts || i < 2_000_000 {
		t.Errorf("%d parts are full after %d", len(f.parts), i)
	}
	if !f.mayHave([]byte("another"), int64(i)) {
		t.Error("it denies what it may have forgotten")
	}
	if last := f.completeFrom; f.mayHave([]byte("another"), last) && f.mayHave([]byte("a second"), last) {
		t.Error("it does not know again what it knows")
	}
}

// TestTokensAreLoaded: a state that is opened knows the tokens that have rows, of
// conversations and users, or that it does not.
func TestTokensAreLoaded(t *testing.T) {
	s := newScript(t)
	s.do(t, Header{Actor: "ann"}, &CreateConversation{ID: "tea", Preset: PresetBasic, Members: []wire.UserID{"bob"}})
	for i := range 50 {
		s.now += halfDayMillis / 40
		s.do(t, Header{Actor: "ann", Token: Token{Random: fmt.Sprint("token", i)}}, &SendMessage{Conversation: "tea", Body: []byte("hello")})
	}
	s.do(t, Header{Actor: "ann", Token: Token{Random: "tag"}}, &Login{User: "ann", Tag: "phone", Session: "s1", Node: "n1"})
	s.reopen(t)
	f := &s.state.tokens
	for i := range 50 {
		if key := conversationScope(scriptApp, "tea").name(nil, tableRandomToken, fmt.Sprint("token", i)); !f.mayHave(key, s.now) {
			t.Errorf("token %d is not known", i)
		}
	}
	if key := userScope(scriptApp, "ann").name(nil, tableUserRandomToken, "tag"); !f.mayHave(key, s.now) {
		t.Error("the token of a user is not known")
	}
	if f.completeFrom != 0 || f.mayHave([]byte("another"), s.now) {
		t.Errorf("complete from %d", f.completeFrom)
	}
}

func BenchmarkTokenFilter(b *testing.B) {
	f := &tokenFilter{}
	for i := range 1_000_000 {
		f.add(tokenKey(i), int64(i))
	}
	key := conversationScope(scriptApp, "tea").name(nil, tableRandomToken, "LNd4a0cWTqOBgJ3mQvWq8v1lYp0c3d9yX0m5k2b7a1A")
	for b.Loop() {
		f.mayHave(key, 1)
	}
}
