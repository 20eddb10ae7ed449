package node

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/quorate/quorate/node/door"
	"github.com/quorate/quorate/node/native"
	"github.com/quorate/quorate/node/route"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/bin"
)

// queryPresence asks the leader of a shard who is there, as its hub knows. It is
// one of the kinds of queries between nodes.
const queryPresence byte = 4

// What queryPresence asks.
const (
	askOnline      byte = 1 // which of these users have a session?
	askPresent     byte = 2 // who follows this chat room?
	askOnlineCount byte = 3 // how many users of the app have a session?
)

const (
	maxOnlineAsked  = 1000 // users in one question
	maxPresentNamed = 1000 // users in one answer
)

// presenceQuestion is
//
//	| queryPresence | version 1 | what, 1 | conversation | limit | count | user ... |
type presenceQuestion struct {
	what         byte
	conversation wire.ConversationID
	limit        int
	users        []wire.UserID
}

func (q presenceQuestion) encode() []byte {
	b := bin.AppendString([]byte{queryPresence, 1, q.what}, q.conversation)
	b = bin.AppendUvarint(b, uint64(q.limit))
	return appendUsers(b, q.users)
}

// decodePresenceQuestion reads what follows the kind of the query.
func decodePresenceQuestion(b []byte) (presenceQuestion, error) {
	r := bin.NewReader(b)
	if v := r.Byte(); v != 1 {
		r.Fail(bin.ErrRange)
	}
	q := presenceQuestion{what: r.Byte(), conversation: wire.ConversationID(r.String()), limit: int(min(r.Uvarint(), maxPresentNamed))}
	q.users = readUsers(r, maxOnlineAsked)
	return q, r.Close()
}

// The answer is | version 1 | count | count of users | user ... |.
func encodePresents(p door.Presents) []byte {
	return appendUsers(bin.AppendUvarint([]byte{1}, uint64(p.Count)), p.Users)
}

func decodePresents(b []byte) (door.Presents, error) {
	r := bin.NewReader(b)
	if v := r.Byte(); v != 1 {
		r.Fail(bin.ErrRange)
	}
	count := r.Uvarint()
	if count > 1<<32 {
		r.Fail(bin.ErrRange)
	}
	p := door.Presents{Count: int(count), Users: readUsers(r, max(maxOnlineAsked, maxPresentNamed))}
	return p, r.Close()
}

func appendUsers(b []byte, users []wire.UserID) []byte {
	b = bin.AppendUvarint(b, uint64(len(users)))
	for _, u := range users {
		b = bin.AppendString(b, u)
	}
	return b
}

func readUsers(r *bin.Reader, most int) []wire.UserID {
	var users []wire.UserID
	for range r.Count(most) {
		users = append(users, wire.UserID(r.String()))
	}
	return users
}

// answerPresence answers at the leader of the shard.
func (h *hosted) answerPresence(app wire.AppID, question []byte) ([]byte, error) {
	q, err := decodePresenceQuestion(question)
	if err != nil {
		return nil, wire.Errorf(wire.CodeInvalid, "", "decode a question who is there: %v", err)
	}
	var p door.Presents
	var known bool
	switch q.what {
	case askOnline:
		p.Users, known = h.hub.Online(app, q.users)
		p.Count = len(p.Users)
	case askOnlineCount:
		p.Count, known = h.hub.OnlineCount(app)
	case askPresent:
		const op = "room.present"
		info, err := h.state.Conversation(app, q.conversation)
		if refused, ok := errors.AsType[*state.RefusedError](err); ok {
			return nil, native.Refused(op, refused.Refusal, refused.Text)
		}
		if err != nil {
			return nil, err
		}
		if info.Policy.Preset != state.PresetRoom {
			return nil, wire.Errorf(wire.CodeInvalid, op, "the conversation is no chat room")
		}
		p.Count, p.Users, known = h.hub.Present(state.LogKey{App: app, Conversation: q.conversation}, q.limit)
	default:
		return nil, wire.Errorf(wire.CodeInvalid, "", "a question who is there, of an unknown kind")
	}
	if !known {
		return nil, errTooNew
	}
	return encodePresents(p), nil
}

// online returns those of the users who have a session on any node.
func (n presence) online(ctx context.Context, app wire.AppID, users []wire.UserID) ([]wire.UserID, error) {
	byShard := map[wire.ShardID][]wire.UserID{}
	for _, u := range users {
		r, ok := n.table().Route(wire.SlotOf(app, string(u)))
		if !ok {
			return nil, wire.Errorf(wire.CodeUnavailable, "", "the slot map is not known yet")
		}
		if !slices.Contains(byShard[r.Shard], u) {
			byShard[r.Shard] = append(byShard[r.Shard], u)
		}
	}
	var questions []shardQuestion
	for _, of := range byShard {
		for part := range slices.Chunk(of, maxOnlineAsked) {
			questions = append(questions, shardQuestion{wire.SlotOf(app, string(part[0])), presenceQuestion{what: askOnline, users: part}})
		}
	}
	all, err := n.askAll(ctx, app, questions)
	return all.Users, err
}

// onlineCount returns how many users of an app have a session on any node.
func (n presence) onlineCount(ctx context.Context, app wire.AppID) (int, error) {
	var questions []shardQuestion
	for _, sh := range n.table().Shards() {
		questions = append(questions, shardQuestion{sh.First, presenceQuestion{what: askOnlineCount}})
	}
	all, err := n.askAll(ctx, app, questions)
	return all.Count, err
}

// present returns how many users follow the log of a chat room, and names at most
// limit of them.
func (n presence) present(ctx context.Context, app wire.AppID, id wire.ConversationID, limit int) (door.Presents, error) {
	q := presenceQuestion{what: askPresent, conversation: id, limit: min(limit, maxPresentNamed)}
	return n.askPresence(ctx, app, shardQuestion{wire.SlotOf(app, string(id)), q})
}

// shardQuestion is a question for the shard of a slot.
type shardQuestion struct {
	slot     wire.Slot
	question presenceQuestion
}

// askAll asks several shards at once, and adds their answers up.
func (n presence) askAll(ctx context.Context, app wire.AppID, questions []shardQuestion) (door.Presents, error) {
	var (
		asking sync.WaitGroup
		mu     sync.Mutex
		all    door.Presents
		errs   []error
	)
	for _, q := range questions {
		asking.Go(func() {
			p, err := n.askPresence(ctx, app, q)
			mu.Lock()
			defer mu.Unlock()
			all.Count += p.Count
			all.Users = append(all.Users, p.Users...)
			errs = append(errs, err)
		})
	}
	asking.Wait()
	return all, errors.Join(errs...)
}

func (n presence) askPresence(ctx context.Context, app wire.AppID, q shardQuestion) (door.Presents, error) {
	answer, err := n.router.Query(ctx, route.Query{Slot: q.slot, App: app, Request: q.question.encode()})
	if err != nil {
		return door.Presents{}, err
	}
	return decodePresents(answer)
}
