package node

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/shard/state"
	"github.com/quorate/quorate/wire"
	"github.com/quorate/quorate/wire/leanpb"
)

// TestLM022_Unique: of one member set there is one conversation, whoever asks
// first and in whatever order the members stand.
func TestLM022_Unique(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		names := []string{"tom", "jerry", "mary"}
		var users []*leanUser
		for i, name := range names {
			users = append(users, c.session(name, c.nodes[i]))
		}
		var all sync.WaitGroup
		started := make([]*leanpb.ConvCommand, 9)
		for i, u := range users {
			all.Go(func() {
				for n := range 3 { // one session does one after another
					m := []string{names[(i+n)%3], names[(i+n+1)%3], names[(i+n+2)%3], names[n]}
					started[3*i+n] = u.start(&leanpb.ConvCommand{M: m, Unique: new(true), Attr: jsonObject(fmt.Sprintf(`{"name":"%d"}`, i))})
				}
			})
		}
		all.Wait()
		fresh := 0
		for _, m := range started {
			if m.GetCid() != started[0].GetCid() || m.GetUniqueId() != started[0].GetUniqueId() || len(m.GetUniqueId()) != 32 || m.GetCdate() != started[0].GetCdate() {
				t.Errorf("%v beside %v", m, started[0])
			}
			if m.Existing == nil {
				fresh++
			}
		}
		if fresh != 1 {
			t.Errorf("%d of 9 have made it", fresh)
		}
		tom := users[0]
		plain := tom.start(&leanpb.ConvCommand{M: names})
		again := tom.start(&leanpb.ConvCommand{M: names, Unique: new(true), Attr: jsonObject(`{"name":"another"}`)})
		if plain.GetCid() == started[0].GetCid() || plain.UniqueId != nil || again.GetCid() != started[0].GetCid() || !again.GetExisting() {
			t.Errorf("a plain one is %v, and then the unique one %v", plain, again)
		}
		items := tom.find(&leanpb.ConvCommand{Where: jsonObject(`{"objectId":"` + again.GetCid() + `"}`)})
		if len(items) != 1 || items[0]["name"] == "another" || items[0]["uniqueId"] != again.GetUniqueId() {
			t.Errorf("it is %v", items)
		}
	})
}

// find does a query.
func (u *leanUser) find(m *leanpb.ConvCommand) []map[string]any {
	u.t.Helper()
	r := u.conv(leanpb.OpType_query, m)
	if r.GetOp() != leanpb.OpType_results {
		u.t.Fatalf("%s looks for %v: %v", u.name, m, r)
	}
	var items []map[string]any
	if err := json.Unmarshal([]byte(r.GetConvMessage().GetResults().GetData()), &items); err != nil {
		u.t.Fatal(err)
	}
	return items
}

// found returns the names of what a query finds, in its order.
func (u *leanUser) found(m *leanpb.ConvCommand) string {
	u.t.Helper()
	var all []string
	for _, item := range u.find(m) {
		name, _ := item["name"].(string)
		all = append(all, name)
	}
	return strings.Join(all, " ")
}

// TestLM021_RepliesComeFirst: what a command causes is pushed after its reply.
func TestLM021_RepliesComeFirst(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		for i, n := range c.nodes {
			u := c.session(fmt.Sprintf("tom%d", i), n)
			for range 5 {
				cid := u.start(&leanpb.ConvCommand{M: []string{"jerry"}}).GetCid()
				u.conv(leanpb.OpType_remove, &leanpb.ConvCommand{Cid: &cid, M: []string{u.name}})
				u.conv(leanpb.OpType_add, &leanpb.ConvCommand{Cid: &cid, M: []string{u.name}})
			}
		}
		// ask takes replies out of what was written; so each command's reply is
		// looked for among the rest by writing it all down.
		u := c.session("ann", c.nodes[0])
		u.i++
		u.say(&leanpb.GenericCommand{Cmd: leanpb.CommandType_conv.Enum(), Op: leanpb.OpType_start.Enum(), I: new(u.i), ConvMessage: &leanpb.ConvCommand{M: []string{"jerry"}}})
		time.Sleep(2 * time.Second) // of the bubble's clock
		var order []string
		for _, m := range u.rest() {
			order = append(order, m.GetOp().String())
		}
		expect(t, "a start is told", strings.Join(order, " "), "started joined members_joined")
	})
}

// TestLM026_Update: any member changes columns, with values and with operations.
func TestLM026_Update(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		tom, jerry, eve := c.session("tom", c.nodes[0]), c.session("jerry", c.nodes[1]), c.session("eve", c.nodes[2])
		cid := tom.start(&leanpb.ConvCommand{
			M: []string{"jerry"}, Attr: jsonObject(`{"name":"tea","topic":"x","attr":{"n":1,"tags":["a"],"deep":{"er":1}},"c":"eve","m":["eve"]}`),
		}).GetCid()
		time.Sleep(2 * time.Second) // of the bubble's clock
		jerry.rest()
		update := func(text string) *leanpb.ConvCommand { return &leanpb.ConvCommand{Cid: &cid, Attr: jsonObject(text)} }
		last := ""
		for _, step := range []struct{ sent, changed, pushed string }{
			{`{"name":"milk"}`, `{"name":"milk"}`, `{"name":"milk"}`},
			{`{"attr.n":{"__op":"Increment","amount":2},"attr.deep.er":2}`, `{"attr":{"deep":{"er":2},"n":3}}`, `{"attr.deep.er":2,"attr.n":3}`},
			{`{"attr.tags":{"__op":"AddUnique","objects":["a","b"]}}`, `{"attr":{"tags":["a","b"]}}`, `{"attr.tags":["a","b"]}`},
			{`{"topic":{"__op":"Delete"},"m":["eve"]}`, `{}`, `{"topic":null}`},
		} {
			r := tom.conv(leanpb.OpType_update, update(step.sent))
			expectCode(t, step.sent, r, 0)
			m := r.GetConvMessage()
			expect(t, step.sent+" comes to", sorted(m.GetAttrModified().GetData()), step.changed)
			if m.GetUdate() <= last {
				t.Errorf("%s is of %s, and the one before of %s", step.sent, m.GetUdate(), last)
			}
			last = m.GetUdate()
			push := jerry.push(leanpb.CommandType_conv, leanpb.OpType_updated).GetConvMessage()
			expect(t, step.sent+" is pushed as", sorted(push.GetAttr().GetData()), step.pushed)
			expect(t, step.sent+" is pushed with", sorted(push.GetAttrModified().GetData()), step.changed)
			expect(t, step.sent+" is pushed with the time", push.GetUdate(), last)
		}
		item := eve.find(&leanpb.ConvCommand{Where: jsonObject(`{"objectId":"` + cid + `"}`)})[0]
		if item["name"] != "milk" || item["topic"] != nil || item["c"] != "tom" || fmt.Sprint(item["m"]) != "[jerry tom]" || fmt.Sprint(item["attr"]) != "map[deep:map[er:2] n:3 tags:[a b]]" {
			t.Errorf("it is %v", item)
		}
		expectCode(t, "Eve is no member", eve.conv(leanpb.OpType_update, update(`{"name":"x"}`)), 4309)
		expectCode(t, "nothing that can be changed", tom.conv(leanpb.OpType_update, update(`{"m":["eve"]}`)), 4306)
		expectCode(t, "no JSON", tom.conv(leanpb.OpType_update, update(`{`)), 4306)
		none := "0123456789abcdef01234567"
		expectCode(t, "no conversation", tom.conv(leanpb.OpType_update, &leanpb.ConvCommand{Cid: &none, Attr: jsonObject(`{"name":"x"}`)}), 4303)
	})
}

// sorted writes a JSON object with its keys in order.
func sorted(text string) string {
	var v any
	if json.Unmarshal([]byte(text), &v) != nil {
		return "no JSON: " + text
	}
	b, _ := json.Marshal(v)
	return string(b)
}

// TestLM028_Query finds conversations by id, by member and by what is in them.
func TestLM028_Query(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		tom, eve := c.session("tom", c.nodes[0]), c.session("eve", c.nodes[1])
		ids := map[string]string{}
		for i, name := range []string{"tea", "milk", "rum"} {
			ids[name] = tom.start(&leanpb.ConvCommand{M: []string{"jerry"}, Attr: jsonObject(fmt.Sprintf(`{"name":%q,"attr":{"n":%d}}`, name, i))}).GetCid()
		}
		expect(t, "what Tom is in, at once", sortedWords(tom.found(&leanpb.ConvCommand{})), "milk rum tea")
		ids["pub"] = tom.start(&leanpb.ConvCommand{Transient: new(true), Attr: jsonObject(`{"name":"pub"}`)}).GetCid()
		temporary := tom.start(&leanpb.ConvCommand{M: []string{"jerry"}, TempConv: new(true)}).GetCid()
		time.Sleep(2 * time.Second) // of the bubble's clock
		tom.send(ids["tea"], "hello")
		where := func(text string) *leanpb.ConvCommand { return &leanpb.ConvCommand{Where: jsonObject(text)} }
		for _, step := range []struct {
			by   *leanUser
			m    *leanpb.ConvCommand
			want string
		}{
			{tom, &leanpb.ConvCommand{Sort: new("name")}, "milk rum tea"},
			{tom, &leanpb.ConvCommand{Sort: new("-name"), Limit: proto.Int32(2)}, "tea rum"},
			{tom, &leanpb.ConvCommand{Sort: new("-name"), Limit: proto.Int32(2), Skip: proto.Int32(2)}, "milk"},
			{tom, &leanpb.ConvCommand{Where: jsonObject(`{}`), Limit: proto.Int32(1)}, "tea"}, // what was spoken in last
			{eve, &leanpb.ConvCommand{}, ""},
			{eve, where(`{"objectId":"` + ids["rum"] + `"}`), "rum"}, // also who is no member
			{eve, where(`{"objectId":{"$in":["` + ids["rum"] + `","` + ids["pub"] + `","0123456789abcdef01234567"]}}`), "pub rum"},
			{eve, where(`{"m":"jerry","attr.n":{"$gte":1}}`), "milk rum"},
			{eve, where(`{"m":{"$all":["jerry","tom"],"$size":2}}`), "tea milk rum"},
			{eve, where(`{"tr":true}`), "pub"},
			{eve, where(`{"name":{"$regex":"^[tm]"}}`), "tea milk"},
			{eve, where(`{"attr.n":2}`), "rum"},
			{eve, where(`{"name":"none"}`), ""},
		} {
			got := step.by.found(step.m)
			if step.m.Sort == nil && step.m.Limit == nil {
				got, step.want = sortedWords(got), sortedWords(step.want)
			}
			expect(t, fmt.Sprint(step.m), got, step.want)
		}
		for _, bad := range []string{`{`, `{"name":{"$inQuery":{}}}`, `{"name":{"$regex":"(?=a)"}}`} {
			expectCode(t, bad, eve.conv(leanpb.OpType_query, where(bad)), 4310)
		}

		item := tom.find(&leanpb.ConvCommand{Where: jsonObject(`{"objectId":"` + ids["tea"] + `"}`), Flag: proto.Int32(3)})[0]
		if item["m"] != nil || item["msg"] != "hello" || item["bin"] != false || item["msg_from"] != "tom" || item["conv_type"] != 1.0 || item["tr"] != false {
			t.Errorf("compact, with the last message: %v", item)
		}
		if lm, _ := item["lm"].(map[string]any); lm["__type"] != "Date" {
			t.Errorf("lm is %v", item["lm"])
		}
		item = eve.find(&leanpb.ConvCommand{Where: jsonObject(`{"objectId":"` + ids["tea"] + `"}`), Flag: proto.Int32(2)})[0]
		if item["msg"] != nil || item["m"] == nil {
			t.Errorf("Eve, who is no member, sees %v", item)
		}
		gone := tom.find(&leanpb.ConvCommand{TempConvIds: []string{temporary, "_tmp:0123456789abcdef01234567"}})
		if len(gone) != 1 || gone[0]["objectId"] != temporary || gone[0]["temp"] != true || gone[0]["ttl"].(float64) < 86000 || gone[0]["tempConvTTL"] == nil || fmt.Sprint(gone[0]["m"]) != "[jerry tom]" {
			t.Errorf("the temporary one: %v", gone)
		}

		both := tom.find(where(`{"objectId":{"$in":["` + temporary + `","` + ids["tea"] + `"]}}`))
		expect(t, "no query finds a temporary one", fmt.Sprint(len(both)), "1")

		c.settings(`{"leanmessage.private-queries":"on"}`)
		tom, eve = c.session("tom", c.nodes[0]), c.session("eve", c.nodes[1])
		expect(t, "private, by id", eve.found(where(`{"objectId":"`+ids["rum"]+`"}`)), "")
		expect(t, "private, all", sortedWords(eve.found(where(`{"name":{"$exists":true}}`))), "pub")
		expect(t, "private, one's own", tom.found(where(`{"objectId":"`+ids["rum"]+`"}`)), "rum")
		rum := ids["rum"]
		expectCode(t, "private, the members", eve.conv(leanpb.OpType_members, &leanpb.ConvCommand{Cid: &rum}), 4317)
		expectCode(t, "private, the members of one's own", tom.conv(leanpb.OpType_members, &leanpb.ConvCommand{Cid: &rum}), 0)
	})
}

func sortedWords(text string) string {
	words := strings.Fields(text)
	slices.Sort(words)
	return strings.Join(words, " ")
}

// TestLM032_Mute: who wants no pushes of a conversation is in its list mu.
func TestLM032_Mute(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		tom, eve := c.session("tom", c.nodes[0]), c.session("eve", c.nodes[1])
		cid := tom.start(&leanpb.ConvCommand{M: []string{"jerry"}}).GetCid()
		muted := func() string {
			return fmt.Sprint(tom.find(&leanpb.ConvCommand{Where: jsonObject(`{"objectId":"` + cid + `"}`)})[0]["mu"])
		}
		r := tom.conv(leanpb.OpType_mute, &leanpb.ConvCommand{Cid: &cid})
		if m := r.GetConvMessage(); r.GetOp() != leanpb.OpType_updated || m.GetUdate() == "" || m.Attr != nil || m.AttrModified != nil {
			t.Errorf("mute: %v", r)
		}
		expect(t, "mu", muted(), "[tom]")
		expectCode(t, "unmute", tom.conv(leanpb.OpType_unmute, &leanpb.ConvCommand{Cid: &cid}), 0)
		expect(t, "mu", muted(), "[]")
		expectCode(t, "Eve is no member", eve.conv(leanpb.OpType_mute, &leanpb.ConvCommand{Cid: &cid}), 4317)
		pub := tom.start(&leanpb.ConvCommand{Transient: new(true)}).GetCid()
		expectCode(t, "a chat room", tom.conv(leanpb.OpType_mute, &leanpb.ConvCommand{Cid: &pub}), 0)
	})
}

// TestLM050_Rooms: everybody comes and goes for himself, nobody is told, and who
// is there is counted.
func TestLM050_Rooms(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		tom, jerry := c.session("tom", c.nodes[0]), c.session("jerry", c.nodes[1])
		room := tom.start(&leanpb.ConvCommand{M: []string{"tom", "jerry"}, Transient: new(true), Unique: new(true)})
		cid := room.GetCid()
		if room.UniqueId != nil {
			t.Errorf("a chat room is unique: %v", room)
		}
		count := func() string {
			time.Sleep(2 * time.Second) // of the bubble's clock
			r := jerry.conv(leanpb.OpType_count, &leanpb.ConvCommand{Cid: &cid})
			names := jerry.conv(leanpb.OpType_members, &leanpb.ConvCommand{Cid: &cid, Limit: proto.Int32(50)}).GetConvMessage().GetM()
			slices.Sort(names)
			return fmt.Sprint(r.GetConvMessage().GetCount(), names)
		}
		expect(t, "the creator is there", count(), "1 [tom]")
		r := jerry.conv(leanpb.OpType_add, &leanpb.ConvCommand{Cid: &cid, M: []string{"jerry"}})
		if r.GetOp() != leanpb.OpType_added || fmt.Sprint(r.GetConvMessage().GetAllowedPids()) != "[jerry]" {
			t.Errorf("Jerry enters: %v", r)
		}
		expect(t, "two are there", count(), "2 [jerry tom]")
		jerry.send(cid, "hello")
		if m := tom.message(); m.GetMsg() != "hello" || m.GetConvType() != 2 {
			t.Errorf("Tom is pushed %v", m)
		}
		expectCode(t, "an invitation", tom.conv(leanpb.OpType_add, &leanpb.ConvCommand{Cid: &cid, M: []string{"mary"}}), 4314)
		expectCode(t, "a removal", tom.conv(leanpb.OpType_remove, &leanpb.ConvCommand{Cid: &cid, M: []string{"jerry"}}), 4314)
		other := tom.start(&leanpb.ConvCommand{Transient: new(true)}).GetCid()
		expect(t, "Tom is in another one", count(), "1 [jerry]")
		expectCode(t, "Jerry leaves", jerry.conv(leanpb.OpType_remove, &leanpb.ConvCommand{Cid: &cid, M: []string{"jerry"}}), 0)
		expect(t, "nobody is there", count(), "0 []")
		expect(t, "Tom is told", tom.told(), "")
		expect(t, "Jerry is told", jerry.told(), "")
		item := jerry.find(&leanpb.ConvCommand{Where: jsonObject(`{"objectId":"` + other + `"}`)})[0]
		if item["tr"] != true || fmt.Sprint(item["m"]) != "[]" || item["conv_type"] != 2.0 {
			t.Errorf("the other room is %v", item)
		}
	})
}

// TestLM046_ARoomKeepsOut who was blocked by its app or its creator.
func TestLM046_ARoomKeepsOut(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		tom, eve := c.session("tom", c.nodes[0]), c.session("eve", c.nodes[1])
		cid := tom.start(&leanpb.ConvCommand{Transient: new(true)}).GetCid()
		if _, err := (doorHost{backend: c.nodes[0].node.backend}).Change(t.Context(), state.Header{App: testApp}, &state.BlockMembers{Conversation: wire.ConversationID(cid), Users: []wire.UserID{"eve"}}); err != nil {
			t.Fatal(err)
		}
		expectCode(t, "Eve enters", eve.conv(leanpb.OpType_add, &leanpb.ConvCommand{Cid: &cid, M: []string{"eve"}}), 4548)
		expectCode(t, "Tom enters", tom.conv(leanpb.OpType_add, &leanpb.ConvCommand{Cid: &cid, M: []string{"tom"}}), 0)
	})
}

// TestLM058_Temporary: few members, who stay, and a time to live.
func TestLM058_Temporary(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		tom, jerry := c.session("tom", c.nodes[0]), c.session("jerry", c.nodes[1])
		temporary := func(ttl int32, m ...string) *leanpb.ConvCommand {
			one := &leanpb.ConvCommand{M: m, TempConv: new(true)}
			if ttl != 0 {
				one.TempConvTTL = &ttl
			}
			return one
		}
		made := tom.start(temporary(300, "jerry"))
		cid := made.GetCid()
		if !strings.HasPrefix(cid, "_tmp:") || made.GetTempConvTTL() != 300 || made.Existing != nil {
			t.Errorf("made is %v", made)
		}
		for _, u := range []*leanUser{tom, jerry} {
			for _, o := range []leanpb.OpType{leanpb.OpType_joined, leanpb.OpType_members_joined} {
				m := u.push(leanpb.CommandType_conv, o).GetConvMessage()
				if m.GetCid() != cid || !m.GetTempConv() || m.GetTempConvTTL() < 290 || m.GetTempConvTTL() > 300 {
					t.Errorf("%s is pushed %v %v", u.name, o, m)
				}
			}
		}
		again := jerry.start(&leanpb.ConvCommand{M: []string{"tom"}, TempConv: new(true), Unique: new(false)})
		if again.GetCid() != cid || !again.GetExisting() || again.GetTempConvTTL() > 300 || again.GetTempConvTTL() < 290 {
			t.Errorf("the same members get %v", again)
		}
		tom.send(cid, "soon over")
		if m := jerry.message(); m.GetCid() != cid || m.GetConvType() != 4 {
			t.Errorf("Jerry is pushed %v", m)
		}
		for _, step := range []struct {
			op leanpb.OpType
			m  *leanpb.ConvCommand
		}{
			{leanpb.OpType_add, &leanpb.ConvCommand{M: []string{"mary"}}},
			{leanpb.OpType_remove, &leanpb.ConvCommand{M: []string{"tom"}}},
			{leanpb.OpType_update, &leanpb.ConvCommand{Attr: jsonObject(`{"name":"x"}`)}},
			{leanpb.OpType_mute, &leanpb.ConvCommand{}},
		} {
			step.m.Cid = &cid
			expectCode(t, step.op.String(), tom.conv(step.op, step.m), 4307)
		}
		many := temporary(0, "1", "2", "3", "4", "5", "6", "7", "8", "9")
		if r := tom.start(proto.CloneOf(many)); r.GetTempConvTTL() != 86400 {
			t.Errorf("ten members, without a time: %v", r)
		}
		many.M = append(many.M, "10")
		expectCode(t, "eleven members", tom.conv(leanpb.OpType_start, many), 4304)
		if r := tom.start(temporary(40*86400, "mary")); r.GetTempConvTTL() != 30*86400 {
			t.Errorf("forty days: %v", r)
		}
		time.Sleep(5 * time.Minute) // of the bubble's clock
		tom = c.session("tom", c.nodes[0])
		expectCode(t, "when its time is over", tom.conv(leanpb.OpType_add, &leanpb.ConvCommand{Cid: &cid, M: []string{"mary"}}), 4323)
		if found := tom.find(&leanpb.ConvCommand{TempConvIds: []string{cid}}); len(found) != 0 {
			t.Errorf("when its time is over it is found: %v", found)
		}
		if r := tom.start(temporary(60, "jerry")); r.GetCid() == cid || r.Existing != nil {
			t.Errorf("when its time is over, the same members get %v", r)
		}
	})
}

// TestLM021_Full: where there is no room for all, nobody is added.
func TestLM021_Full(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		tom := c.session("tom", c.nodes[0])
		many := func(from, to int) (names []string) {
			for i := from; i < to; i++ {
				names = append(names, fmt.Sprintf("user%03d", i))
			}
			return names
		}
		expectCode(t, "501 at once", tom.conv(leanpb.OpType_start, &leanpb.ConvCommand{M: many(0, 500)}), 4304)
		cid := tom.start(&leanpb.ConvCommand{M: many(0, 498)}).GetCid()
		expectCode(t, "two more", tom.conv(leanpb.OpType_add, &leanpb.ConvCommand{Cid: &cid, M: many(498, 500)}), 4304)
		expectCode(t, "one more", tom.conv(leanpb.OpType_add, &leanpb.ConvCommand{Cid: &cid, M: many(498, 499)}), 0)
		expectCode(t, "and one", tom.conv(leanpb.OpType_add, &leanpb.ConvCommand{Cid: &cid, M: many(499, 500)}), 4304)
		r := tom.conv(leanpb.OpType_count, &leanpb.ConvCommand{Cid: &cid})
		expect(t, "members", fmt.Sprint(r.GetConvMessage().GetCount()), "500")
	})
}
