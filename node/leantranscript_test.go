package node

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/golden"
	"github.com/quorate/quorate/wire/leanpb"
)

// leanTranscript writes down what clients say and are told, command by command,
// with whatever differs from run to run by a name of its own. What is not written
// is not sent: clients tell an absent field from one that is 0.
type leanTranscript struct {
	t     *testing.T
	users []*leanUser
	names map[string]string
	out   strings.Builder
}

var (
	leanID   = regexp.MustCompile(`[0-9a-f]{24}`)
	leanHash = regexp.MustCompile(`[0-9a-f]{32}`)
	leanMID  = regexp.MustCompile(`"-C[-_0-9A-Za-z]{20}"`)
	leanISO  = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`)
	leanTime = regexp.MustCompile(`\b9466\d{8}\b`)
)

func (l *leanTranscript) line(m *leanpb.GenericCommand) string {
	b, err := protojson.MarshalOptions{AllowPartial: true}.Marshal(m)
	if err != nil {
		l.t.Fatal(err)
	}
	var v any // in a form that is the same in each run
	if err := json.Unmarshal(b, &v); err != nil {
		l.t.Fatal(err)
	}
	var text strings.Builder
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		l.t.Fatal(err)
	}
	s := leanHash.ReplaceAllString(strings.TrimSpace(text.String()), "HASH")
	s = leanID.ReplaceAllStringFunc(s, func(id string) string {
		if l.names[id] == "" {
			l.names[id] = fmt.Sprintf("CONV%d", len(l.names)+1)
		}
		return l.names[id]
	})
	s = leanMID.ReplaceAllString(s, `"MESSAGE"`)
	return leanTime.ReplaceAllString(leanISO.ReplaceAllString(s, "ISO"), "MILLIS")
}

// say has a client give a command, and writes what everybody is told.
func (l *leanTranscript) say(u *leanUser, m *leanpb.GenericCommand) *leanpb.GenericCommand {
	l.t.Helper()
	shown := l.line(m)
	reply := u.ask(m)
	fmt.Fprintf(&l.out, "%s > %s\n%s < %s\n", u.name, shown, u.name, l.line(reply))
	time.Sleep(2 * time.Second) // of the bubble's clock
	for _, other := range l.users {
		for _, push := range other.rest() {
			fmt.Fprintf(&l.out, "%s < %s\n", other.name, l.line(push))
		}
	}
	l.out.WriteByte('\n')
	return reply
}

func (l *leanTranscript) conv(u *leanUser, o leanpb.OpType, m *leanpb.ConvCommand) *leanpb.ConvCommand {
	l.t.Helper()
	return l.say(u, &leanpb.GenericCommand{Cmd: leanpb.CommandType_conv.Enum(), Op: o.Enum(), ConvMessage: m}).GetConvMessage()
}

func (l *leanTranscript) black(u *leanUser, o leanpb.OpType, m *leanpb.BlacklistCommand) {
	l.t.Helper()
	l.say(u, &leanpb.GenericCommand{Cmd: leanpb.CommandType_blacklist.Enum(), Op: o.Enum(), BlacklistMessage: m})
}

// TestLeanConversationTranscript records each command about conversations, its
// reply, and what it has others told.
func TestLeanConversationTranscript(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		c.settings(`{"leanmessage.roles":"on","leanmessage.blacklist":"on","leanmessage.rate.other":"0"}`)
		tom, jerry := c.session("tom", c.nodes[0]), c.session("jerry", c.nodes[1])
		l := &leanTranscript{t: t, users: []*leanUser{tom, jerry}, names: map[string]string{}}
		yes := new(true)
		cid := l.conv(tom, leanpb.OpType_start, &leanpb.ConvCommand{
			M: []string{"jerry", "tom"}, Unique: yes, Attr: jsonObject(`{"name":"tea","attr":{"n":1}}`),
		}).Cid
		l.conv(jerry, leanpb.OpType_start, &leanpb.ConvCommand{M: []string{"tom"}, Unique: yes})
		l.conv(tom, leanpb.OpType_add, &leanpb.ConvCommand{Cid: cid, M: []string{"mary", "carl"}})
		l.conv(tom, leanpb.OpType_remove, &leanpb.ConvCommand{Cid: cid, M: []string{"carl"}})
		l.conv(jerry, leanpb.OpType_remove, &leanpb.ConvCommand{Cid: cid, M: []string{"jerry"}})
		l.conv(jerry, leanpb.OpType_add, &leanpb.ConvCommand{Cid: cid, M: []string{"jerry"}})
		l.conv(jerry, leanpb.OpType_add, &leanpb.ConvCommand{Cid: cid, M: []string{"dora"}})
		l.conv(tom, leanpb.OpType_update, &leanpb.ConvCommand{Cid: cid, Attr: jsonObject(`{"name":"milk","attr.n":{"__op":"Increment","amount":1}}`)})
		l.conv(tom, leanpb.OpType_mute, &leanpb.ConvCommand{Cid: cid})
		l.conv(tom, leanpb.OpType_query, &leanpb.ConvCommand{Where: jsonObject(`{"objectId":"` + *cid + `"}`), Flag: proto.Int32(2)})
		l.conv(tom, leanpb.OpType_query, &leanpb.ConvCommand{Where: jsonObject(`{"name":{"$near":1}}`)})
		l.conv(tom, leanpb.OpType_unmute, &leanpb.ConvCommand{Cid: cid})
		l.conv(tom, leanpb.OpType_count, &leanpb.ConvCommand{Cid: cid})
		l.conv(tom, leanpb.OpType_is_member, &leanpb.ConvCommand{Cids: []string{*cid}})
		l.conv(tom, leanpb.OpType_max_read, &leanpb.ConvCommand{Cid: cid})
		l.conv(tom, leanpb.OpType_member_info_update, memberInfo(*cid, "jerry", "Manager"))
		l.conv(tom, leanpb.OpType_add_shutup, &leanpb.ConvCommand{Cid: cid, M: []string{"jerry", "nobody"}})
		l.conv(jerry, leanpb.OpType_query_shutup, &leanpb.ConvCommand{Cid: cid})
		l.conv(jerry, leanpb.OpType_check_shutup, &leanpb.ConvCommand{Cid: cid, M: []string{"jerry", "tom"}})
		l.conv(tom, leanpb.OpType_remove_shutup, &leanpb.ConvCommand{Cid: cid, M: []string{"jerry"}})
		l.black(tom, leanpb.OpType_block, &leanpb.BlacklistCommand{SrcCid: cid, ToPids: []string{"jerry"}})
		l.black(tom, leanpb.OpType_query, &leanpb.BlacklistCommand{SrcCid: cid, Limit: proto.Int32(10)})
		l.black(tom, leanpb.OpType_check_block, &leanpb.BlacklistCommand{SrcCid: cid, ToPids: []string{"jerry", "mary"}})
		l.conv(jerry, leanpb.OpType_add, &leanpb.ConvCommand{Cid: cid, M: []string{"jerry"}})
		l.black(tom, leanpb.OpType_unblock, &leanpb.BlacklistCommand{SrcCid: cid, ToPids: []string{"jerry"}})
		room := l.conv(tom, leanpb.OpType_start, &leanpb.ConvCommand{Transient: yes}).Cid
		l.conv(jerry, leanpb.OpType_add, &leanpb.ConvCommand{Cid: room, M: []string{"jerry"}})
		l.conv(tom, leanpb.OpType_members, &leanpb.ConvCommand{Cid: room, Limit: proto.Int32(50)})
		l.conv(jerry, leanpb.OpType_remove, &leanpb.ConvCommand{Cid: room, M: []string{"jerry"}})
		temporary := l.conv(tom, leanpb.OpType_start, &leanpb.ConvCommand{M: []string{"jerry"}, TempConv: yes, TempConvTTL: proto.Int32(3600)}).Cid
		l.conv(tom, leanpb.OpType_add, &leanpb.ConvCommand{Cid: temporary, M: []string{"mary"}})
		golden.Check(t, "leanmessage_conversations", l.out.String())
	})
}
