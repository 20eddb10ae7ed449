package load

import (
	"context"
	"slices"
	"sync"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/e2e/sim/history"
	"github.com/quorate/quorate/wire"
)

// letter is a message that was sent, to be sent again under its token.
type letter struct {
	in    wire.ConversationID
	draft client.Draft
	tries int
}

// maxTries is how often a message of unknown fate is asked for before the end.
const maxTries = 6

func (d *device) newLetter(in conversation) *letter {
	l := &letter{in: in.id, draft: client.Text(d.text())}
	l.draft.Token = &client.Token{}
	switch d.rng.IntN(24) {
	case 0, 1:
		l.draft.Mentions = []wire.UserID{d.other()}
	case 2:
		l.draft.MentionAll = true
	case 3:
		if in.kind != client.Room {
			l.draft.Targets = []wire.UserID{d.other()}
		}
	}
	return l
}

// other returns some user of the run.
func (d *device) other() wire.UserID { return userName(d.rng.IntN(d.crew.opts.Users)) }

func (d *device) send(ctx context.Context) {
	d.post(ctx, d.newLetter(d.pick()))
}

// post sends a letter, for the first time or again, and files it.
func (d *device) post(ctx context.Context, l *letter) {
	ctx, cancel, e := d.call(ctx, history.OpSend, l.in)
	defer cancel()
	begin(&e, l)
	sent, err := d.q.Conversation(l.in).Send(ctx, l.draft)
	d.file(l, d.posted(e, sent, err))
}

// begin notes in the event what is sent.
func begin(e *history.Event, l *letter) {
	e.Try = l.tries
	l.tries++
	e.Message = &history.Message{
		Body: history.Text(l.draft.Body), From: e.User, Targets: slices.Clone(l.draft.Targets), Mentions: mentionsOf(l.draft.Mentions, l.draft.MentionAll),
	}
}

// posted records what became of a send.
func (d *device) posted(e history.Event, sent client.Sent, err error) history.Outcome {
	if err == nil {
		e.Message.ID, e.Message.Seq, e.Message.Offset, e.Message.Time = sent.ID, sent.Seq, sent.Offset, sent.Time.UnixMilli()
	}
	e.Outcome, e.Error = d.outcome(err)
	e.Node = d.q.Node()
	d.crew.rec.Add(e)
	if e.Outcome == history.OK {
		d.crew.board.tell(said{in: e.Conversation, id: sent.ID, seq: sent.Seq, from: d.user})
	}
	return e.Outcome
}

// maxSure is how many acknowledged letters a device keeps, to send them again.
const maxSure = 8

// file puts a letter where its outcome belongs.
func (d *device) file(l *letter, o history.Outcome) {
	switch {
	case o == history.OK:
		d.sure = append(d.sure, l)
		if len(d.sure) > maxSure {
			d.sure = d.sure[1:]
		}
	case o == history.Unknown && l.draft.Token.N > 0:
		d.unsure = append(d.unsure, l)
	}
}

// sendMany sends some at once, so that they share entries and are in flight
// together when something breaks.
func (d *device) sendMany(ctx context.Context) {
	in := d.pick()
	letters := make([]*letter, 2+d.rng.IntN(11))
	for i := range letters {
		letters[i] = d.newLetter(in)
	}
	d.postAll(ctx, letters)
}

// postAll sends letters without waiting for one before the next.
func (d *device) postAll(ctx context.Context, letters []*letter) {
	ctx, cancel, first := d.call(ctx, history.OpSend, "")
	defer cancel()
	var all sync.WaitGroup
	outcomes := make([]history.Outcome, len(letters))
	for i, l := range letters {
		e := first
		e.Conversation = l.in
		begin(&e, l)
		all.Add(1)
		d.q.Conversation(l.in).SendAsync(ctx, l.draft, func(sent client.Sent, err error) {
			defer all.Done()
			outcomes[i] = d.posted(e, sent, err)
		})
	}
	all.Wait()
	for i, l := range letters {
		d.file(l, outcomes[i])
	}
}

// sendUnsure asks again for a message of unknown fate, with its token.
func (d *device) sendUnsure(ctx context.Context) {
	l := d.unsure[0]
	d.unsure = d.unsure[1:]
	if l.tries <= maxTries {
		d.postAgain(ctx, l)
	}
}

// sendSureAgain asks again for a message whose answer is known: the answer must
// be the same.
func (d *device) sendSureAgain(ctx context.Context) {
	if len(d.sure) == 0 {
		d.send(ctx)
		return
	}
	i := d.rng.IntN(len(d.sure))
	l := d.sure[i]
	d.sure = slices.Delete(d.sure, i, i+1)
	d.postAgain(ctx, l)
}

// postAgain sends a letter again: through the present client if that began it,
// or resumes the one that did, at some node.
func (d *device) postAgain(ctx context.Context, l *letter) {
	if l.draft.Token.Instance == d.q.Identity().Instance {
		if d.rng.IntN(3) > 0 {
			d.post(ctx, l)
			return
		}
		d.signOut() // to ask another node
		if !d.signIn(ctx) {
			d.file(l, history.Unknown)
			return
		}
	}
	if l.draft.Token.Instance == d.q.Identity().Instance {
		d.post(ctx, l)
		return
	}
	d.postResumed(ctx, l)
}

// postResumed sends a letter of a client that has ended through one that resumes
// it.
func (d *device) postResumed(ctx context.Context, l *letter) {
	dialing, cancel := context.WithTimeout(ctx, signInTimeout)
	defer cancel()
	q, err := d.crew.world.Dial(dialing, d.rng.IntN(d.crew.world.Nodes()), func(o *client.Options) {
		o.User, o.Device, o.Resume = d.user, d.name+"+", d.identities[l.draft.Token.Instance]
	})
	if err != nil {
		d.file(l, history.Unknown)
		return
	}
	main := d.q
	d.stands++
	d.q, d.stood = q, d.stands // it has seen nothing of what main has, nor main of what it is told
	d.post(ctx, l)
	d.q, d.stood = main, 0
	_ = q.Close() // of a connection that may be broken
}
