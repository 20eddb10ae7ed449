package load

import (
	"context"
	"time"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/e2e/sim/history"
	"github.com/quorate/quorate/wire"
)

// settleAccounts asks again, in a healthy cluster, for what is unknown, and says
// a last word in each conversation.
func settleAccounts(ctx context.Context, d *device) {
	d.patient = true
	for range 3 {
		if d.ready(ctx) {
			break
		}
	}
	if d.q == nil {
		return // the history says that nobody let him in
	}
	d.follows = keepOpen(d.follows)
	unsure := d.mail.unsure
	d.mail.unsure = nil
	for _, l := range unsure {
		if !d.ready(ctx) {
			return
		}
		postAgain(ctx, d, l)
	}
	if d.number > 0 {
		return
	}
	// All at once, and long: a session that has no room for the last push of a
	// log hears of it from nothing that comes later.
	var letters []*letter
	for _, in := range d.crew.board.all() {
		l := d.newLetter(in)
		l.draft.Targets = nil
		if d.rng.IntN(2) == 0 {
			l.draft.Body = []byte(history.Pad(d.nextText(), 200+d.rng.IntN(800)))
		}
		letters = append(letters, l)
	}
	if d.ready(ctx) {
		postAll(ctx, d, letters)
	}
}

func keepOpen(follows []*follow) []*follow {
	var open []*follow
	for _, f := range follows {
		if !f.over() {
			open = append(open, f)
		}
	}
	return open
}

// converge waits until each open subscription is at the end of its log, for as
// long as it may take, and records where it is.
func converge(ctx context.Context, d *device) {
	if d.q == nil || d.q.Err() != nil { // another device has taken its tag
		return
	}
	last := map[wire.ConversationID]wire.Offset{}
	for _, f := range keepOpen(d.follows) {
		if page := d.logPage(ctx, f.in, 0, 1); page != nil {
			last[f.in] = page.Last
		}
	}
	deadline := time.Now().Add(d.crew.opts.Settle)
	for _, f := range d.follows {
		for f.sub != nil && !f.over() && f.position() < last[f.in] && time.Now().Before(deadline) {
			if clock.Sleep(ctx, 50*time.Millisecond) != nil {
				return
			}
		}
	}
	for _, f := range d.follows {
		if f.sub != nil && !f.over() {
			d.crew.rec.Add(history.Event{
				Op: history.OpOpen, Client: d.client(), User: d.user, Conversation: f.in, Page: &history.Page{Upto: f.position()},
			})
		}
	}
}

// finalPage is how much is read at once at the end.
const finalPage = 500

// readAll reads everything that the user may, strongly, from the start.
func readAll(ctx context.Context, d *device) {
	for _, in := range d.crew.board.all() {
		if !d.ready(ctx) {
			return
		}
		r := client.Range{OldestFirst: true, Limit: finalPage, Strong: true}
		for page := d.historyPage(ctx, in.id, r); page != nil && page.More; page = d.historyPage(ctx, in.id, r) {
			r.FromSeq = page.Next
		}
		after := wire.Offset(0)
		for page := d.logPage(ctx, in.id, after, finalPage); page != nil && page.Upto < page.Last; page = d.logPage(ctx, in.id, after, finalPage) {
			if page.Upto <= after {
				break
			}
			after = page.Upto
		}
		readMembers(ctx, d, in.id)
		readCursors(ctx, d, in.id)
		readUnread(ctx, d, in.id)
	}
	if d.ready(ctx) {
		listOwn(ctx, d)
		d.logPage(ctx, "", 0, finalPage)
	}
}
