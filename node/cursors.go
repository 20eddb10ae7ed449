package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/quorate/quorate/cluster"
	"github.com/quorate/quorate/node/native"
	"github.com/quorate/quorate/node/route"
	"github.com/quorate/quorate/node/session"
	"github.com/quorate/quorate/shard"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/pb"
)

const (
	// gatherFor is how long lazy cursors are gathered before they become one
	// command for each shard.
	gatherFor = time.Second
	// maxGathered is how many members' cursors wait at most; beyond it lazy
	// ones are refused, and the client sends them again later.
	maxGathered = 100_000
	// movesPerCommand bounds one MoveCursors.
	movesPerCommand = 500
)

// errTooManyCursors is returned when too many lazy cursors wait.
var errTooManyCursors = errors.New("node: too many cursors wait")

// cursors gathers lazy cursor moves: only a member's newest position matters.
type cursors struct {
	router *route.Router
	table  func() *cluster.Table

	mu      sync.Mutex
	waiting map[cursorKey]state.CursorMove
}

type cursorKey struct {
	app          wire.AppID
	conversation wire.ConversationID
	user         wire.UserID
}

func newCursors(router *route.Router, table func() *cluster.Table) *cursors {
	return &cursors{router: router, table: table, waiting: map[cursorKey]state.CursorMove{}}
}

// add gathers a move; the larger value wins.
func (c *cursors) add(app wire.AppID, m state.CursorMove) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := cursorKey{app, m.Conversation, m.User}
	old, there := c.waiting[k]
	if !there && len(c.waiting) >= maxGathered {
		return errTooManyCursors
	}
	m.Read, m.Delivered = max(m.Read, old.Read), max(m.Delivered, old.Delivered)
	c.waiting[k] = m
	return nil
}

// run sends what was gathered, until ctx is done, and then once more.
func (c *cursors) run(ctx context.Context) error {
	ticks := time.NewTicker(gatherFor)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
			c.flush()
		case <-ctx.Done():
			c.flush()
			return nil
		}
	}
}

// packed is the moves of one app in one shard.
type packed struct {
	app   wire.AppID
	shard wire.ShardID
}

func (c *cursors) flush() {
	c.mu.Lock()
	waiting := c.waiting
	c.waiting = map[cursorKey]state.CursorMove{}
	c.mu.Unlock()

	byShard := map[packed][]state.CursorMove{}
	for k, m := range waiting {
		owner, ok := c.table().Route(wire.SlotOf(k.app, string(k.conversation)))
		if !ok {
			continue
		}
		p := packed{k.app, owner.Shard}
		byShard[p] = append(byShard[p], m)
	}
	for p, moves := range byShard {
		for len(moves) > 0 {
			n := min(len(moves), movesPerCommand)
			c.send(p.app, moves[:n])
			moves = moves[n:]
		}
	}
}

// send proposes moves of one shard. A cursor that is lost on the way is only
// older than it could be: the client's next one is past it.
func (c *cursors) send(app wire.AppID, moves []state.CursorMove) {
	change, err := native.Encode("cursor.move", "cursors", state.Header{App: app}, &state.MoveCursors{Moves: moves})
	if err != nil {
		return
	}
	c.router.Submit(route.Command{
		Slot: change.Slot, Key: shard.KeyOf(app, change.Root), Encoded: change.Encoded, Deadline: time.Now().Add(choreTimeout),
		Done: func(state.Result, error) {},
	})
}

// moveCursor moves the user's cursors: gathered if he is in no hurry.
func (b *backend) moveCursor(s *session.Session, asker native.Asker, req *pb.Request, r *pb.MoveCursor) {
	const op = "cursor.move"
	if err := wire.ValidID(r.GetConversation()); err != nil {
		s.Fail(req.GetId(), wire.Errorf(wire.CodeInvalid, op, "conversation %v", err))
		return
	}
	move := state.CursorMove{
		Conversation: wire.ConversationID(r.GetConversation()), User: asker.User,
		Read: wire.Seq(r.GetReadSeq()), Delivered: wire.Seq(r.GetDeliveredSeq()),
	}
	if r.GetLazy() {
		if err := b.cursors.add(asker.App, move); err != nil {
			s.Fail(req.GetId(), &wire.Error{Code: wire.CodeLimit, Op: op, Text: "too many cursors wait, send it again later", Err: err})
			return
		}
		s.Answer(&pb.Response{Id: req.GetId(), Result: &pb.Response_Done{Done: &pb.Done{}}})
		return
	}
	change, err := native.Encode(op, r.GetConversation(), state.Header{App: asker.App, Origin: asker.Origin}, &state.MoveCursors{Moves: []state.CursorMove{move}})
	if err != nil {
		s.Fail(req.GetId(), err)
		return
	}
	b.router.Submit(route.Command{
		Slot: change.Slot, Key: shard.KeyOf(asker.App, change.Root), Encoded: change.Encoded, Deadline: time.Now().Add(requestTimeout),
		Done: func(result state.Result, err error) {
			if err != nil {
				s.Fail(req.GetId(), withOp(op, err))
				return
			}
			s.Answer(native.Answer(op, req, result))
		},
	})
}
