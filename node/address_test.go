package node

import (
	"strings"
	"testing"
)

// TestBaseURL: a node's address for clients may be a proxy's, with a scheme.
func TestBaseURL(t *testing.T) {
	for address, want := range map[string]string{
		"10.0.0.1:7400":                 "http://10.0.0.1:7400",
		"https://chat.example.org":      "https://chat.example.org",
		"https://chat.example.org:8443": "https://chat.example.org:8443",
		"http://n1:7400":                "http://n1:7400",
	} {
		if got := BaseURL("http", address); got != want {
			t.Errorf("%s is at %s, want %s", address, got, want)
		}
	}
}

// TestConfigChecksWhereClientsGo: an address that no client could use is refused
// at the start, and not told to clients.
func TestConfigChecksWhereClientsGo(t *testing.T) {
	for http, right := range map[string]bool{
		"": true, "n1:7400": true, "https://chat.example.org": true, "http://[::1]:7400": true,
		"https://chat.example.org/": false, "https://chat.example.org/im": false, "wss://chat.example.org": false,
		"https://": false, "n1:74 00": false, "chat.example.org": false,
	} {
		cfg := Config{
			Cluster: "test", Node: "n1", Dir: "data",
			Listen:    Listen{Client: "c:1", Peer: "p:1", Gossip: "g:1"},
			TLS:       TLS{CA: "-", Node: "-", Client: "-"},
			Bootstrap: Bootstrap{Nodes: []BootstrapNode{{ID: "n1", HTTP: http}}},
		}
		err := cfg.Validate()
		if right && err != nil {
			t.Errorf("http = %q: %v", http, err)
		}
		if !right && (err == nil || !strings.Contains(err.Error(), "bootstrap node n1: http is")) {
			t.Errorf("http = %q: %v, want that it is refused", http, err)
		}
	}
}
