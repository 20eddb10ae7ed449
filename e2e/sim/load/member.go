package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/e2e/sim/history"
	"github.com/quorate/quorate/wire"
)

// maxConversations is how many there are in a run at most.
const maxConversations = 12

// foundConversations makes the conversations of the start: the first one, the hot one, with
// everybody in it.
func foundConversations(ctx context.Context, d *device) error {
	for len(d.crew.board.all()) < d.crew.opts.Conversations {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !d.ready(ctx) {
			if err := clock.Sleep(ctx, 200*time.Millisecond); err != nil {
				return err
			}
			continue
		}
		n := client.NewConversation{}
		switch {
		case d.made == 0:
			n.Members = drawUsers(d, d.crew.opts.Users)
		case d.rng.IntN(4) == 0:
			n.Kind = client.Room
		case d.rng.IntN(4) == 0:
			n.Kind, n.Members = client.Temporary, drawUsers(d, 3)
		default:
			n.Members = drawUsers(d, 2+d.rng.IntN(d.crew.opts.Users))
		}
		makeConversation(ctx, d, n)
	}
	return nil
}

// drawUsers draws so many users, or some less.
func drawUsers(d *device, n int) []wire.UserID {
	var some []wire.UserID
	for _, i := range d.rng.Perm(d.crew.opts.Users)[:min(n, d.crew.opts.Users)] {
		some = append(some, userName(i))
	}
	slices.Sort(some)
	return some
}

// create makes one more conversation: sometimes the one of exactly these
// members, which others may be making at the same time.
func create(ctx context.Context, d *device) {
	if len(d.crew.board.all()) >= maxConversations {
		listOwn(ctx, d)
		return
	}
	n := client.NewConversation{Members: drawUsers(d, 2+d.rng.IntN(3))}
	n.Unique = d.rng.IntN(2) == 0
	if n.Unique {
		n.Members = []wire.UserID{userName(0), userName(d.crew.opts.Users - 1)}
	}
	makeConversation(ctx, d, n)
}

// makeConversation creates a conversation and tells the others of it.
func makeConversation(ctx context.Context, d *device, n client.NewConversation) {
	d.made++
	if !n.Unique {
		n.ID = wire.ConversationID(fmt.Sprintf("%s-%d", d.name, d.made))
	}
	ctx, cancel, e := d.call(ctx, history.OpCreate, n.ID)
	defer cancel()
	e.Users, e.Text = n.Members, kindName(n.Kind, n.Unique)
	info, err := d.q.Create(ctx, n)
	if err == nil {
		e.Conversation = info.ID
	}
	if d.end(e, err) {
		d.crew.board.add(conversation{id: info.ID, kind: n.Kind})
	}
}

func kindName(k client.Kind, unique bool) string {
	switch {
	case unique:
		return "unique"
	case k == client.Room:
		return "room"
	case k == client.Temporary:
		return "temporary"
	default:
		return "basic"
	}
}

func join(ctx context.Context, d *device) { joinIn(ctx, d, d.pick().id) }

func joinIn(ctx context.Context, d *device, in wire.ConversationID) {
	ctx, cancel, e := d.call(ctx, history.OpJoin, in)
	defer cancel()
	e.Users = []wire.UserID{d.user}
	d.end(e, d.q.Join(ctx, in))
}

func leave(ctx context.Context, d *device) {
	in := d.pick().id
	ctx, cancel, e := d.call(ctx, history.OpLeave, in)
	defer cancel()
	e.Users = []wire.UserID{d.user}
	d.end(e, d.q.Leave(ctx, in))
}

func addSome(ctx context.Context, d *device) {
	in := d.pick().id
	ctx, cancel, e := d.call(ctx, history.OpAdd, in)
	defer cancel()
	e.Users = drawUsers(d, 1+d.rng.IntN(2))
	skipped, err := d.q.Conversation(in).Add(ctx, e.Users...)
	skip(&e, skipped, wire.CodeExists)
	d.end(e, err)
}

func removeSome(ctx context.Context, d *device) {
	in := d.pick().id
	ctx, cancel, e := d.call(ctx, history.OpRemove, in)
	defer cancel()
	e.Users = drawUsers(d, 1+d.rng.IntN(2))
	skipped, err := d.q.Conversation(in).Remove(ctx, e.Users...)
	skip(&e, skipped, wire.CodeNotMember)
	d.end(e, err)
}

func mute(ctx context.Context, d *device) {
	in := d.pick().id
	ctx, cancel, e := d.call(ctx, history.OpMute, in)
	defer cancel()
	e.Users = drawUsers(d, 1)
	if d.rng.IntN(2) == 0 {
		e.Text = "undo"
		skipped, err := d.q.Conversation(in).Unmute(ctx, e.Users...)
		skip(&e, skipped, wire.CodeNotMember)
		d.end(e, err)
		return
	}
	skipped, err := d.q.Conversation(in).Mute(ctx, time.Duration(1+d.rng.IntN(5))*time.Second, e.Users...)
	skip(&e, skipped, wire.CodeNotMember)
	d.end(e, err)
}

// skip takes out of the event's users those for whom the command was refused.
// Those who were already what they should become are listed as skipped.
func skip(e *history.Event, skipped []client.Skipped, already wire.Code) {
	for _, s := range skipped {
		if s.Err.Code == already {
			e.Skipped = append(e.Skipped, s.User)
		}
		e.Users = slices.DeleteFunc(slices.Clone(e.Users), func(u wire.UserID) bool { return u == s.User })
	}
}

func readSomeMembers(ctx context.Context, d *device) { readMembers(ctx, d, d.pick().id) }

func readMembers(ctx context.Context, d *device, in wire.ConversationID) {
	ctx, cancel, e := d.call(ctx, history.OpMembers, in)
	defer cancel()
	page, next, err := d.q.Conversation(in).Members(ctx, "", 100)
	if err == nil && next != "" {
		err = errors.New("the list of members has a second page")
	}
	if err == nil {
		e.State = &history.State{}
		for _, m := range page {
			e.State.Members = append(e.State.Members, history.Member{User: string(m.User), JoinedAt: m.JoinedAt, Role: int(m.Role)})
		}
	}
	d.end(e, err)
}

// listOwn reads the user's own list of conversations.
func listOwn(ctx context.Context, d *device) {
	ctx, cancel, e := d.call(ctx, history.OpListed, "")
	defer cancel()
	page, next, err := d.q.Conversations(ctx, "", 100)
	if err == nil && next != "" {
		err = errors.New("the list of conversations has a second page")
	}
	if err == nil {
		e.State = &history.State{}
		for _, m := range page {
			e.State.Members = append(e.State.Members, history.Member{User: string(m.Conversation), JoinedAt: m.JoinedAt})
		}
	}
	d.end(e, err)
}

// visitRoom enters or leaves a chat room, if there is one.
func visitRoom(ctx context.Context, d *device) {
	for _, c := range d.crew.board.all() {
		if c.kind != client.Room {
			continue
		}
		if d.rng.IntN(2) == 0 {
			ctx, cancel, e := d.call(ctx, history.OpEnter, c.id)
			d.end(e, d.q.EnterRoom(ctx, c.id))
			cancel()
			return
		}
		ctx, cancel, e := d.call(ctx, history.OpExit, c.id)
		d.end(e, d.q.LeaveRoom(ctx, c.id))
		cancel()
		return
	}
	send(ctx, d)
}
