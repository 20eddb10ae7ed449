package cluster

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/golden"
	"github.com/quorate/quorate/wire"
)

// sampleCommands has one of each kind, with every field set.
func sampleCommands() []Command {
	b := testBootstrap(3)
	b.Nodes[0] = Node{
		ID:        "n1",
		Addresses: Addresses{Peer: "10.0.0.1:7401", HTTP: "10.0.0.1:7400", QUIC: "10.0.0.1:7400", Gossip: "10.0.0.1:7402"},
		State:     NodeJoined, Zone: "east", FormatMin: 1, FormatMax: 2,
	}
	b.Apps[0].Settings = map[string]string{"kind": "leanmessage"}
	setUp, err := b.Command()
	if err != nil {
		panic(err)
	}
	return []Command{
		setUp,
		PutNode{b.Nodes[0]},
		SetPlacement{Shard: 2, Placement: Placement{Version: 2, Voters: []wire.NodeID{"n1", "n2"}, Nonvoters: []wire.NodeID{"n3"}, Preferred: "n2"}},
		PutApp{b.Apps[0]},
		SetAppSettings{App: b.Apps[0].ID, Settings: map[string]string{"leanmessage.edit": "on", "other": ""}},
		PutSetting{Key: "motd", Value: "hello"},
	}
}

// TestGoldenCommands reads what earlier builds wrote and writes the same.
func TestGoldenCommands(t *testing.T) {
	for _, c := range sampleCommands() {
		t.Run(c.kind(), func(t *testing.T) {
			data, err := encodeCommand(c)
			if err != nil {
				t.Fatal(err)
			}
			back, err := decodeCommand(stored(t, "command_"+c.kind(), data))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c, back); diff != "" {
				t.Errorf("read from the golden file (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGoldenRecord(t *testing.T) {
	table := new(Table)
	for i, c := range sampleCommands() {
		var res Result
		if table, res = table.apply(uint64(i+2), c); res.Err() != nil {
			t.Fatal(res.Err())
		}
	}
	data, err := encodeRecord(&table.rec)
	if err != nil {
		t.Fatal(err)
	}
	back, err := decodeRecord(stored(t, "record", data))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&table.rec, back); diff != "" {
		t.Errorf("read from the golden file (-want +got):\n%s", diff)
	}
}

func TestGoldenPresence(t *testing.T) {
	p := Presence{Node: "n1", Addresses: Addresses{Peer: "10.0.0.1:7401", HTTP: "h:7400", QUIC: "q:7400", Gossip: "g:7402"}, Facts: []byte("load=1")}
	data, err := p.encode()
	if err != nil {
		t.Fatal(err)
	}
	text, err := hex.DecodeString(string(stored(t, "presence", []byte(hex.EncodeToString(data)))))
	if err != nil {
		t.Fatal(err)
	}
	back, err := decodePresence("n1", text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p, back); diff != "" {
		t.Errorf("read from the golden file (-want +got):\n%s", diff)
	}
}

// stored compares data with the golden file and returns what the file holds.
func stored(t *testing.T, name string, data []byte) []byte {
	t.Helper()
	return []byte(strings.TrimSuffix(golden.Check(t, name, string(data)+"\n"), "\n"))
}

func TestDecodeRefuses(t *testing.T) {
	for _, tc := range []struct{ name, data, want string }{
		{"nothing", ``, "unexpected end"},
		{"newer version", `{"v":2,"kind":"put_setting","body":{"key":"a","value":"b"}}`, "its version is 2"},
		{"unknown kind", `{"v":1,"kind":"make_tea","body":{}}`, "unknown kind"},
		{"unknown field", `{"v":1,"kind":"put_setting","body":{"key":"a","value":"b","ttl":1}}`, "unknown field"},
		{"unknown field outside", `{"v":1,"kind":"put_setting","body":{},"at":1}`, "unknown field"},
		{"no body", `{"v":1,"kind":"put_setting"}`, "EOF"},
		{"more behind", `{"v":1,"kind":"put_setting","body":{}} {}`, "after top-level value"},
	} {
		if _, err := decodeCommand([]byte(tc.data)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want one with %q", tc.name, err, tc.want)
		}
	}
	if _, err := decodeCommand(make([]byte, MaxCommandBytes+1)); err == nil {
		t.Error("a command over the limit is read")
	}
	if _, err := decodeRecord([]byte(`{"v":1,"index":3,"cluster_id":"x"}`)); err == nil {
		t.Error("a record without shards is read")
	}
}

func FuzzCommand(f *testing.F) {
	for _, c := range sampleCommands() {
		data, err := encodeCommand(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	table := new(Table)
	table, _ = table.apply(1, sampleCommands()[0])
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := decodeCommand(data)
		if err != nil {
			return
		}
		for _, start := range []*Table{new(Table), table} {
			after, _ := start.apply(2, c)
			encoded, err := encodeRecord(&after.rec)
			if err != nil {
				t.Fatal(err)
			}
			// A table that cannot be restored would stop the node at its next start.
			if _, err := decodeRecord(encoded); err != nil {
				t.Fatalf("%s leads to a record that cannot be read: %v", data, err)
			}
		}
	})
}

func FuzzRecord(f *testing.F) {
	table := new(Table)
	for i, c := range sampleCommands() {
		table, _ = table.apply(uint64(i+2), c)
		data, err := encodeRecord(&table.rec)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decodeRecord(data)
		if err != nil {
			return
		}
		got := newTable(r)
		if _, ok := got.Route(40000); ok != got.Ready() {
			t.Fatal("a table that is set up has no route")
		}
		Plan(World{Table: got})
	})
}

func FuzzPresence(f *testing.F) {
	p := Presence{Addresses: Addresses{Peer: "a:1", Gossip: "b:2"}, Facts: []byte("x")}
	data, err := p.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add("n1", data)
	f.Fuzz(func(t *testing.T, node string, data []byte) {
		got, err := decodePresence(wire.NodeID(node), data)
		if err != nil {
			return
		}
		if _, err := got.encode(); err != nil {
			t.Fatalf("read but cannot be written: %v", err)
		}
	})
}
