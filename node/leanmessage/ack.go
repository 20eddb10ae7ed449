package leanmessage

import (
	"context"
	"sync"
	"time"

	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/leanpb"
)

// acknowledge takes what a client says it has got. There is no reply, and one that
// is lost is only less than the next one says.
func acknowledge(_ context.Context, c *client, in *leanpb.GenericCommand, done func(*leanpb.GenericCommand, error)) {
	done(nil, nil)
	m := in.GetAckMessage()
	id := storedID(m.GetCid())
	if wire.ValidID(string(id)) != nil || c.presetOf(id) == state.PresetRoom {
		return
	}
	place := ask.PlaceIn{Conversation: id, Message: messageNamed(m.GetMid()), Time: m.GetTots()}
	if seq, ok := (progress{c}).seqOf(place); ok && !(services{c}).known(id) {
		progress{c}.got(id, seq)
		return
	}
	c.later(&c.errands.got, errand{PlaceIn: place}, progress{c}.gotAll)
}

// gotAll notes what was delivered to the user of which the session does not know
// the sequence.
func (c progress) gotAll(ctx context.Context, some []errand) {
	var places []ask.PlaceIn
	for _, one := range some {
		places = append(places, services(c).places(one.PlaceIn)...)
	}
	for _, p := range c.find(ctx, places) {
		c.got(p.id, p.seq)
	}
}

// progress is a session that says how far it has come, and is told how far others
// have.
type progress struct{ *client }

// seqOf resolves a place by what the session remembers: mostly it is the message
// that was pushed last.
func (c progress) seqOf(p ask.PlaceIn) (wire.Seq, bool) {
	named, ok := p.Message.Seq(p.Conversation)
	if ok && p.Time == 0 {
		return named, true
	}
	l := c.feed.of(p.Conversation)
	if l == nil {
		return 0, false
	}
	c.feed.turn.Lock()
	defer c.feed.turn.Unlock()
	switch {
	case l.time == 0 || p.Time < l.time:
		return 0, false
	case p.Time == l.time && p.Message != "" && named != l.seq:
		return 0, false
	default:
		return max(l.seq, named), true
	}
}

// placed is a place with the sequence that it stands for.
type placed struct {
	id  wire.ConversationID
	seq wire.Seq
}

// find asks for the sequences of places. What the shards do not say is not in the
// answer.
func (c progress) find(ctx context.Context, places []ask.PlaceIn) []placed {
	ctx, cancel := context.WithTimeout(ctx, c.door().opts.RequestTimeout)
	defer cancel()
	byID := map[string]ask.PlaceIn{}
	roots := make([]string, 0, len(places))
	for _, p := range places {
		root := string(p.Conversation)
		if _, twice := byID[root]; !twice {
			roots = append(roots, root)
		}
		byID[root] = p
	}
	var found []placed
	for _, group := range c.host().Divide(c.app, roots) {
		q := &ask.Places{}
		for _, root := range group {
			q.Of = append(q.Of, byID[root])
		}
		a, err := c.host().Ask(ctx, c.app, c.user, group[0], &ask.Request{Places: q})
		if err != nil || a.Places == nil || len(a.Places.Seqs) != len(group) {
			continue
		}
		for i, seq := range a.Places.Seqs {
			found = append(found, placed{q.Of[i].Conversation, seq})
		}
	}
	return found
}

// got notes that a conversation was delivered to the user up to a message, and to
// the device of a client that is sent what it has missed.
func (c progress) got(id wire.ConversationID, seq wire.Seq) {
	if seq == 0 {
		return
	}
	k := ackKey{app: c.app, conversation: id, user: c.user}
	c.door().acks.add(k, seq)
	if c.socket.offline {
		k.device = c.deviceName()
		c.door().acks.add(k, seq)
		c.feed.acked(id, seq)
	}
}

const (
	// ackEvery is how long acknowledgements are gathered.
	ackEvery = 500 * time.Millisecond
	// maxAcks is how many wait at most. Beyond it they are dropped: the next ones
	// say as much and more.
	maxAcks = 100_000
	// acksPerCommand bounds one command.
	acksPerCommand = 500
)

// acks gathers what clients have got, until there is a command to make of it: of
// each only the last matters.
type acks struct {
	host door.Host

	mu      sync.Mutex
	waiting map[ackKey]wire.Seq
	running bool
}

type ackKey struct {
	app          wire.AppID
	conversation wire.ConversationID
	user         wire.UserID
	device       string // empty: of all that the user has
}

func (a *acks) add(k ackKey, seq wire.Seq) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.waiting == nil {
		a.waiting = map[ackKey]wire.Seq{}
	}
	old, there := a.waiting[k]
	if !there && len(a.waiting) >= maxAcks {
		return
	}
	a.waiting[k] = max(old, seq)
	if !a.running {
		a.running = true
		a.host.Go(a.run)
	}
}

// run sends what is gathered until nothing is.
func (a *acks) run(ctx context.Context) {
	for {
		_ = clock.Sleep(ctx, ackEvery)
		a.mu.Lock()
		waiting := a.waiting
		a.waiting = nil
		a.running = len(waiting) > 0
		a.mu.Unlock()
		if len(waiting) == 0 {
			return
		}
		a.send(waiting)
		if ctx.Err() != nil {
			return
		}
	}
}

// send makes commands of acknowledgements.
func (a *acks) send(waiting map[ackKey]wire.Seq) {
	moves := map[wire.AppID]map[string][]state.CursorMove{}
	for k, seq := range waiting {
		if k.device != "" {
			c := &state.MoveDeviceCursor{Conversation: k.conversation, User: k.user, Device: k.device, Delivered: seq}
			a.host.Submit(state.Header{App: k.app}, c, func(state.Result, error) {})
			continue
		}
		if moves[k.app] == nil {
			moves[k.app] = map[string][]state.CursorMove{}
		}
		root := string(k.conversation)
		moves[k.app][root] = append(moves[k.app][root], state.CursorMove{Conversation: k.conversation, User: k.user, Delivered: seq})
	}
	for app, byRoot := range moves {
		roots := make([]string, 0, len(byRoot))
		for root := range byRoot {
			roots = append(roots, root)
		}
		for _, group := range a.host.Divide(app, roots) {
			var all []state.CursorMove
			for _, root := range group {
				all = append(all, byRoot[root]...)
			}
			for len(all) > 0 {
				n := min(len(all), acksPerCommand)
				a.host.Submit(state.Header{App: app}, &state.MoveCursors{Moves: all[:n:n]}, func(state.Result, error) {})
				all = all[n:]
			}
		}
	}
}
