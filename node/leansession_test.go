package node

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/node/leanmessage"
	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/transport"
	"github.com/quorate/quorate/wire/leanpb"
)

func tagged(tag, device string) func(*leanpb.SessionCommand) {
	return func(m *leanpb.SessionCommand) { m.Tag, m.DeviceId = new(tag), new(device) }
}

// returning is how a client comes back: with its token and nothing else.
func returning(st string) func(*leanpb.SessionCommand) {
	return func(m *leanpb.SessionCommand) { m.DeviceId, m.R, m.St = nil, new(true), new(st) }
}

// tryOpen opens a session that may be refused.
func (c *testCluster) tryOpen(user string, at *testNode, change ...func(*leanpb.SessionCommand)) *leanpb.GenericCommand {
	c.t.Helper()
	m := &leanpb.SessionCommand{ConfigBitmap: new(int64(0xbb))}
	for _, f := range change {
		f(m)
	}
	return c.lean(user, at, transport.LeanProtobuf3).ask(&leanpb.GenericCommand{
		Cmd: leanpb.CommandType_session.Enum(), Op: leanpb.OpType_open.Enum(), AppId: new(testApp), PeerId: new(user), SessionMessage: m,
	})
}

// wantExpelled waits until a session is told that it has ended.
func (u *leanUser) wantExpelled(code int32, reason string) {
	u.t.Helper()
	m := u.push(leanpb.CommandType_session, leanpb.OpType_closed)
	if s := m.GetSessionMessage(); s.GetCode() != code || s.GetReason() != reason || m.GetPeerId() != u.name || m.GetService() != 2 {
		u.t.Errorf("%s is told %v, want %d %q", u.name, m, code, reason)
	}
}

func (u *leanUser) wantOnline(of []string, want ...string) {
	u.t.Helper()
	reply := u.ask(&leanpb.GenericCommand{
		Cmd: leanpb.CommandType_session.Enum(), Op: leanpb.OpType_query.Enum(), SessionMessage: &leanpb.SessionCommand{SessionPeerIds: of},
	})
	got := reply.GetSessionMessage().GetOnlineSessionPeerIds()
	slices.Sort(got)
	if reply.GetOp() != leanpb.OpType_query_result || !slices.Equal(got, want) {
		u.t.Errorf("of %v there are %v, want %v", of, reply, want)
	}
}

// TestLM005_TagsAcrossNodes: one tag is one device's, wherever its sessions are.
func TestLM005_TagsAcrossNodes(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		n1, n2, n3 := c.nodes[0], c.nodes[1], c.nodes[2]
		first := c.lean("tom", n1, transport.LeanProtobuf3)
		st := first.open(tagged("mobile", "d1")).GetSessionMessage().GetSt()
		web := c.session("tom", n1, tagged("web", "d1"))

		// LM-08, LM-07: the same device at another node, by its token alone. Its old
		// socket is not told.
		second := c.lean("tom", n2, transport.LeanProtobuf3)
		second.open(returning(st))
		if got := first.quiet(5*time.Second, leanpb.CommandType_session); len(got) > 0 {
			t.Errorf("the device's own old session is told %v", got)
		}

		third := c.session("tom", n3, tagged("mobile", "d2"))
		second.wantExpelled(leanmessage.CodeSessionConflict, "SESSION_CONFLICT")

		// LM-06: the older login comes back, and is the one that is refused.
		refused := c.tryOpen("tom", n1, returning(st))
		if refused.GetErrorMessage().GetCode() != leanmessage.CodeSessionConflict {
			t.Errorf("the older login comes back: %v", refused)
		}
		for _, u := range []*leanUser{web, third} {
			if got := u.quiet(5*time.Second, leanpb.CommandType_session); len(got) > 0 {
				t.Errorf("told %v", got)
			}
		}
	})
}

// TestLM014_KickedEverywhere: a forced logout reaches all nodes, and voids what
// was issued before it.
func TestLM014_KickedEverywhere(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		var all []*leanUser
		var st string
		for _, n := range c.nodes {
			u := c.lean("tom", n, transport.LeanProtobuf3)
			st = u.open().GetSessionMessage().GetSt()
			all = append(all, u)
		}
		jerry := c.session("jerry", c.nodes[0])
		jerry.wantOnline([]string{"tom", "jerry", "nobody"}, "jerry", "tom")
		time.Sleep(time.Second)
		c.do("", &state.Kick{User: "tom", Reason: "maintenance"})
		for _, u := range all {
			u.wantExpelled(leanmessage.CodeKickedByApp, "maintenance")
		}
		time.Sleep(time.Second)
		jerry.wantOnline([]string{"tom", "jerry"}, "jerry")
		for _, n := range c.nodes {
			if m := c.tryOpen("tom", n, returning(st)); m.GetErrorMessage().GetCode() != leanmessage.CodeSessionTokenExpired {
				t.Errorf("at %s the token opens %v", n.id, m)
			}
		}
		c.session("tom", c.nodes[1]) // a new login is welcome
		jerry.wantOnline([]string{"tom"}, "tom")
	})
}

// TestLM008_TheNodeIsLost: a client comes back to another node with a token of the
// lost one, and nobody is there any more who was only there.
func TestLM008_TheNodeIsLost(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		lost, other := c.nodes[0], c.nodes[1]
		tom := c.lean("tom", lost, transport.LeanProtobuf3)
		st := tom.open(tagged("mobile", "d1")).GetSessionMessage().GetSt()
		c.session("mary", lost)
		jerry := c.session("jerry", other)
		jerry.wantOnline([]string{"mary", "tom"}, "mary", "tom")
		for _, u := range c.users[:2] {
			u.leave()
		}
		c.crash(lost)
		time.Sleep(10 * time.Second)
		jerry.wantOnline([]string{"mary", "tom"})
		back := c.lean("tom", other, transport.LeanProtobuf3)
		back.open(returning(st))
		jerry.wantOnline([]string{"mary", "tom"}, "tom")
		c.session("tom", c.nodes[2], tagged("mobile", "d2"))
		back.wantExpelled(leanmessage.CodeSessionConflict, "SESSION_CONFLICT")
	})
}

// TestLM007_TheNodeWasAway: a node that was away from a user's shard for longer
// than its lease looks whether its sessions still hold their tags. What nobody
// has taken meanwhile is theirs again.
func TestLM007_TheNodeWasAway(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		leader := c.leader("tom")
		away := c.other(leader)
		third := c.other(leader, away)
		tom := c.session("tom", away, tagged("mobile", "d1"))
		time.Sleep(time.Second)
		apart := func(apart bool) {
			for _, o := range []*testNode{leader, third} {
				if apart {
					c.net.Break(string(away.id), string(o.id))
					c.net.Cut(string(away.id), string(o.id))
				} else {
					c.net.Heal(string(away.id), string(o.id))
				}
			}
		}
		apart(true)
		time.Sleep(15 * time.Second)
		apart(false)
		time.Sleep(10 * time.Second)
		if got := tom.quiet(time.Second, leanpb.CommandType_session); len(got) > 0 {
			t.Fatalf("nobody took the tag, and the session is told %v", got)
		}
		other := c.session("tom", third, tagged("mobile", "d2"))
		tom.wantExpelled(leanmessage.CodeSessionConflict, "SESSION_CONFLICT")

		apart(true) // nothing is lost with who is not there any more
		time.Sleep(15 * time.Second)
		apart(false)
		if got := other.quiet(10*time.Second, leanpb.CommandType_session); len(got) > 0 {
			t.Errorf("the other is told %v", got)
		}
	})
}

// TestLM002_RoutesNameNodesThatAreThere: of the others, one that the gossip knows of,
// if there is any.
func TestLM002_RoutesNameNodesThatAreThere(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		seconds := func() string {
			named := map[string]bool{}
			for range 40 {
				urls := c.nodes[0].node.host().ClientURLs()
				if len(urls) != 3 || urls[0] != "http://n1:2" {
					t.Errorf("the addresses are %v", urls)
				}
				named[urls[1]] = true
			}
			return strings.Join(slices.Sorted(maps.Keys(named)), " ")
		}
		for _, row := range []struct {
			away []*testNode
			want string
		}{
			{nil, "http://n2:2 http://n3:2"},
			{c.nodes[1:2], "http://n3:2"},
			{c.nodes[2:], "http://n2:2"},
			{c.nodes[1:], "http://n2:2 http://n3:2"}, // or it is this node that is away
		} {
			for _, n := range row.away {
				c.hub.Cut(n.id, true)
			}
			if got := seconds(); got != row.want {
				t.Errorf("without %d nodes the second one is %s, want %s", len(row.away), got, row.want)
			}
			for _, n := range row.away {
				c.hub.Cut(n.id, false)
			}
		}
		c.stop(c.nodes[1])
		if got := seconds(); got != "http://n3:2" {
			t.Errorf("when n2 has stopped the second one is %s", got)
		}
	})
}

// TestANodeThatStopsSendsItsClientsAway: it tells them to go, and where to.
func TestANodeThatStopsSendsItsClientsAway(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		n := c.nodes[0]
		lean := n.node.lean
		routes := func() (server, secondary string) {
			rec := httptest.NewRecorder()
			lean.Discover(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/route?appId="+testApp, nil))
			var r struct{ Server, Secondary string }
			if err := json.Unmarshal(rec.Body.Bytes(), &r); err != nil {
				t.Fatal(err)
			}
			return r.Server, r.Secondary
		}
		if server, secondary := routes(); server != "ws://n1:2/leanmessage/v1" || secondary == server || !strings.HasPrefix(secondary, "ws://n") {
			t.Errorf("the routes are %s and %s", server, secondary)
		}
		tom := c.session("tom", n)
		n.cancel()
		tom.push(leanpb.CommandType_goaway, 0)
		if server, _ := routes(); server == "ws://n1:2/leanmessage/v1" {
			t.Errorf("a node that stops sends clients to itself")
		}
		tom.leave()
		c.stop(n)
	})
}
