package cluster

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/wire"
)

// testBootstrap sets up a cluster of so many nodes, n1, n2 …, with one app.
func testBootstrap(nodes int) Bootstrap {
	b := Bootstrap{
		ClusterID: "tea",
		Shards:    4,
		Apps:      []App{{ID: "000102030405060708090a0b", Name: "demo", Key: "key", MasterKey: "master"}},
		Settings:  map[string]string{"motd": "hello"},
	}
	for i := range nodes {
		b.Nodes = append(b.Nodes, Node{
			ID:        wire.NodeID(fmt.Sprintf("n%d", i+1)),
			Addresses: Addresses{Peer: fmt.Sprintf("127.0.0.1:%d", 7401+10*i)},
		})
	}
	return b
}

// testTable is the table after testBootstrap's Init at index 3.
func testTable(t *testing.T, nodes int) *Table {
	t.Helper()
	b := testBootstrap(nodes)
	c, err := b.Command()
	if err != nil {
		t.Fatal(err)
	}
	table, res := newTable(&record{Version: recordVersion}).apply(3, c)
	if err := res.Err(); err != nil {
		t.Fatal(err)
	}
	return table
}

func TestRoute(t *testing.T) {
	table := testTable(t, 3)
	for _, tc := range []struct {
		slot wire.Slot
		want wire.ShardID
	}{
		{0, 1},
		{16383, 1},
		{16384, 2},
		{32767, 2},
		{32768, 3},
		{49152, 4},
		{65535, 4},
	} {
		got, ok := table.Route(tc.slot)
		if !ok || got.Shard != tc.want || got.Epoch != 1 || len(got.Voters) != 3 {
			t.Errorf("Route(%d) = %+v, %t, want shard %d of epoch 1 with 3 voters", tc.slot, got, ok, tc.want)
		}
	}
}

// TestRouteAgreesWithSlots asks for every slot of an uneven number of shards.
func TestRouteAgreesWithSlots(t *testing.T) {
	b := testBootstrap(3)
	b.Shards = 7
	c, err := b.Command()
	if err != nil {
		t.Fatal(err)
	}
	table, _ := new(Table).apply(1, c)
	for slot := range wire.Slots {
		route, _ := table.Route(wire.Slot(slot))
		shard, ok := table.Shard(route.Shard)
		if !ok || !shard.Slots().Contains(wire.Slot(slot)) {
			t.Fatalf("Route(%d) = shard %d, which owns %s", slot, route.Shard, shard.Slots())
		}
	}
}

func TestEmptyTable(t *testing.T) {
	table := new(Table)
	if _, ok := table.Route(7); ok || table.Ready() {
		t.Error("the zero Table routes, want it to know that it is not set up")
	}
	for name, c := range map[string]Command{
		"PutNode":    PutNode{Node{ID: "n1", State: NodeJoined}},
		"PutApp":     PutApp{App{ID: "a", Key: "k", MasterKey: "m"}},
		"PutSetting": PutSetting{Key: "motd", Value: "x"},
	} {
		if _, res := table.apply(1, c); res.Refusal != RefusedNotReady {
			t.Errorf("%s before Init = %+v, want refusal %q", name, res, RefusedNotReady)
		}
	}
}

func TestInitIsDoneOnce(t *testing.T) {
	table := testTable(t, 3)
	b := testBootstrap(3)
	b.Settings["motd"] = "other"
	again, err := b.Command()
	if err != nil {
		t.Fatal(err)
	}
	after, res := table.apply(4, again)
	if res.Refusal != "" || after.Setting("motd") != "hello" {
		t.Errorf("Init again = %+v with motd %q, want no refusal and the first setting", res, after.Setting("motd"))
	}
	other := again
	other.ClusterID = "coffee"
	if after, res = table.apply(4, other); res.Refusal != RefusedExists || after.ClusterID() != "tea" {
		t.Errorf("Init of another cluster = %+v, want refusal %q", res, RefusedExists)
	}
}

func TestApply(t *testing.T) {
	placement := func(version uint64, preferred wire.NodeID, voters ...wire.NodeID) Placement {
		return Placement{Version: version, Voters: voters, Preferred: preferred}
	}
	node := func(id wire.NodeID, state NodeState) PutNode { return PutNode{Node{ID: id, State: state}} }
	for _, tc := range []struct {
		name     string
		commands []Command
		want     Refusal // of the last
	}{
		{"new node", []Command{node("n4", NodeJoined)}, ""},
		{"node without state", []Command{node("n4", "")}, RefusedInvalid},
		{"node with a bad id", []Command{node("n\x00", NodeJoined)}, RefusedInvalid},
		{"node leaves", []Command{node("n1", NodeDraining), node("n1", NodeRemoved), node("n1", NodeRemoved)}, ""},
		{"removed node comes back", []Command{node("n1", NodeRemoved), node("n1", NodeJoined)}, RefusedConflict},
		{"placement", []Command{SetPlacement{1, placement(2, "n2", "n1", "n2")}}, ""},
		{"placement twice", []Command{SetPlacement{1, placement(2, "n2", "n1", "n2")}, SetPlacement{1, placement(2, "n2", "n1", "n2")}}, RefusedConflict},
		{"placement skips a version", []Command{SetPlacement{1, placement(3, "n2", "n1", "n2")}}, RefusedConflict},
		{"placement of no shard", []Command{SetPlacement{9, placement(2, "n2", "n1", "n2")}}, RefusedNotFound},
		{"placement on unknown node", []Command{SetPlacement{1, placement(2, "", "n1", "n9")}}, RefusedInvalid},
		{"placement on removed node", []Command{node("n1", NodeRemoved), SetPlacement{1, placement(2, "", "n1")}}, RefusedInvalid},
		{"placement without voters", []Command{SetPlacement{1, placement(2, "")}}, RefusedInvalid},
		{"placement twice on a node", []Command{SetPlacement{1, placement(2, "", "n1", "n1")}}, RefusedInvalid},
		{"preferred is no voter", []Command{SetPlacement{1, placement(2, "n3", "n1", "n2")}}, RefusedInvalid},
		{"app", []Command{PutApp{App{ID: "b", Key: "k", MasterKey: "m"}}}, ""},
		{"app without key", []Command{PutApp{App{ID: "b", MasterKey: "m"}}}, RefusedInvalid},
		{"app's settings", []Command{PutApp{App{ID: "b", Key: "k", MasterKey: "m"}}, SetAppSettings{"b", map[string]string{"x": "y"}}}, ""},
		{"settings of no app", []Command{SetAppSettings{"nobody", map[string]string{"x": "y"}}}, RefusedNotFound},
		{"an app's setting without name", []Command{PutApp{App{ID: "b", Key: "k", MasterKey: "m"}}, SetAppSettings{"b", map[string]string{"": "y"}}}, RefusedInvalid},
		{"an app's large setting", []Command{
			PutApp{App{ID: "b", Key: "k", MasterKey: "m"}}, SetAppSettings{"b", map[string]string{"x": strings.Repeat("y", MaxSettingBytes)}},
		}, RefusedInvalid},
		{"setting", []Command{PutSetting{"x", "y"}}, ""},
		{"setting without name", []Command{PutSetting{"", "y"}}, RefusedInvalid},
		{"large setting", []Command{PutSetting{"x", strings.Repeat("y", MaxSettingBytes)}}, RefusedInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			table := testTable(t, 3)
			first, err := encodeRecord(&table.rec)
			if err != nil {
				t.Fatal(err)
			}
			start, res := table, Result{}
			for i, c := range tc.commands {
				table, res = table.apply(uint64(4+i), c)
			}
			if res.Refusal != tc.want {
				t.Errorf("answer %+v, want refusal %q", res, tc.want)
			}
			if want := uint64(3 + len(tc.commands)); table.Index() != want || res.Index != want {
				t.Errorf("index %d, answer's %d, want %d", table.Index(), res.Index, want)
			}
			if err := table.rec.check(); err != nil {
				t.Errorf("the record is broken afterwards: %v", err)
			}
			if same, _ := encodeRecord(&start.rec); string(same) != string(first) {
				t.Errorf("the table from before has changed:\n%s", cmp.Diff(string(first), string(same)))
			}
		})
	}
}

// TestApplyKeepsOrder puts apps and nodes in any order and looks each up.
func TestApplyKeepsOrder(t *testing.T) {
	table := testTable(t, 3)
	for i, id := range []wire.AppID{"m", "a", "z", "m", "k"} {
		table, _ = table.apply(uint64(4+i), PutApp{App{ID: id, Name: fmt.Sprint(i), Key: "k", MasterKey: "m"}})
	}
	if len(table.Apps()) != 5 {
		t.Errorf("there are %d apps, want 5", len(table.Apps()))
	}
	if a, ok := table.App("m"); !ok || a.Name != "3" {
		t.Errorf(`App("m") = %v, %t, want the one put last`, a, ok)
	}
	if _, ok := table.App("nobody"); ok {
		t.Error(`App("nobody") is there`)
	}
	table, _ = table.apply(9, PutSetting{Key: "motd"})
	if len(table.Settings()) != 0 {
		t.Errorf("settings %v, want the empty value to remove one", table.Settings())
	}
}

// TestAppSettings changes settings of one app one by one.
func TestAppSettings(t *testing.T) {
	table := testTable(t, 3)
	table, _ = table.apply(4, PutApp{App{ID: "b", Key: "k", MasterKey: "m", Settings: map[string]string{"x": "1"}}})
	for i, tc := range []struct{ change, want map[string]string }{
		{map[string]string{"y": "2"}, map[string]string{"x": "1", "y": "2"}},
		{map[string]string{"y": "2"}, map[string]string{"x": "1", "y": "2"}},
		{map[string]string{"x": "", "z": "3", "w": ""}, map[string]string{"y": "2", "z": "3"}},
		{map[string]string{"y": "", "z": ""}, nil},
	} {
		before, _ := table.App("b")
		was := maps.Clone(before.Settings)
		var res Result
		if table, res = table.apply(uint64(5+i), SetAppSettings{App: "b", Settings: tc.change}); res.Err() != nil {
			t.Fatal(res.Err())
		}
		if a, _ := table.App("b"); !maps.Equal(a.Settings, tc.want) || a.Key != "k" {
			t.Errorf("after %v the app is %+v, want the settings %v", tc.change, a, tc.want)
		}
		if !maps.Equal(before.Settings, was) {
			t.Errorf("the table from before has changed: %v", before.Settings)
		}
	}
}

// TestApplySequence replays random-looking commands on two tables: the same
// entries give the same bytes.
func TestApplySequence(t *testing.T) {
	a, b := testTable(t, 5), testTable(t, 5)
	for i := range uint64(200) {
		c := sampleCommands()[i%uint64(len(sampleCommands()))]
		data, err := encodeCommand(c)
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := decodeCommand(data)
		if err != nil {
			t.Fatal(err)
		}
		a, _ = a.apply(4+i, c)
		b, _ = b.apply(4+i, decoded)
	}
	da, _ := a.Digest()
	db, _ := b.Digest()
	if da != db {
		t.Errorf("digests %s and %s after the same commands", da, db)
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	app := App{ID: "a", Key: "hush", MasterKey: "quiet"}
	for _, text := range []string{fmt.Sprint(app), fmt.Sprintf("%+v", app), fmt.Sprintf("%#v", app), fmt.Sprintf("%s %q", app.Key, app.MasterKey)} {
		if strings.Contains(text, "hush") || strings.Contains(text, "quiet") {
			t.Errorf("printed as %s, want no key in it", text)
		}
	}
}

func TestNewApp(t *testing.T) {
	seen := make(map[Secret]bool)
	for seed := range byte(50) {
		app, err := NewApp(&countingReader{next: seed * 5}, "demo")
		if err != nil {
			t.Fatal(err)
		}
		if len(app.ID) != 24 || len(app.Key) != 32 || len(app.MasterKey) != 32 || app.Key == app.MasterKey {
			t.Fatalf("id %q, keys of %d and %d characters, want 24, 32, 32", app.ID, len(app.Key), len(app.MasterKey))
		}
		if app.Key[0] == '-' || seen[app.Key] {
			t.Fatalf("key %q begins with a dash or came before", string(app.Key))
		}
		seen[app.Key] = true
		if err := app.check(); err != nil {
			t.Fatal(err)
		}
	}
}

// countingReader is randomness that can be foretold.
type countingReader struct{ next byte }

func (r *countingReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = r.next
		r.next += 7
	}
	return len(p), nil
}
