package client

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/node/auth"
	"github.com/quorate/quorate/wire/pb"
)

func TestParseServer(t *testing.T) {
	for text, want := range map[string]Server{
		"quic://n1":               {Scheme: "quic", Address: "n1:7400"},
		"quic://127.0.0.1:7410":   {Scheme: "quic", Address: "127.0.0.1:7410"},
		"quic://[::1]:7410":       {Scheme: "quic", Address: "[::1]:7410"},
		"ws://n1:7400":            {Scheme: "ws", Address: "n1:7400"},
		"http://n1:7400/":         {Scheme: "ws", Address: "n1:7400"},
		"https://chat.example":    {Scheme: "wss", Address: "chat.example:443"},
		"wss://chat.example/chat": {Scheme: "wss", Address: "chat.example:443", Path: "/chat"},
	} {
		if got, err := parseServer(text); err != nil || got != want {
			t.Errorf("parseServer(%q) = %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "n1:7400", "n1", "ftp://n1", "quic://", "quic://%zz"} {
		if got, err := parseServer(text); err == nil {
			t.Errorf("parseServer(%q) = %+v, want an error", text, got)
		}
	}
}

func TestDirectory(t *testing.T) {
	d, err := newDirectory([]string{"quic://n1", "quic://n2", "quic://n1"})
	if err != nil {
		t.Fatal(err)
	}
	nodes := []*pb.NodeInfo{{Name: "n1", Quic: "n1:7400", Http: "http://n1:7400"}, {Name: "n3", Quic: "n3:7400"}, {Name: "n4", Http: "http://n4:7400"}}
	d.learn(d.preferred[0], nodes)
	server := func(scheme, name string) Server { return Server{Scheme: scheme, Address: name + ":7400"} }
	if diff := cmp.Diff([]Server{server("quic", "n2"), server("quic", "n3"), server("quic", "n1")}, d.order(server("quic", "n1"))); diff != "" {
		t.Errorf("order to avoid n1 (-want +got):\n%s", diff)
	}
	d.learn(Server{Scheme: "ws", Address: "n1:7400"}, nodes)
	if !slices.Contains(d.order(), server("ws", "n4")) || slices.Contains(d.order(), server("quic", "n3")) {
		t.Errorf("over WebSocket the nodes are %v", d.order())
	}
}

func TestSignTokenSignsIn(t *testing.T) {
	now := time.Now()
	token, err := SignToken(testApp, "tom", testKey, now, auth.MaxLife)
	if err != nil {
		t.Fatal(err)
	}
	id, err := auth.Verify(testApp, auth.Keys{Key: testKey}, token, now)
	if err != nil || id.User != "tom" {
		t.Errorf("the node takes the token for %+v, %v", id, err)
	}
}

func TestBackoff(t *testing.T) {
	for failed, want := range map[int]time.Duration{0: minBackoff, 1: minBackoff, 2: 2 * minBackoff, 7: 64 * minBackoff, 8: maxBackoff, 1000: maxBackoff} {
		for range 100 {
			if got := backoff(failed); got < want/2 || got > want {
				t.Fatalf("backoff(%d) = %v, want %v to %v", failed, got, want/2, want)
			}
		}
	}
}
