package state

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/quorate/quorate/wire"
)

// TestUsers plays the scripts in testdata/users: two shards, and outboxes that
// are delivered when the script says so. Times are printed from the beginning.
func TestUsers(t *testing.T) {
	datadriven.Walk(t, "testdata/users", func(t *testing.T, path string) {
		p := &userScript{w: newWorld(t, 2)}
		p.start = p.w.stamp
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			p.d = d
			if c := p.command(); c != nil {
				return p.describe(p.w.do(wire.UserID(p.arg("as")), c))
			}
			return p.look()
		})
	})
}

type userScript struct {
	w     *world
	d     *datadriven.TestData
	start int64
}

func (p *userScript) arg(name string) string {
	if a, ok := p.d.Arg(name); ok && len(a.Vals) == 1 {
		return a.Vals[0]
	}
	return ""
}

func (p *userScript) number(name string) uint64 {
	var n uint64
	if s := p.arg(name); s != "" {
		if _, err := fmt.Sscan(s, &n); err != nil {
			p.d.Fatalf(p.w.t, "%s=%s: %v", name, s, err)
		}
	}
	return n
}

func (p *userScript) users(name string) []wire.UserID {
	a, _ := p.d.Arg(name)
	var users []wire.UserID
	for _, v := range a.Vals {
		users = append(users, wire.UserID(v))
	}
	return users
}

func (p *userScript) ids(name string) []wire.ConversationID {
	var ids []wire.ConversationID
	for _, v := range p.users(name) {
		ids = append(ids, wire.ConversationID(v))
	}
	return ids
}

func (p *userScript) user() wire.UserID         { return wire.UserID(p.arg("user")) }
func (p *userScript) in() wire.ConversationID   { return wire.ConversationID(p.arg("in")) }
func (p *userScript) at(name string) int64      { return p.start + int64(p.number(name)) }
func (p *userScript) since(millis int64) string { return fmt.Sprintf("+%dms", millis-p.start) }

var scriptPresets = map[string]Preset{
	"": PresetBasic, "room": PresetRoom, "system": PresetSystem, "temporary": PresetTemporary,
}

// command returns the directive's command, or nil if it is none.
func (p *userScript) command() Command {
	if c := p.conversationCommand(); c != nil {
		return c
	}
	switch p.d.Cmd {
	case "read":
		return &MoveCursors{Moves: []CursorMove{{
			Conversation: p.in(), User: p.user(), Read: wire.Seq(p.number("seq")), ReadAt: int64(p.number("at")),
			Delivered: wire.Seq(p.number("delivered")),
		}}}
	case "block":
		return &BlockConversation{User: p.user(), Conversation: p.in(), Unblock: p.d.HasArg("undo")}
	case "login":
		c := &Login{
			User: p.user(), Tag: p.arg("tag"), Session: p.arg("session"), Node: "n1", Device: p.arg("device"),
			Reconnect: p.d.HasArg("reconnect"),
		}
		if p.d.HasArg("issued") {
			c.IssuedAt = p.at("issued")
		}
		return c
	case "logout":
		return &Logout{User: p.user(), Tag: p.arg("tag"), Session: p.arg("session"), Last: p.d.HasArg("last")}
	case "will":
		return &SetWill{User: p.user(), Session: p.arg("session"), Node: "n1", Conversation: p.in(), Body: []byte(p.d.Input)}
	case "enter":
		return &EnterRoom{User: p.user(), Conversation: p.in(), Session: p.arg("session"), Node: "n1"}
	case "leave":
		return &LeaveRoom{User: p.user(), Conversation: p.in()}
	case "lost":
		return &SessionsLost{Losses: []SessionLoss{{
			User: p.user(), Tag: p.arg("tag"), Session: p.arg("session"), Last: p.d.HasArg("last"),
		}}}
	case "kick":
		return &Kick{User: p.user(), Device: p.arg("device"), Reason: p.arg("reason")}
	case "resolve":
		return &ResolveUnique{Preset: PresetBasic, Members: p.users("members"), Drop: p.ids("drop")}
	default:
		return nil
	}
}

func (p *userScript) conversationCommand() Command {
	switch p.d.Cmd {
	case "create":
		return &CreateConversation{
			ID: p.in(), Preset: scriptPresets[p.arg("preset")], Members: p.users("members"), Unique: p.d.HasArg("unique"),
		}
	case "destroy":
		return &DestroyConversation{ID: p.in()}
	case "add":
		return &AddMembers{Conversation: p.in(), Users: p.users("users")}
	case "remove":
		return &RemoveMembers{Conversation: p.in(), Users: p.users("users")}
	case "ban":
		return &BlockMembers{Conversation: p.in(), Users: p.users("users"), Unblock: p.d.HasArg("undo")}
	case "send":
		return &SendMessage{
			Conversation: p.in(), Body: []byte(p.d.Input), Mentions: p.users("mentions"), MentionAll: p.d.HasArg("all"),
			Targets: p.users("targets"),
		}
	default:
		return nil
	}
}

func (p *userScript) describe(r Result) string {
	if r.Refusal != None {
		return fmt.Sprintf("refused: %s: %s\n", r.Refusal, r.Text)
	}
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if r.Conversation != "" {
		add("conversation=%s", r.Conversation)
	}
	for _, n := range []struct {
		name  string
		value uint64
	}{{"seq", uint64(r.Seq)}, {"offset", uint64(r.Offset)}, {"login", r.Login}, {"count", r.Count}} {
		if n.value != 0 {
			add("%s=%d", n.name, n.value)
		}
	}
	if r.Existed {
		add("(existed)")
	}
	for _, u := range r.Users {
		add("%s: %s", u.User, u.Refusal)
	}
	if len(r.Conversations) > 1 {
		add("candidates=%v", r.Conversations)
	}
	if len(parts) == 0 {
		return "done\n"
	}
	return strings.Join(parts, " ") + "\n"
}

// look does what is not a command.
func (p *userScript) look() string {
	var b strings.Builder
	switch p.d.Cmd {
	case "wait":
		d, err := time.ParseDuration(p.d.CmdArgs[0].Key)
		if err != nil {
			p.d.Fatalf(p.w.t, "%v", err)
		}
		p.w.stamp += d.Milliseconds()
		fmt.Fprintln(&b, p.since(p.w.stamp))
	case "sweep":
		fmt.Fprintf(&b, "%d timers\n", p.w.sweep())
	case "outbox":
		for _, o := range p.w.outbox() {
			fmt.Fprintln(&b, p.row(o))
		}
	case "deliver", "settle":
		for _, o := range p.w.outbox() {
			fmt.Fprintf(&b, "%s: %d taken\n", p.row(o), p.w.deliver(o).Count)
			if p.d.Cmd == "settle" {
				p.w.ack(o)
			}
		}
	case "told":
		p.lookTold(&b)
	default:
		p.query(&b)
	}
	return b.String()
}

func (p *userScript) row(o OutboxRow) string {
	user := string(o.User)
	if o.Kind == OutboxOffer {
		user = fmt.Sprintf("%x", user[:4])
	}
	return fmt.Sprintf("kind=%d %s %s version=%d on=%v gone=%v by=%q %q", o.Kind, o.Conversation, user, o.Version, o.On, o.Gone, o.By, o.Body)
}

func (p *userScript) lookTold(b *strings.Builder) {
	for _, a := range p.w.told {
		for _, c := range a.Cursors {
			fmt.Fprintf(b, "cursor of %s in %s: read %d at %s, delivered %d\n", c.User, c.Conversation, c.Read, p.since(c.ReadStamp), c.Delivered)
		}
		for _, m := range a.Transients {
			fmt.Fprintf(b, "transient in %s from %s: %s\n", m.Log.Conversation, m.Message.From, m.Message.Body)
		}
	}
	p.w.told = nil
}

// query asks the shard of the user or the conversation.
func (p *userScript) query(b *strings.Builder) {
	var err error
	switch p.d.Cmd {
	case "unread":
		var u Unread
		u, err = p.w.ofConversation(p.in()).Unread(worldApp, p.in(), p.user())
		fmt.Fprintf(b, "%d unread, mentioned %v, read %d of %d\n", u.Count, u.Mentioned, u.Read, u.Last)
	case "cursors":
		var all []Cursor
		all, err = p.w.ofConversation(p.in()).Cursors(worldApp, p.in(), p.user(), 100)
		for _, c := range all {
			fmt.Fprintf(b, "%s: read %d, delivered %d\n", c.User, c.Read, c.Delivered)
		}
	case "conversations":
		var page []Membership
		page, _, err = p.w.ofUser(p.user()).UserConversations(worldApp, p.user(), 0, 100)
		for _, m := range page {
			fmt.Fprintf(b, "%s since its offset %d, by %q, told at %d\n", m.Conversation, m.JoinedOffset, m.By, m.Entry)
		}
	case "log":
		for _, e := range p.w.userEntries(p.user()) {
			fmt.Fprintln(b, p.entry(e))
		}
	case "sessions":
		err = p.lookSessions(b)
	default:
		p.d.Fatalf(p.w.t, "unknown directive %s", p.d.Cmd)
	}
	if err != nil {
		b.Reset()
		fmt.Fprintf(b, "refused: %v\n", err)
	}
}

var scriptKinds = map[EntryKind]string{
	EntryJoined: "joined", EntryLeft: "left", EntryTagTaken: "tag taken", EntryKicked: "kicked", EntryBlocked: "blocked",
	EntryUnblocked: "unblocked", EntryRoomEntered: "entered", EntryRoomLeft: "left room",
	EntryShutOut: "shut out", EntryLetIn: "let in",
}

func (p *userScript) entry(e *Entry) string {
	s := fmt.Sprintf("%d %s", e.Offset, scriptKinds[e.Kind])
	if e.Conversation != "" {
		s += fmt.Sprintf(" %s offset=%d", e.Conversation, e.ConversationOffset)
	}
	if e.Tag != "" {
		s += fmt.Sprintf(" tag=%s login=%d", e.Tag, e.Login)
	}
	if e.Device != "" {
		s += " device=" + e.Device
	}
	if e.Reason != "" {
		s += " reason=" + e.Reason
	}
	if e.Expired {
		s += " (gone)"
	}
	return s + fmt.Sprintf(" by=%q", e.Actor)
}

func (p *userScript) lookSessions(b *strings.Builder) error {
	s, err := p.w.ofUser(p.user()).Sessions(worldApp, p.user())
	if err != nil {
		return err
	}
	for _, h := range s.Tags {
		fmt.Fprintf(b, "tag %s: session %s on %s, device %s, login %d\n", h.Tag, h.Session, h.Node, h.Device, h.Login)
	}
	if s.Will != nil {
		fmt.Fprintf(b, "will of %s for %s: %s\n", s.Will.Session, s.Will.Conversation, s.Will.Body)
	}
	if s.Room != nil {
		fmt.Fprintf(b, "in %s with %s", s.Room.Conversation, s.Room.Session)
		if s.Room.Deadline != 0 {
			fmt.Fprintf(b, " until %s", p.since(s.Room.Deadline))
		}
		fmt.Fprintln(b)
	}
	if s.ValidAfter != 0 {
		fmt.Fprintf(b, "valid after %s\n", p.since(s.ValidAfter))
	}
	return nil
}
