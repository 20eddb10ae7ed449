package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/e2e/sim/history"
	"github.com/quorate/quorate/wire"
)

// device is one user's client, over all of its sessions. One goroutine uses it
// at a time, but for what its subscriptions read.
type device struct {
	crew   *Crew
	user   wire.UserID
	number int // among the user's devices
	name   string
	mix    *mix
	rng    *rand.Rand

	q        *client.Client  // nil: not signed in
	lives    int             // sign-ins
	stands   int             // clients that stood in for q, to resume another
	stood    int             // the number of the one that does now; 0: none
	identity client.Identity // of the last session
	tag      string

	texts   int
	made    int
	patient bool // gives every call its time
	follows []*follow
	mail    mail
	known   known
}

// mail is what a device has sent, to be sent again.
type mail struct {
	unsure     []*letter                    // whose outcome is unknown
	sure       []*letter                    // some of the last ones whose outcome is known
	identities map[[16]byte]client.Identity // of all the device's clients that have ended
}

// known is what a device has learned of the conversations.
type known struct {
	last   map[wire.ConversationID]wire.Seq
	outOf  wire.ConversationID          // was refused there, not being a member
	closed map[wire.ConversationID]bool // may not be joined
}

func newDevice(c *Crew, user wire.UserID, number int, m *mix) *device {
	return &device{
		crew: c, user: user, number: number, name: fmt.Sprintf("%s%c", user, 'a'+number), mix: m,
		rng:   rand.New(rand.NewPCG(c.opts.Seed, uint64(len(c.devices)+2))),
		mail:  mail{identities: map[[16]byte]client.Identity{}},
		known: known{last: map[wire.ConversationID]wire.Seq{}, closed: map[wire.ConversationID]bool{}},
	}
}

// client names the present session in the history.
func (d *device) client() string {
	if d.stood != 0 {
		return fmt.Sprintf("%s+%d", d.name, d.stood)
	}
	return fmt.Sprintf("%s#%d", d.name, d.lives)
}

// work does what users do, until ctx ends or enough was done.
func (d *device) work(ctx context.Context) {
	for ctx.Err() == nil && d.crew.mayGoOn() {
		pause := time.Duration(d.rng.ExpFloat64() * float64(d.crew.opts.Pause))
		if clock.Sleep(ctx, min(pause, 8*d.crew.opts.Pause)) != nil {
			return
		}
		if !d.ready(ctx) {
			continue
		}
		if len(d.mail.unsure) > 0 && d.rng.IntN(3) == 0 {
			sendUnsure(ctx, d)
			continue
		}
		if d.known.outOf != "" && d.rng.IntN(3) == 0 {
			joinIn(ctx, d, d.known.outOf)
			d.known.outOf = ""
			continue
		}
		d.mix.pick(d.rng)(ctx, d)
	}
}

// ready tells whether the device is signed in, and signs in if it is not.
func (d *device) ready(ctx context.Context) bool {
	if d.q != nil && d.q.Err() == nil {
		return true
	}
	d.signOut()
	return d.signIn(ctx)
}

// signInTimeout bounds one attempt of the whole cluster.
const signInTimeout = 10 * time.Second

// signIn signs in somewhere, as the same client instance or another, and follows
// what was followed.
func (d *device) signIn(ctx context.Context) bool {
	bounded, cancel := context.WithTimeout(ctx, signInTimeout)
	defer cancel()
	d.lives++
	resume := client.Identity{}
	if d.rng.IntN(2) == 0 {
		resume = d.identity
	}
	d.tag = ""
	if d.rng.IntN(8) == 0 {
		d.tag = "desk"
	}
	silence := time.Second + time.Duration(d.rng.IntN(1500))*time.Millisecond
	e := history.Event{Op: history.OpSignIn, At: d.crew.rec.Now(), Client: d.client(), User: d.user, Text: d.tag}
	q, err := d.crew.world.Dial(bounded, d.rng.IntN(d.crew.world.Nodes()), func(o *client.Options) {
		o.User, o.Device, o.Tag, o.Silence, o.Resume = d.user, d.name, d.tag, silence, resume
		if all := d.crew.board.all(); len(all) > 0 && d.lives%4 == 0 {
			o.Will = &client.Will{Conversation: all[0].id, Body: []byte("gone")}
		}
	})
	if err != nil {
		e.Outcome, e.Error = history.Unknown, wire.CodeOf(err).String()
		d.crew.rec.Add(e)
		return false
	}
	d.q, e.Node, e.Outcome = q, q.Node(), history.OK
	d.crew.rec.Add(e)
	followAgain(ctx, d)
	return true
}

// signOut closes the client, which ends its subscriptions. Where they are is
// kept for the next one.
func (d *device) signOut() {
	if d.q == nil {
		return
	}
	why := ""
	if err := d.q.Err(); err != nil {
		why = wire.CodeOf(err).String()
	}
	_ = d.q.Close() // of a connection that may be broken
	for _, f := range d.follows {
		f.wait()
	}
	d.identity = d.q.Identity()
	d.mail.identities[d.identity.Instance] = d.identity
	d.crew.rec.Add(history.Event{Op: history.OpSignOut, Client: d.client(), User: d.user, Text: why})
	d.q = nil
}

// call begins an event of the device about a conversation, and the context of
// its call.
func (d *device) call(ctx context.Context, op history.Op, in wire.ConversationID) (context.Context, context.CancelFunc, history.Event) {
	timeout := d.crew.opts.Timeout
	if !d.patient && d.rng.IntN(4) == 0 { // most have patience, some have little
		timeout = time.Duration(1+d.rng.Int64N(int64(time.Second))) + 50*time.Millisecond
	}
	bounded, cancel := context.WithTimeout(ctx, timeout)
	return bounded, cancel, history.Event{Op: op, At: d.crew.rec.Now(), Client: d.client(), User: d.user, Conversation: in}
}

// end completes an event with what the call returned, and records it.
func (d *device) end(e history.Event, err error) bool {
	e.Outcome, e.Error = d.outcome(err)
	e.Node = d.q.Node()
	d.crew.rec.Add(e)
	switch {
	case e.Error == wire.CodeNotMember.String():
		d.known.outOf = e.Conversation
	case e.Op == history.OpJoin && e.Outcome == history.Refused:
		d.known.closed[e.Conversation] = true
	}
	return e.Outcome == history.OK
}

// pick returns a conversation to do something in, seldom one that the user is out
// of for good.
func (d *device) pick() conversation {
	c := d.crew.board.pick(d.rng)
	if d.known.closed[c.id] && d.rng.IntN(8) > 0 {
		return d.crew.board.all()[0]
	}
	return c
}

// text makes a text that nobody else says: for some, with much after it.
func (d *device) text() string {
	id := d.nextText()
	if d.rng.IntN(16) == 0 {
		return history.Pad(id, d.rng.IntN(8<<10))
	}
	return id
}

func (d *device) nextText() string {
	d.texts++
	return fmt.Sprintf("%s.%d", d.name, d.texts)
}
