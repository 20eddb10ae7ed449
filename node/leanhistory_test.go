package node

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire/leanpb"
)

// TestLM082_IntervalsOverTheSocket has the rows of the REST interface's truth
// table, and pages forwards and backwards.
func TestLM082_IntervalsOverTheSocket(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		cid := c.conversation(&state.CreateConversation{}, "tom", "jerry")
		tom := c.session("tom", c.nodes[0])
		at := map[string]*leanpb.AckCommand{}
		for _, text := range []string{"a", "b", "c"} {
			at[text] = tom.send(cid, text)
		}
		for _, row := range []struct {
			from, to    string
			first, last bool
			newer       bool
			limit       int32
			want        string
		}{
			{from: "c", to: "a", want: "b"},
			{from: "c", to: "a", first: true, want: "b c"},
			{from: "c", to: "a", last: true, want: "a b"},
			{from: "a", to: "c", newer: true, want: "b"},
			{from: "a", to: "c", first: true, newer: true, want: "a b"},
			{from: "a", to: "c", last: true, newer: true, want: "b c"},
			{want: "a b c"},
			{limit: 2, want: "b c"},
			{from: "c", limit: 1, want: "b"},
			{newer: true, limit: 2, want: "a b"},
			{from: "a", newer: true, limit: 1, want: "b"},
		} {
			m := &leanpb.LogsCommand{Cid: &cid, TIncluded: &row.first, TtIncluded: &row.last}
			if row.from != "" {
				m.T, m.Mid = at[row.from].T, at[row.from].Uid
			}
			if row.to != "" {
				m.Tt, m.Tmid = at[row.to].T, at[row.to].Uid
			}
			if row.newer {
				m.Direction = leanpb.LogsCommand_NEW.Enum()
			}
			if row.limit > 0 {
				m.Limit = &row.limit
			}
			var texts []string
			for _, item := range tom.logs(m) {
				texts = append(texts, item.GetData())
			}
			if got := strings.Join(texts, " "); got != row.want {
				t.Errorf("%+v: %q", row, got)
			}
		}
	})
}

func TestLM080_PagesOfHistory(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		cid := c.conversation(&state.CreateConversation{}, "tom", "jerry")
		tom, eve := c.session("tom", c.nodes[0]), c.session("eve", c.nodes[1])
		for range 120 {
			c.do("tom", &state.SendMessage{Conversation: wireID(cid), Body: []byte("x")})
		}
		for _, row := range []struct {
			l, limit *int32
			want     int
		}{
			{nil, nil, 20},
			{proto.Int32(0), nil, 0},
			{proto.Int32(-1), nil, 0},
			{proto.Int32(1000), nil, 100},
			{nil, proto.Int32(0), 0},
			{nil, proto.Int32(1000), 120},
			{proto.Int32(7), proto.Int32(1000), 7},
		} {
			if got := tom.logs(&leanpb.LogsCommand{Cid: &cid, L: row.l, Limit: row.limit}); len(got) != row.want {
				t.Errorf("%v: %d messages", row, len(got))
			}
		}
		refused := func(id string, code int32) {
			t.Helper()
			got := eve.ask(&leanpb.GenericCommand{Cmd: leanpb.CommandType_logs.Enum(), LogsMessage: &leanpb.LogsCommand{Cid: &id}})
			if got.GetErrorMessage().GetCode() != code {
				t.Errorf("eve reads %q: %v", id, got)
			}
		}
		refused(cid, 4312)
		refused("5a0000000000000000000000", 4401)
		refused("", 4401)
	})
}
