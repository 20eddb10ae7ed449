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

func send(ctx context.Context, d *device) {
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
		d.mail.sure = append(d.mail.sure, l)
		if len(d.mail.sure) > maxSure {
			d.mail.sure = d.mail.sure[1:]
		}
	case o == history.Unknown && l.draft.Token.N > 0:
		d.mail.unsure = append(d.mail.unsure, l)
	}
}

// sendMany sends some at once, so that they share entries and are in flight
// together when something breaks.
func sendMany(ctx context.Context, d *device) {
	in := d.pick()
	letters := make([]*letter, 2+d.rng.IntN(11))
	for i := range letters {
		letters[i] = d.newLetter(in)
	}
	postAll(ctx, d, letters)
}

// postAll sends letters without waiting for one before the next.
func postAll(ctx context.Context, d *device, letters []*letter) {
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
func sendUnsure(ctx context.Context, d *device) {
	l := d.mail.unsure[0]
	d.mail.unsure = d.mail.unsure[1:]
	if l.tries <= maxTries {
		postAgain(ctx, d, l)
	}
}

// sendSureAgain asks again for a message whose answer is known: the answer must
// be the same.
func sendSureAgain(ctx context.Context, d *device) {
	if len(d.mail.sure) == 0 {
		send(ctx, d)
		return
	}
	i := d.rng.IntN(len(d.mail.sure))
	l := d.mail.sure[i]
	d.mail.sure = slices.Delete(d.mail.sure, i, i+1)
	postAgain(ctx, d, l)
}

// postAgain sends a letter again: through the present client if that began it,
// or resumes the one that did, at some node.
func postAgain(ctx context.Context, d *device, l *letter) {
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
	postResumed(ctx, d, l)
}

// postResumed sends a letter of a client that has ended through one that resumes
// it.
func postResumed(ctx context.Context, d *device, l *letter) {
	dialing, cancel := context.WithTimeout(ctx, signInTimeout)
	defer cancel()
	q, err := d.crew.world.Dial(dialing, d.rng.IntN(d.crew.world.Nodes()), func(o *client.Options) {
		o.User, o.Device, o.Resume = d.user, d.name+"+", d.mail.identities[l.draft.Token.Instance]
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
