package state

import (
	"fmt"
	"strings"
	"testing"

	"github.com/quorate/quorate/wire"
)

// TestPagesFitAFrame reads a conversation of the largest messages there can be,
// and a user log of long reasons, page by page: each page fits a frame with
// room, and together they leave nothing out.
func TestPagesFitAFrame(t *testing.T) {
	s := newScript(t)
	var mentions []wire.UserID
	for i := range maxMentions {
		mentions = append(mentions, wire.UserID(fmt.Sprintf("%064d", i)))
	}
	s.do(t, Header{}, &CreateConversation{ID: "tea", Preset: PresetBasic, Members: []wire.UserID{"ann"}})
	const messages = 300
	for range messages {
		c := &SendMessage{Conversation: "tea", Body: make([]byte, wire.MaxBodyBytes), Mentions: mentions}
		if r := s.do(t, Header{}, c); r.Refusal != None {
			t.Fatal(describe(r))
		}
		if r := s.do(t, Header{}, &Kick{User: "ann", Device: "d", Reason: strings.Repeat("x", wire.MaxBodyBytes)}); r.Refusal != None {
			t.Fatal(describe(r))
		}
	}
	for _, oldest := range []bool{true, false} {
		s.readAllHistory(t, oldest, messages)
	}
	s.readWholeLog(t, LogKey{App: scriptApp, Conversation: "tea"}, messages)
	s.readWholeLog(t, LogKey{App: scriptApp, User: "ann"}, messages)
}

func (s *script) readAllHistory(t *testing.T, oldest bool, want wire.Seq) {
	t.Helper()
	q := HistoryQuery{App: scriptApp, Conversation: "tea", Reader: "ann", OldestFirst: oldest, Limit: 1000}
	for seen := wire.Seq(0); ; {
		page, err := s.state.History(q)
		if err != nil {
			t.Fatal(err)
		}
		size := 0
		for _, m := range page.Messages {
			seen++
			place := seen
			if !oldest {
				place = want + 1 - seen
			}
			if m.Seq != place {
				t.Fatalf("message %d at place %d, want %d", m.Seq, seen, place)
			}
			size += len(appendMessage(nil, m))
		}
		checkPage(t, "history", len(page.Messages), size, page.More)
		if !page.More {
			if seen != want {
				t.Errorf("history has %d messages, want %d", seen, want)
			}
			return
		}
		q.From = page.Next
	}
}

func (s *script) readWholeLog(t *testing.T, k LogKey, atLeast wire.Offset) {
	t.Helper()
	for after := wire.Offset(0); ; {
		page, err := s.state.ReadLog(LogQuery{Log: k, Reader: "ann", After: after, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		size := 0
		for _, e := range page.Entries {
			if after++; e.Offset != after {
				t.Fatalf("entry %d, want %d", e.Offset, after)
			}
			size += len(EncodeLogEntry(nil, k.Conversation, e))
		}
		if page.Upto != after {
			t.Fatalf("a page up to %d ends with entry %d", page.Upto, after)
		}
		more := page.Upto < page.Last
		checkPage(t, "log", len(page.Entries), size, more)
		if !more {
			if after < atLeast {
				t.Errorf("the log has %d entries, want at least %d", after, atLeast)
			}
			return
		}
	}
}

// checkPage wants pages to leave a third of a frame free, but to use another.
func checkPage(t *testing.T, what string, rows, size int, more bool) {
	t.Helper()
	if size+rows*50 > wire.MaxPageBytes/3*2 {
		t.Errorf("a page of %s has %d rows of %d bytes: too much for a frame of %d", what, rows, size, wire.MaxPageBytes)
	}
	if more && size < wire.MaxPageBytes/3 {
		t.Errorf("a page of %s has only %d bytes though there is more", what, size)
	}
}
