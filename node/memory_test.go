package node

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/quorate/quorate/client"
)

// TestMemory: who shows the master key learns what the process takes, and
// nobody else does.
func TestMemory(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		n := c.nodes[0]
		tom := c.dial("tom", n, nil)
		defer c.shut(tom)
		if _, err := tom.Create(t.Context(), client.NewConversation{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // of the bubble's clock: the node follows who has acknowledged it
		ask := func(method, key string) *httptest.ResponseRecorder {
			return askWeb(t, n, method, "/v1/node/memory", key)
		}
		for _, key := range []string{"", testKey, testMaster + "x"} {
			if w := ask(http.MethodPost, key); w.Code != http.StatusUnauthorized {
				t.Errorf("with the key %q: %d", key, w.Code)
			}
		}
		if w := ask(http.MethodGet, testMaster); w.Code == http.StatusOK {
			t.Error("a GET collects garbage")
		}
		var m Memory
		if err := json.Unmarshal(ask(http.MethodPost, testMaster).Body.Bytes(), &m); err != nil {
			t.Fatal(err)
		}
		if m.Node != n.id || m.Sessions != 1 || m.Heap == 0 || m.Stacks == 0 || m.Goroutines < 2 || m.CPUSeconds == 0 || m.Applied == 0 {
			t.Errorf("memory %+v", m)
		}
		if runtime.GOOS == "linux" && (m.RSS < m.Heap || m.Anonymous > m.RSS) {
			t.Errorf("memory %+v", m)
		}
	})
}

// TestDense: a collection is due after so many sign-ins, or after one for so
// many sessions.
func TestDense(t *testing.T) {
	var l sessions
	due := 0
	for range 3 * crowd {
		if l.dense() {
			due++
		}
	}
	if due != 3 {
		t.Errorf("%d collections for %d sign-ins, want 3", due, 3*crowd)
	}
}

// askWeb asks a node over HTTP, with a key.
func askWeb(t *testing.T, n *testNode, method, path, key string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, http.NoBody)
	r.Header.Set("X-Quorate-App", testApp)
	r.Header.Set("Authorization", "Bearer "+key)
	w := httptest.NewRecorder()
	n.node.web().Plain.ServeHTTP(w, r)
	return w
}
