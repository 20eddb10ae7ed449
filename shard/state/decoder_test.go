package state

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/wire"
)

// TestDecodersAgree cuts commands anywhere: the decoder of apply, which uses
// its memory again, and the check say what DecodeCommand says.
func TestDecodersAgree(t *testing.T) {
	d := newDecoder()
	for _, c := range append(conversationCommands(), userCommands()...) {
		for _, h := range goldenHeaders() {
			whole := EncodeCommand(nil, h, c)
			for n := range len(whole) + 2 {
				b := append(slices.Clip(whole), 0)[:n]
				h1, c1, err1 := DecodeCommand(b)
				h2, c2, err2 := d.command(b)
				if fmt.Sprint(err1) != fmt.Sprint(err2) {
					t.Fatalf("%T cut to %d bytes: %v and, in apply, %v", c, n, err1, err2)
				}
				if err := CheckCommand(b); fmt.Sprint(err1) != fmt.Sprint(err) {
					t.Fatalf("%T cut to %d bytes: %v and, checked, %v", c, n, err1, err)
				}
				if err1 != nil {
					continue
				}
				if diff := cmp.Diff(c1, c2, unexported()); diff != "" || h1 != *h2 {
					t.Fatalf("%+v and, in apply, %+v (-one +other):\n%s", h1, *h2, diff)
				}
			}
		}
	}
}

// TestCheckIsCheap is why there is a check beside the decoder.
func TestCheckIsCheap(t *testing.T) {
	h := Header{App: "app", Actor: "ann", Token: Token{N: 1}, Origin: Origin{Node: "n1"}}
	b := EncodeCommand(nil, h, &SendMessage{Conversation: "tea", Body: []byte("hello"), ContentType: "text"})
	n := testing.AllocsPerRun(100, func() {
		if err := CheckCommand(b); err != nil {
			t.Fatal(err)
		}
	})
	if n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestNames sees to it that ids that push each other out are told apart.
func TestNames(t *testing.T) {
	n := newDecoder().names
	for range 3 {
		for i := range 4 * len(n.kept) {
			want := fmt.Sprint("user", i)
			if got := n.string([]byte(want)); got != want {
				t.Fatalf("%q, want %q", got, want)
			}
		}
	}
	if got := n.string(make([]byte, wire.MaxIDBytes)); got != string(make([]byte, wire.MaxIDBytes)) {
		t.Errorf("%q", got)
	}
}

func BenchmarkCheckCommand(b *testing.B) {
	h := Header{App: "app-of-24-characters-abc", Actor: "ann", Token: Token{N: 1}, Origin: Origin{Node: "n1"}}
	cmd := EncodeCommand(nil, h, &SendMessage{Conversation: "tea", Body: []byte("hello"), ContentType: "text"})
	b.Run("check", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = CheckCommand(cmd)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _, _ = DecodeCommand(cmd)
		}
	})
}
