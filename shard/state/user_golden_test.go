package state

import (
	"encoding/hex"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// userRow is what all rows of this half can do.
type userRow interface{ encode(dst []byte) []byte }

// userRows has one full example of each row, with its decoder.
func userRows() []struct {
	name   string
	row    userRow
	decode func([]byte) (any, error)
} {
	type examples = []struct {
		name   string
		row    userRow
		decode func([]byte) (any, error)
	}
	key := uniqueKeyOf(PresetBasic, nil)
	return examples{
		{"user head", userHead{Last: 9, Floor: 2, ValidAfter: 1e12, Logins: 3, Wills: 4, Blocks: 5}, rowOf(decodeUserHead)},
		{"user head, version 2", userHead{Last: 9, Floor: 2, Banned: true}, rowOf(decodeUserHead)},
		{"membership", membershipRow{Version: 300, Present: true, Joined: 300, JoinedAt: 1e12, By: "ann", Entry: 7}, rowOf(decodeMembershipRow)},
		{"membership tombstone", membershipRow{Version: 301}, rowOf(decodeMembershipRow)},
		{"block", blockRow{Version: 8, Blocked: true}, rowOf(decodeBlockRow)},
		{"tag", tagRow{Login: 3, Session: "s1", Node: "n1", Device: "d1", Since: 1e12}, rowOf(decodeTagRow)},
		{"will", willRow{Session: "s1", Node: "n1", Conversation: "tea", ContentType: "text", Body: []byte("bye")}, rowOf(decodeWillRow)},
		{"will, version 2", willRow{Session: "s1", Node: "n1", Conversation: "tea", Body: []byte("bye"), willMore: willMore{ID: "w1", Mentions: []wire.UserID{"bob"}, MentionAll: true}}, rowOf(decodeWillRow)},
		{"banned", bannedRow{Since: 1e12, By: "ann"}, rowOf(decodeBannedRow)},
		{"place among broadcasts", placeRow(300), func(b []byte) (any, error) {
			seq, err := decodePlace(b)
			return placeRow(seq), err
		}},
		{"muted", mutedRow{Until: 1e12}, rowOf(decodeMutedRow)},
		{"device cursor", deviceCursorRow{Delivered: 300, At: 1e12}, rowOf(decodeDeviceCursorRow)},
		{"room", roomRow{Conversation: "hall", Session: "s1", Node: "n1", Entered: 1e12, Deadline: 1e12 + 5}, rowOf(decodeRoomRow)},
		{"cursor", cursorRow{Read: 400, ReadAt: 1e12, Delivered: 401, DeliveredAt: 1e12 + 1}, rowOf(decodeCursorRow)},
		{"mention", mentionRow{From: "ann"}, rowOf(decodeMentionRow)},
		{"unique", uniqueRow{Generation: 2, Candidates: []Candidate{{"tea", 1e12}, {"pot", 1e12 + 1}}}, rowOf(decodeUniqueRow)},
		{"outbox", outboxValue{5, OutboxNote{On: true, Gone: true, At: 1e12, By: "ann", ContentType: "text", Body: []byte("bye")}}, func(b []byte) (any, error) {
			version, note, err := decodeOutboxValue(b)
			return outboxValue{version, note}, err
		}},
		{"outbox, a will", outboxValue{5, OutboxNote{On: true, At: 1e12, Body: []byte("bye"), willMore: willMore{ID: "w1", Mentions: []wire.UserID{"bob"}}}}, func(b []byte) (any, error) {
			version, note, err := decodeOutboxValue(b)
			return outboxValue{version, note}, err
		}},
		{"key of an outbox row", outboxKeyOf{OutboxRef{Kind: OutboxMembership, App: "app", Conversation: "tea", User: "ann"}}, func(b []byte) (any, error) {
			o, err := decodeOutboxKey(b)
			return outboxKeyOf{o}, err
		}},
		{"key of a timer", timerKeyOf{Timer{Due: 1e12, Kind: timerRoom, Row: userScope("app", "ann").key(nil, tableRoom)}}, func(b []byte) (any, error) {
			w, err := decodeTimerKey(b)
			return timerKeyOf{w}, err
		}},
		{"key of an inbox row", keyOnly(inboxKey(&OutboxRef{Kind: OutboxWill, App: "app", Conversation: "tea", User: "ann"})), nil},
		{"key of a unique entry", keyOnly(uniqueRowKey("app", key)), nil},
	}
}

type (
	outboxValue struct {
		version uint64
		note    OutboxNote
	}
	outboxKeyOf struct{ OutboxRef }
	timerKeyOf  struct{ Timer }
	keyOnly     []byte
)

// placeRow is the row of a place.
type placeRow wire.Seq

func (p placeRow) encode(b []byte) []byte { return appendPlace(b, wire.Seq(p)) }

func (v outboxValue) encode(b []byte) []byte { return appendOutboxValue(b, v.version, &v.note) }
func (o outboxKeyOf) encode(b []byte) []byte { return outboxKey(b, &o.OutboxRef) }
func (w timerKeyOf) encode(b []byte) []byte  { return w.key(b) }
func (k keyOnly) encode(b []byte) []byte     { return append(b, k...) }

func rowOf[T any](decode func([]byte) (T, error)) func([]byte) (any, error) {
	return func(b []byte) (any, error) { return decode(b) }
}

// userCommands has one full example of each command of this half.
func userCommands() []Command {
	row := OutboxRow{
		OutboxRef:  OutboxRef{Kind: OutboxMembership, App: "app", Conversation: "tea", User: "ann", Version: 7},
		OutboxNote: OutboxNote{On: true, At: 1e12, By: "bob"},
	}
	return []Command{
		&MoveCursors{Moves: []CursorMove{{"tea", "ann", 3, 1e12, 4, 1e12 + 1}, {"pot", "bob", 1, 0, 0, 0}}},
		&BlockConversation{User: "ann", Conversation: "tea", Unblock: true},
		&Login{User: "ann", Tag: "phone", Session: "s1", Node: "n1", Device: "d1", Reconnect: true, IssuedAt: 1e12},
		&Logout{User: "ann", Tag: "phone", Session: "s1", Last: true},
		&SetWill{User: "ann", Session: "s1", Node: "n1", Conversation: "tea", ContentType: "text", Body: []byte("bye")},
		&SetWill{User: "ann", Session: "s1", Node: "n1", Conversation: "tea", Body: []byte("bye"), ID: "w1", Mentions: []wire.UserID{"bob"}, MentionAll: true},
		&BanUser{User: "ann", Unban: true},
		&PlaceBroadcasts{User: "ann", Places: []BroadcastPlace{{Name: PlaceBegin, Seq: 300}, {Name: "news", Seq: 301}}},
		&EnterRoom{User: "ann", Conversation: "hall", Session: "s1", Node: "n1"},
		&LeaveRoom{User: "ann", Conversation: "hall"},
		&SessionsLost{Losses: []SessionLoss{{User: "ann", Tag: "phone", Session: "s1", Last: true}, {App: "zoo", User: "bob", Session: "s2"}}},
		&Kick{User: "ann", Device: "d1", Reason: "late"},
		&ResolveUnique{Preset: PresetBasic, Members: []wire.UserID{"ann", "bob"}, Drop: []wire.ConversationID{"tea"}, Salt: 7},
		&DeliverOutbox{Rows: []OutboxRow{row, {OutboxRef: OutboxRef{Kind: OutboxWill, App: "app", Conversation: "tea", User: "bob", Version: 1}, OutboxNote: OutboxNote{Body: []byte("bye"), ContentType: "text"}}}},
		&AckOutbox{Rows: []OutboxRef{row.OutboxRef}},
		&Sweep{Timers: []Timer{{Due: 1e12, Kind: timerRoom, Row: userScope("app", "ann").key(nil, tableRoom)}}},
	}
}

// TestUserGolden guards the forms on disk: a changed line is a new format
// version.
func TestUserGolden(t *testing.T) {
	datadriven.RunTest(t, "testdata/user_rows.golden", func(t *testing.T, d *datadriven.TestData) string {
		var b strings.Builder
		switch d.Cmd {
		case "rows":
			for _, r := range userRows() {
				fmt.Fprintf(&b, "%s: %s\n", r.name, hex.EncodeToString(r.row.encode(nil)))
			}
		case "commands":
			for _, c := range userCommands() {
				fmt.Fprintf(&b, "%d %T: %s\n", c.kind(), c, hex.EncodeToString(c.append(nil)))
			}
		}
		return b.String()
	})
}

func TestUserRowsRoundTrip(t *testing.T) {
	exported := cmp.Exporter(func(reflect.Type) bool { return true })
	for _, r := range userRows() {
		if r.decode == nil {
			continue
		}
		b := r.row.encode(nil)
		got, err := r.decode(b)
		if err != nil {
			t.Errorf("decode %s: %v", r.name, err)
		}
		if diff := cmp.Diff(any(r.row), got, exported); diff != "" {
			t.Errorf("%s (-encoded +decoded):\n%s", r.name, diff)
		}
		for n := range b {
			if got, err := r.decode(b[:n]); err == nil && !strings.HasPrefix(r.name, "key") {
				t.Errorf("%s cut to %d bytes of %d decodes to %+v", r.name, n, len(b), got)
			}
		}
	}
}

func TestUserCommandsRoundTrip(t *testing.T) {
	seen := map[Kind]bool{}
	h := Header{App: "app", Actor: "ann"}
	for _, c := range userCommands() {
		seen[c.kind()] = true
		b := EncodeCommand(nil, h, c)
		_, got, err := DecodeCommand(b)
		if err != nil {
			t.Errorf("decode %T: %v", c, err)
		}
		if diff := cmp.Diff(c, got, unexported()); diff != "" {
			t.Errorf("%T (-encoded +decoded):\n%s", c, diff)
		}
		if want, got := CommandSlot(h, c), CommandSlot(h, got); want != got {
			t.Errorf("slot of %T is %d, after decoding %d", c, want, got)
		}
	}
	for k := range Kind(100) {
		if c := newUserCommand(k); c != nil && !seen[k] {
			t.Errorf("no example of %T", c)
		}
	}
}

// FuzzUserRows gives every decoder of this half arbitrary bytes: it must not
// panic, and what it takes must have one form only.
func FuzzUserRows(f *testing.F) {
	for i, r := range userRows() {
		f.Add(uint8(i), r.row.encode(nil))
	}
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		rows := userRows()
		r := rows[int(which)%len(rows)]
		if r.decode == nil {
			return
		}
		got, err := r.decode(b)
		if err != nil {
			return
		}
		again := got.(userRow).encode(nil)
		back, err := r.decode(again)
		if err != nil {
			t.Fatalf("%s: decoded %x to %+v, which encodes to %x: %v", r.name, b, got, again, err)
		}
		if diff := cmp.Diff(got, back, cmp.Exporter(func(reflect.Type) bool { return true })); diff != "" {
			t.Fatalf("%s (-first +second):\n%s", r.name, diff)
		}
	})
}

// FuzzUserCommands decodes arbitrary fields of every command, and applies what
// it takes: nothing may panic or break the state.
func FuzzUserCommands(f *testing.F) {
	for _, c := range userCommands() {
		f.Add(uint64(c.kind()), c.append(nil))
	}
	w := newWorld(f, 1)
	w.done("", &CreateConversation{ID: "tea", Preset: PresetBasic, Members: []wire.UserID{"ann", "bob"}})
	f.Fuzz(func(t *testing.T, kind uint64, b []byte) {
		c := newUserCommand(Kind(kind))
		if c == nil {
			return
		}
		in := bin.NewReader(b)
		c.decode(in)
		if in.Close() != nil {
			return
		}
		w.t = t
		w.do("", c)
	})
}
