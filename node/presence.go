package node

import (
	"context"
	"time"

	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/node/route"
	"github.com/quorate/quorate/node/session"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// Who is there is soft: an edge follows the user log of each of its sessions,
// so the leader of a user's shard knows on which edges he is. What outlives an
// edge, a tag, a will and a room, is in the state, and ends when a session is
// reported lost: by its edge, or by the leader when the edge itself is.

const (
	// edgeLease is how long an edge may be without a stream to a shard's leader
	// before its sessions count as lost. A new leader calls nobody lost before
	// one has passed.
	edgeLease = 5 * time.Second
	// lossesPerCommand bounds one SessionsLost.
	lossesPerCommand = 200
	// lostAgain is the pause before a loss is reported again.
	lostAgain = time.Second
)

// newPlace names a life of a node: what sessions of an earlier one have left
// behind is nobody's, though the node is there again.
func newPlace(node wire.NodeID) (string, error) {
	name, err := newName()
	if err != nil {
		return "", err
	}
	if life := "/" + name[:8]; len(node)+len(life) <= wire.MaxIDBytes {
		return string(node) + life, nil
	}
	return name, nil // it is for people that the node's name is in it
}

// lostSession is an edge's report of a session that ended without a logout.
//
//	| version 1 | shard | app | user | tag | session | others, 1 |
type lostSession struct {
	shard   wire.ShardID
	app     wire.AppID
	user    wire.UserID
	tag     string
	session string
	others  bool // the user has other sessions on this edge
}

func (l lostSession) encode() []byte {
	b := bin.AppendUvarint([]byte{1}, uint64(l.shard))
	b = bin.AppendString(b, l.app)
	b = bin.AppendString(b, l.user)
	b = bin.AppendString(b, l.tag)
	b = bin.AppendString(b, l.session)
	return bin.AppendBool(b, l.others)
}

func decodeLost(b []byte) (lostSession, error) {
	r := bin.NewReader(b)
	if v := r.Byte(); v != 1 {
		r.Fail(bin.ErrRange)
	}
	l := lostSession{
		shard: wire.ShardID(r.Uvarint()), app: wire.AppID(r.String()), user: wire.UserID(r.String()),
		tag: r.String(), session: r.String(), others: r.Bool(),
	}
	return l, r.Close()
}

// ended has the user's shard give back what a session held that has ended: its
// user wished it, or it was lost.
func (b *backend) ended(s door.Session, clean bool) {
	if s.User == "" || s.Tag == "" && !s.HasWill && !s.InRoom {
		return
	}
	if b.stopping.Load() && !clean {
		return // its client moves to another node; what it does not take anew ends with this node's lease
	}
	if !clean {
		b.tasks.Go(func() { b.reportLost(s) })
		return
	}
	logout := &state.Logout{User: s.User, Tag: s.Tag, Session: s.Name}
	b.tasks.Go(func() {
		ctx, cancel := context.WithTimeout(b.ctx, requestTimeout)
		defer cancel()
		if err := b.change(ctx, "session.close", state.Header{App: s.App, Actor: s.User}, logout); err != nil {
			b.reportLost(s) // so that what it held does not stay
		}
	})
}

// reportLost tells the leader of the user's shard that a session was lost, until
// one has taken it or the node ends.
func (b *backend) reportLost(s door.Session) {
	slot := wire.SlotOf(s.App, string(s.User))
	for b.ctx.Err() == nil {
		id, leader, ok := b.router.Leader(slot)
		if ok {
			l := lostSession{
				shard: id, app: s.App, user: s.User, tag: s.Tag, session: s.Name,
				others: b.sessions.count(s.App, s.User) > 0,
			}
			ctx, cancel := context.WithTimeout(b.ctx, choreTimeout)
			_, err := b.mux.Call(ctx, leader, route.MethodLost, l.encode())
			cancel()
			if err == nil || wire.CodeOf(err) == wire.CodeInvalid {
				return
			}
			b.router.Redirected(id, leader, err)
		}
		_ = clock.Sleep(b.ctx, lostAgain) // the loop ends with the node
	}
}

// notLeading is the answer of who does not lead the shard that he is asked for: it
// names the leader, if there is a replica here that knows him.
func notLeading(h *hosted) error {
	e := &wire.Error{Code: wire.CodeNotLeader, Text: "ask the leader"}
	if h != nil {
		e.Leader, _ = h.replica.Leader()
	}
	return e
}

// errTooNew is the answer of a leader whose hub has not heard of all edges yet: to
// it, everybody would seem to be gone.
var errTooNew = wire.Errorf(wire.CodeUnavailable, "", "the leader is too new to know who is there")

// presence is the part of a node that knows who is lost.
type presence struct{ *Node }

// serveLost takes an edge's report, at the leader of the user's shard.
func (n presence) serveLost(ctx context.Context, edge wire.NodeID, body []byte) error {
	l, err := decodeLost(body)
	if err != nil {
		return wire.Errorf(wire.CodeInvalid, "", "decode the report of a lost session: %v", err)
	}
	h := n.shards.get(l.shard)
	if h == nil || !h.leads.Load() {
		return notLeading(h)
	}
	elsewhere, known := h.hub.FollowedElsewhere(state.LogKey{App: l.app, User: l.user}, edge)
	if !known {
		return errTooNew
	}
	last := !l.others && !elsewhere
	return n.proposeLosses(ctx, []state.SessionLoss{{App: l.app, User: l.user, Tag: l.tag, Session: l.session, Last: last}})
}

// proposeLosses has sessions taken for lost.
func (n presence) proposeLosses(ctx context.Context, losses []state.SessionLoss) error {
	_, err := proposeOwn(ctx, n.router, "presence", &state.SessionsLost{Losses: losses})
	return err
}

// edgeWatch is what the leader of one shard knows of the edges. An edge is known
// by its place, which is another one each time its node starts.
type edgeWatch struct {
	leading time.Time            // since when the replica leads; zero: it does not
	seen    map[string]time.Time // when an edge was last at a place; a lease after that it is forgotten
	looked  time.Time            // when the sessions of all other places were last looked for; zero: they are to be
}

// lookAnyway is how often sessions of edges that are not there are looked for
// though none has gone: one may have gone before it had a stream here.
const lookAnyway = 5 * time.Minute

// watchEdges reports the sessions of edges that are gone, in the shards that
// this node leads.
func (n presence) watchEdges(ctx context.Context) error {
	ticks := time.NewTicker(edgeLease / 5)
	defer ticks.Stop()
	watches := map[wire.ShardID]*edgeWatch{}
	for {
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return nil
		}
		for _, h := range n.shards.all() {
			w := watches[h.id]
			if w == nil {
				w = &edgeWatch{}
				watches[h.id] = w
			}
			now := time.Now()
			if !w.look(now, h) {
				continue
			}
			if err := n.edgesLost(ctx, h, w.there()); err != nil {
				n.env.Logger.Warn("lost sessions were not reported", "shard", h.id, "error", err)
				continue
			}
			w.looked = now
		}
	}
}

// look notes which edges are there, and tells whether sessions of others are to
// be looked for: once a lease has passed since this replica leads, and whenever
// that of an edge is over.
func (w *edgeWatch) look(now time.Time, h *hosted) bool {
	if !h.leads.Load() {
		*w = edgeWatch{}
		return false
	}
	if w.leading.IsZero() {
		w.leading, w.seen = now, map[string]time.Time{}
	}
	for place := range h.hub.Places() {
		w.seen[place] = now
	}
	if now.Sub(w.leading) < edgeLease {
		return false
	}
	for place, at := range w.seen {
		if now.Sub(at) >= edgeLease {
			delete(w.seen, place)
			w.looked = time.Time{}
		}
	}
	return now.Sub(w.looked) >= lookAnyway
}

// there are the places whose lease is not over.
func (w *edgeWatch) there() map[string]bool {
	there := make(map[string]bool, len(w.seen))
	for place := range w.seen {
		there[place] = true
	}
	return there
}

// edgesLost has the sessions of edges that are not there taken for lost.
func (n presence) edgesLost(ctx context.Context, h *hosted, there map[string]bool) error {
	all, err := h.state.SessionsElsewhere(there)
	if err != nil || len(all) == 0 {
		return err
	}
	n.env.Logger.Info("edges are gone, their sessions count as lost", "shard", h.id, "sessions", len(all))
	for len(all) > 0 {
		part := all[:min(len(all), lossesPerCommand)]
		all = all[len(part):]
		losses := make([]state.SessionLoss, len(part))
		for i, s := range part {
			followed, known := h.hub.Followed(state.LogKey{App: s.App, User: s.User})
			if !known {
				return errTooNew
			}
			losses[i] = state.SessionLoss{App: s.App, User: s.User, Tag: s.Tag, Session: s.Session, Last: !followed}
		}
		one, cancel := context.WithTimeout(ctx, choreTimeout)
		err := n.proposeLosses(one, losses)
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

// reconnected looks after the sessions whose tags this node may have lost while
// it had no stream to their shard.
func (b *backend) reconnected(id wire.ShardID) {
	here := func(app wire.AppID, user wire.UserID) bool {
		r, ok := b.meta.Table().Route(wire.SlotOf(app, string(user)))
		return ok && r.Shard == id
	}
	native, others := b.sessions.withTag()
	for _, s := range native {
		if here(s.Identity.App, s.Identity.User) {
			w := &watcher{s: s, b: b}
			b.tasks.Go(w.check)
		}
	}
	for _, s := range others {
		if s.Doubt != nil && here(s.App, s.User) {
			s.Doubt()
		}
	}
}

// errLeaseOver closes a session whose node was taken for dead meanwhile: the
// client signs in again and takes its tag anew.
var errLeaseOver = wire.Errorf(wire.CodeUnavailable, "session", "the node was away: sign in again")

// closeLate closes a session that lost its tag with its node's lease.
func closeLate(s *session.Session) { s.Close(transport.CloseOverloaded, errLeaseOver) }
