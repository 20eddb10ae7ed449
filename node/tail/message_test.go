package tail

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/golden"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// records gathers what a hub's message holds.
type records struct {
	Pushes     []push
	Answers    []answer
	Cursors    []cursor
	Transients []Transient
	Wills      []will
}

func (r *records) pushed(p push)        { r.Pushes = append(r.Pushes, p) }
func (r *records) answered(a answer)    { r.Answers = append(r.Answers, a) }
func (r *records) cursorMoved(c cursor) { r.Cursors = append(r.Cursors, c) }
func (r *records) transient(one Transient) {
	r.Transients = append(r.Transients, one)
}
func (r *records) willed(w will) { r.Wills = append(r.Wills, w) }

func readMessage(b []byte) (head, records, error) {
	in := bin.NewReader(b)
	h := readHead(in)
	var got records
	err := readRecords(in, &got)
	return h, got, err
}

func encode(e *state.Entry) []byte { return state.EncodeLogEntry(nil, tea, e) }

func encoded(e *state.Entry) encodedEntry { return encodedEntry{entry: encode(e)} }

var (
	origin = state.Origin{Node: "n1", Session: 300, Request: 2}
	typing = &state.Message{From: "ann", Timestamp: 1000, Body: []byte("typing"), ContentType: "state"}
	moved  = Cursor{
		User: "ann", Read: 4, Delivered: 5, ReadStamp: 1000, DeliveredStamp: 900, Origin: origin,
		Asked: []state.Asked{{ID: "m4", Seq: 4, From: "ben", Timestamp: 800, Read: true}, {ID: "m5", Seq: 5, Timestamp: 850}},
	}
)

func hubMessage() []byte {
	b := head{number: 7, index: 300, lost: true}.append(nil)
	first, second := said("hi", "ben"), removed("eve")
	first.Offset, second.Offset = 5, 6
	b = appendPush(b, logOf(tea), 4, []encodedEntry{{origin: origin, entry: encode(first)}, encoded(second)})
	b = answer{id: 3, refusal: state.NotMember, last: 9, floor: 2, from: 1, read: 7, notices: true, present: true}.append(b)
	b = cursor{log: logOf(tea), moved: moved, receipts: true}.append(b)
	b = appendTransient(b, logOf(tea), origin, EncodeTransient(nil, typing))
	return appendWill(b, logOf(tea), 70000, EncodeTransient(nil, typing))
}

func TestMessageRoundTrip(t *testing.T) {
	h, got, err := readMessage(hubMessage())
	if err != nil {
		t.Fatal(err)
	}
	if want := (head{number: 7, index: 300, lost: true}); h != want {
		t.Errorf("head %+v, want %+v", h, want)
	}
	if len(got.Pushes) != 1 || len(got.Pushes[0].entries) != 2 || got.Pushes[0].after != 4 || string(got.Pushes[0].entries[0].Message.Body) != "hi" {
		t.Errorf("pushes %+v", got.Pushes)
	}
	want := []answer{{id: 3, refusal: state.NotMember, last: 9, floor: 2, from: 1, read: 7, notices: true, present: true}}
	if d := cmp.Diff(want, got.Answers, cmp.AllowUnexported(answer{})); d != "" {
		t.Error(d)
	}
	if first, second := got.Pushes[0].entries[0].Origin, got.Pushes[0].entries[1].Origin; first != origin || second != (state.Origin{}) {
		t.Errorf("origins %v and %v, want %v and none", first, second, origin)
	}
	cursors := []cursor{{log: logOf(tea), moved: moved, receipts: true}}
	if d := cmp.Diff(cursors, got.Cursors, cmp.AllowUnexported(cursor{})); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]Transient{{Log: logOf(tea), Origin: origin, Message: typing}}, got.Transients); d != "" {
		t.Error(d)
	}
	wills := []will{{number: 70000, Transient: Transient{Log: logOf(tea), Message: typing}}}
	if d := cmp.Diff(wills, got.Wills, cmp.AllowUnexported(will{})); d != "" {
		t.Error(d)
	}
}

// TestTruncatedMessages: every beginning of a message is refused, or is a
// shorter message.
func TestTruncatedMessages(t *testing.T) {
	whole := hubMessage()
	good := 0
	for n := range whole {
		if _, _, err := readMessage(whole[:n]); err == nil {
			good++
		}
	}
	if good != 5 { // after the head, and after each record but the last
		t.Errorf("%d beginnings are messages, want 5", good)
	}
}

func TestMalformedMessages(t *testing.T) {
	skipped := said("hi")
	skipped.Offset = 6
	begin := head{number: 1}.append(nil)
	for name, b := range map[string][]byte{
		"flags":           {1, 1, 2},
		"answer's flags":  append(bytes.Clone(begin), recordAnswer, 1, 0, 0, 0, 0, 4),
		"record":          append(bytes.Clone(begin), 99),
		"log kind":        append(bytes.Clone(begin), recordTransient, 1, 'a', 7, 1, 'b', 0, 0),
		"empty app":       append(bytes.Clone(begin), recordTransient, 0, 0, 1, 'b', 0, 0),
		"long id":         appendTransient(bytes.Clone(begin), logOf(wire.ConversationID(bytes.Repeat([]byte("x"), 65))), origin, EncodeTransient(nil, typing)),
		"long node":       appendTransient(bytes.Clone(begin), logOf(tea), state.Origin{Node: strings.Repeat("x", 65)}, EncodeTransient(nil, typing)),
		"no message":      appendTransient(bytes.Clone(begin), logOf(tea), origin, encode(removed("eve"))),
		"other message":   appendTransient(bytes.Clone(begin), logOf(tea), origin, []byte("typing")),
		"skipped offset":  appendPush(bytes.Clone(begin), logOf(tea), 4, []encodedEntry{encoded(skipped)}),
		"many entries":    append(appendLog(append(bytes.Clone(begin), recordPush), logOf(tea)), 0, 0xff, 0xff, 0xff, 0x7f),
		"cut-short entry": appendPush(bytes.Clone(begin), logOf(tea), 5, []encodedEntry{{entry: encode(skipped)[:5]}}),
	} {
		if _, _, err := readMessage(b); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestOpenRoundTrip(t *testing.T) {
	if s, place, err := DecodeOpen(EncodeOpen(12, "n1/a")); s != 12 || place != "n1/a" || err != nil {
		t.Errorf("%d, %v", s, err)
	}
	for _, version := range []byte{1, 3} { // an edge of another time is refused
		if _, _, err := DecodeOpen([]byte{version, 0, 0, 0, 1, 0}); !errors.Is(err, errBadMessage) {
			t.Errorf("version %d: %v", version, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(EncodeOpen(1, "n1/a"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, place, err := DecodeOpen(b); err == nil && !bytes.Equal(EncodeOpen(s, place), b) {
			t.Errorf("%x is not the form of shard %d", b, s)
		}
	})
}

// wishes encodes again what was read.
type wishes []byte

func (w *wishes) register(g register)   { *w = g.append(*w) }
func (w *wishes) drop(log state.LogKey) { *w = appendDrop(*w, log) }
func (w *wishes) presence(p presence)   { *w = p.append(*w) }

func wishMessage() []byte {
	b := appendDrop(nil, state.LogKey{App: "app", User: "ben"})
	b = register{id: 300, log: logOf(tea), user: "ann"}.append(b)
	b = presence{arrives: true, log: logOf(tea), user: "ann"}.append(b)
	return presence{log: logOf(tea), user: "ann"}.append(b)
}

// FuzzWishes: what a hub takes from an edge is either refused or read to its
// end, and encodes to what was read.
func FuzzWishes(f *testing.F) {
	f.Add(wishMessage())
	f.Fuzz(func(t *testing.T, b []byte) {
		var again []byte
		if err := readWishes(b, (*wishes)(&again)); err != nil {
			return
		}
		var third []byte
		if err := readWishes(again, (*wishes)(&third)); err != nil || !bytes.Equal(again, third) {
			t.Errorf("%x became %x, and that %x, %v", b, again, third, err)
		}
	})
}

// FuzzHubMessage hands an edge anything in place of a hub's message.
func FuzzHubMessage(f *testing.F) {
	f.Add(hubMessage())
	f.Fuzz(func(t *testing.T, b []byte) {
		_, got, err := readMessage(b)
		if err != nil {
			return
		}
		for _, p := range got.Pushes {
			for i, e := range p.entries {
				if e.Offset != p.after+wire.Offset(i)+1 {
					t.Errorf("entry %d of a push after %d has offset %d", i, p.after, e.Offset)
				}
			}
		}
		e := &Edge{opts: Options{}.withDefaults()}
		tail := newShardTail(e, 1)
		r := &reader{user: "ann", late: make(chan struct{}, 1)}
		for _, after := range []wire.Offset{0, 4} {
			sub, err := tail.subscribe(Request{Log: logOf(tea), User: "ann", After: after, Sink: r, Set: &Set{}, Done: func(Started, error) {}})
			if err != nil {
				t.Fatal(err)
			}
			if after > 0 {
				(*lockedTail)(tail).answered(answer{id: sub.waiting.id, last: 5})
			}
		}
		in := bin.NewReader(b)
		_ = tail.message(readHead(in).number, b)
	})
}

// TestGoldenMessages: a change of this file is a change of what nodes of
// different versions say to each other.
func TestGoldenMessages(t *testing.T) {
	got := fmt.Sprintf("open %x\nwishes %x\nhub %x\n", EncodeOpen(12, "n1/a"), wishMessage(), hubMessage())
	golden.Check(t, "messages", got)
}
