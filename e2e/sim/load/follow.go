package load

import (
	"context"
	"slices"
	"sync"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/e2e/sim/history"
	"github.com/quorate/quorate/wire"
)

// follow is a log that a device follows, over all of its sessions.
type follow struct {
	in   wire.ConversationID // empty: the user's own log
	sub  *client.Subscription
	done chan struct{} // closed when nobody reads sub any more; nil before it was read

	mu struct {
		sync.Mutex
		pos   wire.Offset // of the last entry that was handed out
		ended bool        // for good
	}
}

func (f *follow) wait() {
	if f.done != nil {
		<-f.done
	}
}

func (f *follow) position() wire.Offset {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.pos
}

// over tells whether the subscription has ended and must not be begun again
// from where it was.
func (f *follow) over() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.ended
}

// followOne follows one more log, from some place in it.
func followOne(ctx context.Context, d *device) {
	d.follows = slices.DeleteFunc(d.follows, (*follow).over)
	in := d.pick().id
	if d.rng.IntN(6) == 0 {
		in = ""
	}
	if slices.ContainsFunc(d.follows, func(f *follow) bool { return f.in == in }) {
		return
	}
	f := &follow{in: in}
	if last := d.known.last[in]; last > 0 && d.rng.IntN(3) == 0 {
		f.mu.pos = wire.Offset(d.rng.Uint64N(uint64(last)))
	}
	if d.subscribe(ctx, f) {
		d.follows = append(d.follows, f)
	}
}

// unfollowOne stops following a log.
func unfollowOne(_ context.Context, d *device) {
	if len(d.follows) == 0 {
		return
	}
	i := d.rng.IntN(len(d.follows))
	f := d.follows[i]
	d.follows = slices.Delete(d.follows, i, i+1)
	if f.sub != nil {
		f.sub.Close()
	}
	f.wait()
}

// followAgain goes on, in a new session, with what was followed in the last one.
func followAgain(ctx context.Context, d *device) {
	d.follows = slices.DeleteFunc(d.follows, (*follow).over)
	for _, f := range slices.Clone(d.follows) {
		if !d.subscribe(ctx, f) && f.over() {
			d.follows = slices.DeleteFunc(d.follows, func(g *follow) bool { return g == f })
		}
	}
}

// subscribe begins a subscription where the follow is, and reads it.
func (d *device) subscribe(ctx context.Context, f *follow) bool {
	bounded, cancel, e := d.call(ctx, history.OpFollow, f.in)
	defer cancel()
	e.Page = &history.Page{After: f.position()}
	var err error
	if f.in == "" {
		f.sub, err = d.q.Subscribe(bounded, f.position())
	} else {
		f.sub, err = d.q.Conversation(f.in).Subscribe(bounded, f.position())
	}
	if err != nil {
		f.sub, f.done = nil, nil
	}
	e.Outcome, e.Error = d.outcome(err)
	if err == nil {
		e.Outcome = history.OK // what a dead node has agreed to goes on at another
	}
	e.Node = d.q.Node()
	d.crew.rec.Add(e)
	if err != nil {
		f.mu.Lock()
		f.mu.ended = e.Outcome == history.Refused
		f.mu.Unlock()
		return false
	}
	f.done = make(chan struct{})
	told := history.Event{Op: history.OpPush, Client: d.client(), User: d.user, Conversation: f.in}
	go f.read(context.WithoutCancel(ctx), d.crew.rec, told, f.done)
	return true
}

// read records what the subscription hands out, until it ends: with the client,
// at the latest.
func (f *follow) read(ctx context.Context, rec *history.Recorder, told history.Event, done chan struct{}) {
	defer close(done)
	for {
		entry, err := f.sub.Next(ctx)
		if err != nil {
			code := wire.CodeOf(err)
			f.mu.Lock()
			f.mu.ended = f.mu.ended || code != wire.CodeClosed
			pos := f.mu.pos
			f.mu.Unlock()
			told.Op, told.Text, told.Page = history.OpEnded, code.String(), &history.Page{Upto: pos}
			if code == wire.CodeInternal {
				told.Error = err.Error()
			}
			rec.Add(told)
			return
		}
		f.mu.Lock()
		f.mu.pos = entry.Offset
		f.mu.Unlock()
		told.Page = &history.Page{Entries: []history.Entry{entryOf(&entry)}}
		rec.Add(told)
	}
}
