package state

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/quorate/quorate/wire"
)

// TestScripts plays the scripts in testdata/conversations. Each directive that
// changes something is one committed entry with one command; what stands under
// the dashes is the answer. The clock begins at 1,000 ms and is moved only by
// "wait". Before every entry with an odd index the state is opened anew, so all
// scripts also run with cold caches.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/conversations", func(t *testing.T, path string) {
		s := newScript(t)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			return s.play(t, d)
		})
	})
}

const (
	scriptApp   = wire.AppID("app")
	scriptStart = 1000
)

// script is one shard with all slots and a clock.
type script struct {
	db    *pebble.DB
	state *State
	index uint64
	now   int64
}

func newScript(t testing.TB) *script {
	s := &script{db: openMem(t), now: scriptStart}
	s.reopen(t)
	return s
}

func settle(t testing.TB, s *State) {
	t.Helper()
	if err := s.Settle(); err != nil {
		t.Fatal(err)
	}
}

// openMem opens a store in memory that is closed with the test.
func openMem(t testing.TB) *pebble.DB {
	t.Helper()
	db, err := pebble.Open("", &pebble.Options{
		FS: vfs.NewMem(), DisableWAL: true, Logger: quiet{}, MemTableSize: 1 << 20, FormatMajorVersion: pebble.FormatNewest,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// quiet is a Pebble logger that says nothing unless it is the end.
type quiet struct{}

func (quiet) Infof(string, ...any)           {}
func (quiet) Errorf(string, ...any)          {}
func (quiet) Fatalf(format string, a ...any) { panic(fmt.Sprintf(format, a...)) }

func (s *script) reopen(t testing.TB) {
	t.Helper()
	if s.state != nil {
		settle(t, s.state)
	}
	var err error
	if s.state, err = Open(s.db, wire.SlotRange{Last: wire.Slots - 1}, Options{}); err != nil {
		t.Fatal(err)
	}
}

// do commits one command and returns its result.
func (s *script) do(t testing.TB, h Header, c Command) Result {
	t.Helper()
	s.index++
	if s.index%2 == 1 {
		s.reopen(t)
	}
	h.App = scriptApp
	data := AppendEntry(nil, s.now, [][]byte{EncodeCommand(nil, h, c)})
	results, err := s.state.Apply([]LogEntry{{Index: s.index, Term: 1, Data: data}})
	if err != nil {
		t.Fatal(err)
	}
	return results[0][0]
}

func (s *script) play(t *testing.T, d *datadriven.TestData) string {
	if d.Cmd == "wait" {
		var ms int64
		d.ScanArgs(t, "ms", &ms)
		s.now += ms
		return ""
	}
	if d.Cmd == "sweep" {
		return s.sweep(t)
	}
	if text, ok := s.query(t, d); ok {
		return text
	}
	return describe(s.do(t, parseHeader(t, d), s.parse(t, d)))
}

// sweep names all timers that are due, once.
func (s *script) sweep(t *testing.T) string {
	due, err := s.state.DueTimers(s.now, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if len(due) == 0 {
		return "nothing is due"
	}
	var swept uint64
	for _, timer := range due {
		swept += s.do(t, Header{}, &Sweep{Timers: []Timer{timer}}).Count
	}
	return fmt.Sprintf("swept %d", swept)
}

func parseHeader(t *testing.T, d *datadriven.TestData) Header {
	h := Header{Actor: wire.UserID(arg(t, d, "as"))}
	switch token := arg(t, d, "token"); {
	case token == "":
	case token[0] >= '0' && token[0] <= '9':
		d.ScanArgs(t, "token", &h.Token.N)
		copy(h.Token.Instance[:], arg(t, d, "instance"))
	default:
		h.Token.Random = token
	}
	if d.HasArg("age") {
		d.ScanArgs(t, "age", &h.Age)
	}
	return h
}

func arg(t *testing.T, d *datadriven.TestData, key string) string {
	if !d.HasArg(key) {
		return ""
	}
	var v string
	d.ScanArgs(t, key, &v)
	return v
}

func number(t *testing.T, d *datadriven.TestData, key string) int64 {
	if !d.HasArg(key) {
		return 0
	}
	var v int64
	d.ScanArgs(t, key, &v)
	return v
}

func list[S ~string](d *datadriven.TestData, key string) []S {
	for _, a := range d.CmdArgs {
		if a.Key == key {
			ids := make([]S, len(a.Vals))
			for i, v := range a.Vals {
				ids[i] = S(v)
			}
			return ids
		}
	}
	return nil
}

func properties(d *datadriven.TestData, key string) []Property {
	var ps []Property
	for _, p := range list[string](d, key) {
		name, value, _ := strings.Cut(p, ":")
		ps = append(ps, Property{Name: name, Value: []byte(value)})
	}
	return ps
}

// messageID returns the id of the message at the script's seq, or the id given.
func (s *script) messageID(t *testing.T, d *datadriven.TestData, in wire.ConversationID) wire.MessageID {
	if id := arg(t, d, "id"); id != "" {
		return wire.MessageID(id)
	}
	v, err := s.state.view()
	if err != nil {
		t.Fatal(err)
	}
	m := loadMessage(v, conversationScope(scriptApp, in), wire.Seq(number(t, d, "seq")))
	if err := v.close(); err != nil {
		t.Fatal(err)
	}
	if m == nil {
		return "no such message"
	}
	return m.ID
}

func (s *script) parse(t *testing.T, d *datadriven.TestData) Command {
	in := wire.ConversationID(arg(t, d, "in"))
	switch d.Cmd {
	case "create":
		presets := map[string]Preset{
			"": PresetBasic, "basic": PresetBasic, "room": PresetRoom, "system": PresetSystem, "temporary": PresetTemporary,
		}
		return &CreateConversation{
			ID: in, Preset: presets[arg(t, d, "kind")], Unique: d.HasArg("unique"), Name: arg(t, d, "name"),
			Members: list[wire.UserID](d, "with"), Properties: properties(d, "set"), TTLMillis: number(t, d, "ttl"),
			Rules: scriptRules[arg(t, d, "rules")], MemberLimit: uint32(number(t, d, "limit")),
		}
	case "update":
		return &UpdateConversation{
			ID: in, SetName: d.HasArg("name"), Name: arg(t, d, "name"), Set: properties(d, "set"),
			Unset: list[string](d, "unset"), Muted: Switch(number(t, d, "muted")), Changes: changes(t, d), Sent: []byte(arg(t, d, "sent")),
		}
	case "destroy":
		return &DestroyConversation{ID: in}
	case "add":
		return &AddMembers{Conversation: in, Users: list[wire.UserID](d, "users")}
	case "remove":
		return &RemoveMembers{Conversation: in, Users: list[wire.UserID](d, "users")}
	case "role":
		return &SetRole{Conversation: in, User: wire.UserID(arg(t, d, "user")), Role: Role(number(t, d, "role"))}
	case "mute":
		return &Mute{
			Conversation: in, Users: list[wire.UserID](d, "users"), Millis: number(t, d, "for"), Unmute: d.HasArg("off"),
		}
	case "send":
		return &SendMessage{
			Conversation: in, From: wire.UserID(arg(t, d, "from")), Body: []byte(d.Input), ContentType: arg(t, d, "type"),
			Mentions: list[wire.UserID](d, "mentions"), MentionAll: d.HasArg("mention-all"), Targets: list[wire.UserID](d, "to"),
			Receipt: d.HasArg("receipt"),
		}
	case "edit":
		return &EditMessage{
			Conversation: in, ID: s.messageID(t, d, in), Body: []byte(d.Input), Mentions: list[wire.UserID](d, "mentions"),
			From: wire.UserID(arg(t, d, "from")),
		}
	case "recall":
		return &RecallMessage{Conversation: in, ID: s.messageID(t, d, in), From: wire.UserID(arg(t, d, "from"))}
	case "read":
		return &MoveCursors{Moves: []CursorMove{{Conversation: in, User: wire.UserID(arg(t, d, "as")), Read: wire.Seq(number(t, d, "seq"))}}}
	case "trim":
		return &Trim{Conversation: in, Upto: wire.Seq(number(t, d, "upto"))}
	default:
		return s.parseMore(t, d, in)
	}
}

// query answers the directives that change nothing.
func (s *script) query(t *testing.T, d *datadriven.TestData) (string, bool) {
	in, as := wire.ConversationID(arg(t, d, "in")), wire.UserID(arg(t, d, "as"))
	switch d.Cmd {
	case "show":
		c, err := s.state.Conversation(scriptApp, in)
		return orError(err, func() string {
			return fmt.Sprintf("%s name=%q creator=%s members=%d seq=%d offset=%d floor=%d/%d updated=%d expires=%d muted=%v properties=%s",
				c.ID, c.Name, c.Creator, c.MemberCount, c.LastSeq, c.LastOffset, c.FloorSeq, c.FloorOffset, c.Updated, c.Expires,
				c.Muted, describeProperties(c.Properties))
		}), true
	case "members":
		page, err := s.state.Members(scriptApp, in, wire.UserID(arg(t, d, "after")), orDefault(int(number(t, d, "limit")), 10))
		return orError(err, func() string { return describeMembers(page) }), true
	case "log":
		page, err := s.state.ReadLog(LogQuery{
			Log: LogKey{App: scriptApp, Conversation: in}, Reader: as, After: wire.Offset(number(t, d, "after")),
			Limit: int(number(t, d, "limit")), Bytes: int(number(t, d, "bytes")),
		})
		return orError(err, func() string { return describeLog(page) }), true
	case "history":
		page, err := s.state.History(HistoryQuery{
			App: scriptApp, Conversation: in, Reader: as, OldestFirst: d.HasArg("oldest-first"),
			From: wire.Seq(number(t, d, "from")), Upto: wire.Seq(number(t, d, "upto")), FromTime: number(t, d, "from-time"),
			UptoTime: number(t, d, "upto-time"), Limit: int(number(t, d, "limit")),
		})
		return orError(err, func() string { return describeHistory(page) }), true
	case "message":
		m, err := s.state.Message(scriptApp, in, s.messageID(t, d, in), as)
		return orError(err, func() string { return describeMessage(m) }), true
	case "unread":
		u, err := s.state.Unread(scriptApp, in, as)
		return orError(err, func() string { return fmt.Sprintf("unread=%d mentioned=%v", u.Count, u.Mentioned) }), true
	case "can-read":
		a, err := s.state.CanRead(scriptApp, in, as)
		return orError(err, func() string {
			return fmt.Sprintf("role=%d first=%d last=%d floor=%d", a.Role, a.First, a.Last, a.Floor)
		}), true
	case "can-read-each":
		each, position, err := s.state.CanReadEach(scriptApp, in, list[wire.UserID](d, "users"))
		return orError(err, func() string { return describeAccess(each, position) }), true
	case "rows":
		return s.rows(t, in), true
	default:
		return s.queryMore(t, d, in)
	}
}

// rows counts what is stored under the conversation, by table.
func (s *script) rows(t *testing.T, in wire.ConversationID) string {
	v, err := s.state.view()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, table := range []struct {
		name string
		of   byte
	}{
		{"head", tableHead},
		{"info", tableInfo},
		{"member", tableMember},
		{"message", tableMessage},
		{"entry", tableEntry},
		{"exception", tableException},
		{"recalled", tableRecalled},
		{"mention", tableMention},
		{"mention-all", tableMentionAll},
		{"token", tableToken},
		{"random-token", tableRandomToken},
		{"banned", tableBanned},
		{"muted", tableMuted},
		{"device-cursor", tableDeviceCursor},
	} {
		n := 0
		prefix := conversationScope(scriptApp, in).key(nil, table.of)
		v.scan(prefix, prefixEnd(prefix), func(_, _ []byte) bool { n++; return true })
		if n > 0 {
			fmt.Fprintf(&b, "%s=%d ", table.name, n)
		}
	}
	if err := v.close(); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(b.String())
}

func orError(err error, f func() string) string {
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		return "refused: " + refused.Error()
	}
	if err != nil {
		return err.Error()
	}
	return f()
}

func describe(r Result) string {
	if r.Refusal != None {
		return strings.TrimSuffix(fmt.Sprintf("refused: %s: %s", r.Refusal, r.Text), ": ")
	}
	var b strings.Builder
	if r.Seq != 0 {
		fmt.Fprintf(&b, "seq=%d ", r.Seq)
	}
	if r.Offset != 0 {
		fmt.Fprintf(&b, "offset=%d ", r.Offset)
	}
	fmt.Fprintf(&b, "at=%d", r.Timestamp)
	if r.Existed {
		b.WriteString(" (existed)")
	}
	if r.Again {
		b.WriteString(" (again)")
	}
	if r.More {
		b.WriteString(" (more)")
	}
	if len(r.Data) > 0 {
		fmt.Fprintf(&b, " changed=%s", r.Data)
	}
	for _, u := range r.Users {
		fmt.Fprintf(&b, "\n%s: %s", u.User, u.Refusal)
	}
	return b.String()
}

func describeProperties(ps []Property) string {
	var parts []string
	for _, p := range ps {
		parts = append(parts, fmt.Sprintf("%s:%s", p.Name, p.Value))
	}
	return "[" + strings.Join(parts, " ") + "]"
}

func describeMembers(page MemberPage) string {
	var lines []string
	for _, m := range page.Members {
		line := fmt.Sprintf("%s role=%d joined=%d/%d", m.User, m.Role, m.JoinedOffset, m.JoinedSeq)
		if m.Muted {
			line += fmt.Sprintf(" muted-until=%d", m.MutedUntil)
		}
		if m.Quiet {
			line += " quiet"
		}
		lines = append(lines, line)
	}
	if page.More {
		lines = append(lines, "more")
	}
	return strings.Join(lines, "\n")
}

func describeLog(page LogPage) string {
	lines := []string{fmt.Sprintf("(%d, %d] of (%d, %d]", page.After, page.Upto, page.Floor, page.Last)}
	for _, e := range page.Entries {
		lines = append(lines, describeEntry(e))
	}
	return strings.Join(lines, "\n")
}

func describeEntry(e *Entry) string {
	names := map[EntryKind]string{
		EntryMessage: "message", EntryEdited: "edited", EntryRecalled: "recalled", EntryMembersAdded: "added",
		EntryMembersRemoved: "removed", EntryRoleChanged: "role", EntryCreated: "created", EntryUpdated: "updated",
		EntryDestroyed: "destroyed", EntryMuted: "muted", EntryUnmuted: "unmuted",
		EntryBanned: "banned", EntryUnbanned: "unbanned",
	}
	line := fmt.Sprintf("%d %s at=%d by=%s", e.Offset, names[e.Kind], e.Stamp, e.Actor)
	if len(e.Users) > 0 {
		line += fmt.Sprintf(" users=%v", e.Users)
	}
	if e.Role != RoleNone {
		line += fmt.Sprintf(" role=%d", e.Role)
	}
	if e.Until != 0 {
		line += fmt.Sprintf(" until=%d", e.Until)
	}
	if len(e.Changed)+len(e.Sent) > 0 {
		line += fmt.Sprintf(" changed=%s sent=%s", e.Changed, e.Sent)
	}
	if e.Message != nil {
		line += ": " + describeMessage(e.Message)
	}
	return line
}

func describeMessage(m *Message) string {
	line := fmt.Sprintf("#%d %s at=%d %q", m.Seq, m.From, m.Timestamp, m.Body)
	if len(m.Targets) > 0 {
		line += fmt.Sprintf(" to=%v", m.Targets)
	}
	if len(m.Mentions) > 0 {
		line += fmt.Sprintf(" mentions=%v", m.Mentions)
	}
	if m.Recalled {
		line += fmt.Sprintf(" recalled=%d", m.Edited)
	} else if m.Edited != 0 {
		line += fmt.Sprintf(" edited=%d", m.Edited)
	}
	return line
}

func describeAccess(each []UserAccess, p Position) string {
	lines := []string{fmt.Sprintf("(%d, %d] seq=%d gone=%v", p.Floor, p.Last, p.Seq, p.Gone)}
	for _, one := range each {
		lines = append(lines, fmt.Sprintf("%s: %s role=%d first=%d", one.User, one.Refusal, one.Access.Role, one.Access.First))
	}
	return strings.Join(lines, "\n")
}

func describeHistory(page HistoryPage) string {
	var lines []string
	for _, m := range page.Messages {
		lines = append(lines, describeMessage(m))
	}
	if page.More {
		lines = append(lines, fmt.Sprintf("more from %d", page.Next))
	}
	return strings.Join(lines, "\n")
}
