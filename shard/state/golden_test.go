package state

import (
	"encoding/hex"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// form is one durable form: an example, how it is written, how it is read.
type form struct {
	name   string
	value  any
	encode func(any) []byte
	decode func([]byte) (any, error)
}

func formOf[T any](name string, value T, encode func(T) []byte, decode func([]byte) (T, error)) form {
	return form{
		name, value,
		func(v any) []byte { return encode(v.(T)) },
		func(b []byte) (any, error) { return decode(b) },
	}
}

// forms has full examples of all durable forms of this half but commands.
func forms() []form {
	policy, _ := NewPolicy(PresetTemporary)
	info := Info{
		Policy: policy, Name: "Tea", Creator: "ann", Created: 1e12, Updated: 1e12 + 1, Expires: 1e12 + 2, Unique: true,
		Properties: []Property{{"a", []byte("1")}, {"b", []byte(`"x"`)}},
	}
	message := &Message{
		ID: wire.NewMessageID("tea", 1e12, 7), Seq: 7, Offset: 9, From: "ann", Timestamp: 1e12, Body: []byte("hi"),
		ContentType: "text", Count: 5, Counted: true,
	}
	full := *message
	full.ID, full.Imported = "imported", true
	full.Mentions, full.MentionAll, full.Targets = []wire.UserID{"bob"}, true, []wire.UserID{"bob", "cat"}
	full.Edited, full.Recalled = 1e12+5, true
	asked := *message
	asked.Receipt = true
	deleted := Message{ID: message.ID, Seq: 7, Offset: 9, From: "ann", Timestamp: 1e12, Count: 5, Counted: true, Deleted: true}
	ruled := info
	ruled.Policy, _ = NewPolicy(PresetBasic)
	ruled.Policy, ruled.Patched = ruled.Policy.ruled(RulesRoles), 1e12+3
	quiet := Member{User: "ann", Role: RoleMember, Joined: 1e12, JoinedOffset: 3, JoinedSeq: 1, Muted: true, Quiet: true}
	writeMessage := func(m *Message) []byte { return appendMessage(nil, m) }
	readMessage := func(b []byte) (*Message, error) { return decodeMessage("tea", 7, b) }
	writeEntry := func(e *Entry) []byte { return appendEntryRow(nil, e) }
	readEntry := func(b []byte) (*Entry, error) { return decodeEntryRow(3, b) }
	member := Member{
		User: "ann", Role: RoleManager, Nickname: "Ann", Joined: 1e12, JoinedOffset: 3, JoinedSeq: 1, Muted: true, MutedUntil: 1e12 + 9,
	}
	result := Result{
		Refusal: Muted, Text: "no", Again: true, Existed: true, Conversation: "tea", MessageID: message.ID, Seq: 7, Offset: 9,
		Timestamp: 1e12, Users: []UserResult{{"bob", Exists}}, Login: 2, Count: 3, More: true,
	}
	sent := Result{MessageID: message.ID, Seq: 7, Offset: 9, Timestamp: 1e12}
	writeResult := func(r Result) []byte { return EncodeResult(nil, r) }
	return []form{
		formOf("record", Record{Applied: 300, Term: 2, ConfigurationIndex: 1, Configuration: []byte("c"), Chain: 1 << 60, Stamp: 1e12},
			func(r Record) []byte { return AppendRecord(nil, r) }, DecodeRecord),
		formOf("head", head{flags: headMuted, seq: 300, offset: 310, timestamp: 1e12, count: 290, members: 3, floorOffset: 20, floorSeq: 10, floorCount: 9, gone: 1},
			func(h head) []byte { return appendHead(nil, &h) }, decodeHead),
		formOf("info", info, func(i Info) []byte { return appendInfo(nil, &i) }, decodeInfo),
		formOf("head, version 2", head{flags: headRoles, seq: 3, offset: 4, members: 2, asked: 3, bans: 300, mutes: 2, managers: 1},
			func(h head) []byte { return appendHead(nil, &h) }, decodeHead),
		formOf("info, version 2", ruled, func(i Info) []byte { return appendInfo(nil, &i) }, decodeInfo),
		formOf("member, version 2", quiet, func(m Member) []byte { return appendMember(nil, &m) },
			func(b []byte) (Member, error) { return decodeMember("ann", b) }),
		formOf("member", member, func(m Member) []byte { return appendMember(nil, &m) },
			func(b []byte) (Member, error) { return decodeMember("ann", b) }),
		formOf("message", message, writeMessage, readMessage),
		formOf("message, with a receipt", &asked, writeMessage, readMessage),
		formOf("message, deleted", &deleted, writeMessage, readMessage),
		formOf("message, all fields", &full, writeMessage, readMessage),
		formOf("conversation log entry", &Entry{
			Offset: 3, Seq: 2, Kind: EntryMuted, Stamp: 1e12, Actor: "ann", Target: 2, Users: []wire.UserID{"bob"}, Role: RoleMember,
			Until: 1e12, Expired: true,
		}, writeEntry, readEntry),
		formOf("conversation log entry of an update", &Entry{
			Offset: 3, Seq: 2, Kind: EntryUpdated, Stamp: 1e12, Actor: "ann", Changed: []byte(`{"attr":{"x":1}}`), Sent: []byte(`{"attr.x":1}`),
		}, writeEntry, readEntry),
		formOf("user log entry", &Entry{
			Offset: 3, Kind: EntryJoined, Stamp: 1e12, Actor: "ann", Conversation: "tea", ConversationOffset: 4, Tag: "t",
			Device: "d", Login: 5, Reason: "r",
		}, writeEntry, readEntry),
		formOf("exception", int64(-3), func(v int64) []byte { return appendException(nil, v) }, decodeException),
		formOf("recalled", recallRow{"ann", []wire.UserID{"bob"}}, func(r recallRow) []byte { return appendRecalled(nil, r) }, decodeRecalled),
		formOf("day", wire.Seq(300), func(s wire.Seq) []byte { return appendDay(nil, s) }, decodeDay),
		formOf("token", tokenRow{n: 3, stamp: 1e12, result: sent},
			func(r tokenRow) []byte { return appendTokenRow(nil, r.n, r.stamp, &r.result) }, decodeTokenRow),
		formOf("result, all fields", result, writeResult, DecodeResult),
		formOf("result, of an update", Result{Conversation: "tea", Timestamp: 1e12, Data: []byte(`{"name":"x"}`)}, writeResult, DecodeResult),
		formOf("result, none", Result{}, writeResult, DecodeResult),
		formOf("entry", goldenEntry{1e12, [][]byte{[]byte("one"), []byte("two")}},
			func(e goldenEntry) []byte { return AppendEntry(nil, e.stamp, e.commands) },
			func(b []byte) (e goldenEntry, err error) {
				e.stamp, e.commands, err = DecodeEntry(b)
				return e, err
			}),
	}
}

type goldenEntry struct {
	stamp    int64
	commands [][]byte
}

// conversationCommands has one full example of each command of this half.
func conversationCommands() []Command {
	users := []wire.UserID{"bob", "cat"}
	return []Command{
		&CreateConversation{ID: "tea", Preset: PresetTemporary, Unique: true, Name: "Tea", Members: users, Properties: []Property{{"a", []byte("1")}}, TTLMillis: 5000},
		&UpdateConversation{ID: "tea", SetName: true, Name: "Chai", Set: []Property{{"a", []byte("1")}}, Unset: []string{"b"}, Muted: SwitchOn},
		&DestroyConversation{ID: "tea"},
		&AddMembers{Conversation: "tea", Users: users},
		&RemoveMembers{Conversation: "tea", Users: users},
		&SetRole{Conversation: "tea", User: "bob", Role: RoleManager},
		&Mute{Conversation: "tea", Users: users, Millis: 300, Unmute: true},
		&SendMessage{Conversation: "tea", From: "ann", Body: []byte("hi"), ContentType: "text", Mentions: users, MentionAll: true, Targets: users},
		&EditMessage{Conversation: "tea", ID: wire.NewMessageID("tea", 1000, 1), Body: []byte("hi"), ContentType: "text", Mentions: users, MentionAll: true},
		&RecallMessage{Conversation: "tea", ID: wire.NewMessageID("tea", 1000, 1)},
		&Trim{Conversation: "tea", Upto: 300},
		&Scrub{Slots: wire.SlotRange{First: 515, Last: 516}, ID: 300},
		&CreateConversation{ID: "tea", Preset: PresetBasic, Rules: RulesRoles, MemberLimit: 300},
		&UpdateConversation{ID: "tea", Changes: []Change{{"attr.x", ChangeIncrement, []byte("1")}, {"name", ChangeDelete, nil}}, Sent: []byte(`{"attr.x":1}`)},
		&SendMessage{Conversation: "tea", Body: []byte("hi"), Receipt: true},
		&SendMessage{Conversation: "tea", From: "bot", Body: []byte("hi"), ID: "m1"},
		&EditMessage{Conversation: "tea", ID: wire.NewMessageID("tea", 1000, 1), Body: []byte("hi"), From: "ann"},
		&RecallMessage{Conversation: "tea", ID: wire.NewMessageID("tea", 1000, 1), From: "ann"},
		&BlockMembers{Conversation: "tea", Users: users, Unblock: true},
		&Quiet{Conversation: "tea", Users: users, Off: true},
		&DeleteMessage{Conversation: "tea", ID: wire.NewMessageID("tea", 1000, 1)},
		&MoveDeviceCursor{Conversation: "tea", User: "ann", Device: "d1", Delivered: 300},
		&ReplaceMessage{Conversation: "tea", ID: wire.NewMessageID("tea", 1000, 1), Body: []byte("hi"), ContentType: "text/plain"},
		&EndIdle{ID: "tea", Before: 1000},
	}
}

func goldenHeaders() []Header {
	return []Header{
		{App: "app"},
		{App: "app", Actor: "ann", Token: Token{Instance: [16]byte{1, 2}, N: 300}, Origin: Origin{"n1", 7, 300}, Age: 300},
		{App: "app", Actor: "ann", Token: Token{Random: "dt"}},
	}
}

// TestGolden guards the durable forms: a changed line is a new version of the
// form, and replicas of the old one must still be read.
func TestGolden(t *testing.T) {
	datadriven.RunTest(t, "testdata/conversation_rows.golden", func(t *testing.T, d *datadriven.TestData) string {
		var b strings.Builder
		switch d.Cmd {
		case "rows":
			for _, f := range forms() {
				fmt.Fprintf(&b, "%s: %x\n", f.name, f.encode(f.value))
			}
		case "commands":
			for _, c := range conversationCommands() {
				fmt.Fprintf(&b, "%T: %x\n", c, EncodeCommand(nil, Header{App: "app"}, c))
			}
		case "headers":
			for _, h := range goldenHeaders() {
				fmt.Fprintf(&b, "%x\n", EncodeCommand(nil, h, &DestroyConversation{ID: "tea"}))
			}
		case "keys":
			goldenKeys(&b)
		}
		return b.String()
	})
}

func goldenKeys(b *strings.Builder) {
	s := scope{slot: 0x0102, app: "app", root: "tea"}
	c := &conversation{scope: s}
	for _, k := range []struct {
		name string
		key  []byte
	}{
		{"record", RecordKey(wire.SlotRange{First: 0x0102, Last: 0x0203})},
		{"head", s.key(nil, tableHead)},
		{"info", s.key(nil, tableInfo)},
		{"member", s.name(nil, tableMember, "ann")},
		{"message", s.number(nil, tableMessage, 300)},
		{"entry", s.number(nil, tableEntry, 300)},
		{"exception", s.nameNumber(nil, tableException, "ann", 300)},
		{"recalled", s.number(nil, tableRecalled, 300)},
		{"mention", s.nameNumber(nil, tableMention, "ann", 300)},
		{"mention all", s.number(nil, tableMentionAll, 300)},
		{"cursor", s.name(nil, tableCursor, "ann")},
		{"blocked", s.name(nil, tableBlocked, "ann")},
		{"imported", s.name(nil, tableImported, "id")},
		{"native token", (&tokenMemory{h: &goldenHeaders()[1], scope: s, native: tableToken}).nativeKey(nil)},
		{"random token", append((&tokenMemory{scope: s, random: tableRandomToken}).halfKey(nil, 44444), "dt"...)},
		{"day", c.dayKey(nil, 1e12)},
		{"banned", s.name(nil, tableBanned, "ann")},
		{"muted", s.name(nil, tableMuted, "ann")},
		{"device cursor", deviceCursorKey(s, "ann", "d1")},
	} {
		fmt.Fprintf(b, "%s: %s\n", k.name, hex.EncodeToString(k.key))
	}
	start, end := Bounds(wire.SlotRange{First: 0x0102, Last: 0x0203})
	fmt.Fprintf(b, "bounds: [%x, %x)\n", start, end)
	start, end = Bounds(wire.SlotRange{First: 0x0102, Last: wire.Slots - 1})
	fmt.Fprintf(b, "bounds to the end: [%x, %x)\n", start, end)
}

// unexported lets cmp look into our rows.
func unexported() cmp.Option { return cmp.Exporter(func(reflect.Type) bool { return true }) }

func TestFormsRoundTrip(t *testing.T) {
	for _, f := range forms() {
		b := f.encode(f.value)
		got, err := f.decode(b)
		if err != nil {
			t.Errorf("decode %s: %v", f.name, err)
		}
		if diff := cmp.Diff(f.value, got, unexported()); diff != "" {
			t.Errorf("%s (-encoded +decoded):\n%s", f.name, diff)
		}
		for n := range b {
			if got, err := f.decode(b[:n]); err == nil {
				t.Errorf("%s cut to %d bytes of %d decodes to %+v", f.name, n, len(b), got)
			}
		}
	}
}

func TestCommandsRoundTrip(t *testing.T) {
	seen := map[Kind]bool{}
	for _, c := range conversationCommands() {
		seen[c.kind()] = true
		for _, h := range goldenHeaders() {
			gotHeader, got, err := DecodeCommand(EncodeCommand(nil, h, c))
			if err != nil {
				t.Errorf("decode %T: %v", c, err)
			}
			if diff := cmp.Diff(c, got, unexported()); diff != "" {
				t.Errorf("%T (-encoded +decoded):\n%s", c, diff)
			}
			if diff := cmp.Diff(h, gotHeader); diff != "" {
				t.Errorf("header (-encoded +decoded):\n%s", diff)
			}
		}
	}
	for k := range Kind(32) {
		if c := newCommand(k); c != nil && (!seen[k] || c.kind() != k) {
			t.Errorf("kind %d is %T, without an example or of another kind", k, c)
		}
	}
}

// FuzzForms gives every decoder of rows, results and entries arbitrary bytes:
// it must not panic, and what it takes must survive another round.
func FuzzForms(f *testing.F) {
	for i, form := range forms() {
		f.Add(uint8(i), form.encode(form.value))
	}
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		all := forms()
		form := all[int(which)%len(all)]
		got, err := form.decode(b)
		if err != nil {
			return
		}
		again := form.encode(got)
		back, err := form.decode(again)
		if err != nil {
			t.Fatalf("%s: decoded %x to %+v, which encodes to %x: %v", form.name, b, got, again, err)
		}
		if diff := cmp.Diff(got, back, unexported(), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%s (-first +second):\n%s", form.name, diff)
		}
	})
}

// FuzzDecodeCommand decodes arbitrary bytes as a whole command.
func FuzzDecodeCommand(f *testing.F) {
	for _, c := range append(conversationCommands(), userCommands()...) {
		for _, h := range goldenHeaders() {
			f.Add(EncodeCommand(nil, h, c))
		}
	}
	d := newDecoder() // applies what comes one after the other
	f.Fuzz(func(t *testing.T, b []byte) {
		h, c, err := DecodeCommand(b)
		if checked := CheckCommand(b); fmt.Sprint(checked) != fmt.Sprint(err) {
			t.Fatalf("the check says %v, the decoder %v", checked, err)
		}
		h2, c2, err2 := d.command(b)
		if fmt.Sprint(err2) != fmt.Sprint(err) {
			t.Fatalf("the decoder of apply says %v, the other %v", err2, err)
		}
		if err != nil {
			return
		}
		if diff := cmp.Diff(c, c2, unexported(), cmpopts.EquateEmpty()); diff != "" || h != *h2 {
			t.Fatalf("%+v and, in apply, %+v (-one +other):\n%s", h, h2, diff)
		}
		again, c2, err := DecodeCommand(EncodeCommand(nil, h, c))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c, c2, unexported(), cmpopts.EquateEmpty()); diff != "" || h != again {
			t.Fatalf("%+v and %+v (-first +second):\n%s", h, again, diff)
		}
	})
}

// FuzzConversationCommands decodes arbitrary fields of every command of
// conversations and applies what it takes: nothing may panic or break the state.
func FuzzConversationCommands(f *testing.F) {
	for _, c := range conversationCommands() {
		f.Add(uint64(c.kind()), true, c.append(nil))
	}
	s := newScript(f)
	s.do(f, Header{Actor: "ann"}, &CreateConversation{ID: "tea", Preset: PresetBasic, Members: []wire.UserID{"bob"}})
	f.Fuzz(func(t *testing.T, kind uint64, app bool, b []byte) {
		c := newCommand(Kind(kind))
		if c == nil || kind >= 32 {
			return
		}
		in := bin.NewReader(b)
		c.decode(in)
		if in.Close() != nil {
			return
		}
		var h Header
		if !app {
			h.Actor = "ann"
		}
		s.do(t, h, c)
	})
}

// TestUnknownStops sees to it that what a newer leader may have written is an
// error and not a guess, and that nothing is applied after it.
func TestUnknownStops(t *testing.T) {
	good := EncodeCommand(nil, Header{App: scriptApp, Actor: "ann"}, &CreateConversation{ID: "tea", Preset: PresetBasic})
	newerCommand, newerEntry := append([]byte(nil), good...), AppendEntry(nil, 1, [][]byte{good})
	newerCommand[0]++
	newerEntry[0]++
	for _, tc := range []struct {
		name string
		data []byte
	}{
		{"kind", AppendEntry(nil, 1, [][]byte{good, {commandVersion, 31, 0}})},
		{"command version", AppendEntry(nil, 1, [][]byte{good, newerCommand})},
		{"entry version", newerEntry},
		{"trailing bytes", append(AppendEntry(nil, 1, [][]byte{good}), 0)},
	} {
		s := newScript(t)
		if _, err := s.state.Apply([]LogEntry{{Index: 1, Term: 1, Data: tc.data}}); err == nil {
			t.Errorf("unknown %s was applied", tc.name)
		}
		if _, err := s.state.Apply([]LogEntry{{Index: 2, Term: 1, Data: AppendEntry(nil, 1, [][]byte{good})}}); err == nil {
			t.Errorf("entries are applied after an unknown %s", tc.name)
		}
		if rows := dump(t, s.db); len(rows) != 0 {
			t.Errorf("an unknown %s left %d rows", tc.name, len(rows))
		}
	}
}
