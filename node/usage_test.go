package node

import (
	"encoding/json"
	"net/http"
	"runtime"
	"testing"

	"github.com/quorate/quorate/client"
)

// TestUsage: what a node has used grows with the work, and only who shows the
// master key learns it.
func TestUsage(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		n := c.nodes[0]
		ask := func() (u Usage) {
			if err := json.Unmarshal(askWeb(t, n, http.MethodGet, "/v1/node/usage", testMaster).Body.Bytes(), &u); err != nil {
				t.Fatal(err)
			}
			return u
		}
		before := ask()
		tom := c.dial("tom", n, nil)
		defer c.shut(tom)
		if _, err := tom.Create(t.Context(), client.NewConversation{}); err != nil {
			t.Fatal(err)
		}
		after := ask()
		if w := askWeb(t, n, http.MethodGet, "/v1/node/usage", testKey); w.Code != http.StatusUnauthorized {
			t.Errorf("with a user's key: %d", w.Code)
		}
		appends, syncs := after.Appends-before.Appends, after.Syncs.Since(before.Syncs).Total()
		if appends == 0 || syncs == 0 || syncs > appends+2 {
			t.Errorf("%d appends and %d syncs for one command, want some, and syncs to be shared", appends, syncs)
		}
		if after.Node != n.id || after.Sessions != 1 || after.CPUSeconds == 0 || after.EntryBytes <= before.EntryBytes {
			t.Errorf("usage %+v", after)
		}
		if runtime.GOOS == "linux" && after.RSS == 0 {
			t.Errorf("no memory: %+v", after)
		}
	})
}
