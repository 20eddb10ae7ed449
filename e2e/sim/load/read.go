package load

import (
	"context"
	"time"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/e2e/sim/history"
	"github.com/quorate/quorate/wire"
)

// readHistory reads a page of messages from some place, in some direction.
func readHistory(ctx context.Context, d *device) {
	in := d.pick().id
	r := client.Range{Limit: 1 + d.rng.IntN(20), Strong: d.rng.IntN(2) == 0}
	if last := d.known.last[in]; last > 0 && d.rng.IntN(2) == 0 {
		r.FromSeq = 1 + wire.Seq(d.rng.Uint64N(uint64(last)))
		r.OldestFirst = d.rng.IntN(2) == 0
	}
	d.historyPage(ctx, in, r)
}

// poll reads the end of a conversation strongly, again and again in a short
// time, to be there when leaders change.
func poll(ctx context.Context, d *device) {
	in := d.pick().id
	for range 5 + d.rng.IntN(25) {
		if d.historyPage(ctx, in, client.Range{Limit: 1 + d.rng.IntN(3), Strong: true}) == nil {
			return
		}
		if clock.Sleep(ctx, time.Duration(d.rng.IntN(12))*time.Millisecond) != nil {
			return
		}
	}
}

// watchPause is how long a watcher waits between two reads, at most.
const watchPause = 24 * time.Millisecond

// watch reads the end of the hot conversation strongly, over and over, until ctx
// ends.
func watch(ctx context.Context, d *device) {
	in := d.crew.board.all()[0].id
	for clock.Sleep(ctx, time.Duration(1+d.rng.Int64N(int64(watchPause)))) == nil {
		if !d.ready(ctx) {
			continue
		}
		d.historyPage(ctx, in, client.Range{Limit: 1, Strong: true})
		if d.known.outOf != "" {
			d.known.outOf = ""
			joinIn(ctx, d, in)
		}
	}
}

// historyPage reads one page, and returns it if it was read.
func (d *device) historyPage(ctx context.Context, in wire.ConversationID, r client.Range) *client.Page {
	ctx, cancel, e := d.call(ctx, history.OpHistory, in)
	defer cancel()
	e.Strong = r.Strong
	page, err := d.q.Conversation(in).History(ctx, r)
	if err == nil {
		e.Page = historyPageOf(&r, page)
		d.saw(in, page.LastSeq)
	}
	if !d.end(e, err) {
		return nil
	}
	return page
}

// saw remembers how far a conversation is known to go.
func (d *device) saw(in wire.ConversationID, last wire.Seq) {
	d.known.last[in] = max(d.known.last[in], last)
}

// readLog reads some of a conversation's log, or of the user's own.
func readLog(ctx context.Context, d *device) {
	in := d.pick().id
	if d.rng.IntN(8) == 0 {
		in = ""
	}
	after := wire.Offset(0)
	if last := d.known.last[in]; last > 0 && d.rng.IntN(4) > 0 {
		after = wire.Offset(d.rng.Uint64N(uint64(last)))
	}
	d.logPage(ctx, in, after, 1+d.rng.IntN(30))
}

// logPage reads one page of a log, and returns it if it was read.
func (d *device) logPage(ctx context.Context, in wire.ConversationID, after wire.Offset, limit int) *client.LogPage {
	ctx, cancel, e := d.call(ctx, history.OpReadLog, in)
	defer cancel()
	var page *client.LogPage
	var err error
	if in == "" {
		page, err = d.q.ReadLog(ctx, after, limit)
	} else {
		page, err = d.q.Conversation(in).ReadLog(ctx, after, limit)
	}
	if err == nil {
		e.Page = logPageOf(page)
	}
	if !d.end(e, err) {
		return nil
	}
	return page
}

// markRead moves the read cursor and waits: to the newest message that was seen,
// to an older one, or past all.
func markRead(ctx context.Context, d *device) {
	in := d.pick().id
	to := d.known.last[in]
	switch {
	case d.rng.IntN(8) == 0:
		to += wire.Seq(d.rng.IntN(50))
	case to > 0 && d.rng.IntN(3) == 0:
		to = 1 + wire.Seq(d.rng.Uint64N(uint64(to)))
	}
	if to == 0 {
		readHistory(ctx, d)
		return
	}
	ctx, cancel, e := d.call(ctx, history.OpMark, in)
	defer cancel()
	e.State = &history.State{Cursors: []history.Cursor{{User: d.user, Read: to}}}
	d.end(e, d.q.Conversation(in).MarkRead(ctx, to))
}

// markLazily moves the cursors without waiting: nobody knows when, or whether.
func markLazily(_ context.Context, d *device) {
	in := d.pick().id
	to := d.known.last[in]
	if to == 0 {
		return
	}
	d.q.Conversation(in).Mark(to, to)
	d.crew.rec.Add(history.Event{
		Op: history.OpMark, Client: d.client(), User: d.user, Conversation: in, Outcome: history.Unknown, Text: "lazy",
		State: &history.State{Cursors: []history.Cursor{{User: d.user, Read: to, Delivered: to}}},
	})
}

func readSomeCursors(ctx context.Context, d *device) { readCursors(ctx, d, d.pick().id) }

func readCursors(ctx context.Context, d *device, in wire.ConversationID) {
	ctx, cancel, e := d.call(ctx, history.OpCursors, in)
	defer cancel()
	all, err := d.q.Conversation(in).Cursors(ctx)
	if err == nil {
		e.State = &history.State{}
		for _, c := range all {
			e.State.Cursors = append(e.State.Cursors, history.Cursor{User: c.User, Read: c.Read, Delivered: c.Delivered})
		}
	}
	d.end(e, err)
}

func readSomeUnread(ctx context.Context, d *device) { readUnread(ctx, d, d.pick().id) }

func readUnread(ctx context.Context, d *device, in wire.ConversationID) {
	ctx, cancel, e := d.call(ctx, history.OpUnread, in)
	defer cancel()
	all, err := d.q.Unread(ctx, in)
	if err == nil && len(all) == 1 && all[0].Err != nil {
		err = all[0].Err
	}
	if err == nil && len(all) == 1 {
		u := all[0]
		e.State = &history.State{Unread: &history.Count{Count: u.Count, Mentioned: u.Mentioned, Read: u.Read, Last: u.Last}}
		d.saw(in, u.Last)
	}
	d.end(e, err)
}
