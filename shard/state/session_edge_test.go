package state

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/wire"
)

// TestSessionsElsewhere leaves rows of random sessions on three edges, and lets one
// edge after the other end: what is reported of it is all that is on it, and
// after the report nothing is.
func TestSessionsElsewhere(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			p := &edgePlay{w: newWorld(t, 3), rng: rand.New(rand.NewPCG(seed, 9)), want: map[string]map[EdgeSession]bool{}}
			p.w.done("", &CreateConversation{ID: "tea", Preset: PresetBasic, Members: []wire.UserID{"ann"}})
			p.w.settle()
			for i := range 60 {
				p.enter(i)
			}
			for _, node := range []string{"n1", "n2", "n3"} {
				p.compare(node)
				p.lose(node)
				delete(p.want, node)
				for _, other := range []string{"n1", "n2", "n3"} {
					p.compare(other)
				}
			}
		})
	}
}

// allBut are the edges that are there when one is not.
func allBut(node string) map[string]bool {
	there := map[string]bool{"n1": true, "n2": true, "n3": true}
	delete(there, node)
	return there
}

type edgePlay struct {
	w    *world
	rng  *rand.Rand
	want map[string]map[EdgeSession]bool // by node
}

// enter lets a user of one of two apps leave some rows from a session of his own.
func (p *edgePlay) enter(i int) {
	node := fmt.Sprintf("n%d", 1+p.rng.IntN(3))
	e := EdgeSession{
		App: pick(p.rng, worldApp, "zoo"), User: wire.UserID(fmt.Sprintf("u%d", i)), Session: fmt.Sprintf("s%d", i),
	}
	if p.rng.IntN(2) == 0 {
		e.Tag = "phone"
		p.do(e.App, &Login{User: e.User, Tag: e.Tag, Session: e.Session, Node: node, Device: "d"})
	}
	if p.rng.IntN(2) == 0 {
		e.HasWill = true
		p.do(e.App, &SetWill{User: e.User, Session: e.Session, Node: node, Conversation: "tea", Body: []byte("bye")})
	}
	if p.rng.IntN(2) == 0 {
		e.HasRoom = true
		p.do(e.App, &EnterRoom{User: e.User, Conversation: "hall", Session: e.Session, Node: node})
	}
	if e.Tag == "" && !e.HasWill && !e.HasRoom {
		return
	}
	if p.want[node] == nil {
		p.want[node] = map[EdgeSession]bool{}
	}
	p.want[node][e] = true
}

func (p *edgePlay) do(app wire.AppID, c Command) Result {
	p.w.t.Helper()
	h := Header{App: app}
	r := p.w.at(p.w.shardOf(CommandSlot(h, c)), h, c)
	if r.Refusal != None {
		p.w.t.Fatalf("%T of %s was refused: %v %s", c, app, r.Refusal, r.Text)
	}
	return r
}

func (p *edgePlay) on(shard int, node string) []EdgeSession {
	p.w.t.Helper()
	found, err := p.w.shards[shard].SessionsElsewhere(allBut(node))
	if err != nil {
		p.w.t.Fatal(err)
	}
	return found
}

func (p *edgePlay) compare(node string) {
	p.w.t.Helper()
	var got []EdgeSession
	for i := range p.w.shards {
		for _, e := range p.on(i, node) {
			if at := p.w.shardOf(wire.SlotOf(e.App, string(e.User))); at != i {
				p.w.t.Errorf("shard %d tells of %s, who is shard %d's", i, e.User, at)
			}
			got = append(got, e)
		}
	}
	var want []EdgeSession
	for e := range p.want[node] {
		want = append(want, e)
	}
	byUser := func(a, b EdgeSession) int { return strings.Compare(string(a.User), string(b.User)) }
	slices.SortFunc(got, byUser)
	slices.SortFunc(want, byUser)
	if diff := cmp.Diff(want, got); diff != "" {
		p.w.t.Errorf("sessions on %s (-want +got):\n%s", node, diff)
	}
}

// lose reports each shard's sessions of an edge in one command, of both apps.
func (p *edgePlay) lose(node string) {
	p.w.t.Helper()
	for i := range p.w.shards {
		var c SessionsLost
		wills := 0
		for _, e := range p.on(i, node) {
			c.Losses = append(c.Losses, SessionLoss{App: e.App, User: e.User, Tag: e.Tag, Session: e.Session, Last: true})
			if e.HasWill {
				wills++
			}
		}
		if len(c.Losses) == 0 {
			continue
		}
		r := p.do("", &c)
		if want := uint64(len(c.Losses)); r.Count != want {
			p.w.t.Errorf("%d sessions of %s were lost, want %d: %+v", r.Count, node, want, r.Users)
		}
		if n := p.w.settle(); n != wills {
			p.w.t.Errorf("%d wills of %s were sent, want %d", n, node, wills)
		}
	}
}

// TestSessionsElsewhereKeepsSessionsApart: a user's tag may be one session's and his
// will another's, on one edge or on two.
func TestSessionsElsewhereKeepsSessionsApart(t *testing.T) {
	w := newWorld(t, 1)
	w.done("ann", &Login{User: "ann", Tag: "phone", Session: "s1", Node: "n1", Device: "d"})
	w.done("ann", &Login{User: "ann", Tag: "web", Session: "s2", Node: "n1", Device: "e"})
	w.done("ann", &SetWill{User: "ann", Session: "s2", Node: "n1", Conversation: "tea"})
	w.done("ann", &EnterRoom{User: "ann", Conversation: "hall", Session: "s3", Node: "n2"})
	for node, want := range map[string][]EdgeSession{
		"n1": {
			{App: worldApp, User: "ann", Session: "s1", Tag: "phone"},
			{App: worldApp, User: "ann", Session: "s2", Tag: "web", HasWill: true},
		},
		"n2": {{App: worldApp, User: "ann", Session: "s3", HasRoom: true}},
		"n3": nil,
	} {
		got, err := w.shards[0].SessionsElsewhere(allBut(node))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("sessions on %s (-want +got):\n%s", node, diff)
		}
	}
	// The room waits for her now: it is of no session.
	w.done("", &SessionsLost{Losses: []SessionLoss{{User: "ann", Session: "s3"}}})
	if got, err := w.shards[0].SessionsElsewhere(allBut("n2")); err != nil || len(got) > 0 {
		t.Errorf("sessions on n2 after the loss: %+v, %v", got, err)
	}
}

// TestUserReportsOnlyHisOwn: a packed report is the cluster's.
func TestUserReportsOnlyHisOwn(t *testing.T) {
	w := newWorld(t, 1)
	for _, losses := range [][]SessionLoss{
		{{User: "bob", Session: "s"}},
		{{User: "ann", Session: "s"}, {User: "bob", Session: "s"}},
		{{App: "zoo", User: "ann", Session: "s"}},
	} {
		if r := w.do("ann", &SessionsLost{Losses: losses}); r.Refusal != Forbidden {
			t.Errorf("%+v by ann: %v, want %v", losses, r.Refusal, Forbidden)
		}
	}
	w.done("ann", &SessionsLost{Losses: []SessionLoss{{App: worldApp, User: "ann", Session: "s"}}})
}
