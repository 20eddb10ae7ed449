package node

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/quorate/quorate/cluster"
	"github.com/quorate/quorate/node/ask"
	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/node/native"
	"github.com/quorate/quorate/node/route"
	"github.com/quorate/quorate/node/tail"
	"github.com/quorate/quorate/shard"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// doorHost is the node as the doors of other dialects see it.
type doorHost struct {
	*backend

	presence presence
}

var _ door.Host = doorHost{}

// host is the node as doors see it, once it has a backend.
func (n *Node) host() doorHost { return doorHost{n.backend, presence{n}} }

// Self implements door.Host.
func (d doorHost) Self() wire.NodeID { return d.self }

// Place implements door.Host.
func (d doorHost) Place() string { return d.place }

// Millis implements door.Host.
func (d doorHost) Millis() int64 { return d.wall.Millis() }

// Go implements door.Host.
func (d doorHost) Go(task func(ctx context.Context)) {
	d.tasks.Go(func() { task(d.ctx) })
}

// ClientURLs implements door.Host. The others come in any order, but those that
// the gossip misses last. Who asks a node that stops is sent to the others first.
func (d doorHost) ClientURLs() []string {
	here := d.alive()
	var own, urls, away []string
	nodes := d.nodes()
	rand.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	for _, n := range nodes {
		switch {
		case n.GetName() == string(d.self):
			own = append(own, n.GetHttp())
		case here == nil || here[n.GetName()]:
			urls = append(urls, n.GetHttp())
		default:
			away = append(away, n.GetHttp())
		}
	}
	urls = append(urls, away...)
	if d.stopping.Load() {
		return append(urls, own...)
	}
	return append(own, urls...)
}

// alive returns the nodes of which the gossip says that they serve; nil: there is
// no gossip.
func (d doorHost) alive() map[string]bool {
	gossip := d.gossip.Load()
	if gossip == nil {
		return nil
	}
	here := map[string]bool{}
	for _, p := range (*gossip).Members() {
		here[string(p.Node)] = true
	}
	return here
}

// App implements door.Apps.
func (d doorHost) App(ctx context.Context, id wire.AppID) (cluster.App, bool, error) {
	app, err := d.app(ctx, id)
	return app, app.ID != "", err
}

// Submit implements door.Log.
func (d doorHost) Submit(h state.Header, c state.Command, done func(state.Result, error)) {
	change, err := native.Encode("", rootOf(c), h, c)
	if err != nil {
		done(state.Result{}, err)
		return
	}
	d.router.Submit(route.Command{
		Slot: change.Slot, Key: shard.KeyOf(h.App, change.Root), Encoded: change.Encoded, Deadline: time.Now().Add(requestTimeout), Done: done,
	})
}

// Change implements door.Log.
func (d doorHost) Change(ctx context.Context, h state.Header, c state.Command) (state.Result, error) {
	change, err := native.Encode("", rootOf(c), h, c)
	if err != nil {
		return state.Result{}, err
	}
	return d.proposeChange(ctx, h.App, change)
}

// rootOf returns the conversation or the user that a command concerns.
func rootOf(c state.Command) string {
	s := state.SubjectOf(c)
	if s.Conversation != "" {
		return string(s.Conversation)
	}
	return string(s.User)
}

// Unique implements door.Log. As in createUnique neither step has a token, since
// both are harmless when they are repeated.
func (d doorHost) Unique(ctx context.Context, h state.Header, create *state.CreateConversation) (state.Result, error) {
	h.Token = state.Token{}
	resolve := &state.ResolveUnique{Preset: create.Preset, Members: create.Members, Salt: rand.Uint64()}
	if h.Actor != "" {
		resolve.Members = append([]wire.UserID{h.Actor}, create.Members...)
	}
	return findUnique(resolve,
		func() (state.Result, error) { return d.Change(ctx, h, resolve) },
		func(id wire.ConversationID) (state.Result, error) {
			try := *create
			try.ID, try.Unique = id, true
			result, err := d.Change(ctx, h, &try)
			if len(result.Conversations) == 0 {
				result.Conversations = []wire.ConversationID{id}
			}
			return result, err
		})
}

// Ask implements door.Log.
func (d doorHost) Ask(ctx context.Context, app wire.AppID, user wire.UserID, root string, r *ask.Request) (*ask.Answer, error) {
	return d.askSlot(ctx, route.Query{Slot: wire.SlotOf(app, root), App: app, User: user}, r)
}

// askSlot asks the shard of a query's slot.
func (d doorHost) askSlot(ctx context.Context, q route.Query, r *ask.Request) (*ask.Answer, error) {
	encoded, err := json.Marshal(r)
	if err != nil {
		return nil, wire.Errorf(wire.CodeInvalid, "", "encode a question: %v", err)
	}
	// As pages of history: what all doors together make the node hold is bounded.
	select {
	case d.pages <- struct{}{}:
		defer func() { <-d.pages }()
	case <-ctx.Done():
		return nil, &wire.Error{Code: wire.CodeUnavailable, Text: "too many answers are awaited, ask again", Err: ctx.Err()}
	}
	q.Request = append([]byte{queryDoor}, encoded...)
	answer, err := d.router.Query(ctx, q)
	if err != nil {
		return nil, err
	}
	return decodeDoorAnswer(answer)
}

// Divide implements door.Log.
func (d doorHost) Divide(app wire.AppID, roots []string) [][]string {
	table := d.meta.Table()
	place := map[wire.ShardID]int{}
	var parts [][]string
	for _, root := range roots {
		r, _ := table.Route(wire.SlotOf(app, root)) // without a map, all are in one part that finds no shard
		i, ok := place[r.Shard]
		if !ok {
			i = len(parts)
			place[r.Shard], parts = i, append(parts, nil)
		}
		parts[i] = append(parts[i], root)
	}
	return parts
}

// AskAll implements door.Log.
func (d doorHost) AskAll(ctx context.Context, app wire.AppID, user wire.UserID, r *ask.Request) ([]*ask.Answer, error) {
	// Answers of all shards together may be large, and take all of them to make.
	by := asker{app, user}
	if err := d.scans.take(ctx, by); err != nil {
		return nil, err
	}
	defer d.scans.give(by)
	shards := d.meta.Table().Shards()
	all := make([]*ask.Answer, len(shards))
	errs := make([]error, len(shards))
	var asking sync.WaitGroup
	for i := range shards {
		asking.Go(func() {
			all[i], errs[i] = d.askSlot(ctx, route.Query{Slot: shards[i].First, App: app, User: user}, r)
		})
	}
	asking.Wait()
	var answers []*ask.Answer
	for _, a := range all {
		if a != nil {
			answers = append(answers, a)
		}
	}
	return answers, errors.Join(errs...)
}

// Follow implements door.Log.
func (d doorHost) Follow(r tail.Request) (*tail.Subscription, error) { return d.edge.Subscribe(r) }

// Unfollow implements door.Log.
func (d doorHost) Unfollow(s *tail.Subscription) { d.edge.Unsubscribe(s) }

// Signal implements door.Log.
func (d doorHost) Signal(s door.Signal, done func(error)) { d.signal(s, done) }

// Opened implements door.Presence. Of a session that is known it takes what has
// changed.
func (d doorHost) Opened(s door.Session) {
	if d.sessions.open(s) && d.collect != nil && d.sessions.dense() {
		d.tasks.Go(d.collect)
	}
}

// Closed implements door.Presence. Only the first call does anything.
func (d doorHost) Closed(s door.Session, clean bool) {
	if d.sessions.end(s) {
		d.ended(s, clean)
	}
}

// Online implements door.Presence.
func (d doorHost) Online(ctx context.Context, app wire.AppID, users []wire.UserID) ([]wire.UserID, error) {
	return d.presence.online(ctx, app, users)
}

// OnlineCount implements leanrest.Host.
func (d doorHost) OnlineCount(ctx context.Context, app wire.AppID) (int, error) {
	return d.presence.onlineCount(ctx, app)
}

// Present implements door.Presence.
func (d doorHost) Present(ctx context.Context, app wire.AppID, id wire.ConversationID, limit int) (door.Presents, error) {
	return d.presence.present(ctx, app, id, limit)
}

// An answer to a door's question is
//
//	| version 1 | refusal, 1 | text | the answer, in JSON, without a refusal |
const doorAnswerVersion = 1

// answerDoor answers a question of another door from a shard.
func answerDoor(ctx context.Context, from ask.Source, q route.Query) ([]byte, error) {
	answer, err := ask.Execute(ctx, from, q.App, q.User, q.Request)
	if refused, ok := errors.AsType[*state.RefusedError](err); ok {
		return bin.AppendString([]byte{doorAnswerVersion, byte(refused.Refusal)}, refused.Text), nil
	}
	if err != nil {
		return nil, err
	}
	return append(bin.AppendString([]byte{doorAnswerVersion, byte(state.None)}, ""), answer...), nil
}

// errDoorAnswer is returned for an answer of an unknown form.
var errDoorAnswer = &wire.Error{Code: wire.CodeInternal, Text: "a malformed answer of another node"}

func decodeDoorAnswer(b []byte) (*ask.Answer, error) {
	r := bin.NewReader(b)
	version, refusal, text := r.Byte(), state.Refusal(r.Byte()), r.String()
	body := r.Rest()
	switch {
	case r.Close() != nil || version != doorAnswerVersion:
		return nil, errDoorAnswer
	case refusal != state.None:
		return nil, &state.RefusedError{Refusal: refusal, Text: text}
	}
	a := &ask.Answer{}
	if err := json.Unmarshal(body, a); err != nil {
		return nil, errDoorAnswer
	}
	return a, nil
}
