package load

import (
	"context"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/e2e/sim/history"
	"github.com/quorate/quorate/wire"
)

// edit replaces a message of the user, by any of his devices.
func edit(ctx context.Context, d *device) {
	in := d.pick()
	m, ok := d.crew.board.message(d.rng, in.id, d.user)
	if !ok {
		send(ctx, d)
		return
	}
	ctx, cancel, e := d.call(ctx, history.OpEdit, in.id)
	defer cancel()
	draft := client.Text(d.text())
	if d.rng.IntN(6) == 0 {
		draft.Mentions = []wire.UserID{d.other()}
	}
	e.Message = &history.Message{ID: m.id, Seq: m.seq, From: m.from, Body: history.Text(draft.Body), Mentions: mentionsOf(draft.Mentions, false)}
	d.end(e, d.q.Conversation(in.id).Edit(ctx, m.id, draft))
}

// recall takes a message back, mostly one of the user's.
func recall(ctx context.Context, d *device) {
	in, by := d.pick(), d.user
	if d.rng.IntN(6) == 0 {
		by = "" // anybody's: for managers
	}
	m, ok := d.crew.board.message(d.rng, in.id, by)
	if !ok {
		send(ctx, d)
		return
	}
	ctx, cancel, e := d.call(ctx, history.OpRecall, in.id)
	defer cancel()
	e.Message = &history.Message{ID: m.id, Seq: m.seq, From: m.from}
	d.end(e, d.q.Conversation(in.id).Recall(ctx, m.id))
}
