package sim

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/clock"
	"github.com/quorate/quorate/e2e/sim/check"
	"github.com/quorate/quorate/e2e/sim/history"
	"github.com/quorate/quorate/e2e/sim/load"
	"github.com/quorate/quorate/raftlog"
	"github.com/quorate/quorate/shard"
	"github.com/quorate/quorate/virtual"
	"github.com/quorate/quorate/wire"
)

// scenarioVariable names the scenario that a process plays.
const scenarioVariable = "SIM_SCENARIO"

// scenario is a disaster with a plot: what a bug needs that is seldom met by
// chance.
type scenario struct {
	plan func(*plan) // changes the usual plan; may be nil
	play func(*stage)
}

var scenarios = map[string]scenario{
	"deposed leader": {play: deposedLeader},
	"young leader":   {play: youngLeader},
	"slow reader":    {play: slowReader},
	"lost stream":    {play: lostStream},
	"late interest":  {play: lateInterest},
	"outbox":         {plan: func(p *plan) { p.shards = 4 }, play: outbox},
	"lagging edge":   {play: laggingEdge},
	"lonely leader":  {play: lonelyLeader},
	"unique":         {play: unique},
	"install": {plan: func(p *plan) {
		p.replicas = shard.Options{SnapshotBytes: 2 << 10, TrailingBytes: 1, TrailingEntries: 8}
	}, play: install},
}

// stage is a cluster in which a scenario is played.
type stage struct {
	*world
	t      *testing.T
	dice   *dice
	signed []*client.Client // closed at the end
}

// TestScenario plays all scenarios, or the one that the environment names. Each
// has a process of its own, as each seed has.
func TestScenario(t *testing.T) {
	name := os.Getenv(scenarioVariable)
	if name != "" {
		play(t, name)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(scenarios)) {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestScenario$", "-test.count=1")
			cmd.Env = append(os.Environ(), scenarioVariable+"="+name)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// play plays one scenario. A seed draws what the scenario leaves open.
func play(t *testing.T, name string) {
	sc, ok := scenarios[name]
	if !ok {
		t.Fatalf("there is no scenario %q", name)
	}
	seed, _ := strconv.ParseUint(os.Getenv(seedVariable), 10, 64)
	path := ""
	if dir := os.Getenv(dirVariable); dir != "" {
		path = filepath.Join(dir, "log")
	}
	lines, err := newRing(path)
	if err != nil {
		t.Fatal(err)
	}
	cryptotest.SetGlobalRandom(t, seed)
	virtual.Test(t, func(t *testing.T) {
		rec := history.NewRecorder()
		logger := slog.New(&handler{ring: lines, start: time.Now()})
		ctx, cancel := context.WithCancel(t.Context())
		p := calmPlan()
		if sc.plan != nil {
			sc.plan(&p)
		}
		s := &stage{world: newWorld(ctx, p, seed, rec, logger), t: t, dice: newDice(seed, 3)}
		for _, m := range s.nodes {
			m.start()
		}
		s.awaitServing()
		sc.play(s)
		s.heal()
		_ = clock.Sleep(ctx, 5*time.Second)
		s.awaitAgreement()
		s.readAll()
		cancel()
		for _, c := range s.signed {
			_ = c.Close()
		}
		s.shutDown()
		for _, text := range s.mu.problems {
			t.Error(text)
		}
		for _, v := range check.All(rec.History()) {
			t.Error(v.String())
		}
	})
}

// calmPlan is a cluster in which nothing happens by chance.
func calmPlan() plan {
	return plan{
		nodes: 3, shards: 1,
		near: time.Millisecond, far: 2 * time.Millisecond, syncNear: 100 * time.Microsecond, syncFar: 300 * time.Microsecond,
		replicas: shard.Options{},
		stores:   raftlog.Options{CacheBytes: 4 << 20, MemTableBytes: 1 << 20, RecentBytes: 1 << 20, RecentTotalBytes: 8 << 20},
		load:     load.Options{},
	}
}

// awaitServing waits until all nodes serve and each shard has a leader.
func (s *stage) awaitServing() {
	for range 300 {
		ready := true
		for _, m := range s.nodes {
			ready = ready && m.running() != nil
		}
		s.mu.Lock()
		ready = ready && len(s.mu.leaders) == s.plan.shards
		s.mu.Unlock()
		if ready {
			time.Sleep(2 * time.Second) // leaderships find their places
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.problem("A14: the cluster does not serve 30s after it was founded")
}

// client signs a user in at a node.
func (s *stage) client(at *machine, user wire.UserID, change ...func(*client.Options)) *client.Client {
	for range 50 {
		ctx, cancel := context.WithTimeout(s.ctx, 5*time.Second)
		c, err := s.Dial(ctx, at.index, func(o *client.Options) {
			o.User = user
			for _, f := range change {
				f(o)
			}
		})
		cancel()
		if err == nil && c.Node() == at.id {
			s.signed = append(s.signed, c)
			return c
		}
		if err == nil {
			_ = c.Close()
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.t.Fatalf("%s cannot sign in at %s", user, at.id)
	return nil
}

// conversation makes one, of the client's user and others.
func (s *stage) conversation(c *client.Client, members ...wire.UserID) wire.ConversationID {
	ctx, cancel := context.WithTimeout(s.ctx, 10*time.Second)
	defer cancel()
	info, err := c.Create(ctx, client.NewConversation{Members: members})
	if err != nil {
		s.t.Fatalf("create a conversation: %v", err)
	}
	return info.ID
}

// except returns the machines but one.
func (s *stage) except(m *machine) []*machine {
	return slices.DeleteFunc(slices.Clone(s.nodes), func(o *machine) bool { return o == m })
}

// ways returns the ways from some machines to one.
func ways(from []*machine, to *machine) []way {
	var all []way
	for _, m := range from {
		all = append(all, way{m.index, to.index})
	}
	return all
}

// within does something that must not take longer.
func (s *stage) within(d time.Duration, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(s.ctx, d)
	defer cancel()
	return do(ctx)
}

// add adds a user to a conversation.
func (s *stage) add(c *client.Client, id wire.ConversationID, user wire.UserID) error {
	return s.within(3*time.Second, func(ctx context.Context) error {
		_, err := c.Conversation(id).Add(ctx, user)
		return err
	})
}

// hasMember asks, with a strong read, whether a user is a member.
func (s *stage) hasMember(c *client.Client, id wire.ConversationID, user wire.UserID, limit time.Duration) (has bool, err error) {
	err = s.within(limit, func(ctx context.Context) error {
		members, _, err := c.Conversation(id).Members(ctx, "", 500)
		has = slices.ContainsFunc(members, func(m client.Member) bool { return m.User == user })
		return err
	})
	return has, err
}

// transfer hands the leadership of shard 1 over, and waits for the new leader.
func (s *stage) transfer(from, to *machine) bool {
	for _, r := range from.running().Replicas() {
		if r.Shard() == 1 {
			s.behind.Go(func() {
				_ = s.within(3*time.Second, func(ctx context.Context) error { return r.Transfer(ctx, to.id) })
			})
		}
	}
	for range 300 {
		if s.leader(1) == to {
			return true
		}
		time.Sleep(time.Millisecond)
	}
	return false
}

// deposedLeader: a leader hands its leadership over and hears from nobody any
// more. For half a second it takes itself for the leader; what it answers then
// must not be older than what its successor has acknowledged.
func deposedLeader(s *stage) {
	for round := range 4 {
		old := s.leader(1)
		next := s.except(old)[round%2]
		writer, reader := s.client(next, "ann"), s.client(old, "ben")
		id := s.conversation(writer, "ben")
		user := wire.UserID(fmt.Sprintf("user%d", round))
		time.Sleep(2 * time.Second) // raft waits with a transfer until its successor has everything
		in := ways(s.except(old), old)
		s.links.cut(in, true)
		if s.transfer(old, next) && s.add(writer, id, user) == nil {
			has, err := s.hasMember(reader, id, user, 300*time.Millisecond)
			if err == nil && !has {
				s.problem("A5: %s, which led before, answers a strong read without what its successor has acknowledged", old.id)
			}
		}
		s.links.cut(in, false)
		time.Sleep(3 * time.Second)
	}
}

// youngLeader: a leader acknowledges and dies. What it has acknowledged is in its
// successor's log, which has not applied it yet.
func youngLeader(s *stage) {
	for round := range 3 {
		old := s.leader(1)
		others := s.except(old)
		writer := s.client(old, "ann")
		readers := []*client.Client{s.client(others[0], "ben"), s.client(others[1], "eve")}
		id := s.conversation(writer, "ben", "eve")
		time.Sleep(2 * time.Second) // everything is applied everywhere
		user := wire.UserID(fmt.Sprintf("user%d", round))
		if s.add(writer, id, user) == nil {
			old.alive().die(100, true)
			for _, m := range others {
				m.disk.slow.Store(int64(400 * time.Millisecond))
			}
			var reading sync.WaitGroup
			for _, r := range readers {
				reading.Go(func() {
					has, err := s.hasMember(r, id, user, 10*time.Second)
					if err == nil && !has {
						s.problem("A5: the new leader answers a strong read without what its predecessor has acknowledged")
					}
				})
			}
			reading.Wait()
		}
		s.mend(true)
		time.Sleep(5 * time.Second)
	}
}

// follow subscribes and returns how many entries past an offset have come.
func (s *stage) follow(c *client.Client, id wire.ConversationID, after wire.Offset, want wire.Offset) <-chan wire.Offset {
	at := make(chan wire.Offset, 1)
	err := s.within(5*time.Second, func(ctx context.Context) error {
		sub, err := c.Conversation(id).Subscribe(ctx, after)
		if err != nil {
			return err
		}
		s.behind.Go(func() {
			reached := after
			for reached < want {
				e, err := sub.Next(s.ctx)
				if err != nil {
					break
				}
				reached = e.Offset
			}
			at <- reached
		})
		return nil
	})
	if err != nil {
		s.t.Fatalf("subscribe: %v", err)
	}
	return at
}

// arrives says whether a follower got everything in time.
func (s *stage) arrives(what string, at <-chan wire.Offset, want wire.Offset) {
	select {
	case reached := <-at:
		if reached < want {
			s.problem("A9: %s: the subscription ended at %d of %d", what, reached, want)
		}
	case <-time.After(15 * time.Second):
		s.problem("A9: %s: 15s later a follower has not got everything up to %d", what, want)
	}
}

// sayWithin is how long a send may take: a node gives a command 10 s, and then it
// is sent again.
const sayWithin = 30 * time.Second

// say sends messages and returns the last one's offset.
func (s *stage) say(c *client.Client, id wire.ConversationID, n, size int) (last wire.Offset) {
	for i := range n {
		body := strings.Repeat("x", size)
		err := s.within(sayWithin, func(ctx context.Context) error {
			sent, err := c.Conversation(id).Send(ctx, client.Draft{Body: fmt.Appendf(nil, "%d %s", i, body)})
			last = sent.Offset
			return err
		})
		if err != nil {
			s.t.Fatalf("send message %d of %d: %v", i, n, err)
		}
	}
	return last
}

// slowReader: a session does not read for some seconds, and much is said that
// its queue has no room for.
func slowReader(s *stage) {
	const messages = 320
	writer := s.client(s.nodes[0], "ann")
	reader := s.client(s.nodes[1], "ben", func(o *client.Options) { o.Silence = time.Minute })
	id := s.conversation(writer, "ben")
	first := s.say(writer, id, 1, 10)
	at := s.follow(reader, id, 0, first+messages)
	time.Sleep(time.Second)
	s.links.cut([]way{{1, everyClient}}, true)
	var saying sync.WaitGroup
	for range 16 {
		saying.Go(func() { s.say(writer, id, messages/16, 4000) })
	}
	saying.Wait()
	s.links.cut([]way{{1, everyClient}}, false)
	s.arrives("after a session was slow", at, first+messages)
}

// lostStream: an edge loses its stream to the leader, and what is said meanwhile
// is the last that is said.
func lostStream(s *stage) {
	leader := s.leader(1)
	edge := s.except(leader)[0]
	writer, reader := s.client(leader, "ann"), s.client(edge, "ben")
	id := s.conversation(writer, "ben")
	first := s.say(writer, id, 1, 10)
	at := s.follow(reader, id, 0, first+3)
	time.Sleep(time.Second)
	s.links.cut([]way{{leader.index, edge.index}}, true)
	last := s.say(writer, id, 3, 10)
	time.Sleep(4 * time.Second)
	s.links.breakAll(leader.index, edge.index)
	s.links.cut([]way{{leader.index, edge.index}}, false)
	s.arrives("after an edge's stream was lost", at, last)
}

// lateInterest: an edge begins to follow a log at the moment at which something
// is said in it.
func lateInterest(s *stage) {
	writer := s.client(s.leader(1), "ann")
	reader := s.client(s.except(s.leader(1))[0], "ben")
	for range 40 {
		id := s.conversation(writer, "ben")
		first := s.say(writer, id, 1, 10)
		s.behind.Go(func() { s.say(writer, id, 1, 10) })
		time.Sleep(s.dice.duration(0, 10*time.Millisecond))
		s.arrives("after a subscription began", s.follow(reader, id, first, first+1), first+1)
	}
}

// outbox: the shard that is to be told who has become a member cannot be reached
// for a while.
func outbox(s *stage) {
	made := map[wire.UserID][]wire.ConversationID{}
	for round := range 3 {
		a := s.leader(wire.ShardID(1 + round))
		ann := s.client(a, "ann")
		others := s.except(a)
		s.links.cut(both([]int{a.index}, []int{others[0].index}), true)
		for i := range 16 {
			user := wire.UserID(fmt.Sprintf("user%d", i))
			_ = s.within(time.Second, func(ctx context.Context) error {
				info, err := ann.Create(ctx, client.NewConversation{Members: []wire.UserID{user}})
				if err == nil {
					made[user] = append(made[user], info.ID)
				}
				return err
			})
		}
		time.Sleep(7 * time.Second)
		s.mend(true)
		time.Sleep(4 * time.Second)
	}
	time.Sleep(10 * time.Second)
	for _, user := range slices.Sorted(maps.Keys(made)) {
		c := s.client(s.nodes[0], user)
		err := s.within(10*time.Second, func(ctx context.Context) error {
			list, _, err := c.Conversations(ctx, "", 500)
			for _, id := range made[user] {
				if err == nil && !slices.ContainsFunc(list, func(m client.Membership) bool { return m.Conversation == id }) {
					s.problem("A8: %s was added to %s, and their list does not say so", user, id)
				}
			}
			return err
		})
		if err != nil {
			s.problem("A14: list the conversations of %s: %v", user, err)
		}
	}
}

// laggingEdge: a client reads what it has just written, at a node that is
// behind.
func laggingEdge(s *stage) {
	c := s.client(s.except(s.leader(1))[0], "ann")
	id := s.conversation(c)
	for range 10 {
		last := s.say(c, id, 1, 10)
		var page *client.Page
		err := s.within(5*time.Second, func(ctx context.Context) (err error) {
			page, err = c.Conversation(id).History(ctx, client.Range{})
			return err
		})
		if err == nil && page.LastOffset < last {
			s.problem("A6: a client has written offset %d, and is told that the log ends at %d", last, page.LastOffset)
		}
	}
}

// lonelyLeader: a leader that nobody hears acknowledges nothing.
func lonelyLeader(s *stage) {
	for range 3 {
		old := s.leader(1)
		others := s.except(old)
		writer, reader := s.client(old, "ann"), s.client(others[0], "ben")
		id := s.conversation(writer, "ben")
		time.Sleep(2 * time.Second)
		cut := both([]int{old.index}, []int{others[0].index, others[1].index})
		s.links.cut(cut, true)
		acknowledged := map[wire.MessageID]bool{}
		for i := range 3 {
			_ = s.within(150*time.Millisecond, func(ctx context.Context) error {
				sent, err := writer.Conversation(id).Send(ctx, client.Draft{Body: fmt.Appendf(nil, "%d", i)})
				if err == nil {
					acknowledged[sent.ID] = true
				}
				return err
			})
		}
		time.Sleep(3 * time.Second)
		s.links.cut(cut, false)
		time.Sleep(5 * time.Second)
		err := s.within(5*time.Second, func(ctx context.Context) error {
			page, err := reader.Conversation(id).History(ctx, client.Range{Strong: true})
			if err != nil {
				return err
			}
			for _, m := range page.Messages {
				delete(acknowledged, m.ID)
			}
			return nil
		})
		if err != nil || len(acknowledged) > 0 {
			s.problem("A1: %d messages that a leader acknowledged while nobody heard it are lost, %v", len(acknowledged), err)
		}
	}
}

// unique: two users at two nodes make the conversation of the two of them, at
// once and again later.
func unique(s *stage) {
	ann, ben := s.client(s.nodes[0], "ann"), s.client(s.nodes[1], "ben")
	var ids [4]wire.ConversationID
	for i := range 2 {
		var making sync.WaitGroup
		for j, c := range []*client.Client{ann, ben} {
			making.Go(func() {
				err := s.within(8*time.Second, func(ctx context.Context) error {
					info, err := c.Create(ctx, client.NewConversation{Members: []wire.UserID{"ann", "ben"}, Unique: true})
					if err == nil {
						ids[2*i+j] = info.ID
					}
					return err
				})
				if err != nil {
					s.problem("A14: make a unique conversation: %v", err)
				}
			})
		}
		making.Wait()
	}
	if ids[0] != ids[1] || ids[0] != ids[2] || ids[0] != ids[3] {
		s.problem("A2: ann and ben have more than one unique conversation: %v", ids)
	}
}

// install: a replica is cut off for so long that it needs a snapshot, and goes on
// with what it has in memory.
func install(s *stage) {
	leader := s.leader(1)
	behind := s.except(leader)[0]
	writer := s.client(leader, "ann")
	id := s.conversation(writer, "ben")
	s.say(writer, id, 5, 100)
	time.Sleep(time.Second)
	cut := append(both([]int{behind.index}, []int{leader.index}), both([]int{behind.index}, []int{s.except(leader)[1].index})...)
	s.links.cut(cut, true)
	s.say(writer, id, 60, 400)
	time.Sleep(time.Second)
	s.links.cut(cut, false)
	time.Sleep(8 * time.Second)
	s.say(writer, id, 10, 100)
	time.Sleep(time.Second)
}
