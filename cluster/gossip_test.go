package cluster

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/wire"
)

const (
	rightKey = Secret("0123456789abcdef0123456789abcdef")
	wrongKey = Secret("fedcba9876543210fedcba9876543210")
)

// gossiper opens a node on a free loopback port that knows one seed.
func gossiper(t *testing.T, id wire.NodeID, key Secret, seed string) *Memberlist {
	t.Helper()
	m, err := OpenMemberlist(
		Presence{Node: id, Addresses: Addresses{Peer: string(id) + ":7401"}},
		GossipSecret{ClusterID: "tea", Keys: []Secret{key}},
		func() []string { return []string{seed} },
		GossipOptions{Listen: "127.0.0.1:0", RejoinInterval: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// until waits for a gossip's members to satisfy ok.
func until(t *testing.T, g Gossip, what string, ok func([]Presence) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		changed := g.Changed()
		if ok(g.Members()) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("%s: not within 20 s; members are %+v", what, g.Members())
		}
	}
}

func ids(members []Presence) []wire.NodeID {
	var out []wire.NodeID
	for _, m := range members {
		out = append(out, m.Node)
	}
	return out
}

func sees(want ...wire.NodeID) func([]Presence) bool {
	return func(members []Presence) bool { return slices.Equal(ids(members), want) }
}

// TestGossip lets three nodes meet, over real sockets, and one leave; a node
// with another key stays outside.
func TestGossip(t *testing.T) {
	one := gossiper(t, "n1", rightKey, "")
	two := gossiper(t, "n2", rightKey, one.Address())
	three := gossiper(t, "n3", rightKey, one.Address())
	stranger := gossiper(t, "n4", wrongKey, one.Address())
	for _, m := range []*Memberlist{one, two, three} {
		until(t, m, "three nodes meet", sees("n1", "n2", "n3"))
	}
	for _, p := range two.Members() {
		if p.Addresses.Peer != string(p.Node)+":7401" {
			t.Errorf("node %s is at %+v, want its peer address", p.Node, p.Addresses)
		}
	}

	if err := three.Announce(t.Context(), []byte("load=3")); err != nil {
		t.Fatal(err)
	}
	until(t, two, "n2 hears n3's facts", func(members []Presence) bool {
		return slices.ContainsFunc(members, func(p Presence) bool { return p.Node == "n3" && string(p.Facts) == "load=3" })
	})
	if err := three.Announce(t.Context(), make([]byte, maxPresenceBytes)); err == nil {
		t.Error("facts over the limit are announced")
	}

	if err := three.Close(); err != nil {
		t.Fatal(err)
	}
	until(t, one, "n3 leaves", sees("n1", "n2"))

	// The stranger has asked n1 all the while, and is told nothing.
	if _, err := stranger.list.Join([]string{one.Address()}); err == nil {
		t.Error("a node with another key joined")
	}
	if !sees("n4")(stranger.Members()) || !sees("n1", "n2")(one.Members()) {
		t.Errorf("the stranger sees %v, n1 sees %v, want neither to see the other", ids(stranger.Members()), ids(one.Members()))
	}
}

// TestGossipOtherCluster has the same key but another cluster's name.
func TestGossipOtherCluster(t *testing.T) {
	one := gossiper(t, "n1", rightKey, "")
	other, err := OpenMemberlist(
		Presence{Node: "m1"}, GossipSecret{ClusterID: "coffee", Keys: []Secret{rightKey}},
		func() []string { return nil }, GossipOptions{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.list.Join([]string{one.Address()}); err == nil || !sees("n1")(one.Members()) {
		t.Errorf("another cluster's node joined (%v)", err)
	}
}

// TestGossipKeyChange lets nodes with overlapping keys hear each other, as
// they must while a key is being replaced.
func TestGossipKeyChange(t *testing.T) {
	one := gossiper(t, "n1", rightKey, "")
	two, err := OpenMemberlist(
		Presence{Node: "n2"}, GossipSecret{ClusterID: "tea", Keys: []Secret{rightKey, wrongKey}},
		func() []string { return []string{one.Address()} }, GossipOptions{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer two.Close()
	until(t, one, "both meet", sees("n1", "n2"))
}

func TestGossipWantsItsSecret(t *testing.T) {
	for name, secret := range map[string]GossipSecret{
		"no key":     {ClusterID: "tea"},
		"no cluster": {Keys: []Secret{rightKey}},
		"short key":  {ClusterID: "tea", Keys: []Secret{"short"}},
	} {
		_, err := OpenMemberlist(Presence{Node: "n1"}, secret, nil, GossipOptions{Listen: "127.0.0.1:0"})
		if err == nil {
			t.Errorf("%s: opened, want an error", name)
		}
		if err != nil && strings.Contains(err.Error(), "short") {
			t.Errorf("%s: the error %q shows the key", name, err)
		}
	}
}

func TestHub(t *testing.T) {
	hub := NewHub()
	join := func(id wire.NodeID) Gossip {
		t.Helper()
		g, err := hub.Join(Presence{Node: id})
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	one, two, three := join("n1"), join("n2"), join("n3")
	if !sees("n1", "n2", "n3")(one.Members()) || !sees("n1", "n2", "n3")(three.Members()) {
		t.Fatalf("n1 sees %v, n3 sees %v, want all", ids(one.Members()), ids(three.Members()))
	}
	changed := one.Changed()
	if err := two.Announce(t.Context(), []byte("x")); err != nil {
		t.Fatal(err)
	}
	<-changed
	if got := one.Members()[1].Facts; string(got) != "x" {
		t.Errorf("n2's facts are %q, want x", got)
	}
	hub.Cut("n2", true)
	if !sees("n1", "n3")(one.Members()) || !sees("n2")(two.Members()) {
		t.Errorf("n1 sees %v, n2 sees %v, want n2 alone", ids(one.Members()), ids(two.Members()))
	}
	hub.Cut("n2", false)
	if !sees("n1", "n2", "n3")(two.Members()) {
		t.Errorf("n2 sees %v, want all again", ids(two.Members()))
	}
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	if !sees("n2", "n3")(three.Members()) {
		t.Errorf("n3 sees %v, want n1 gone", ids(three.Members()))
	}
}
