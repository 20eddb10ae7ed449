package wire

import (
	"math/rand/v2"
	"sort"
	"testing"
)

func TestSlotOfNeverChanges(t *testing.T) {
	// Stored keys begin with these numbers. A change here loses data.
	for _, c := range []struct {
		app  AppID
		root string
		want Slot
	}{
		{"", "", 59700},
		{"app", "tom", 4135},
		{"app", "5f2b8c0d0000a1b2c3d4e5f6", 44721},
		{"ap", "ptom", 7360},
	} {
		if got := SlotOf(c.app, c.root); got != c.want {
			t.Errorf("SlotOf(%q, %q) = %d, want %d", c.app, c.root, got, c.want)
		}
	}
}

func TestMessageIDSortsAsSent(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	ids := make([]string, 0, 1000)
	at := int64(1_700_000_000_000)
	for seq := Seq(1); seq <= 1000; seq++ {
		at += rng.Int64N(3)
		id := NewMessageID("conv", at, seq)
		if len(id) != 22 {
			t.Fatalf("%q has %d characters, want 22", id, len(id))
		}
		if got, ok := id.Seq("conv"); !ok || got != seq {
			t.Fatalf("%q says sequence %d %v, want %d", id, got, ok, seq)
		}
		if _, ok := id.Seq("other"); ok {
			t.Fatalf("%q passes for a message of another conversation", id)
		}
		ids = append(ids, string(id))
	}
	if !sort.StringsAreSorted(ids) {
		t.Error("ids of one conversation do not sort as they were sent")
	}
}

func TestMessageIDOfStrangers(t *testing.T) {
	for _, id := range []MessageID{"", "x", "zzzzzzzzzzzzzzzzzzzzzz", "aaaaaaaaaaaaaaaaaaaaaaa", "!!!!!!!!!!!!!!!!!!!!!!"} {
		if seq, ok := id.Seq("conv"); ok {
			t.Errorf("%q passes as sequence %d", id, seq)
		}
	}
}

func TestValidID(t *testing.T) {
	long := make([]byte, MaxIDBytes+1)
	for i := range long {
		long[i] = 'a'
	}
	for id, ok := range map[string]bool{
		"tom": true, "用户": true, "a b": true, string(long[1:]): true,
		"": false, string(long): false, "a\x00b": false, "\xff": false, "tab\t": false,
	} {
		if err := ValidID(id); (err == nil) != ok {
			t.Errorf("ValidID(%q) = %v", id, err)
		}
	}
}

func TestNewConversationID(t *testing.T) {
	if got, want := NewConversationID(0x5f2b8c0d, 0xffff_a1b2c3d4e5f6), ConversationID("5f2b8c0d0000a1b2c3d4e5f6"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestEveryCodeHasAName(t *testing.T) {
	for c := range codeEnd {
		if codeNames[c] == "" {
			t.Errorf("code %d has no name", c)
		}
	}
}
